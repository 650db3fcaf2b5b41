# services.hyperhive.broker.* and .history.*: how much the hive takes and keeps.
{ lib, ... }:
let
  inherit (lib) mkOption types;
in
{
  options.services.hyperhive = {
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

      maxHops = mkOption {
        type = types.ints.between 1 1000;
        default = 16;
        description = ''
          How many answers in a row an exchange between agents may have. What goes beyond is parked, and the operator
          told, who lets it go on with `hyperhive debug dead-letters requeue`; a word from the operator in between
          begins the count anew.
        '';
      };

      edgePerMinute = mkOption {
        type = types.ints.between 1 1000000;
        default = 60;
        description = "How many messages a minute one agent may send to one other; half as many may come at once.";
      };

      agentPerMinute = mkOption {
        type = types.ints.between 1 1000000;
        default = 240;
        description = "How many messages a minute an agent may send to all others together; half as many may come at once.";
      };
    };

    history = {
      retention = mkOption {
        type = types.ints.between 1 3650;
        default = 30;
        description = ''
          How many days turns and their events, proposals that came to nothing and the others' logs are kept. What
          became a generation is kept for ever, and so is the audit log.
        '';
      };

      maxTurns = mkOption {
        type = types.ints.between 1 1000000;
        default = 1000;
        description = "How many turns are kept per agent.";
      };

      maxEvents = mkOption {
        type = types.ints.between 32 1000000;
        default = 256;
        description = "How many MiB the events of an agent's turns take at most; those of the oldest turns go first.";
      };

      maxProposals = mkOption {
        type = types.ints.between 1 1000000;
        default = 1000;
        description = "How many proposals, and their logs, are kept besides those that became a generation.";
      };

      usage = mkOption {
        type = types.ints.between 1 3650;
        default = 400;
        description = "How many days it is kept how many tokens each agent used of which model.";
      };
    };
  };
}
