# The core on the host: its directories, its configuration and its hardened unit.
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

  # What git, nix and the evaluation's sandbox need on PATH.
  programs = [
    pkgs.git
    pkgs.nix
    pkgs.bubblewrap
    pkgs.util-linux
  ];

  coreJson = {
    backend = "nixos";
    stateDir = "/var/lib/hyperhive";
    runtimeDir = "/run/hyperhive";
    modelApi = {
      inherit (cfg.modelApi) url;
      keyFile = if cfg.modelApi.keyFile == null then null else "/run/credentials/hive-c0re.service/model-key";
    };
    inherit (cfg) operators policy broker dashboard;
    inherit agents;
  };
in
{
  config = lib.mkIf cfg.enable {
    environment.systemPackages = [ cfg.package ] ++ programs;
    environment.variables = evaluation; # for `hyperhive flake check`
    environment.etc."hyperhive/core.json".text = builtins.toJSON coreJson;

    systemd.services.hive-c0re = {
      description = "The hive's core: mail, proposals, lifecycle";
      wantedBy = [ "multi-user.target" ];
      after = [ "network.target" ];
      restartTriggers = [ (builtins.toJSON coreJson) ];
      path = programs;
      environment = evaluation;
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/hive-c0re --config /etc/hyperhive/core.json";
        LoadCredential = lib.optional (cfg.modelApi.keyFile != null) "model-key:${cfg.modelApi.keyFile}";
        StateDirectory = "hyperhive";
        StateDirectoryMode = "0700";
        RuntimeDirectory = "hyperhive";
        RuntimeDirectoryMode = "0755"; # operators pass through to operator.sock; agents/ below is 0700
        RuntimeDirectoryPreserve = true; # containers have their sockets' directories bound in
        Restart = "on-failure";
        TimeoutStopSec = 120;
        LimitNOFILE = 65536; # three sockets an agent, many connections each
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
        # Root, for it starts containers and owns what agents must not; without what it has no use for.
        CapabilityBoundingSet = "~CAP_SYS_MODULE CAP_SYS_RAWIO CAP_SYS_BOOT CAP_SYS_TIME CAP_SYSLOG CAP_SYS_PTRACE CAP_BPF CAP_PERFMON CAP_MAC_ADMIN CAP_MAC_OVERRIDE";
        SystemCallFilter = "~@clock @cpu-emulation @module @obsolete @raw-io @reboot @swap";
        RestrictRealtime = true;
        LockPersonality = true;
        SystemCallArchitectures = "native";
        UMask = "0077";
      };
    };
  };
}
