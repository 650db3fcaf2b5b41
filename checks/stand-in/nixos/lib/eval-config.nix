# What nixpkgs has at this path, for the stand-in: it makes checks/stand-in a nixpkgs that mkAgent takes.
{
  lib,
  modules,
  system ? null,
}:
lib.evalModules {
  modules = [ ../../nixos.nix ] ++ modules;
  specialArgs.pkgs = import ../../pkgs.nix { inherit lib; };
}
