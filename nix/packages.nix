# The flake's packages.
{ pkgs, ... }:
rec {
  hyperhive = pkgs.callPackage ../modules/package.nix { };
  page = pkgs.callPackage ../modules/page.nix { };
  default = hyperhive;
}
