# The guest: what every agent's container carries. It turns the agent's settings into NixOS.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.hyperhive;
  inherit (cfg) settings;
  manager = settings.role == "manager";
  program = if manager then "hive-m1nd" else "hive-ag3nt";

  # "python3Packages.numpy" -> pkgs.python3Packages.numpy; a name that nixpkgs does not have fails the build with it.
  resolve =
    name:
    lib.attrByPath (lib.splitString "." name)
      (throw "hyperhive agent ${settings.name}: hyperhive.agent.packages: nixpkgs has no ${name}; correct the name")
      pkgs;

  # What a turn has on PATH: the agent's packages, and what every turn needs. Not the guest's other programs: NixOS puts
  # perl, rsync and more into every system, and a rule of the agent's may name them by mistake.
  path = lib.makeBinPath (
    [
      pkgs.bash
      pkgs.coreutils
      pkgs.gnugrep
      pkgs.git
      pkgs.socat
    ]
    ++ packages
  );

  packages = map resolve settings.packages;

  # All cages are in one slice, so that they end together whatever became of their harness.
  slice = "hive-turns.slice";

  # A turn and the operator's shell have names of their own, by which they end: systemd-run's end is not the unit's. What
  # turns use is counted in a slice within that one, which outlives each of them.
  turn = "hive-turn.service";
  turnSlice = "hive-turns-turn.slice";
  terminal = "hive-terminal.service";

  stop = unit: [
    "${pkgs.systemd}/bin/systemctl"
    "stop"
    unit
  ];

  # The argv that a turn, or the operator's shell, runs under: a transient unit of the agent's user, whose cgroup is its
  # end and its accounting.
  cage = kind: [
    "${pkgs.systemd}/bin/systemd-run"
    "--quiet"
    "--slice=${slice}"
  ]
  ++ kind # may name another slice: the last one counts
  ++ [
    "--wait"
    "--collect"
    "--service-type=exec"
    "--expand-environment=no" # a prompt may hold ${…}
    "--uid=agent"
    "--gid=agent"
    "--setenv=HOME=/state"
    "--setenv=LANG=C.UTF-8"
    "--setenv=HIVE_AGENT=${settings.name}"
    "--setenv=PATH=${path}"
  ]
  ++ map (property: "--property=${property}") [
    "WorkingDirectory=-/state/work" # turn.sh makes it again where the agent has removed it
    "NoNewPrivileges=yes"
    "RestrictNamespaces=yes"
    "PrivateNetwork=yes" # a loopback of its own: two cages never share a port
    "PrivateTmp=yes"
    "PrivateDevices=yes"
    "PrivateIPC=yes"
    "ProtectProc=invisible"
    "ProtectSystem=strict"
    "ReadWritePaths=/state${lib.optionalString manager " -/hive/agents"}"
    "InaccessiblePaths=-/run/hive/harness.sock -/run/hive/control.sock" # with them a turn could pose as its harness
    "MemoryMax=80%" # the harness and the container's systemd outlive a turn that takes all it can
    "TasksMax=512"
    "OOMPolicy=kill"
    "KillMode=control-group"
    "TimeoutStopSec=5"
  ]
  ++ [ "--" ];
in
{
  options.hyperhive = {
    settings = lib.mkOption {
      type = lib.types.attrs;
      readOnly = true;
      description = "The agent's evaluated settings, as mkAgent gives them.";
    };

    generation = lib.mkOption {
      type = lib.types.ints.unsigned;
      default = 0;
      description = "The number of the generation that this system is; the harness reports it with its heartbeat.";
    };

    package = lib.mkOption {
      type = lib.types.package;
      default = pkgs.callPackage ./package.nix { };
      defaultText = lib.literalExpression "pkgs.callPackage ./package.nix { }";
      description = "The hyperhive package that the harness comes from.";
    };

    claudePackage = lib.mkOption {
      type = lib.types.package;
      default = pkgs.claude-code;
      defaultText = lib.literalExpression "pkgs.claude-code";
      description = "The Claude Code package. nixpkgs' own is unfree; mkAgent allows it, and it alone.";
    };
  };

  config = {
    boot.isNspawnContainer = true;
    networking.hostName = lib.mkDefault settings.name;
    networking.useDHCP = lib.mkDefault false; # there is no interface but loopback
    system.stateVersion = lib.mkDefault "26.05";

    # Leaf by leaf, so that the applied flake may set any of them without mkForce and keeps the others.
    programs.git.enable = true;
    programs.git.config.user.name = lib.mkDefault settings.git.name;
    programs.git.config.user.email = lib.mkDefault settings.git.email;
    # /hive/agents/NAME/config belongs to the manager; every agent may read its own.
    programs.git.config.safe.directory = lib.mkDefault "*";

    environment.systemPackages = [
      cfg.claudePackage
      pkgs.socat
    ]
    ++ packages;

    environment.etc = {
      # Nothing that an agent can write changes these (python/hyperhive/containers/cage.py writes the same).
      "claude-code/managed-settings.json".text = builtins.toJSON {
        permissions = {
          deny = settings.tools.deny ++ map (pattern: "Bash(${pattern})") settings.bash.deny;
          disableBypassPermissionsMode = "disable";
        };
        allowManagedHooksOnly = true;
        allowManagedPermissionRulesOnly = true;
        hooks.PreToolUse = [
          {
            matcher = "Bash";
            hooks = [
              {
                type = "command";
                # One that cannot be started is a no, too.
                command = "sh ${cfg.package}/libexec/hyperhive/hook.sh || exit 2";
                timeout = 20;
              }
            ];
          }
        ];
      };
      "hyperhive/settings.json".text = builtins.toJSON settings;
      "hyperhive/harness.json".text = builtins.toJSON {
        socket = "/run/hive/harness.sock";
        settings = "/etc/hyperhive/settings.json";
        inherit (cfg) generation;
        state = "/state";
        private = "/var/lib/hive-harness";
        cage = {
          kind = "systemd";
          argv = cage [ "--pipe" ];
          turn = cage [
            "--pipe"
            "--unit=${turn}"
            "--slice=${turnSlice}"
            "--property=KillSignal=SIGINT" # at that Claude Code ends its children; TimeoutStopSec later all are killed
          ];
          turnEnd = stop turn;
          cgroup = "/sys/fs/cgroup/hive.slice/${slice}/${turnSlice}"; # where systemd puts a slice of that name
          terminal = cage [
            "--pty"
            "--unit=${terminal}"
          ];
          terminalEnd = stop terminal;
        };
        claude = "${cfg.claudePackage}/bin/claude";
        drain = 60;
      };
    };

    # The agent's user is not the harness's, which is root: a turn can neither stop, trace nor impersonate it.
    users.users.agent = {
      isNormalUser = true;
      uid = 1000;
      group = "agent";
      home = "/state";
      createHome = false;
    };
    users.groups.agent.gid = 1000;

    systemd.tmpfiles.rules = [ "d /state/work 0755 agent agent -" ];

    systemd.services.hive-harness = {
      description = "Turns of the hive's agent ${settings.name}";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      path = [
        pkgs.git
        pkgs.util-linux # setsid, for the terminal
      ];
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/${program} --config /etc/hyperhive/harness.json";
        # No turn is left when the harness ends, however it ended: two on one session would lose what one of them did.
        ExecStopPost = "${pkgs.systemd}/bin/systemctl stop ${slice}";
        # Root inside the container is nobody on the host; systemd-run needs it to start the turn's unit as `agent`. Of
        # root's capabilities it keeps one, to read notes and transcripts in the agent's home.
        User = "root";
        CapabilityBoundingSet = "CAP_DAC_READ_SEARCH";
        StateDirectory = "hive-harness";
        StateDirectoryMode = "0700";
        StandardOutput = "journal+console"; # what it says is in the host's journal of the container too
        Restart = "on-failure";
        RestartSec = 1;
        TimeoutStopSec = 90;
        KillMode = "mixed";
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        RestrictAddressFamilies = [ "AF_UNIX" ];
        RestrictRealtime = true;
        LockPersonality = true;
        SystemCallArchitectures = "native";
        UMask = "0077";
      };
    };
  };
}
