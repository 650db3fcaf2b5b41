# The flake's NixOS modules: `default` for the host, `agent` for a guest.
let
  host =
    { lib, pkgs, ... }:
    {
      imports = [ ../modules ];
      services.hyperhive.package = lib.mkDefault (pkgs.callPackage ../modules/package.nix { });
      services.hyperhive.dashboard.page = lib.mkDefault (pkgs.callPackage ../modules/page.nix { });
    };
in
{
  default = host;
  hyperhive = host;
  agent = ../modules/harness-base.nix;
}
