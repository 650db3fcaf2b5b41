# The flake at /etc/hyperhive/flake, which every applied flake has as its only input. It has no inputs itself: beside it
# stand modules/ and nixpkgs-lib/ (nixpkgs' lib), and on NixOS nixpkgs.nix: { path, system } of all of nixpkgs.
{
  description = "What this host gives to the flakes of its agents";

  outputs =
    { self, ... }:
    {
      lib = import ./modules/lib (
        {
          lib = import ./nixpkgs-lib;
        }
        // (if builtins.pathExists ./nixpkgs.nix then { nixpkgs = import ./nixpkgs.nix; } else { })
      );
    };
}
