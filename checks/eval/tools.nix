# What the tests share.
{ lib }:
let
  hyperhive = import ../../modules/lib { inherit lib; };
  evaluate = import ../../modules/lib/settings.nix { inherit lib; };
in
rec {
  inherit hyperhive;

  # The settings of an agent.nix given as a module, with hive.toml as text.
  settingsOf =
    toml: module:
    hyperhive.settings {
      hive = builtins.fromTOML toml;
      modules = [ module ];
    };

  # The same as { settings, sources }.
  evaluatedOf =
    toml: module:
    evaluate {
      hive = builtins.fromTOML toml;
      modules = [ module ];
    };

  plain = ''
    name = "worker"
    role = "agent"
  '';

  agent = module: settingsOf plain { hyperhive.agent = module; };

  pkgs = import ../stand-in/pkgs.nix { inherit lib; };

  guest =
    settings: module:
    (lib.evalModules {
      modules = [
        ../stand-in/nixos.nix
        ../../modules/harness-base.nix
        { hyperhive.settings = settings; }
        module
      ];
      specialArgs = { inherit pkgs; };
    }).config;

  host =
    module:
    (lib.evalModules {
      modules = [
        ../stand-in/nixos.nix
        ../../modules
        { services.hyperhive.package = pkgs.git; }
        module
      ];
      specialArgs = { inherit pkgs; };
    }).config;
}
