# The core on the host: its user, its configuration and its hardened unit.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.hyperhive;
  inherit (import ./lib { inherit lib; }) settings;

  # A wrong default is told when the host is built, and not when the agent is to start.
  judged =
    role: name: defaults:
    builtins.addErrorContext "while judging services.hyperhive's defaults of ${name}" (
      builtins.deepSeq (settings {
        hive = { inherit name role defaults; };
        modules = [ ];
      }) defaults
    );

  declared = role: name: agent: {
    inherit role;
    inherit (agent) autoStart;
    # hive.toml has no null; where it is a setting's value it is the default.
    defaults = lib.filterAttrsRecursive (_: value: value != null) (judged role name agent.defaults);
  };

  agents =
    builtins.mapAttrs (declared "agent") cfg.agents
    // lib.optionalAttrs cfg.manager.enable { ${cfg.manager.name} = declared "manager" cfg.manager.name cfg.manager; };

  # What proposals are evaluated with: these modules and nixpkgs' lib. `path + "/lib"` copies lib alone into the store;
  # "${path}/lib" would copy all of nixpkgs.
  evaluation = {
    HYPERHIVE_FLAKE = "${pkgs.runCommand "hyperhive-flake" { } "mkdir $out; cp -r ${./.} $out/modules"}";
    HYPERHIVE_NIXPKGS_LIB = "${pkgs.path + "/lib"}";
  };

  # All of nixpkgs, to build the guests' systems from. A flake's is in the store already, under a name of its own.
  nixpkgs = if config.nixpkgs.flake.source != null then config.nixpkgs.flake.source else pkgs.path;

  # What git, nix and the evaluation's sandbox need on PATH.
  programs = [
    pkgs.git
    pkgs.nix
    pkgs.bubblewrap
    pkgs.shfmt # the grammar that the Bash rules are decided by
    pkgs.util-linux
  ];

  coreJson = {
    backend = "nixos";
    stateDir = "/var/lib/hyperhive";
    runtimeDir = "/run/hyperhive";
    modelApi = {
      inherit (cfg.modelApi) url prices;
      keyFile = if cfg.modelApi.keyFile == null then null else "/run/credentials/hive-c0re.service/model-key";
    };
    inherit (cfg)
      operators
      policy
      broker
      history
      health
      drain
      ;
    dashboard = removeAttrs cfg.dashboard [ "page" ];
    inherit agents;
  };
in
{
  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ] ++ programs;
    environment.variables = evaluation; # for `hyperhive flake check`
    environment.etc."hyperhive/core.json".text = builtins.toJSON coreJson;

    users.users.hyperhive = {
      isSystemUser = true;
      group = "hyperhive";
      home = "/var/lib/hyperhive";
      description = "The hive's core";
    };
    users.groups.hyperhive = { };

    # Containers are units of their own and nothing ties them to this one: its end, whatever the cause, is not theirs,
    # and the next core finds them running.
    systemd.services.hive-c0re = {
      description = "The hive's core: mail, proposals, lifecycle";
      wantedBy = [ "multi-user.target" ];
      after = [
        "network.target"
        "nix-daemon.socket"
      ];
      unitConfig.StartLimitIntervalSec = 0; # it is never given up: mail and approvals wait for it
      restartTriggers = [ (builtins.toJSON coreJson) ];
      path = programs ++ [ pkgs.systemd ]; # journalctl and systemd-run
      environment =
        evaluation
        // {
          HYPERHIVE_NIXPKGS = "${nixpkgs}";
        }
        // lib.optionalAttrs (cfg.dashboard.page != null) {
          HYPERHIVE_PAGE = "${cfg.dashboard.page}";
        };
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/hive-c0re --config /etc/hyperhive/core.json";
        # No root and no capability: what needs them is in privileged.nix, and asked for through systemd.
        User = "hyperhive";
        Group = "hyperhive";
        SupplementaryGroups = [ "systemd-journal" ]; # it reads the containers' logs
        CapabilityBoundingSet = "";
        LoadCredential = lib.optional (cfg.modelApi.keyFile != null) "model-key:${cfg.modelApi.keyFile}";
        # Made by tmpfiles (privileged.nix). StateDirectory= and RuntimeDirectory= would give everything below to the
        # core whenever the top is another's, after a restored backup say: every agent's state, which must stay its
        # container's.
        ReadWritePaths = [
          "/var/lib/hyperhive"
          "/run/hyperhive"
        ];
        Restart = "on-failure";
        RestartSec = 1;
        TimeoutStopSec = 120;
        LimitNOFILE = 65536; # five sockets an agent, many connections each
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        ProtectClock = true;
        ProtectControlGroups = true;
        ProtectKernelModules = true;
        # What agents wrote is looked at in bubblewrap. Measured with systemd 257 and 262, these keep it from starting:
        # ProtectKernelTunables, ProtectKernelLogs, ProtectHostname and ProcSubset (no new /proc beside one that is
        # covered in part), RestrictNamespaces, RestrictSUIDSGID (it blocks openat2), and a list of address families
        # without AF_NETLINK, which brings the sandbox's loopback up.
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
          "AF_NETLINK"
        ];
        SystemCallFilter = "~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap";
        RestrictRealtime = true;
        LockPersonality = true;
        SystemCallArchitectures = "native";
        UMask = "0077";
      };
    };
  };
}
