# mkAgent { hive = ./hive.toml; source = ./agent; }: everything that an applied flake exports.
#
# `evaluated` (settings and their sources) and `settings` need only lib; the NixOS configurations are evaluated when
# somebody builds them. `container` is the name that nixos-container builds when none is given.
{
  evaluate,
  lib,
  nixpkgs,
}:
{ hive, source }:
let
  evaluated = evaluate {
    inherit hive;
    modules = [ (source + "/agent.nix") ];
  };
  inherit (evaluated) settings;

  guest = source + "/nixos.nix";

  # The number of the generation that this flake was committed as; a candidate has none yet.
  generation = (if builtins.isAttrs hive then hive else builtins.fromTOML (builtins.readFile hive)).generation or 0;

  system = import (nixpkgs.path + "/nixos/lib/eval-config.nix") {
    inherit lib;
    system = null;
    modules = [
      ../harness-base.nix
      {
        hyperhive.settings = settings;
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
  inherit evaluated settings;
  nixosConfigurations = {
    ${settings.name} = system;
    container = system;
  };
}
