# services.hyperhive.*: the operator's options. Options only, evaluable alone with nixpkgs' lib.
{ lib, ... }:
let
  inherit (lib) mkOption types;

  price =
    what:
    mkOption {
      type = types.numbers.positive;
      example = 3;
      description = "What a million tokens of ${what} cost, in US dollars.";
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

    index = mkOption {
      type = types.ints.between 0 4093;
      example = 1;
      description = ''
        The number that the agent's range of user and group ids follows from: 65536 ids from 1879048192 + 65536 × index.
        It is the agent's for ever: an index that another agent once had is refused, since that agent's files would be
        this one's. Agents made at run time get theirs from 2048 on.
      '';
    };

    nixDaemon = mkOption {
      type = types.bool;
      default = false;
      description = ''
        Whether the agent reaches the host's Nix daemon. It then can build on the host, fill its store, and fetch what the
        daemon may fetch, although it has no network itself.
      '';
    };

    resources = {
      memoryMax = mkOption {
        type = types.strMatching "([1-9][0-9]*[KMGT]?|[1-9][0-9]?%)";
        default = "2G";
        description = "The memory that all processes of the container may use, in bytes (K, M, G, T) or as a percentage of the host's.";
      };

      tasksMax = mkOption {
        type = types.ints.positive;
        default = 1024;
        description = "How many processes and threads the container may have.";
      };

      cpuQuota = mkOption {
        type = types.nullOr (types.strMatching "[1-9][0-9]*%");
        default = null;
        example = "150%";
        description = "The CPU time that the container may use, as a percentage of one CPU's. Null sets no bound.";
      };
    };

    extraBinds = mkOption {
      type = types.attrsOf (types.submodule { options = bindOptions; });
      default = { };
      example = {
        "/srv/reports".hostPath = "/srv/reports";
      };
      description = ''
        Paths of the host that the container sees, by the path inside. Users of the host are nobody in there, and the
        agent's own user is the host's uid 1879048192 + 65536 × index + 1000: files must be readable for it.
      '';
    };
  };

  bindOptions = {
    hostPath = mkOption {
      # Absolute and canonical, of characters that neither systemd-nspawn's command line nor a unit gives a meaning.
      type = types.strMatching "(/[.]{0,2}[A-Za-z0-9_+@=,-][A-Za-z0-9._+@=,-]*)+";
      description = ''
        The path on the host, absolute, without `.`, `..` or a slash at its end, of letters, digits and `._+@=,-`.
      '';
    };

    readOnly = mkOption {
      type = types.bool;
      default = true;
      description = "Whether the container can only read there.";
    };
  };
in
{
  imports = [
    ./options-bounds.nix
    ./options-dashboard.nix
    ./options-policy.nix
  ];

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
        worker.index = 1;
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

      index = agentOptions.index // {
        default = 0;
      };
    };

    operators = mkOption {
      type = types.listOf types.str;
      default = [ ];
      example = [ "alice" ];
      description = "The users who may operate the hive besides root: they approve what the agents propose.";
    };

    health = mkOption {
      type = types.ints.between 1 3600;
      default = 30;
      description = ''
        How many seconds an applied generation has until its first heartbeat. Without one, the generation before it runs
        again.
      '';
    };

    drain = mkOption {
      type = types.ints.between 1 3600;
      default = 60;
      description = "How many seconds a running turn may go on when its agent is to stop.";
    };

    modelApi = {
      url = mkOption {
        type = types.strMatching "https?://[^[:space:]]+";
        default = "https://api.anthropic.com";
        description = "Where the core's gateway forwards the agents' Messages API requests to.";
      };

      prices = mkOption {
        type = types.attrsOf (
          types.submodule {
            options = {
              input = price "input";
              output = price "output";
            };
          }
        );
        default = { };
        example = {
          haiku = {
            input = 1;
            output = 5;
          };
        };
        description = ''
          What a million tokens cost, by a part of the model's id; the longest that fits counts. It is what agents' budgets
          are counted by. hyperhive knows what the families haiku, sonnet, opus, fable and mythos cost; a model of no known
          price counts as the dearest. Tokens written to the prompt cache count as 1.25 of the input (2 for a cache of an
          hour), tokens read from it as 0.1; what is answered at the fast speed counts six times, a web search as a cent.
        '';
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
