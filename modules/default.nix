# nixosModules.default: the map of the host side.
{
  imports = [
    ./options.nix # services.hyperhive.*
    ./assertions.nix # what types cannot say
    ./core.nix # hive-c0re: user, unit, core.json
    ./privileged.nix # what needs root: oneshot units, polkit, directories, root.json
    ./containers.nix # each agent -> containers.NAME
  ];
}
