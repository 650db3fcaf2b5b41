# evaluate { hive = ./hive.toml; modules = [ ./agent.nix ]; }: { settings, sources } of one agent: the JSON value of its
# settings, and where each of them comes from (sources.nix).
#
# Precedence: hive.toml's [overrides] > the modules (agent.nix) > hive.toml's [defaults] > the options' defaults. The
# overrides are the operator's: they are laid over the evaluated modules, so no priority in agent.nix can beat them, and
# evaluated with the options once more, so their types hold.
#
# The modules are hostile. Whatever they do to the module system (add to our options' declarations, disable our modules),
# the result has the host's name, role and overrides, and exactly the keys of modules/agent.nix, or there is none.
{ lib }:
{ hive, modules }:
let
  # A path, or what such a file parses to.
  host = if builtins.isAttrs hive then hive else builtins.fromTOML (builtins.readFile hive);

  required = [
    "name"
    "role"
  ];

  known = required ++ [
    "defaults"
    "generation" # mkAgent's
    "overrides"
  ];

  missing = builtins.filter (key: !host ? ${key}) required;

  unknown = builtins.filter (key: !builtins.elem key known) (builtins.attrNames host);

  # Below everything that a module may say, mkDefault too, and above the options' own defaults.
  hostPriorities = {
    default = 1250;
    identity = 1400;
  };

  defaultLeaves = lib.mapAttrsRecursive (_: lib.mkOverride hostPriorities.default);

  identity = {
    inherit (host) name role;
    git.name = lib.mkOverride hostPriorities.identity host.name;
    git.email = lib.mkOverride hostPriorities.identity "${host.name}@hive.local";
  };

  evaluate =
    extra:
    lib.evalModules {
      modules = [
        ../agent.nix
        { hyperhive.agent = identity; }
      ]
      ++ extra;
    };

  modulesSay = evaluate ([ { hyperhive.agent = defaultLeaves (host.defaults or { }); } ] ++ modules);
  judged = modulesSay.config.hyperhive.agent;

  # Only the overrides, to check their types and names; what they do not say is not read from here.
  operatorSays = evaluate [ { hyperhive.agent = host.overrides or { }; } ];
  override = path: _: lib.getAttrFromPath path operatorSays.config.hyperhive.agent;
  overlaid = lib.recursiveUpdate judged (lib.mapAttrsRecursive override (host.overrides or { }));

  # What can be set, as a tree of names, and whether a name that is not there is an error.
  keys = value: if builtins.isAttrs value then builtins.mapAttrs (_: keys) value else null;
  rules = evaluated: {
    names = keys evaluated.config;
    strict = evaluated._module.check or true;
  };

  settings =
    # What agent.nix says is checked even where an override hides it.
    builtins.deepSeq judged ({ schema = 1; } // overlaid);

  sources = import ./sources.nix { inherit lib; } {
    inherit host hostPriorities identity;
    hostModules = 3; # agent.nix's options, the identity, the defaults
    judged = modulesSay;
    reference = operatorSays;
  };
in
if missing != [ ] then
  throw "hive.toml: ${builtins.head missing} is missing"
else if unknown != [ ] then
  throw "hive.toml: unknown key ${builtins.head unknown}"
else if judged.name != host.name || judged.role != host.role then
  throw "agent.nix: name and role are the host's to say, through hive.toml; leave them out"
else if rules modulesSay != rules operatorSays then
  throw "agent.nix: it may set the options of hyperhive.agent and nothing else; it must not declare or disable any"
else
  { inherit settings sources; }
