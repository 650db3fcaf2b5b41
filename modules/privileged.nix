# What needs root: four oneshot units that run hive-root, the core's leave to start them, and the directories. The core
# has no privilege of its own; hive-root looks itself whether an operator agreed to what it is asked for.
{
  config,
  lib,
  options,
  pkgs,
  ...
}:
let
  cfg = config.services.hyperhive;
  nspawn = import ./nspawn.nix { inherit cfg lib pkgs; };
  profiles = "/nix/var/nix/profiles/per-container";
  gcroots = "/nix/var/nix/gcroots/per-container";
  machines = "/var/lib/nixos-containers";
  definitions = "/etc/nixos-containers"; # of agents made at run time
  dropIns = "/run/systemd/system"; # theirs too

  # Where an agent leaves traces.
  written = [
    "/var/lib/hyperhive"
    "/run/hyperhive"
    machines
    profiles
    gcroots
    definitions
    dropIns
  ];

  # Each unit's own: where it writes, which of root's capabilities it keeps, and what of the hardening is not for it.
  verbs = {
    prepare = {
      description = "Directories, ids and definition of the container of %i";
      serviceConfig = {
        TimeoutStartSec = 600; # it first ends a purge that was cut off
        # Makes and owns what is the agent's, in directories that are the core's and closed to others.
        CapabilityBoundingSet = "CAP_CHOWN CAP_DAC_OVERRIDE CAP_FOWNER CAP_FSETID";
        RestrictSUIDSGID = false; # config/ is setgid, so that the core's group reads what the manager makes there
        ReadWritePaths = written ++ [ "/var/lib/hyperhive-root" ];
      };
    };

    activate = {
      description = "The approved generation %i into its container";
      after = [ "nix-daemon.socket" ];
      # Not the store and its database themselves, for which Nix would remount /nix/store writable, with CAP_SYS_ADMIN.
      environment.NIX_REMOTE = "daemon";
      environment.HOME = "/tmp"; # nix-env looks for its own files there; PrivateTmp's is empty
      serviceConfig = {
        TimeoutStartSec = cfg.drain + 240; # the old container's stop and the new one's start are part of it
        CapabilityBoundingSet = "CAP_DAC_READ_SEARCH"; # hive.db and systems/ are the core's
        ReadWritePaths = [ profiles ]; # hive.db stays read-only, its -wal and -shm too
      };
    };

    stop = {
      description = "Stop of the container of %i";
      serviceConfig = {
        TimeoutStartSec = cfg.drain + 120; # the container's own TimeoutStopSec is shorter
        CapabilityBoundingSet = ""; # systemd asks for uid 0 alone
      };
    };

    purge = {
      description = "Removal of everything of %i";
      serviceConfig = {
        TimeoutStartSec = cfg.drain + 600; # a large state directory takes its time
        CapabilityBoundingSet = "CAP_DAC_OVERRIDE CAP_FOWNER"; # removes others' files, from sticky directories too
        ReadWritePaths = written; # not hyperhive-root: the index of a purged agent is never given to another
      };
    };
  };

  # What all of them have: nothing of the host but systemd's and the Nix daemon's sockets.
  hardening = {
    NoNewPrivileges = true;
    ProtectSystem = "strict";
    ProtectHome = true;
    PrivateTmp = true;
    PrivateDevices = true;
    PrivateNetwork = true;
    ProtectClock = true;
    ProtectControlGroups = true;
    ProtectHostname = true;
    ProtectKernelLogs = true;
    ProtectKernelModules = true;
    ProtectKernelTunables = true;
    ProtectProc = "invisible";
    RestrictAddressFamilies = [ "AF_UNIX" ];
    RestrictNamespaces = true;
    RestrictRealtime = true;
    RestrictSUIDSGID = true;
    LockPersonality = true;
    MemoryDenyWriteExecute = true;
    SystemCallArchitectures = "native";
    SystemCallFilter = "@system-service";
    UMask = "0022"; # definitions and directories are 0755 and 0644 unless hive-root says otherwise
  };

  oneshot =
    verb: own:
    lib.nameValuePair "hive-${verb}@" (
      own
      // {
        path = [
          pkgs.nix
          pkgs.systemd
        ];
        restartIfChanged = false; # a switch of the host does not cut an apply in two
        unitConfig.StartLimitIntervalSec = 0; # an agent may be started more than five times in ten seconds
        serviceConfig =
          hardening
          // {
            Type = "oneshot";
            ExecStart = "${cfg.package}/bin/hive-root ${verb} %i"; # %I would turn a dash into a slash
          }
          // own.serviceConfig;
      }
    );

  directory =
    mode: owner: path:
    "d ${path} ${mode} ${owner} ${owner} -";
  cores = mode: directory mode "hyperhive";

  ids = agent: toString (nspawn.agentUid agent.index);

  # The config repositories are the core's to make and hive-root's to give to the manager; nothing here touches them.
  agentDirectories = name: agent: [
    (cores "0711" "/var/lib/hyperhive/agents/${name}")
    # Owner and group are the container's, or its root could do nothing in there: capabilities do not reach a file one
    # of whose ids is not mapped. The colons: only when it is made, afterwards hive-root decides, which keeps every index.
    "d /var/lib/hyperhive/agents/${name}/state :0700 :${ids agent} :${ids agent} -"
    (cores "0755" "/var/lib/hyperhive/configs/${name}")
    (cores "0700" "/var/lib/hyperhive/applied/${name}")
    (cores "0755" "/var/lib/hyperhive/systems/${name}")
    (cores "0755" "/run/hyperhive/agents/${name}")
  ];

  # The resources of an agent whose declaration says nothing of them.
  standard = builtins.mapAttrs (_: option: option.default) options.services.hyperhive.manager.resources;

  rootJson = {
    stateDir = "/var/lib/hyperhive";
    runtimeDir = "/run/hyperhive";
    user = "hyperhive";
    inherit (cfg.policy) autoApprove;
    agents = builtins.mapAttrs (_: agent: { inherit (agent) index; }) nspawn.declared;
    containers = {
      flags = nspawn.flags { nixDaemon = false; };
      unit = nspawn.service standard // {
        # systemd-nspawn makes this node with every private network, and fails where it must not. nixpkgs allows it to
        # declared containers only. There is no interface that a tunnel could lead to.
        DeviceAllow = "/dev/net/tun rwm";
      };
    };
  };
in
{
  config = lib.mkIf cfg.enable {
    environment.etc."hyperhive/root.json".text = builtins.toJSON rootJson;
    systemd.services = lib.mapAttrs' oneshot verbs;

    security.polkit.enable = true;
    security.polkit.extraConfig = ''
      // The core may start hyperhive's root units, and can do nothing else to any unit.
      polkit.addRule(function (action, subject) {
        if (action.id == "org.freedesktop.systemd1.manage-units" &&
            subject.user == "hyperhive" &&
            action.lookup("verb") == "start" &&
            /^hive-(?:(?:prepare|stop|purge)@[a-z][a-z0-9-]{0,30}|activate@[a-z][a-z0-9-]{0,30}:[1-9][0-9]{0,8})\.service$/
              .test(action.lookup("unit"))) {
          return polkit.Result.YES;
        }
      });
    ''
    + lib.optionalString (cfg.operators != [ ]) ''
      // Operators may open a shell in a container, as the agent's own user.
      polkit.addRule(function (action, subject) {
        if (action.id == "org.freedesktop.machine1.shell" &&
            ${builtins.toJSON cfg.operators}.indexOf(subject.user) >= 0 &&
            action.lookup("user") == "agent") {
          return polkit.Result.YES;
        }
      });
    '';

    systemd.tmpfiles.rules = [
      (cores "0700" "/var/lib/hyperhive")
      (cores "0700" "/var/lib/hyperhive/agents")
      (cores "0700" "/var/lib/hyperhive/applied")
      (cores "0755" "/var/lib/hyperhive/configs")
      (cores "0755" "/var/lib/hyperhive/systems")
      (cores "0755" "/run/hyperhive") # operators pass through to operator.sock
      (cores "0700" "/run/hyperhive/agents") # sockets are 0666: this keeps the host's users out
      (directory "0700" "root" "/var/lib/hyperhive-root")
      (directory "0700" "root" machines) # the host's users have no business with files that are setuid in a guest
      (directory "0755" "root" definitions)
      (directory "0755" "root" profiles)
      (directory "0755" "root" gcroots)
    ]
    ++ builtins.concatLists (lib.mapAttrsToList agentDirectories nspawn.declared);
  };
}
