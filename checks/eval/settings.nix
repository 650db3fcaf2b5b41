# From agent.nix and hive.toml to the settings.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) agent settingsOf plain;
  named = more: plain + more;
in
{
  "every default" = {
    expr = agent { };
    expected = {
      schema = 1;
      name = "worker";
      role = "agent";
      model = "haiku";
      fallbackModel = null;
      bash = {
        allow = [
          "git status"
          "git status *"
          "ls"
          "ls *"
          "pwd"
          "wc *"
        ];
        deny = [ ];
      };
      tools = {
        allow = [
          "Read"
          "Edit"
          "Write"
          "Grep"
          "Glob"
        ];
        deny = [ ];
      };
      prompt = "";
      git = {
        name = "worker";
        email = "worker@hive.local";
      };
      packages = [ ];
      notes = {
        enable = true;
        maxBytes = 65536;
      };
      session = {
        turnTimeout = 1800;
        maxTurns = 80;
        compactAt = 150000;
      };
      budget = {
        tokensPerDay = null;
        costPerDay = null;
      };
      network.allow = [ ];
    };
  };

  "every option set" = {
    expr = agent {
      model = "opus[1m]";
      fallbackModel = "claude-haiku-4-5-20251001";
      bash.allow = [ "git *" ];
      bash.deny = [ "git push *" ];
      tools.allow = [ "Read" ];
      tools.deny = [ "WebFetch" ];
      prompt = "Work.\nWell.";
      git.name = "Worker Bee";
      git.email = "bee@example.org";
      packages = [
        "ripgrep"
        "python3Packages.numpy"
      ];
      notes.enable = false;
      notes.maxBytes = 1024;
      session.turnTimeout = 10;
      session.maxTurns = 1;
      session.compactAt = 10000;
      budget.tokensPerDay = 1;
      budget.costPerDay = 0.5;
      network.allow = [ "cache.example.org:443" ];
    };
    expected = {
      schema = 1;
      name = "worker";
      role = "agent";
      model = "opus[1m]";
      fallbackModel = "claude-haiku-4-5-20251001";
      bash = {
        allow = [ "git *" ];
        deny = [ "git push *" ];
      };
      tools = {
        allow = [ "Read" ];
        deny = [ "WebFetch" ];
      };
      prompt = "Work.\nWell.";
      git = {
        name = "Worker Bee";
        email = "bee@example.org";
      };
      packages = [
        "ripgrep"
        "python3Packages.numpy"
      ];
      notes = {
        enable = false;
        maxBytes = 1024;
      };
      session = {
        turnTimeout = 10;
        maxTurns = 1;
        compactAt = 10000;
      };
      budget = {
        tokensPerDay = 1;
        costPerDay = 0.5;
      };
      network.allow = [ "cache.example.org:443" ];
    };
  };

  "the manager's role comes from hive.toml" = {
    expr =
      (settingsOf ''
        name = "boss"
        role = "manager"
      '' { }).role;
    expected = "manager";
  };

  "agent.nix beats the host's defaults, leaf by leaf" = {
    expr =
      let
        settings = settingsOf (named ''
          [defaults]
          model = "sonnet"
          [defaults.session]
          maxTurns = 7
          turnTimeout = 77
        '') { hyperhive.agent.session.maxTurns = 5; };
      in
      [
        settings.model
        settings.session.maxTurns
        settings.session.turnTimeout
      ];
    expected = [
      "sonnet"
      5
      77
    ];
  };

  "agent.nix beats the host's defaults with mkDefault too" = {
    expr =
      (settingsOf (named ''
        [defaults]
        model = "sonnet"
      '') { hyperhive.agent.model = lib.mkDefault "opus"; }).model;
    expected = "opus";
  };

  "a host's default beats the defaults that follow from the name" = {
    expr =
      (settingsOf (named ''
        [defaults.git]
        name = "The Hive"
      '') { }).git;
    expected = {
      name = "The Hive";
      email = "worker@hive.local";
    };
  };

  "a host's default list is replaced by agent.nix, not joined" = {
    expr =
      (settingsOf (named ''
        [defaults.bash]
        allow = ["ls *"]
      '') { hyperhive.agent.bash.allow = [ "cat *" ]; }).bash.allow;
    expected = [ "cat *" ];
  };

  "an override beats agent.nix" = {
    expr =
      (settingsOf (named ''
        [overrides]
        model = "opus"
      '') { hyperhive.agent.model = "haiku"; }).model;
    expected = "opus";
  };

  "an override beats any priority in agent.nix" = {
    expr =
      (settingsOf (named ''
        [overrides]
        model = "opus"
      '') { hyperhive.agent.model = lib.mkOverride (-1000000) "haiku"; }).model;
    expected = "opus";
  };

  "an override of a list replaces it" = {
    expr =
      (settingsOf (named ''
        [overrides.tools]
        allow = ["Read"]
      '') { }).tools.allow;
    expected = [ "Read" ];
  };

  "an override of the identity is allowed" = {
    expr =
      (settingsOf (named ''
        [overrides.git]
        name = "Op"
      '') { }).git;
    expected = {
      name = "Op";
      email = "worker@hive.local";
    };
  };

  "conditions and merges in agent.nix work" = {
    expr =
      (agent (
        lib.mkMerge [
          { bash.allow = [ "cat *" ]; }
          (lib.mkIf true { bash.allow = [ "wc *" ]; })
          (lib.mkIf false { bash.allow = [ "rm *" ]; })
        ]
      )).bash.allow;
    expected = [
      "cat *"
      "wc *"
    ];
  };
}
