# mkAgent { hive = ./hive.toml; source = ./agent; }: everything that an applied flake exports.
#
# `settings` needs only lib; the NixOS configurations are evaluated when somebody builds them. `container` is the name
# that nixos-container builds when none is given.
{
  lib,
  nixpkgs,
  settings,
}:
{ hive, source }:
let
  agentSettings = settings {
    inherit hive;
    modules = [ (source + "/agent.nix") ];
  };

  guest = source + "/nixos.nix";

  # The number of the generation that this flake was committed as; a candidate has none yet.
  generation = (if builtins.isAttrs hive then hive else builtins.fromTOML (builtins.readFile hive)).generation or 0;

  system = import (nixpkgs.path + "/nixos/lib/eval-config.nix") {
    inherit lib;
    system = null;
    modules = [
      ../harness-base.nix
      {
        hyperhive.settings = agentSettings;
        hyperhive.generation = generation;
        nixpkgs.hostPlatform = lib.mkDefault nixpkgs.system;
        # Without Claude Code, which is unfree, there is no agent; nothing else unfree comes in by itself.
        nixpkgs.config.allowUnfreePredicate = package: lib.getName package == "claude-code";
      }
    ]
    ++ lib.optional (builtins.pathExists guest) guest;
  };
in
{
  settings = agentSettings;
  nixosConfigurations = {
    ${agentSettings.name} = system;
    container = system;
  };
}
