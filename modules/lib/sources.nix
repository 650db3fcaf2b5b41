# sources { host, hostModules, hostPriorities, identity, judged, reference }: where each setting's value comes from, as
# { "bash.allow" = "agent.nix"; … }, one word for each option of modules/agent.nix:
#
#   override    hive.toml's [overrides]
#   agent.nix   it had a part in the value: a definition of its own is the strongest, or ties with the host's
#   host        hive.toml's [defaults]
#   identity    the host's name for the agent, and what follows from it
#   default     the option's own default
#
# agent.nix is hostile, and what it can write is not believed: no value is compared, and no file or position that the
# module system names (`_file` and `key` are any module's to choose). Nor does a priority prove anything, for agent.nix
# may use the host's. The host says in `host` what it defines, so it is known which definition wins when agent.nix keeps
# out of an option. That it does is read from three things that it cannot fake:
#   - the host's modules, the first in the list, are in force: the module system's graph says for each place in the list
#     whether it was disabled. Where one is, nothing can be told apart any more and all is agent.nix's;
#   - the option is declared once, so that its type and what it applies are ours;
#   - the definition that must win is there, at its priority, and alone.
#
# What cannot be told: who gave which element of a list that both define at one priority (all is agent.nix's then); a
# definition of agent.nix that is weaker than the host's or the default's (it decides nothing, and is not shown); and a
# lib whose evalModules has no `graph`, an older nixpkgs', does not tell who is disabled: there are no sources then.
#
# It does not fail where the settings do not, and costs next to nothing: it reads only of options that are ours alone,
# and of them what their values have needed before. The graph does apply agent.nix's module functions a second time, for
# what they import and disable and no definition: only one that takes half of the evaluation's limits for that would
# notice.
{ lib }:
{
  # What hive.toml says.
  host,
  # How many modules of the host stand first in the evaluation's list.
  hostModules,
  # { default, identity }: the priorities of what the host defines.
  hostPriorities,
  # The host's definitions of the identity.
  identity,
  # The evaluation with agent.nix's modules.
  judged,
  # An evaluation without them: the options as they really are.
  reference,
}:
let
  root = [
    "hyperhive"
    "agent"
  ];

  isOption = lib.isType "option";

  # The paths of all options of a tree.
  leaves =
    path: node:
    if isOption node then
      [ path ]
    else
      builtins.concatMap (name: leaves (path ++ [ name ]) node.${name}) (builtins.attrNames node);

  # The option at that place, or no option: agent.nix may have put one of its own above it.
  optionAt = builtins.foldl' (node: name: if isOption node then { } else node.${name} or { }) judged.options;

  inForce = builtins.all (place: !place.disabled) (
    builtins.genList (builtins.elemAt judged.graph) hostModules
  );

  # Whether nobody but us and the host had a say in that option, whose winner then has that priority.
  untouched =
    priority: option:
    isOption option
    && builtins.length option.declarations == 1
    && option.highestPrio == priority
    && builtins.length option.definitionsWithLocations == 1;

  # Who decides when agent.nix does not, and at which priority.
  hostWord =
    path:
    if lib.hasAttrByPath path (host.defaults or { }) then
      {
        word = "host";
        priority = hostPriorities.default;
      }
    else if lib.hasAttrByPath path identity then
      {
        word = "identity";
        priority = hostPriorities.identity;
      }
    else
      {
        word = "default";
        inherit (lib.mkOptionDefault null) priority;
      };

  source =
    path:
    let
      expected = hostWord path;
    in
    if
      builtins.elem path [
        [ "name" ]
        [ "role" ]
      ]
    then
      "identity" # settings.nix holds them equal to the host's
    else if lib.hasAttrByPath path (host.overrides or { }) then
      "override"
    else if inForce && untouched expected.priority (optionAt (root ++ path)) then
      expected.word
    else
      "agent.nix";
in
if judged ? graph then
  builtins.listToAttrs (
    map (path: {
      name = builtins.concatStringsSep "." path;
      value = source path;
    }) (leaves [ ] (lib.getAttrFromPath root reference.options))
  )
else
  { }
