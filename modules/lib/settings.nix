# settings { hive = ./hive.toml; modules = [ ./agent.nix ]; }: the JSON value of one agent's settings.
#
# Precedence: hive.toml's [overrides] > the modules (agent.nix) > hive.toml's [defaults] > the options' defaults. The
# overrides are the operator's: they are laid over the evaluated modules, so no priority in agent.nix can beat them, and
# evaluated with the options once more, so their types hold.
{ lib }:
{ hive, modules }:
let
  # A path, or what such a file parses to.
  host = if builtins.isAttrs hive then hive else builtins.fromTOML (builtins.readFile hive);

  known = [
    "name"
    "role"
    "defaults"
    "overrides"
  ];

  unknown = builtins.filter (key: !builtins.elem key known) (builtins.attrNames host);

  # Every leaf of an attribute set with mkDefault, so that a module may set any of them.
  defaultLeaves = lib.mapAttrsRecursive (_: value: lib.mkDefault value);

  identity = {
    hyperhive.agent = {
      inherit (host) name role;
      git.name = lib.mkOverride 1400 host.name;
      git.email = lib.mkOverride 1400 "${host.name}@hive.local";
    };
  };

  evaluate =
    extra:
    (lib.evalModules {
      modules = [
        ../agent.nix
        identity
      ]
      ++ extra;
    }).config.hyperhive.agent;

  judged = evaluate ([ { hyperhive.agent = defaultLeaves (host.defaults or { }); } ] ++ modules);

  # Only the overrides, to check their types and names; what they do not say is not read from here.
  overrides = evaluate [ { hyperhive.agent = host.overrides or { }; } ];

  overlaid = lib.recursiveUpdate judged (lib.mapAttrsRecursive (path: _: lib.getAttrFromPath path overrides) (host.overrides or { }));
in
if unknown != [ ] then
  throw "hive.toml: unknown key ${builtins.head unknown}"
else
  # What agent.nix says is checked even where an override hides it.
  builtins.deepSeq judged ({ schema = 1; } // overlaid)
