# root.json: what hive-root is told of the hive, and of the containers of agents that no configuration declares.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host;
  hive = module: host { services.hyperhive = { enable = true; } // module; };
  plain = builtins.unsafeDiscardStringContext;
  coreJson = module: builtins.fromJSON (plain (hive module).environment.etc."hyperhive/core.json".text);
  rootJson = module: builtins.fromJSON (plain (hive module).environment.etc."hyperhive/root.json".text);
in
{
  "root.json of a hive" = {
    expr = builtins.removeAttrs (rootJson { agents.worker.index = 7; }) [ "containers" ];
    expected = {
      stateDir = "/var/lib/hyperhive";
      runtimeDir = "/run/hyperhive";
      user = "hyperhive";
      autoApprove = "never";
      agents.worker.index = 7;
      agents.manager.index = 0;
    };
  };

  # Root decides by its own file, the core by its; both are told the same.
  "the policy approves narrowings only where the host says so, to root and to the core" = {
    expr =
      let
        told =
          module:
          map (value: value.autoApprove) [
            (rootJson module)
            (coreJson module).policy
          ];
      in
      [
        (told { policy.autoApprove = "narrowing"; })
        (told { policy.autoApprove = "never"; })
        (told { })
      ];
    expected = [
      [
        "narrowing"
        "narrowing"
      ]
      [
        "never"
        "never"
      ]
      [
        "never"
        "never"
      ]
    ];
  };

  "an agent made at run time has the flags and limits of a declared one that says nothing" = {
    expr = (rootJson { }).containers;
    expected =
      let
        config = hive { agents.worker.index = 1; };
      in
      {
        flags = config.containers.worker.extraFlags;
        unit = builtins.mapAttrs (_: plain) config.systemd.services."container@worker".serviceConfig // {
          DeviceAllow = "/dev/net/tun rwm"; # nixpkgs adds it to declared ones
        };
      };
  };

  "what a declared agent may beyond the standard is not the run-time agents'" = {
    expr =
      (rootJson {
        manager.resources.memoryMax = "8G";
        manager.nixDaemon = true;
      }).containers == (rootJson { }).containers;
    expected = true;
  };
}
