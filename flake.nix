{
  description = "A hive of Claude Code agents on NixOS, each in an unprivileged container declared by a small flake";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";

  outputs =
    { self, nixpkgs, ... }:
    let
      perSystem = import ./nix/per-system.nix { inherit self nixpkgs; };
    in
    {
      nixosModules = import ./nix/modules.nix;
      lib = import ./nix/lib.nix { inherit nixpkgs; };
      packages = perSystem ./nix/packages.nix;
      apps = perSystem ./nix/apps.nix;
      checks = perSystem ./checks;
      devShells = perSystem ./nix/dev-shells.nix;
      formatter = perSystem ./nix/formatter.nix;
      templates = import ./templates;
    };
}
