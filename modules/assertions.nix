# What types cannot say. A message names the instance, the option and the fix.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  valid = name: builtins.match "[a-z][a-z0-9-]{0,30}" name != null;
  reserved = [
    "operator"
    "system"
  ];
in
{
  config.assertions = lib.optionals cfg.enable (
    lib.mapAttrsToList (name: _: {
      assertion = valid name;
      message = "hyperhive agent ${name}: services.hyperhive.agents.${name} is no agent name; use a-z, 0-9 and -, a letter first, at most 31 characters.";
    }) cfg.agents
    ++ lib.mapAttrsToList (name: _: {
      assertion = !builtins.elem name reserved;
      message = "hyperhive agent ${name}: services.hyperhive.agents.${name} is a mailbox of the hive itself; choose another name.";
    }) cfg.agents
    ++ [
      {
        assertion = !(cfg.manager.enable && cfg.agents ? ${cfg.manager.name});
        message = "hyperhive agent ${cfg.manager.name}: services.hyperhive.manager.name and services.hyperhive.agents both have it; rename one.";
      }
      {
        assertion = cfg.modelApi.keyFile == null || !lib.hasPrefix builtins.storeDir cfg.modelApi.keyFile;
        message = "hyperhive: services.hyperhive.modelApi.keyFile is in the Nix store, where everybody can read it; name a file outside.";
      }
    ]
  );
}
