# The flake's packages.
{ pkgs, ... }:
rec {
  hyperhive = pkgs.callPackage ../modules/package.nix { };
  default = hyperhive;
}
