# A small stand-in for the part of nixpkgs' lib that hyperhive uses, for machines without nixpkgs: tests and `make run`.
# It is written anew and never imported by modules/; the eval tests hold it equal to the real lib in every value.
let
  lib =
    builtins
    // import ./attrsets.nix { inherit lib; }
    // import ./strings.nix { inherit lib; }
    // import ./modules.nix { inherit lib; }
    // {
      types = import ./types.nix { inherit lib; };
      inherit lib;
    };
in
builtins.removeAttrs lib [ "lib" ]
