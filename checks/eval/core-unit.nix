# hive-c0re.service: whose it is, what it may, and what it is given.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host;
  hive = module: host { services.hyperhive = { enable = true; } // module; };
  core = module: builtins.fromJSON (hive module).environment.etc."hyperhive/core.json".text;
  unit = module: (hive module).systemd.services.hive-c0re.serviceConfig;
in
{
  "the unit is hardened, runs as a user of its own and has no capability" = {
    expr = {
      inherit (unit { })
        User
        Group
        SupplementaryGroups
        CapabilityBoundingSet
        NoNewPrivileges
        ProtectSystem
        ProtectHome
        ReadWritePaths
        UMask
        ;
    };
    expected = {
      User = "hyperhive";
      Group = "hyperhive";
      SupplementaryGroups = [ "systemd-journal" ];
      CapabilityBoundingSet = "";
      NoNewPrivileges = true;
      ProtectSystem = "strict";
      ProtectHome = true;
      ReadWritePaths = [
        "/var/lib/hyperhive"
        "/run/hyperhive"
      ];
      UMask = "0077";
    };
  };

  "the core's user is a system user with a group of its own" = {
    expr =
      let
        inherit ((hive { }).users) users groups;
      in
      {
        inherit (users.hyperhive) isSystemUser group home;
        inherit groups;
      };
    expected = {
      isSystemUser = true;
      group = "hyperhive";
      home = "/var/lib/hyperhive";
      groups.hyperhive = { };
    };
  };

  "systemd gives the core none of the agents' files, and removes none of their sockets" = {
    expr = builtins.filter (name: unit { } ? ${name}) [
      "StateDirectory"
      "RuntimeDirectory"
      "ExecStartPre"
    ];
    expected = [ ];
  };

  "the unit leaves bubblewrap what it needs to look at what agents wrote" = {
    expr = {
      netlink = builtins.elem "AF_NETLINK" (unit { }).RestrictAddressFamilies;
      inTheWay = builtins.filter (name: unit { } ? ${name}) [
        "ProcSubset"
        "ProtectHostname"
        "ProtectKernelLogs"
        "ProtectKernelTunables"
        "RestrictNamespaces"
        "RestrictSUIDSGID"
      ];
    };
    expected = {
      netlink = true;
      inTheWay = [ ];
    };
  };

  "the core's end is not the containers': no unit is tied to it" = {
    expr = lib.filterAttrs (
      _: service:
      builtins.any (tie: service ? ${tie}) [
        "bindsTo"
        "partOf"
        "requires"
        "requisite"
      ]
    ) (hive { agents.worker.index = 1; }).systemd.services;
    expected = { };
  };

  "the key reaches the core as a credential, not by path" = {
    expr = {
      inherit (unit { modelApi.keyFile = "/run/secrets/key"; }) LoadCredential;
      inherit ((core { modelApi.keyFile = "/run/secrets/key"; }).modelApi) keyFile;
    };
    expected = {
      LoadCredential = [ "model-key:/run/secrets/key" ];
      keyFile = "/run/credentials/hive-c0re.service/model-key";
    };
  };

  "no key, no credential" = {
    expr = (unit { }).LoadCredential;
    expected = [ ];
  };

  "the core knows what proposals are evaluated with" = {
    expr =
      let
        inherit ((hive { }).systemd.services.hive-c0re) environment;
      in
      [
        (builtins.match ".*-hyperhive-flake" environment.HYPERHIVE_FLAKE != null)
        (environment.HYPERHIVE_NIXPKGS_LIB == "${environment.HYPERHIVE_NIXPKGS}/lib")
      ];
    expected = [
      true
      true
    ];
  };

  "guests are built from the flake's nixpkgs as it is in the store" = {
    expr =
      (host {
        services.hyperhive.enable = true;
        nixpkgs.flake.source = "/nix/store/of-the-flake";
      }).systemd.services.hive-c0re.environment.HYPERHIVE_NIXPKGS;
    expected = "/nix/store/of-the-flake";
  };

  "the operator's shell has what `hyperhive flake check` evaluates with" = {
    expr =
      let
        config = hive { };
      in
      config.environment.variables
      == builtins.removeAttrs config.systemd.services.hive-c0re.environment [ "HYPERHIVE_NIXPKGS" ];
    expected = true;
  };
}
