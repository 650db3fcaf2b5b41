# Every option of hyperhive.agent refuses what it must: one case per rule.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) agent;

  cases = {
    model = [
      3
      ""
      "a b"
      "x(y"
      [ "haiku" ]
    ];
    fallbackModel = [
      3
      "a b"
    ];
    "bash.allow" = [
      "git *"
      [ 3 ]
      [ "" ]
      [ "a(b" ]
      [ "a\nb" ]
    ];
    "bash.deny" = [
      "git *"
      [ "a)b" ]
    ];
    "tools.allow" = [
      "Read"
      [ "read" ]
      [ "Read(x)" ]
    ];
    "tools.deny" = [ [ 1 ] ];
    prompt = [
      3
      [ "x" ]
    ];
    "git.name" = [
      ""
      "a<b"
      "a\nb"
      3
    ];
    "git.email" = [
      "nobody"
      "a b@c"
      "a@b@c"
      3
    ];
    packages = [
      "ripgrep"
      [ "a b" ]
      [ "../x" ]
      [ "" ]
    ];
    "notes.enable" = [
      "yes"
      1
    ];
    "notes.maxBytes" = [
      1023
      1048577
      "1024"
    ];
    "session.turnTimeout" = [
      9
      86401
      1.5
    ];
    "session.maxTurns" = [
      0
      1001
      null
    ];
    "session.compactAt" = [
      9999
      2000001
    ];
    "budget.tokensPerDay" = [
      0
      1.5
    ];
    "budget.costPerDay" = [
      0
      (-1)
      "5"
    ];
    "network.allow" = [
      "a:1"
      [ "a" ]
      [ "a:b" ]
      [ "a b:1" ]
      [ "a:123456" ]
    ];
  };

  negative = option: index: value: {
    name = "hyperhive.agent.${option} refuses case ${toString index}: ${builtins.toJSON value}";
    value = {
      expr = agent (lib.setAttrByPath (lib.splitString "." option) value);
      fails = "hyperhive.agent.${option}.* is not of type";
    };
  };
in
builtins.listToAttrs (
  builtins.concatMap (option: lib.imap0 (negative option) cases.${option}) (builtins.attrNames cases)
)
