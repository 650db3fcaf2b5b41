# containers.<name> and the template container@: what NixOS' nixos-containers.nix makes of them, for containers that
# have no network but a private one. Flakes, reloads and addresses are left out.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  containers = config.containers or { };

  init = pkgs.writeScript "container-init" (builtins.readFile ./container-init.sh);
  start = pkgs.writeScript "container-start" (builtins.readFile ./container-start.sh);

  # What the start script of one container has built in; the rest it reads from NAME.conf.
  flags =
    container:
    lib.optional (!(container.ephemeral or false)) "--link-journal=try-guest"
    ++ lib.optional (container.ephemeral or false) "--ephemeral"
    ++ lib.optional (
      container.additionalCapabilities or [ ] != [ ]
    ) "--capability=${builtins.concatStringsSep "," container.additionalCapabilities}"
    ++ map (path: "--tmpfs=${path}") (container.tmpfs or [ ]);

  numeric = value: builtins.isInt value && value > 0;

  devices =
    container:
    map (device: "${device.node} ${device.modifier}") (container.allowedDevices or [ ])
    ++ lib.optional (
      container.privateNetwork or false && (container.privateUsers == "pick" || numeric container.privateUsers)
    ) "/dev/net/tun rwm";

  binds =
    container: lib.mapAttrsToList (name: bind: { mountPoint = name; } // bind) (container.bindMounts or { });

  hostPath = bind: if bind.hostPath or null != null then bind.hostPath else bind.mountPoint;

  service = container: {
    description = "Container '%i'";
    unitConfig.RequiresMountsFor = [ "/var/lib/nixos-containers/%i" ] ++ map hostPath (binds container);
    path = [
      pkgs.iproute2
      pkgs.nix
    ];
    environment = {
      root = "/var/lib/nixos-containers/%i";
      INSTANCE = "%i";
    };
    preStart = ''machinectl terminate "$INSTANCE" 2> /dev/null || true'';
    script = "exec ${start} ${init} ${lib.escapeShellArgs (flags container)}";
    restartIfChanged = container.autoStart or false && container.restartIfChanged or true;
    serviceConfig = {
      Type = "notify";
      SyslogIdentifier = "container %i";
      EnvironmentFile = "-/etc/nixos-containers/%i.conf";
      Restart = "on-failure";
      # The guest's reboot; its poweroff is 0.
      RestartForceExitStatus = "133";
      SuccessExitStatus = "133";
      TimeoutStartSec = container.timeoutStartSec or "1min";
      Slice = "machine.slice";
      Delegate = true;
      # nspawn makes of SIGTERM the guest's own signal.
      KillMode = "mixed";
      KillSignal = "TERM";
      DevicePolicy = "closed";
      DeviceAllow = devices container;
    };
  };

  started =
    container:
    lib.optionalAttrs (container.autoStart or false) {
      wantedBy = [ "machines.target" ];
      wants = [ "network.target" ];
      after = [ "network.target" ];
      restartTriggers = [
        (toString container.path)
        (conf container)
      ];
    };

  bindFlag = bind: "${if bind.isReadOnly or true then "--bind-ro" else "--bind"}=${hostPath bind}:${bind.mountPoint}";

  nspawnFlags =
    container: builtins.concatStringsSep " " (map bindFlag (binds container) ++ container.extraFlags or [ ]);

  conf =
    container:
    lib.concatMapStringsSep "" (line: "${line}\n") (
      [
        "SYSTEM_PATH=${container.path}"
        "COPY_RESOLV_CONF=${if container.copyResolvConf or true then "1" else "0"}"
      ]
      ++ lib.optional (container.privateNetwork or false) "PRIVATE_NETWORK=1"
      ++ [ "PRIVATE_USERS=${toString (container.privateUsers or "no")}" ]
      ++ lib.optional (container.autoStart or false) "AUTO_START=1"
      ++ [ "EXTRA_NSPAWN_FLAGS=\"${nspawnFlags container}\"" ]
    );
in
{
  config = lib.mkIf (config.boot.enableContainers or (containers != { })) {
    systemd.services = {
      "container@" = service { };
    }
    // lib.mapAttrs' (
      name: container: lib.nameValuePair "container@${name}" (service container // started container)
    ) containers;

    environment.etc = lib.mapAttrs' (
      name: container: lib.nameValuePair "nixos-containers/${name}.conf" { text = conf container; }
    ) containers;
  };
}
