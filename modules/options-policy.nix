# services.hyperhive.policy.*: what agents may have at most, and what an operator need not be asked about.
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
in
{
  options.services.hyperhive = {
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

      budget = {
        tokensPerDay = mkOption {
          type = types.nullOr types.ints.positive;
          default = null;
          example = 50000000;
          description = ''
            How many tokens each agent may use in a day (UTC) at most, whatever its own `budget.tokensPerDay` says; a
            proposal that asks for more is rejected. Null sets no bound.
          '';
        };

        costPerDay = mkOption {
          type = types.nullOr types.numbers.positive;
          default = null;
          example = 20;
          description = "The same in US dollars, by the prices of `modelApi.prices`. Null sets no bound.";
        };
      };

      autoApprove = mkOption {
        type = types.enum [
          "never"
          "narrowing"
        ];
        default = "never";
        example = "narrowing";
        description = ''
          Which proposals are applied without asking an operator. With `"narrowing"` those that only take something away
          from what the agent has now: a command, a tool, a host, a package, time or money. Whatever adds something, or
          changes a prompt, an identity or the guest's NixOS configuration, is always asked for. The audit log has such
          an approval as `policy:narrowing`. hive-root accepts one only while this option allows it, or to go back to a
          generation that it has run.
        '';
      };
    };
  };
}
