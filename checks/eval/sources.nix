# Where each setting comes from, and that agent.nix cannot pass its own for the host's.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) evaluatedOf plain;

  all = word: {
    name = "identity";
    role = "identity";
    model = word;
    fallbackModel = word;
    "bash.allow" = word;
    "bash.deny" = word;
    "tools.allow" = word;
    "tools.deny" = word;
    prompt = word;
    "git.name" = word;
    "git.email" = word;
    packages = word;
    "notes.enable" = word;
    "notes.maxBytes" = word;
    "session.turnTimeout" = word;
    "session.maxTurns" = word;
    "session.compactAt" = word;
    "budget.tokensPerDay" = word;
    "budget.costPerDay" = word;
    "network.allow" = word;
  };

  none = all "default" // {
    "git.name" = "identity";
    "git.email" = "identity";
  };

  defaults = plain + ''
    [defaults]
    model = "sonnet"
    packages = ["jq"]
    [defaults.git]
    name = "The Hive"
  '';

  host = none // {
    model = "host";
    packages = "host";
    "git.name" = "host";
  };

  sourcesOf = toml: module: (evaluatedOf toml module).sources;
  with' = toml: agent: sourcesOf toml { hyperhive.agent = agent; };

  # What an agent.nix comes to: a value that it may choose, and who is said to have chosen it.
  model =
    toml: module:
    let
      evaluated = evaluatedOf toml module;
    in
    [
      evaluated.settings.model
      evaluated.sources.model
    ];
in
{
  "every setting has a source, the options' defaults and the identity at first" = {
    expr = with' plain { };
    expected = none;
  };

  "what the host's configuration defaults to is the host's, leaf by leaf" = {
    expr = with' defaults { };
    expected = host;
  };

  "what agent.nix defines is its own, above the host's defaults too" = {
    expr = with' defaults {
      model = "opus";
      session.maxTurns = 5;
      git.email = "bee@example.org";
    };
    expected = host // {
      model = "agent.nix";
      "session.maxTurns" = "agent.nix";
      "git.email" = "agent.nix";
    };
  };

  "agent.nix decides with the same value as the default, and with mkDefault and mkForce" = {
    expr = with' defaults {
      model = lib.mkDefault "sonnet";
      fallbackModel = null;
      prompt = lib.mkForce "";
      packages = lib.mkDefault [ "jq" ];
      git.name = "The Hive";
      git.email = "worker@hive.local";
    };
    expected = none // {
      model = "agent.nix";
      fallbackModel = "agent.nix";
      prompt = "agent.nix";
      packages = "agent.nix";
      "git.name" = "agent.nix";
      "git.email" = "agent.nix";
    };
  };

  "what agent.nix defines under a condition that does not hold is not its own" = {
    expr = with' defaults (
      lib.mkMerge [
        { model = lib.mkIf false "opus"; }
        (lib.mkIf false { packages = [ "ripgrep" ]; })
        (lib.mkIf true { prompt = "Work."; })
        { network.allow = lib.mkMerge [ ]; }
      ]
    );
    expected = host // {
      prompt = "agent.nix";
    };
  };

  "an override is the operator's, whatever is below it" = {
    expr = with' (
      defaults
      + ''
        [overrides]
        model = "opus"
        prompt = "Over."
        [overrides.bash]
        allow = ["ls *"]
        [overrides.git]
        email = "op@example.org"
      ''
    ) { model = lib.mkOverride (-1000000) "haiku"; };
    expected = host // {
      model = "override";
      prompt = "override";
      "bash.allow" = "override";
      "git.email" = "override";
    };
  };

  "a host's null is a default like any other" = {
    expr =
      (import ../../modules/lib/settings.nix { inherit lib; } {
        hive = {
          name = "worker";
          role = "agent";
          defaults.fallbackModel = null;
        };
        modules = [ ];
      }).sources.fallbackModel;
    expected = "host";
  };

  "agent.nix does not pass for the host by the host's own priority" = {
    expr = model plain { hyperhive.agent.model = lib.mkOverride 1250 "opus"; };
    expected = [
      "opus"
      "agent.nix"
    ];
  };

  "agent.nix does not pass for the host by the same value at the same priority" = {
    expr = model defaults { hyperhive.agent.model = lib.mkOverride 1250 "sonnet"; };
    expected = [
      "sonnet"
      "agent.nix"
    ];
  };

  "a list that agent.nix adds to at the host's priority is agent.nix's" = {
    expr =
      let
        evaluated = evaluatedOf defaults { hyperhive.agent.packages = lib.mkOverride 1250 [ "ripgrep" ]; };
      in
      [
        (builtins.length evaluated.settings.packages)
        evaluated.sources.packages
      ];
    expected = [
      2
      "agent.nix"
    ];
  };

  "a list that agent.nix adds to at the default's priority is agent.nix's" = {
    expr = (with' plain { bash.allow = lib.mkOptionDefault [ "rm *" ]; })."bash.allow";
    expected = "agent.nix";
  };

  "agent.nix does not pass for the identity by its priority" = {
    expr = (with' plain { git.name = lib.mkOverride 1400 "worker"; })."git.name";
    expected = "agent.nix";
  };

  "agent.nix does not pass for the option's default by a priority just above it" = {
    expr = model plain { hyperhive.agent.model = lib.mkOverride 1499.9 "opus"; };
    expected = [
      "opus"
      "agent.nix"
    ];
  };

  "a definition that is weaker than the host's decides nothing" = {
    expr = model defaults { hyperhive.agent.model = lib.mkOverride 1300 "opus"; };
    expected = [
      "sonnet"
      "host"
    ];
  };

  "agent.nix does not pass for the host by the name of its file" = {
    expr = model defaults (
      { options, ... }:
      {
        _file = builtins.head options.hyperhive.agent.packages.declarations;
        imports = [
          {
            _file = "<unknown-file>";
            hyperhive.agent.model = lib.mkOverride 1250 "sonnet";
          }
        ];
      }
    );
    expected = [
      "sonnet"
      "agent.nix"
    ];
  };
}
