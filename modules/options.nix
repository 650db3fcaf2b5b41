# services.hyperhive.*: the operator's options. Options only, evaluable alone with nixpkgs' lib.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  ceiling =
    what: example:
    mkOption {
      type = types.nullOr (types.listOf types.str);
      default = null;
      inherit example;
      description = "The ${what} that an agent may have at most; a proposal that asks for more is rejected. Null sets no bound.";
    };

  agentOptions = {
    autoStart = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the agent starts with the host.";
    };

    defaults = mkOption {
      type = types.attrsOf types.anything;
      default = { };
      example = {
        model = "sonnet";
      };
      description = "Settings below the agent's own agent.nix, by the names of hyperhive.agent.*.";
    };
  };
in
{
  options.services.hyperhive = {
    enable = lib.mkEnableOption "the hive: its core, its manager and its agents";

    package = mkOption {
      type = types.package;
      description = "The hyperhive package. The flake's module sets it.";
    };

    agents = mkOption {
      type = types.attrsOf (types.submodule { options = agentOptions; });
      default = { };
      example = {
        worker = { };
      };
      description = "The agents of this hive, by name: a-z, 0-9 and -, a letter first, at most 31 characters.";
    };

    manager = agentOptions // {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the hive has a manager, the agent that may propose changes of the others.";
      };

      name = mkOption {
        type = types.strMatching "[a-z][a-z0-9-]{0,30}";
        default = "manager";
        description = "The manager's name.";
      };
    };

    policy = {
      models = ceiling "models" [
        "haiku"
        "sonnet"
      ];
      bash = ceiling "Bash patterns" [ "git *" ];
      tools = ceiling "tools" [
        "Read"
        "Edit"
      ];
      network = ceiling "`host:port` pairs" [ "cache.example.org:443" ];
    };

    broker = {
      maxPending = mkOption {
        type = types.ints.between 1 1000000;
        default = 1000;
        description = "How many undelivered messages a mailbox holds before senders are told to wait.";
      };

      retention = mkOption {
        type = types.ints.between 1 3650;
        default = 30;
        description = "How many days delivered messages are kept.";
      };

      maxRows = mkOption {
        type = types.ints.between 1 10000000;
        default = 10000;
        description = "How many delivered messages are kept per recipient.";
      };
    };

    dashboard = {
      enable = mkOption {
        type = types.bool;
        default = true;
        description = "Whether the core serves the dashboard on loopback.";
      };

      port = mkOption {
        type = types.port;
        default = 8420;
        description = "The dashboard's TCP port on 127.0.0.1.";
      };
    };

    operators = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "alice" ];
      description = "The users who may operate the hive besides root: they approve what the agents propose.";
    };

    modelApi = {
      url = mkOption {
        type = types.strMatching "https?://[^[:space:]]+";
        default = "https://api.anthropic.com";
        description = "Where the core's gateway forwards the agents' Messages API requests to.";
      };

      keyFile = mkOption {
        type = types.nullOr (types.strMatching "/.+");
        default = null;
        example = "/run/secrets/anthropic";
        description = ''
          The file that holds the API key, as an absolute path on the host and not in the Nix store. Only the core's
          gateway gets it, through systemd's credentials; no container ever sees it.
        '';
      };
    };
  };
}
