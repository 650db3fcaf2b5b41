# What types cannot say. A message names the instance, the option and the fix.
{ config, lib, ... }:
let
  cfg = config.services.hyperhive;
  valid = name: builtins.match "[a-z][a-z0-9-]{0,30}" name != null;
  reserved = [
    "operator"
    "system"
  ];

  # Every agent with the path of its options. The manager comes first: who has its index too must change.
  declared =
    lib.optional cfg.manager.enable {
      inherit (cfg.manager) name index extraBinds;
      option = "services.hyperhive.manager";
    }
    ++ lib.mapAttrsToList (name: agent: {
      inherit name;
      inherit (agent) index extraBinds;
      option = "services.hyperhive.agents.${name}";
    }) cfg.agents;

  byIndex = builtins.groupBy (agent: toString agent.index) declared;
  free = builtins.head (builtins.filter (index: !byIndex ? ${toString index}) (builtins.genList lib.id 4094));

  ownIndex =
    agent:
    let
      first = builtins.head byIndex.${toString agent.index};
    in
    {
      assertion = first.option == agent.option;
      message = "hyperhive agent ${agent.name}: ${agent.option}.index = ${toString agent.index} is ${first.name}'s; ${toString free} is the first free number.";
    };

  # Those of the places that are `path`, hold it, or are held by it.
  touching = path: builtins.filter (place: within place path || within path place);
  within = directory: path: path == directory || lib.hasPrefix "${directory}/" path;

  # What no container may see, or change: the hive's own, root's, the host's daemons, the kernel's interfaces.
  closed = [
    "/dev"
    "/etc/nixos-containers"
    "/nix/var"
    "/proc"
    "/root"
    "/run/credentials"
    "/run/dbus"
    "/run/hyperhive"
    "/run/systemd"
    "/sys"
    "/var/lib/hyperhive"
    "/var/lib/hyperhive-root"
    "/var/lib/nixos-containers"
    "/var/run" # is /run
  ];

  # What the guest is made of.
  taken = [
    "/bin"
    "/dev"
    "/etc"
    "/hive"
    "/nix"
    "/proc"
    "/run/hive"
    "/state"
    "/sys"
    "/usr"
    "/var/lib/hive-harness"
  ];

  bind =
    agent: inside:
    { hostPath, ... }:
    let
      option = "hyperhive agent ${agent.name}: ${agent.option}.extraBinds";
      outer = touching hostPath closed;
      inner = touching inside taken;
    in
    [
      {
        # options.nix has the same rule for hostPath; the name of an attribute has no type.
        assertion = builtins.match "(/[.]{0,2}[A-Za-z0-9_+@=,-][A-Za-z0-9._+@=,-]*)+" inside != null;
        message = "${option}: ${builtins.toJSON inside} is no path to bind to; name an absolute one without `.`, `..` or a slash at its end, of letters, digits and `._+@=,-`.";
      }
      {
        assertion = inner == [ ];
        message = "${option}.\"${inside}\" would cover the container's own ${builtins.concatStringsSep " and " inner}; bind it elsewhere, such as in /srv.";
      }
      {
        assertion = outer == [ ];
        message = "${option}.\"${inside}\".hostPath = ${hostPath} would open the host's ${builtins.concatStringsSep " and " outer} to the agent; bind what it needs from elsewhere.";
      }
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
    ++ map ownIndex declared
    ++ builtins.concatMap (
      agent: builtins.concatLists (lib.mapAttrsToList (bind agent) agent.extraBinds)
    ) declared
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
