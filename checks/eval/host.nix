# services.hyperhive: the core's configuration and the assertions.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host;
  hive = module: host { services.hyperhive = { enable = true; } // module; };
  core = module: builtins.fromJSON (hive module).environment.etc."hyperhive/core.json".text;
  broken = module: map (assertion: assertion.message) (
    builtins.filter (assertion: !assertion.assertion) (hive module).assertions
  );
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
        config.systemd.tmpfiles.rules
        config.users.users
        config.containers
        config.security.polkit.extraConfig
        config.assertions
      ];
    expected = [
      { }
      { }
      [ ]
      { }
      { }
      ""
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
        prices = { };
      };
      operators = [ ];
      policy = {
        models = null;
        bash = null;
        tools = null;
        network = null;
        budget = {
          tokensPerDay = null;
          costPerDay = null;
        };
        autoApprove = "never";
      };
      broker = {
        maxPending = 1000;
        retention = 30;
        maxRows = 10000;
        maxHops = 16;
        edgePerMinute = 60;
        agentPerMinute = 240;
      };
      history = {
        retention = 30;
        maxTurns = 1000;
        maxEvents = 256;
        maxProposals = 1000;
        usage = 400;
      };
      dashboard = {
        enable = true;
        hosts = [ ];
        port = 8420;
        proxy = {
          header = "X-Remote-User";
          user = null;
        };
        terminalIdle = 1800;
      };
      health = 30;
      drain = 60;
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

  "a sound hive breaks no assertion" = {
    expr = broken { agents.worker.index = 1; };
    expected = [ ];
  };

  "a bad agent name is told with its option and the fix" = {
    expr = broken { agents.Worker.index = 1; };
    expected = [
      "hyperhive agent Worker: services.hyperhive.agents.Worker is no agent name; use a-z, 0-9 and -, a letter first, at most 31 characters."
    ];
  };

  "a mailbox of the hive is no agent" = {
    expr = broken { agents.operator.index = 1; };
    expected = [
      "hyperhive agent operator: services.hyperhive.agents.operator is a mailbox of the hive itself; choose another name."
    ];
  };

  "the manager's name is its own" = {
    expr = broken { agents.manager.index = 1; };
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
}
