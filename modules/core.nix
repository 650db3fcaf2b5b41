# The core on the host: its directories, its configuration and its hardened unit.
{
  config,
  lib,
  pkgs,
  ...
}:
let
  cfg = config.services.hyperhive;

  declared = role: agent: {
    inherit role;
    inherit (agent) autoStart defaults;
  };

  agents =
    builtins.mapAttrs (_: declared "agent") cfg.agents
    // lib.optionalAttrs cfg.manager.enable { ${cfg.manager.name} = declared "manager" cfg.manager; };

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
    environment.systemPackages = [ cfg.package ];
    environment.etc."hyperhive/core.json".text = builtins.toJSON coreJson;

    systemd.services.hive-c0re = {
      description = "The hive's core: mail, proposals, lifecycle";
      wantedBy = [ "multi-user.target" ];
      restartTriggers = [ (builtins.toJSON coreJson) ];
      path = [
        pkgs.git
        pkgs.nix
        pkgs.bubblewrap
        pkgs.util-linux
      ];
      # What proposals are evaluated with: these modules and nixpkgs' lib.
      environment = {
        HYPERHIVE_FLAKE = toString ../.;
        HYPERHIVE_NIXPKGS_LIB = "${pkgs.path}/lib";
      };
      serviceConfig = {
        ExecStart = "${cfg.package}/bin/hive-c0re --config /etc/hyperhive/core.json";
        LoadCredential = lib.optional (cfg.modelApi.keyFile != null) "model-key:${cfg.modelApi.keyFile}";
        StateDirectory = "hyperhive";
        StateDirectoryMode = "0700";
        RuntimeDirectory = "hyperhive";
        RuntimeDirectoryMode = "0755"; # operators pass through to operator.sock; agents/ below is 0700
        Restart = "on-failure";
        TimeoutStopSec = 120;
        NoNewPrivileges = true;
        ProtectSystem = "strict";
        ProtectHome = true;
        PrivateTmp = true;
        PrivateDevices = true;
        ProtectClock = true;
        ProtectHostname = true;
        ProtectKernelLogs = true;
        ProtectKernelModules = true;
        ProtectKernelTunables = true;
        RestrictAddressFamilies = [
          "AF_UNIX"
          "AF_INET"
          "AF_INET6"
        ];
        # No RestrictNamespaces: proposals are evaluated in bubblewrap, which makes namespaces.
        RestrictRealtime = true;
        LockPersonality = true;
        SystemCallArchitectures = "native";
        UMask = "0077";
      };
    };
  };
}
