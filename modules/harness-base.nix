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

  path = lib.makeBinPath (config.environment.systemPackages ++ [ pkgs.coreutils ]);

  # The argv that a turn runs under: a transient unit of the agent's user, whose cgroup is its end and its accounting.
  cage = [
    "${pkgs.systemd}/bin/systemd-run"
    "--quiet"
    "--pipe"
    "--wait"
    "--collect"
    "--uid=agent"
    "--gid=agent"
    "--working-directory=/state/work"
    "--setenv=HOME=/state"
    "--setenv=PATH=${path}"
    "--property=NoNewPrivileges=yes"
    "--property=TasksMax=512"
    "--property=KillMode=control-group"
    "--"
  ];
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
      description = "The Claude Code package. nixpkgs' own is unfree: the host must allow it.";
    };
  };

  config = {
    boot.isNspawnContainer = true;

    # Leaf by leaf, so that the applied flake may set any of them without mkForce and keeps the others.
    programs.git.enable = true;
    programs.git.config.user.name = lib.mkDefault settings.git.name;
    programs.git.config.user.email = lib.mkDefault settings.git.email;

    environment.systemPackages = [
      cfg.claudePackage
      pkgs.socat
    ]
    ++ map resolve settings.packages;

    environment.etc = {
      # Nothing that an agent can write changes these (python/hyperhive/containers/cage.py writes the same).
      "claude-code/managed-settings.json".text = builtins.toJSON {
        permissions = {
          deny = settings.tools.deny ++ map (pattern: "Bash(${pattern})") settings.bash.deny;
          disableBypassPermissionsMode = "disable";
        };
        allowManagedHooksOnly = true;
        allowManagedPermissionRulesOnly = true;
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
          argv = cage;
        };
        claude = "${cfg.claudePackage}/bin/claude";
        drain = 60;
      };
    };

    # Two users: a turn (agent) can neither stop, trace nor impersonate the harness (hive).
    users.users.hive = {
      isSystemUser = true;
      group = "hive";
    };
    users.groups.hive = { };
    users.users.agent = {
      isNormalUser = true;
      uid = 1000;
      group = "agent";
      home = "/state";
      createHome = false;
    };
    users.groups.agent.gid = 1000;

    systemd.services.hive-harness = {
      description = "Turns of the hive's agent ${settings.name}";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      path = [ pkgs.git ];
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/${program} --config /etc/hyperhive/harness.json";
        # Root inside the container is nobody on the host; systemd-run needs it to start the turn's unit as `agent`.
        User = "root";
        StateDirectory = "hive-harness";
        StateDirectoryMode = "0700";
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
