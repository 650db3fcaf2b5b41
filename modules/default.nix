# nixosModules.default: the map of the host side.
{
  imports = [
    ./options.nix # services.hyperhive.*
    ./assertions.nix # what types cannot say
    ./core.nix # hive-c0re: unit, directories, core.json
  ];
}
