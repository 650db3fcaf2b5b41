# perSystem FILE: what FILE gives for each system that hyperhive runs on.
{ self, nixpkgs }:
file:
nixpkgs.lib.genAttrs
  [
    "x86_64-linux"
    "aarch64-linux"
  ]
  (
    system:
    import file {
      inherit self nixpkgs;
      pkgs = nixpkgs.legacyPackages.${system};
    }
  )
