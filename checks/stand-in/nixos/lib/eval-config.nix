# What nixpkgs has at this path, for the stand-in: it makes checks/stand-in a nixpkgs that mkAgent takes. The result's
# config.system.build.toplevel is built and boots as a container of nixos/host.nix's hosts.
{
  lib,
  modules,
  system ? null,
}:
lib.evalModules {
  modules = [
    ../../nixos.nix
    ../guest.nix
  ]
  ++ modules;
  specialArgs.pkgs = import ../../pkgs.nix { inherit lib; };
}
