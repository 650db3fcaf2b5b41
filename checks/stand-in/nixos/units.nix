# units { lib, pkgs } CONFIG: the files of CONFIG.systemd.{services,sockets,timers,slices,targets} below
# etc/systemd/system, as pkgs.tree takes them, rendered as NixOS renders them.
{ lib, pkgs }:
config:
let
  list = value: if builtins.isList value then value else [ value ];

  show = value: if builtins.isBool value then lib.boolToString value else toString value;

  # key = value lines; a list is a line for each element, null is none.
  assign =
    name: value:
    lib.concatStrings (map (one: "${name}=${show one}\n") (if value == null then [ ] else list value));

  section =
    name: values:
    lib.optionalString (values != { }) "[${name}]\n${lib.concatStrings (lib.mapAttrsToList assign values)}\n";

  words = {
    After = "after";
    Before = "before";
    BindsTo = "bindsTo";
    Conflicts = "conflicts";
    OnFailure = "onFailure";
    OnSuccess = "onSuccess";
    PartOf = "partOf";
    Requires = "requires";
    Requisite = "requisite";
    Wants = "wants";
  };

  triggers =
    unit:
    let
      given = unit.restartTriggers or [ ];
      text = builtins.unsafeDiscardStringContext (toString given);
    in
    if given == [ ] then null else builtins.hashString "sha256" text;

  unitSection =
    unit:
    lib.filterAttrs (_: value: value != "" && value != null) (
      {
        Description = unit.description or "";
        StartLimitIntervalSec = unit.startLimitIntervalSec or null;
        StartLimitBurst = unit.startLimitBurst or null;
        X-RestartIfChanged = if unit.restartIfChanged or true then null else false;
        X-Restart-Triggers = triggers unit;
      }
      // builtins.mapAttrs (_: option: toString (unit.${option} or [ ])) words
    )
    // unit.unitConfig or { };

  script =
    name: text:
    pkgs.writeShellScript "unit-script-${builtins.replaceStrings [ "@" ] [ "-" ] name}" "set -e\n${text}";

  scripts = {
    script = "ExecStart";
    preStart = "ExecStartPre";
    postStart = "ExecStartPost";
    reload = "ExecReload";
    preStop = "ExecStop";
    postStop = "ExecStopPost";
  };

  # What NixOS puts on every service's PATH after its own `path`.
  defaultPath = [
    pkgs.coreutils
    pkgs.findutils
    pkgs.gnugrep
    pkgs.gnused
    pkgs.systemd
  ];

  environment =
    unit:
    {
      PATH = lib.makeBinPath (unit.path or [ ] ++ defaultPath);
    }
    // unit.environment or { };

  serviceSection =
    name: unit:
    let
      written = lib.filterAttrs (option: _: unit.${option} or "" != "") scripts;
      own = lib.mapAttrs' (option: key: lib.nameValuePair key (script "${name}-${option}" unit.${option})) written;
      given = unit.serviceConfig or { };
      both = key: value: if given ? ${key} then list value ++ list given.${key} else value;
    in
    {
      Environment = lib.mapAttrsToList (key: value: builtins.toJSON "${key}=${show value}") (
        lib.filterAttrs (_: value: value != null) (environment unit)
      );
    }
    // given
    // builtins.mapAttrs both own;

  kinds = {
    services = {
      suffix = "service";
      render = name: unit: section "Service" (serviceSection name unit);
    };
    sockets = {
      suffix = "socket";
      render =
        _: unit: section "Socket" ({ ListenStream = unit.listenStreams or [ ]; } // unit.socketConfig or { });
    };
    timers = {
      suffix = "timer";
      render = _: unit: section "Timer" (unit.timerConfig or { });
    };
    slices = {
      suffix = "slice";
      render = _: unit: section "Slice" (unit.sliceConfig or { });
    };
    targets = {
      suffix = "target";
      render = _: _: "";
    };
  };

  files =
    kind: name: unit:
    let
      full = "${name}.${kind.suffix}";
      place = if (unit.overrideStrategy or "") == "asDropin" then "${full}.d/overrides.conf" else full;
      link = directory: target: {
        name = "etc/systemd/system/${target}.${directory}/${full}";
        value.link = "../${full}";
      };
      linked = directory: targets: builtins.listToAttrs (map (link directory) targets);
    in
    if !(unit.enable or true) then
      { "etc/systemd/system/${full}".link = "/dev/null"; }
    else
      { "etc/systemd/system/${place}".text = section "Unit" (unitSection unit) + kind.render name unit; }
      // linked "wants" (unit.wantedBy or [ ])
      // linked "requires" (unit.requiredBy or [ ]);

  of = option: kind: lib.mapAttrsToList (files kind) (config.systemd.${option} or { });
in
builtins.foldl' (all: some: all // some) { } (lib.flatten (lib.mapAttrsToList of kinds))
