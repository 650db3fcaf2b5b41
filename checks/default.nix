# The flake's checks: the evaluation tests with the locked nixpkgs' lib, and the package, which runs its imports.
# What must fail is tried by python/tests/test_nix_modules.py, which sees the messages; Nix cannot catch every error.
{ pkgs, ... }:
let
  inherit (pkgs) lib;
  tests = import ./eval { inherit lib; };
  positive = lib.filterAttrs (_: test: !(test ? fails)) tests;
  wrong = builtins.attrNames (lib.filterAttrs (_: test: test.expr != test.expected) positive);
in
{
  evaluation =
    if wrong == [ ] then
      pkgs.runCommand "hyperhive-evaluation" { } "echo ${toString (builtins.length (builtins.attrNames positive))} tests > $out"
    else
      throw "these evaluation tests fail: ${builtins.concatStringsSep "; " wrong}";
  package = pkgs.callPackage ../modules/package.nix { };
}
