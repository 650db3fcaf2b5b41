# The flake at /etc/hyperhive/flake, which every applied flake has as its only input. It has no inputs itself: beside it
# stand modules/ and nixpkgs-lib/ (nixpkgs' lib), and where whole systems are built nixpkgs.nix: { path, system } of all
# of nixpkgs, which only an impure evaluation may read. All are directories and files: nix does not follow links out of a flake.
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
