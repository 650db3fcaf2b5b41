# services.hyperhive: the core's configuration, types and assertions.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host;
  hive = module: host { services.hyperhive = { enable = true; } // module; };
  core = module: builtins.fromJSON (hive module).environment.etc."hyperhive/core.json".text;
  broken = module: map (assertion: assertion.message) (
    builtins.filter (assertion: !assertion.assertion) (hive module).assertions
  );
  unit = module: (hive module).systemd.services.hive-c0re.serviceConfig;
in
{
  "a host without the hive has none of it" = {
    expr =
      let
        config = host { };
      in
      [
        config.environment.etc
        config.systemd.services
        config.assertions
      ];
    expected = [
      { }
      { }
      [ ]
    ];
  };

  "core.json of an enabled hive" = {
    expr = core { agents.worker.defaults.model = "sonnet"; };
    expected = {
      backend = "nixos";
      stateDir = "/var/lib/hyperhive";
      runtimeDir = "/run/hyperhive";
      modelApi = {
        url = "https://api.anthropic.com";
        keyFile = null;
      };
      operators = [ ];
      policy = {
        models = null;
        bash = null;
        tools = null;
        network = null;
      };
      broker = {
        maxPending = 1000;
        retention = 30;
        maxRows = 10000;
      };
      dashboard = {
        enable = true;
        port = 8420;
      };
      agents = {
        worker = {
          role = "agent";
          autoStart = true;
          defaults.model = "sonnet";
        };
        manager = {
          role = "manager";
          autoStart = true;
          defaults = { };
        };
      };
    };
  };

  "a hive without a manager" = {
    expr = builtins.attrNames (core { manager.enable = false; }).agents;
    expected = [ ];
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

  "the core knows what proposals are evaluated with" = {
    expr =
      let
        inherit ((hive { }).systemd.services.hive-c0re) environment;
      in
      [
        (builtins.match ".*-hyperhive-flake" environment.HYPERHIVE_FLAKE != null)
        environment.HYPERHIVE_NIXPKGS_LIB
      ];
    expected = [
      true
      "/stand-in/for/nixpkgs/lib"
    ];
  };

  "the operator's shell has what `hyperhive flake check` evaluates with" = {
    expr =
      let
        config = hive { };
      in
      config.environment.variables == config.systemd.services.hive-c0re.environment;
    expected = true;
  };

  "a null among an agent's defaults is left out, for hive.toml has none" = {
    expr =
      (core {
        agents.worker.defaults = {
          fallbackModel = null;
          bash.deny = [ "git push *" ];
        };
      }).agents.worker.defaults;
    expected.bash.deny = [ "git push *" ];
  };

  "a misspelt default is told when the host is built" = {
    expr = core { agents.worker.defaults.modle = "sonnet"; };
    fails = "hyperhive.agent.modle' does not exist";
  };

  "a default of the wrong type is told when the host is built" = {
    expr = core { manager.defaults.session.maxTurns = "many"; };
    fails = "hyperhive.agent.session.maxTurns' is not of type";
  };

  "a default cannot change a name" = {
    expr = core { agents.worker.defaults.name = "other"; };
    fails = "hyperhive.agent.name' is read-only|name and role are the host's";
  };

  "no key, no credential" = {
    expr = (unit { }).LoadCredential;
    expected = [ ];
  };

  "the unit is hardened" = {
    expr = {
      inherit (unit { })
        NoNewPrivileges
        ProtectSystem
        ProtectHome
        UMask
        StateDirectoryMode
        ;
    };
    expected = {
      NoNewPrivileges = true;
      ProtectSystem = "strict";
      ProtectHome = true;
      UMask = "0077";
      StateDirectoryMode = "0700";
    };
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

  "the directory of the sockets outlives a restart of the core" = {
    expr = (unit { }).RuntimeDirectoryPreserve;
    expected = true;
  };

  "a sound hive breaks no assertion" = {
    expr = broken { agents.worker = { }; };
    expected = [ ];
  };

  "a bad agent name is told with its option and the fix" = {
    expr = broken { agents.Worker = { }; };
    expected = [
      "hyperhive agent Worker: services.hyperhive.agents.Worker is no agent name; use a-z, 0-9 and -, a letter first, at most 31 characters."
    ];
  };

  "a mailbox of the hive is no agent" = {
    expr = broken { agents.operator = { }; };
    expected = [
      "hyperhive agent operator: services.hyperhive.agents.operator is a mailbox of the hive itself; choose another name."
    ];
  };

  "the manager's name is its own" = {
    expr = broken { agents.manager = { }; };
    expected = [
      "hyperhive agent manager: services.hyperhive.manager.name and services.hyperhive.agents both have it; rename one."
    ];
  };

  "a key in the store is refused" = {
    expr = broken { modelApi.keyFile = "/nix/store/abc-key"; };
    expected = [
      "hyperhive: services.hyperhive.modelApi.keyFile is in the Nix store, where everybody can read it; name a file outside."
    ];
  };

  "enable is a boolean" = {
    expr = (host { services.hyperhive.enable = "yes"; }).services.hyperhive.enable;
    fails = "services.hyperhive.enable' is not of type";
  };
  "a policy is a list or null" = {
    expr = core { policy.models = "haiku"; };
    fails = "services.hyperhive.policy.models' is not of type";
  };
  "the dashboard's port is a port" = {
    expr = core { dashboard.port = 65536; };
    fails = "services.hyperhive.dashboard.port' is not of type";
  };
  "the mailbox bound is positive" = {
    expr = core { broker.maxPending = 0; };
    fails = "services.hyperhive.broker.maxPending' is not of type";
  };
  "operators are names" = {
    expr = core { operators = [ 1000 ]; };
    fails = "services.hyperhive.operators.* is not of type";
  };
  "the model API is a URL" = {
    expr = core { modelApi.url = "ftp://x"; };
    fails = "services.hyperhive.modelApi.url' is not of type";
  };
  "an unknown option of an agent is an error" = {
    expr = core { agents.worker.modle = "x"; };
    fails = "services.hyperhive.agents.worker.modle' does not exist";
  };
}
