# mkAgent: what an applied flake exports.
{ lib }:
let
  mkAgent =
    nixpkgs:
    (import ../../modules/lib ({ inherit lib; } // nixpkgs)).mkAgent {
      hive = {
        name = "bee";
        role = "agent";
      };
      source = ./agent;
    };
  whole = mkAgent {
    nixpkgs = {
      path = ../stand-in;
      system = "aarch64-linux";
    };
  };
  onlyLib = mkAgent { };
  inherit (whole.nixosConfigurations.bee) config;
in
{
  "mkAgent's settings need lib alone" = {
    expr = onlyLib.settings.model;
    expected = "opus";
  };

  "mkAgent names the system after the agent, and container for nixos-container" = {
    expr = builtins.attrNames onlyLib.nixosConfigurations;
    expected = [
      "bee"
      "container"
    ];
  };

  "a whole system without nixpkgs is told" = {
    expr = onlyLib.nixosConfigurations.container.config.networking.hostName;
    fails = "a whole system needs nixpkgs; this host's flake has only its lib";
  };

  "the system is the guest of that agent" = {
    expr = [
      config.networking.hostName
      (builtins.fromJSON config.environment.etc."hyperhive/settings.json".text == whole.settings)
      config.nixpkgs.hostPlatform
    ];
    expected = [
      "bee"
      true
      "aarch64-linux"
    ];
  };

  "nixos.nix beside agent.nix is part of the guest" = {
    expr = config.programs.git.config.user;
    expected = {
      name = "Guest";
      email = "bee@hive.local";
    };
  };

  "of the unfree packages, the guest allows Claude Code alone" = {
    expr =
      map (name: config.nixpkgs.config.allowUnfreePredicate { pname = name; }) [
        "claude-code"
        "unrar"
      ];
    expected = [
      true
      false
    ];
  };
}
