# system.build.host: a host's etc/ from its configuration, and what activates it.
{
  config,
  lib,
  pkgs,
  specialise,
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

  options.specialisation = lib.mkOption {
    type = lib.types.attrsOf (lib.types.submodule { options.configuration = lib.mkOption { type = lib.types.raw; }; });
    default = { };
  };

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
        switch = ./switch-to-configuration.sh;
        specialisations = lib.optionals (specialise != null) (
          lib.mapAttrsToList (
            name: special: "${name}=${(specialise special.configuration).config.system.build.host}"
          ) config.specialisation
        );
      }
      ''
        mkdir -p $out/sw/bin
        ln -s $etc/etc $out/etc
        for package in $packages; do
          for program in $package/bin/*; do ln -sf $program $out/sw/bin/; done
        done
        printf ${pkgs.system} > $out/system
        mkdir $out/bin $out/specialisation
        for special in $specialisations; do ln -s "''${special#*=}" "$out/specialisation/''${special%%=*}"; done
        sed "s|@system@|$out|" $switch > $out/bin/switch-to-configuration
        chmod +x $out/bin/switch-to-configuration
      '';
}
