# What each agent becomes: containers.NAME, its unit's limits, and the indexes that are refused.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host pkgs;
  hive = module: host { services.hyperhive = { enable = true; } // module; };
  containers = module: (hive module).containers;
  flags = module: (containers { agents.worker = { index = 1; } // module; }).worker.extraFlags;
  unit = module: (hive { agents.worker = { index = 1; } // module; }).systemd.services."container@worker";
  broken =
    module:
    map (assertion: assertion.message) (builtins.filter (assertion: !assertion.assertion) (hive module).assertions);

  plain = hostPath: mountPoint: isReadOnly: { inherit hostPath mountPoint isReadOnly; };

  # Every flag, so that none comes or goes unseen.
  expectedFlags = [
    "--private-users-ownership=chown"
    "--no-new-privileges=yes"
    "--drop-capability=${
      builtins.concatStringsSep "," [
        "CAP_AUDIT_CONTROL"
        "CAP_AUDIT_WRITE"
        "CAP_IPC_OWNER"
        "CAP_LEASE"
        "CAP_LINUX_IMMUTABLE"
        "CAP_MKNOD"
        "CAP_NET_BROADCAST"
        "CAP_NET_RAW"
        "CAP_SYS_NICE"
        "CAP_SYS_PTRACE"
        "CAP_SYS_RESOURCE"
        "CAP_SYS_TTY_CONFIG"
      ]
    }"
    "--tmpfs=/nix/var/nix/gcroots:mode=0755,size=1m"
    "--tmpfs=/nix/var/nix/profiles:mode=0755,size=1m"
    "--inaccessible=/nix/var/nix/daemon-socket"
  ];
in
{
  "the container of an agent, whole" = {
    expr =
      (containers {
        agents.worker = {
          index = 3;
          extraBinds."/srv/reports".hostPath = "/srv/reports";
          extraBinds."/srv/out" = {
            hostPath = "/srv/worker";
            readOnly = false;
          };
        };
      }).worker;
    expected = {
      path = "/nix/var/nix/profiles/per-container/worker/system";
      autoStart = false;
      copyResolvConf = false;
      privateNetwork = true;
      privateUsers = 1879244800;
      bindMounts = {
        "/state" = plain "/var/lib/hyperhive/agents/worker/state" "/state" false;
        "/run/hive" = plain "/run/hyperhive/agents/worker" "/run/hive" true;
        "/hive/agents/worker/config" =
          plain "/var/lib/hyperhive/configs/worker/config" "/hive/agents/worker/config" true;
        "/nix/var/nix/profiles/per-container/worker" =
          plain "/nix/var/nix/profiles/per-container/worker" "/nix/var/nix/profiles/per-container/worker" true;
        "/srv/reports" = plain "/srv/reports" "/srv/reports" true;
        "/srv/out" = plain "/srv/worker" "/srv/out" false;
      };
      extraFlags = expectedFlags;
    };
  };

  "the container of the manager, whole: it writes the config repositories, and sees no other agent's state" = {
    expr = containers { manager.name = "boss"; };
    expected.boss = {
      path = "/nix/var/nix/profiles/per-container/boss/system";
      autoStart = false;
      copyResolvConf = false;
      privateNetwork = true;
      privateUsers = 1879048192;
      bindMounts = {
        "/state" = plain "/var/lib/hyperhive/agents/boss/state" "/state" false;
        "/run/hive" = plain "/run/hyperhive/agents/boss" "/run/hive" true;
        "/hive/agents" = plain "/var/lib/hyperhive/configs" "/hive/agents" false;
        "/nix/var/nix/profiles/per-container/boss" =
          plain "/nix/var/nix/profiles/per-container/boss" "/nix/var/nix/profiles/per-container/boss" true;
      };
      extraFlags = expectedFlags;
    };
  };

  "the last index is still below 2^31, where device files' owners end" = {
    expr = (containers { agents.worker.index = 4093; }).worker.privateUsers + 65536 <= 2147483648;
    expected = true;
  };

  "containers are there for agents made at run time, too" = {
    expr = (hive { manager.enable = false; }).boot.enableContainers;
    expected = true;
  };

  "with the Nix daemon its socket is not covered, and nothing else is different" = {
    expr = flags { nixDaemon = true; };
    expected = lib.init expectedFlags;
  };

  "no writable bind keeps the host's ids" = {
    expr = builtins.filter (flag: builtins.match ".*idmap.*" flag != null) (
      flags { nixDaemon = true; }
      ++ lib.mapAttrsToList (_: bound: "${bound.hostPath}${bound.mountPoint}") (containers { }).manager.bindMounts
    );
    expected = [ ];
  };

  "no flag has a character that nixpkgs' start script or its file would take apart" = {
    expr = builtins.filter (flag: builtins.match "[A-Za-z0-9_/=:,.-]+" flag == null) (flags { });
    expected = [ ];
  };

  "the unit of a container, whole" = {
    expr = unit {
      resources = {
        memoryMax = "512M";
        tasksMax = 99;
        cpuQuota = "150%";
      };
    };
    expected.serviceConfig = {
      MemoryMax = "512M";
      TasksMax = "99";
      CPUQuota = "150%";
      TimeoutStopSec = "120";
      ExecStartPre = "${pkgs.findutils}/bin/find /var/lib/nixos-containers -maxdepth 4 ( -path '/var/lib/nixos-containers/*' ! -path /var/lib/nixos-containers/%i ! -path '/var/lib/nixos-containers/%i/*' -prune ) -o -type l -regextype posix-extended -regex '/var/lib/nixos-containers/%i/(etc|root|usr|usr/bin|var|var/lib|var/lib/private)' -exec ${pkgs.coreutils}/bin/rm -- {} +";
      ExecStopPost = "-${pkgs.systemd}/bin/busctl call org.freedesktop.machine1 /org/freedesktop/machine1 org.freedesktop.machine1.Manager UnregisterMachine s %i";
    };
  };

  "without a quota there is none" = {
    expr = (unit { }).serviceConfig ? CPUQuota;
    expected = false;
  };

  "a container gets longer to stop than its running turn" = {
    expr = (hive { drain = 300; }).systemd.services."container@manager".serviceConfig.TimeoutStopSec;
    expected = "360";
  };

  "two agents of one index are told with the first free number" = {
    expr = broken {
      agents.alice.index = 2;
      agents.bob.index = 2;
      agents.carol.index = 1;
    };
    expected = [ "hyperhive agent bob: services.hyperhive.agents.bob.index = 2 is alice's; 3 is the first free number." ];
  };

  "the manager has its index already" = {
    expr = broken { agents.worker.index = 0; };
    expected = [ "hyperhive agent worker: services.hyperhive.agents.worker.index = 0 is manager's; 1 is the first free number." ];
  };

  "without a manager its index is free" = {
    expr = broken {
      manager.enable = false;
      agents.worker.index = 0;
    };
    expected = [ ];
  };
}
