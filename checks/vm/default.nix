# The VM tests for NixOS' own driver: each testScript NAME.py with one host (and NAME.nix, where there is one), as checks/driver runs it on Debian.
#
# The disk holds a real store: agents' containers bind it with mapped ids, which neither 9p nor an overlay can, and an
# apply builds in it.
{ pkgs, modules }:
let
  inherit (pkgs) lib;
  named = map (builtins.match "(.*)[.]py") (builtins.attrNames (builtins.readDir ./.));
  names = builtins.concatLists (builtins.filter (found: found != null) named);

  host = name: {
    imports = [
      modules.default
      ./host.nix
    ]
    ++ lib.optional (builtins.pathExists (./. + "/${name}.nix")) (./. + "/${name}.nix");
    virtualisation.memorySize = 4096;
    virtualisation.diskSize = 16384;
    virtualisation.useBootLoader = true;
    virtualisation.mountHostNixStore = false;
    virtualisation.writableStore = true;
    # What a guest's system is built from, since the machine has no network.
    system.extraDependencies = [
      pkgs.claude-code
      pkgs.stdenv
    ];
    nix.settings.substituters = lib.mkForce [ ];
  };

  test =
    name:
    lib.nameValuePair "vm-${name}" (
      pkgs.testers.runNixOSTest {
        inherit name;
        nodes.host = host name;
        testScript = builtins.readFile (./. + "/${name}.py");
      }
    );
in
builtins.listToAttrs (map test names)
