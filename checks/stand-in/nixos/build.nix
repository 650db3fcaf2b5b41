# What a system's evaluation gives to those who build it: system.build.<name>, and none of it if an assertion fails.
{ config, lib, ... }:
let
  failed = map (assertion: assertion.message) (builtins.filter (assertion: !assertion.assertion) config.assertions);
in
{
  options.system.build = lib.mkOption {
    type = lib.types.attrsOf lib.types.unspecified;
    default = { };
    apply =
      built:
      if failed == [ ] then
        built
      else
        throw "\nFailed assertions:\n${lib.concatMapStringsSep "\n" (message: "- ${message}") failed}";
  };
}
