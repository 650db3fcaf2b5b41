# `nix run`: the loop on this machine (`hyperhive run`), with the programs it needs on PATH.
{
  self,
  nixpkgs,
  pkgs,
  ...
}:
let
  hyperhive = pkgs.callPackage ../modules/package.nix { };
  script = pkgs.writeShellScript "hyperhive-run" ''
    export PATH=${
      pkgs.lib.makeBinPath [
        pkgs.bubblewrap
        pkgs.git
        pkgs.nix
        pkgs.shfmt
        pkgs.socat
        pkgs.util-linux
      ]
    }:$PATH HYPERHIVE_FLAKE=${self} HYPERHIVE_NIXPKGS_LIB=${nixpkgs}/lib
    exec ${hyperhive}/bin/hyperhive run "$@"
  '';
in
rec {
  run = {
    type = "app";
    program = "${script}";
    meta.description = "The whole loop on this machine; Claude Code must be on PATH";
  };
  default = run;
}
