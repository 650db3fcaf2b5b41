# Each declared agent, and the manager, as containers.NAME of nixpkgs: unprivileged, without a network, bounded.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.hyperhive;
  nspawn = import ./nspawn.nix { inherit cfg lib pkgs; };
  state = "/var/lib/hyperhive";

  readOnly = hostPath: {
    inherit hostPath;
    isReadOnly = true;
  };
  writable = hostPath: {
    inherit hostPath;
    isReadOnly = false;
  };

  # Plain binds: what is writable in here is owned by the container's own ids on the host. No :idmap, which would let
  # root inside make files of the host's root.
  configs =
    name:
    if cfg.manager.enable && name == cfg.manager.name then
      { "/hive/agents" = writable "${state}/configs"; }
    else
      { "/hive/agents/${name}/config" = readOnly "${state}/configs/${name}/config"; };

  binds =
    name:
    {
      "/state" = writable "${state}/agents/${name}/state";
      "/run/hive" = readOnly "/run/hyperhive/agents/${name}";
      ${nspawn.profile name} = readOnly (nspawn.profile name);
    }
    // configs name;

  extra = builtins.mapAttrs (
    _: bind: {
      inherit (bind) hostPath;
      isReadOnly = bind.readOnly;
    }
  );

  container = name: agent: {
    path = "${nspawn.profile name}/system"; # moved by hive-activate@, not by a switch of the host
    autoStart = false; # the core starts it, when its sockets are there
    copyResolvConf = false; # there is nobody to ask
    privateNetwork = true; # loopback only: no address is given, so there is no veth, and names may have 31 characters
    privateUsers = nspawn.base agent.index;
    bindMounts = extra agent.extraBinds // binds name;
    extraFlags = nspawn.flags { inherit (agent) nixDaemon; };
  };
in
{
  config = lib.mkIf cfg.enable {
    boot.enableContainers = true; # also where no agent is declared: container@.service runs those made at run time
    containers = builtins.mapAttrs container nspawn.declared;

    # nixpkgs has these units restarted by a switch of the host only with autoStart, so a switch ends no turn.
    systemd.services = lib.mapAttrs' (
      name: agent: lib.nameValuePair "container@${name}" { serviceConfig = nspawn.service agent.resources; }
    ) nspawn.declared;
  };
}
