# harness-base: what the settings become in the guest.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; })
    agent
    guest
    settingsOf
    ;
  json = text: builtins.fromJSON (builtins.unsafeDiscardStringContext text);
  etc = config: name: json config.environment.etc.${name}.text;
  cages = config: (etc config "hyperhive/harness.json").cage;
  cage = config: (cages config).turn;
  manager = guest (settingsOf ''
    name = "boss"
    role = "manager"
  '' { }) { };
  worker = guest (agent {
    bash.deny = [ "git push *" ];
    tools.deny = [ "WebFetch" ];
    packages = [ "ripgrep" ];
  }) { };
in
{
  "the guest's git identity is the agent's" = {
    expr = worker.programs.git.config.user;
    expected = {
      name = "worker";
      email = "worker@hive.local";
    };
  };

  "one leaf of the identity is overridden without mkForce, the other stays" = {
    expr = (guest (agent { }) { programs.git.config.user.name = "Somebody"; }).programs.git.config.user;
    expected = {
      name = "Somebody";
      email = "worker@hive.local";
    };
  };

  "another git setting keeps the identity" = {
    expr = {
      inherit ((guest (agent { }) { programs.git.config.init.defaultBranch = "main"; }).programs.git.config) init user;
    };
    expected = {
      init.defaultBranch = "main";
      user = {
        name = "worker";
        email = "worker@hive.local";
      };
    };
  };

  "settings.json in the guest is the settings" = {
    expr = etc worker "hyperhive/settings.json" == agent {
      bash.deny = [ "git push *" ];
      tools.deny = [ "WebFetch" ];
      packages = [ "ripgrep" ];
    };
    expected = true;
  };

  "managed settings deny what the agent is denied" = {
    expr = builtins.removeAttrs (etc worker "claude-code/managed-settings.json") [ "hooks" ];
    expected = {
      permissions = {
        deny = [
          "WebFetch"
          "Bash(git push *)"
        ];
        disableBypassPermissionsMode = "disable";
      };
      allowManagedHooksOnly = true;
      allowManagedPermissionRulesOnly = true;
    };
  };

  "Claude Code asks before each command, and takes a hook that does not start for a no" = {
    expr =
      let
        inherit (etc worker "claude-code/managed-settings.json") hooks;
        asked = builtins.head hooks.PreToolUse;
        hook = builtins.head asked.hooks;
      in
      {
        inherit (asked) matcher;
        inherit (hook) type;
        fails = builtins.match "sh /nix/store/[^ ]*/libexec/hyperhive/hook\\.sh \\|\\| exit 2" hook.command != null;
      };
    expected = {
      matcher = "Bash";
      type = "command";
      fails = true;
    };
  };

  "an agent is run by hive-ag3nt" = {
    expr = builtins.match ".*/bin/hive-ag3nt --config .*" worker.systemd.services.hive-harness.serviceConfig.ExecStart != null;
    expected = true;
  };

  "a manager is run by hive-m1nd" = {
    expr =
      let
        inherit (manager.systemd.services.hive-harness.serviceConfig) ExecStart;
      in
      builtins.match ".*/bin/hive-m1nd --config .*" ExecStart != null;
    expected = true;
  };

  "the guest is an nspawn container, and its turns run as a user of their own" = {
    expr = [
      worker.boot.isNspawnContainer
      worker.users.users.agent.uid
    ];
    expected = [
      true
      1000
    ];
  };

  "a turn runs as the agent, in a cage that hides the harness's socket and shares no network" = {
    expr = builtins.filter (argument: builtins.elem argument (cage worker)) [
      "--uid=agent"
      "--expand-environment=no"
      "--property=InaccessiblePaths=-/run/hive/harness.sock -/run/hive/control.sock"
      "--property=NoNewPrivileges=yes"
      "--property=PrivateNetwork=yes"
      "--property=ReadWritePaths=/state"
      "--property=RestrictNamespaces=yes"
    ];
    expected = [
      "--uid=agent"
      "--expand-environment=no"
      "--property=InaccessiblePaths=-/run/hive/harness.sock -/run/hive/control.sock"
      "--property=NoNewPrivileges=yes"
      "--property=PrivateNetwork=yes"
      "--property=ReadWritePaths=/state"
      "--property=RestrictNamespaces=yes"
    ];
  };

  "the cage is a prefix: a command follows it" = {
    expr = lib.last (cage worker);
    expected = "--";
  };

  "a turn is a unit that can be ended by its name, and is counted in a slice of its own within the cages'" = {
    expr = [
      (builtins.elem "--unit=${lib.last (cages worker).turnEnd}" (cage worker))
      (builtins.filter (lib.hasPrefix "--slice=") (cage worker))
      (cages worker).cgroup
    ];
    expected = [
      true
      [
        "--slice=hive-turns.slice"
        "--slice=hive-turns-turn.slice"
      ]
      "/sys/fs/cgroup/hive.slice/hive-turns.slice/hive-turns-turn.slice"
    ];
  };

  "what else the harness runs as the agent has no name: it may run beside a turn" = {
    expr = builtins.filter (lib.hasPrefix "--unit=") (cages worker).argv;
    expected = [ ];
  };

  "a manager's turn may write the config repositories" = {
    expr = builtins.elem "--property=ReadWritePaths=/state -/hive/agents" (cage manager);
    expected = true;
  };

  "a turn ends with its harness" = {
    expr =
      let
        slice = builtins.head (builtins.filter (lib.hasPrefix "--slice=") (cage worker));
      in
      lib.hasSuffix "/bin/systemctl stop ${lib.removePrefix "--slice=" slice}" (
        worker.systemd.services.hive-harness.serviceConfig.ExecStopPost
      );
    expected = true;
  };

  "a turn has the agent's packages on PATH" = {
    expr = builtins.match ".*/[a-z0-9]+-rg/bin" (lib.last (builtins.filter (lib.hasPrefix "--setenv=PATH=") (cage worker))) != null;
    expected = true;
  };

  "a turn has nothing else on PATH" = {
    expr =
      let
        path = lib.last (builtins.filter (lib.hasPrefix "--setenv=PATH=") (cage worker));
        programs = lib.splitString ":" (lib.removePrefix "--setenv=PATH=" path);
      in
      map (program: builtins.head (builtins.match "/nix/store/[a-z0-9]+-([a-z]*).*/bin" program)) programs;
    expected = [
      "bash"
      "coreutils"
      "grep"
      "git"
      "socat"
      "rg"
    ];
  };

  "the agent's work directory is there before the first turn" = {
    expr = worker.systemd.tmpfiles.rules;
    expected = [ "d /state/work 0755 agent agent -" ];
  };

  "the guest is named after its agent and asks no network for an address" = {
    expr = [
      worker.networking.hostName
      worker.networking.useDHCP
    ];
    expected = [
      "worker"
      false
    ];
  };

  "packages are resolved by their attribute paths" = {
    expr = map (package: package.name) (
      builtins.tail (builtins.tail (guest (agent {
        packages = [
          "ripgrep"
          "python3Packages.numpy"
        ];
      }) { }).environment.systemPackages)
    );
    expected = [
      "rg"
      "python3"
    ];
  };

  "a package that nixpkgs does not have is named" = {
    expr = map (package: package.name) (guest (agent { packages = [ "nosuch" ]; }) { }).environment.systemPackages;
    fails = "hyperhive agent worker: hyperhive.agent.packages: nixpkgs has no nosuch";
  };

  "the settings of a guest cannot be changed by its nixos.nix" = {
    expr = (guest (agent { }) { hyperhive.settings = lib.mkForce { }; }).hyperhive.settings;
    fails = "hyperhive.settings' is read-only";
  };
}
