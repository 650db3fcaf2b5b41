{
  description = "A NixOS host with a hive";

  inputs.nixpkgs.url = "github:NixOS/nixpkgs/nixos-26.05";
  # Where you have hyperhive from: a checkout, or your own mirror of it.
  inputs.hyperhive.url = "path:/etc/nixos/hyperhive";
  inputs.hyperhive.inputs.nixpkgs.follows = "nixpkgs";

  outputs =
    { nixpkgs, hyperhive, ... }:
    {
      nixosConfigurations.host = nixpkgs.lib.nixosSystem {
        modules = [
          hyperhive.nixosModules.default
          ./configuration.nix
          ./hive.nix
        ];
      };
    };
}
