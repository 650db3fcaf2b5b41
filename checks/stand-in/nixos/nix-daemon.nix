# Nix of a host: the daemon, which builds the stand-in's derivations with the host's /bin/sh, without a network.
{ lib, pkgs, ... }:
{
  options.systemd.sockets = lib.mkOption {
    type = lib.types.attrsOf lib.types.anything;
    default = { };
  };

  config = {
    environment.etc."nix/nix.conf".text = ''
      build-users-group =
      experimental-features = nix-command flakes
      sandbox = false
      substituters =
    '';

    systemd.sockets.nix-daemon = {
      description = "Nix Daemon Socket";
      wantedBy = [ "sockets.target" ];
      listenStreams = [ "/nix/var/nix/daemon-socket/socket" ];
    };

    systemd.services.nix-daemon = {
      description = "Nix Daemon";
      path = [
        pkgs.bash
        pkgs.nix
      ];
      serviceConfig = {
        ExecStart = "${pkgs.nix}/bin/nix-daemon --daemon";
        KillMode = "process";
      };
    };
  };
}
