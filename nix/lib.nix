# The flake's lib: mkAgent and settings, with the locked nixpkgs.
{ nixpkgs }:
import ../modules/lib {
  inherit (nixpkgs) lib;
  nixpkgs = {
    path = nixpkgs.outPath;
    system = "x86_64-linux";
  };
}
