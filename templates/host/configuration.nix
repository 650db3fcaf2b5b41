# The rest of this host: put your own configuration here.
{
  nixpkgs.hostPlatform = "x86_64-linux";
  fileSystems."/".device = "/dev/disk/by-label/nixos";
  boot.loader.systemd-boot.enable = true;
  users.users.alice.isNormalUser = true;
  system.stateVersion = "26.05";
}
