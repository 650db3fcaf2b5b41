# Every option of services.hyperhive refuses what it must: one case per rule.
{ lib }:
let
  inherit (import ./tools.nix { inherit lib; }) host;

  cases = {
    enable = [ "yes" ];
    "policy.models" = [
      "haiku"
      [ 3 ]
    ];
    "policy.budget.tokensPerDay" = [
      0
      2.5
    ];
    "policy.budget.costPerDay" = [
      0
      "5"
    ];
    "modelApi.prices" = [
      [ ]
      {
        haiku.input = 0;
        haiku.output = 1;
      }
    ];
    "policy.autoApprove" = [ "always" ];
    "broker.maxPending" = [ 0 ];
    "broker.retention" = [ 0 ];
    "broker.maxRows" = [ 0 ];
    "broker.maxHops" = [ 0 ];
    "broker.edgePerMinute" = [ 0 ];
    "broker.agentPerMinute" = [ 0.5 ];
    "history.retention" = [ 3651 ];
    "history.maxTurns" = [ 0 ];
    "history.maxEvents" = [ 31 ];
    "history.maxProposals" = [ "all" ];
    "history.usage" = [ 0 ];
    "dashboard.port" = [ 65536 ];
    "dashboard.hosts" = [
      "hive.example.org"
      [ "hive.example.org:443" ]
      [ "https://hive.example.org" ]
      [ "-hive" ]
    ];
    "dashboard.proxy.user" = [ 33 ];
    "dashboard.proxy.header" = [
      ""
      "X User"
    ];
    "dashboard.terminalIdle" = [
      59
      86401
    ];
    "dashboard.page" = [ "page" ];
    operators = [
      "alice"
      [ 1000 ]
    ];
    "modelApi.url" = [
      "ftp://x"
      "https://"
    ];
    "modelApi.keyFile" = [ "key" ];
    health = [
      0
      3601
      "30"
      null
    ];
    drain = [
      0
      3601
      1.5
    ];
    "manager.name" = [
      "Boss"
      "a_b"
      ""
    ];
    "manager.index" = [
      (-1)
      4094
    ];
    "agents.worker.autoStart" = [ "yes" ];
    "agents.worker.index" = [
      (-1)
      4094
      "1"
      null
      1.0
    ];
    "agents.worker.nixDaemon" = [
      1
      "true"
    ];
    "agents.worker.resources.memoryMax" = [
      2048
      "2GB"
      "0"
      "2 G"
      "-1"
      "100%"
      "infinity"
      "2G\n"
      null
    ];
    "agents.worker.resources.tasksMax" = [
      0
      "1024"
      "infinity"
      null
    ];
    "agents.worker.resources.cpuQuota" = [
      150
      "150"
      "0%"
      "%"
      "1.5%"
      "50% x"
    ];
    "agents.worker.extraBinds" = [
      [ "/srv" ]
      "/srv"
    ];
    "agents.worker.extraBinds./srv.readOnly" = [ "no" ];
    "agents.worker.extraBinds./srv.hostPath" = [
      ""
      "/"
      "srv"
      "./srv"
      "/srv/"
      "/srv//x"
      "//srv"
      "/srv/."
      "/srv/.."
      "/srv/../etc"
      "/srv/x:/etc"
      "/srv/x:idmap"
      "/srv/a b"
      "/srv/a\tb"
      "/srv/a\nb"
      "/srv/*"
      "/srv/a?b"
      "/srv/[ab]"
      "/srv/$HOME"
      "/srv/`id`"
      "/srv/\"x"
      "/srv/'x"
      "/srv/a\\b"
      "/srv/%n"
      "/srv/~"
      "+/srv"
      3
      null
    ];
  };

  # The names inside agents.worker hold dots and slashes of their own only after the last of ours.
  path = option: builtins.filter (part: part != "") (lib.splitString "." option);

  evaluated =
    option: value:
    lib.getAttrFromPath (path option)
      (host { services.hyperhive = lib.setAttrByPath (path option) value; }).services.hyperhive;

  # A bind needs its hostPath before its other options are looked at.
  expression =
    option: value:
    if option == "agents.worker.extraBinds./srv.readOnly" then
      (host {
        services.hyperhive.agents.worker.extraBinds."/srv" = {
          hostPath = "/srv";
          readOnly = value;
        };
      }).services.hyperhive.agents.worker.extraBinds
    else
      evaluated option value;

  negative = option: index: value: {
    name = "services.hyperhive.${option} refuses case ${toString index}: ${builtins.toJSON value}";
    value = {
      expr = expression option value;
      # nixpkgs quotes a name such as "/srv".
      fails = "services.hyperhive.${builtins.replaceStrings [ "/srv" ] [ "\"?/srv\"?" ] option}.* is not of type";
    };
  };

  good = {
    index = 4093;
    nixDaemon = true;
    resources = {
      memoryMax = "75%";
      tasksMax = 1;
      cpuQuota = "150%";
    };
    extraBinds."/srv/reports".hostPath = "/srv/.hidden/..data/a_b+c@d=e,f-1.0";
  };
in
builtins.listToAttrs (
  builtins.concatMap (option: lib.imap0 (negative option) cases.${option}) (builtins.attrNames cases)
)
// {
  "an unknown option of an agent is an error" = {
    expr = (host { services.hyperhive.agents.worker.modle = "x"; }).services.hyperhive.agents;
    fails = "services.hyperhive.agents.worker.modle' does not exist";
  };

  "an unknown option of a bind is an error" = {
    expr =
      (host { services.hyperhive.agents.worker.extraBinds."/srv".idmap = true; }).services.hyperhive.agents;
    fails = "services.hyperhive.agents.worker.extraBinds.\"?/srv\"?.idmap' does not exist";
  };

  "an agent without an index is an error" = {
    expr = (host { services.hyperhive.agents.worker = { }; }).services.hyperhive.agents.worker.index;
    fails = "services.hyperhive.agents.worker.index' was accessed but has no value defined";
  };

  "every option of an agent set" = {
    expr = (host { services.hyperhive.agents.worker = good; }).services.hyperhive.agents.worker;
    expected = lib.recursiveUpdate good {
      autoStart = true;
      defaults = { };
      extraBinds."/srv/reports".readOnly = true;
    };
  };

  "every default of the manager" = {
    expr = (host { }).services.hyperhive.manager;
    expected = {
      enable = true;
      name = "manager";
      autoStart = true;
      defaults = { };
      index = 0;
      nixDaemon = false;
      resources = {
        memoryMax = "2G";
        tasksMax = 1024;
        cpuQuota = null;
      };
      extraBinds = { };
    };
  };
}
