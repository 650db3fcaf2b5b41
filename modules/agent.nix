# What an agent is: hyperhive.agent.*, options only. It needs nixpkgs' lib and nothing else, so that a proposal is judged
# in tens of milliseconds. Every option is a key of python/hyperhive/schema/agent-settings.schema.json and has its rule.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  model = types.strMatching "[A-Za-z0-9][][A-Za-z0-9._:/@-]{0,99}";

  bashPattern = types.strMatching "[^()[:cntrl:]]{1,200}";

  tool = types.strMatching "[A-Z][A-Za-z]{1,40}";

  package = types.strMatching "[A-Za-z_][A-Za-z0-9_'-]*(\\.[A-Za-z0-9_][A-Za-z0-9_'-]*)*";
in
{
  options.hyperhive.agent = {
    name = mkOption {
      type = types.strMatching "[a-z][a-z0-9-]{0,30}";
      readOnly = true;
      description = "The agent's name. It is the host's to say, through hive.toml; an agent.nix cannot set it.";
    };

    role = mkOption {
      type = types.enum [
        "agent"
        "manager"
      ];
      readOnly = true;
      description = ''
        Whether this is the hive's manager, which may ask for commits to be applied and steer other agents. It is the
        host's to say, through hive.toml; an agent.nix cannot set it.
      '';
    };

    model = mkOption {
      type = model;
      default = "haiku";
      example = "claude-sonnet-5";
      description = "The model that thinks for this agent, as an alias of Claude Code or a full model id.";
    };

    fallbackModel = mkOption {
      type = types.nullOr model;
      default = null;
      example = "haiku";
      description = "The model that Claude Code changes to when the first one is overloaded or missing.";
    };

    bash = {
      allow = mkOption {
        type = types.listOf bashPattern;
        default = [
          "git status"
          "git status *"
          "ls"
          "ls *"
          "pwd"
          "wc *"
        ];
        example = [
          "git commit *"
          "nix build .#*"
        ];
        description = ''
          The commands that the agent may run, as patterns: `git status` is that command alone, `git log *` has any further
          words, but for options that run programs or write files. The core decides about every simple command by them;
          docs/bash-rules.md is their grammar. An empty list takes the Bash tool away.
        '';
      };

      deny = mkOption {
        type = types.listOf bashPattern;
        default = [ ];
        example = [ "git push *" ];
        description = "The commands that are refused whatever `allow` says, however they are written.";
      };
    };

    tools = {
      allow = mkOption {
        type = types.listOf tool;
        default = [
          "Read"
          "Edit"
          "Write"
          "Grep"
          "Glob"
        ];
        example = [
          "Read"
          "WebFetch"
        ];
        description = "Claude Code's built-in tools that the agent has. Bash comes with `bash.allow`.";
      };

      deny = mkOption {
        type = types.listOf tool;
        default = [ ];
        example = [ "Write" ];
        description = "The tools that are taken away whatever `allow` says.";
      };
    };

    prompt = mkOption {
      type = types.str;
      default = "";
      example = "You keep the project's changelog.";
      description = "What this agent is for. The text is appended to its system prompt; it holds at most 65536 bytes.";
    };

    git = {
      name = mkOption {
        type = types.strMatching "[^<>[:cntrl:]]{1,100}";
        defaultText = "the agent's name";
        example = "Hive Worker";
        description = "The name that the agent commits with.";
      };

      email = mkOption {
        type = types.strMatching "[^<>@[:space:][:cntrl:]]+@[^<>@[:space:][:cntrl:]]+";
        defaultText = "<name>@hive.local";
        example = "worker@example.org";
        description = "The e-mail address that the agent commits with.";
      };
    };

    packages = mkOption {
      type = types.listOf package;
      default = [ ];
      example = [
        "ripgrep"
        "python3Packages.numpy"
      ];
      description = ''
        The programs on the agent's PATH, as attribute paths in nixpkgs. They are names and not packages, so that an
        agent.nix is judged without nixpkgs; the guest's NixOS configuration resolves them.
      '';
    };

    notes = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the agent's notes.md stands in the prompt of each new session.";
      };

      maxBytes = mkOption {
        type = types.ints.between 1024 1048576;
        default = 65536;
        description = "How many bytes of notes.md a new session's prompt holds at most.";
      };
    };

    session = {
      turnTimeout = mkOption {
        type = types.ints.between 10 86400;
        default = 1800;
        description = "How many seconds a turn may take before it is ended.";
      };

      maxTurns = mkOption {
        type = types.ints.between 1 1000;
        default = 80;
        description = "How many model calls one turn may make.";
      };

      compactAt = mkOption {
        type = types.ints.between 10000 2000000;
        default = 150000;
        description = "How many tokens of context a session may hold before it is compacted into the notes.";
      };
    };

    budget = {
      tokensPerDay = mkOption {
        type = types.nullOr types.ints.positive;
        default = null;
        example = 20000000;
        description = ''
          How many tokens the agent may use in a day (UTC), in and out, those of the prompt cache included. Beyond it the
          model is refused and its mail waits until the next day, or until the operator allows more. Null sets no bound.
        '';
      };

      costPerDay = mkOption {
        type = types.nullOr types.numbers.positive;
        default = null;
        example = 7.5;
        description = "The same in US dollars, by the prices of `services.hyperhive.modelApi.prices`. Null sets no bound.";
      };
    };

    network.allow = mkOption {
      type = types.listOf (types.strMatching "[A-Za-z0-9.-]+:[0-9]{1,5}");
      default = [ ];
      example = [ "cache.example.org:443" ];
      description = "The `host:port` pairs that the agent may reach through the egress proxy; nothing else is reachable.";
    };
  };
}
