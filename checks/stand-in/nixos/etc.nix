# etc { lib, pkgs } CONFIG: what guests and hosts have below etc/ alike, as pkgs.tree takes it.
{ lib, pkgs }:
config:
let
  file =
    entry: if entry.source or null != null then { link = "${entry.source}"; } else { inherit (entry) text; };
  git = config.programs.git;
in
lib.mapAttrs' (name: entry: lib.nameValuePair "etc/${name}" (file entry)) config.environment.etc
// lib.optionalAttrs git.enable { "etc/gitconfig".text = lib.generators.toGitINI git.config; }
// import ./units.nix { inherit lib pkgs; } config
// {
  "etc/tmpfiles.d/00-nixos.conf".text = lib.concatStrings (map (rule: "${rule}\n") config.systemd.tmpfiles.rules);
}
