# The flake's checks: the evaluation tests with the locked nixpkgs' lib, the reference of the options with the same, and
# the package, which runs its imports.
# The VM tests (checks/vm) are here too; checks/driver runs the same scripts on Debian.
# What must fail is tried by python/tests/test_nix_modules.py, which sees the messages; Nix cannot catch every error.
{ self, pkgs, ... }:
let
  inherit (pkgs) lib;
  tests = import ./eval { inherit lib; };
  positive = lib.filterAttrs (_: test: !(test ? fails)) tests;
  python = pkgs.python3.withPackages (_: [ ]);
  declared = pkgs.writeText "options.json" (builtins.toJSON (import ./options.nix { inherit lib; }));
  wrong = builtins.attrNames (lib.filterAttrs (_: test: test.expr != test.expected) positive);
in
{
  evaluation =
    if wrong == [ ] then
      pkgs.runCommand "hyperhive-evaluation" { } "echo ${toString (builtins.length (builtins.attrNames positive))} tests > $out"
    else
      throw "these evaluation tests fail: ${builtins.concatStringsSep "; " wrong}";
  options = pkgs.runCommand "hyperhive-options" { } ''
    ${python}/bin/python3 ${self}/tools/options --check --from ${declared}
    touch $out
  '';
  package = pkgs.callPackage ../modules/package.nix { };
}
// import ./vm {
  inherit pkgs;
  modules = self.nixosModules;
}
