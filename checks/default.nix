# The flake's checks: the evaluation tests with the locked nixpkgs' lib, and the package, which runs its imports.
{ pkgs, ... }:
let
  inherit (pkgs) lib;
  tests = import ./eval { inherit lib; };
  wrong = builtins.attrNames (
    lib.filterAttrs (
      _: test:
      if test ? fails then
        (builtins.tryEval (builtins.deepSeq test.expr true)).success
      else
        test.expr != test.expected
    ) tests
  );
in
{
  evaluation =
    if wrong == [ ] then
      pkgs.runCommand "hyperhive-evaluation" { } "echo ${toString (builtins.length (builtins.attrNames tests))} tests > $out"
    else
      throw "these evaluation tests fail: ${builtins.concatStringsSep "; " wrong}";
  package = pkgs.callPackage ../modules/package.nix { };
}
