# system.build.host: a host's etc/ from its configuration, and what activates it.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  users = import ./users.nix { inherit lib; } config;
  polkit = config.security.polkit.extraConfig or "";

  exports = lib.concatStrings (
    lib.mapAttrsToList (name: value: "export ${name}=${lib.escapeShellArg value}\n") config.environment.variables
  );

  etc =
    import ./etc.nix { inherit lib pkgs; } config
    // {
      "etc/sysusers.d/00-nixos.conf".text = users.sysusers;
      "etc/profile.d/nixos.sh".text = "export PATH=/run/current-system/sw/bin:$PATH\n${exports}";
    }
    // lib.optionalAttrs (polkit != "") { "etc/polkit-1/rules.d/10-nixos.rules".text = polkit; }
    // lib.optionalAttrs (config.systemd.services ? "container@") {
      "etc/systemd/system/multi-user.target.wants/machines.target".link = "/usr/lib/systemd/system/machines.target";
    };
in
{
  imports = [
    ./build.nix
    ./containers.nix
    ./nix-daemon.nix
  ];

  config.systemd.services.whole-proc = {
    description = "All of /proc";
    wantedBy = [ "multi-user.target" ];
    before = [ "hive-c0re.service" ];
    unitConfig.ConditionVirtualization = "systemd-nspawn";
    path = [
      pkgs.gnugrep
      pkgs.util-linux
    ];
    serviceConfig = {
      Type = "oneshot";
      RemainAfterExit = true;
      ExecStart = pkgs.writeScript "whole-proc" (builtins.readFile ./whole-proc.sh);
    };
  };

  config.system.build.host =
    pkgs.runCommand "nixos-host"
      {
        etc = pkgs.tree "etc" etc;
        packages = map toString config.environment.systemPackages;
        activate = ./activate.sh;
      }
      ''
        mkdir -p $out/sw/bin
        ln -s $etc/etc $out/etc
        for package in $packages; do
          for program in $package/bin/*; do ln -sf $program $out/sw/bin/; done
        done
        printf ${pkgs.system} > $out/system
        sed "s|@system@|$out|" $activate > $out/activate
        chmod +x $out/activate
      '';
}
