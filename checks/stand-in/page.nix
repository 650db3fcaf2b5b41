# modules/page.nix, built for real by Nix without nixpkgs: its npm and shell are this machine's, its lib the few
# functions that it uses. What has to agree is the hash, and that does not depend on where the tools came from.
{ page }:
let
  inherit (builtins) any stringLength substring;
  isBelow = path: root: path == root || substring 0 (stringLength root + 1) path == "${root}/";

  lib = {
    fileContents = path: builtins.head (builtins.match "([^\n]*)\n?" (builtins.readFile path));
    licenses.mit = { };
    fileset = {
      unions = paths: paths;
      toSource =
        { root, fileset }:
        builtins.path {
          path = root;
          name = "source";
          filter = path: _: any (each: isBelow path (toString each)) fileset;
        };
    };
  };

  stdenvNoCC.mkDerivation =
    package:
    derivation {
      inherit (package)
        name
        src
        outputHashMode
        outputHash
        ;
      system = builtins.currentSystem;
      builder = "/bin/bash";
      args = [
        "-euc"
        ''
          export PATH=/usr/local/bin:/usr/bin:/bin TMPDIR=$NIX_BUILD_TOP
          cp -r "$src" "$TMPDIR/source"
          cd "$TMPDIR/source"
          chmod -R u+w .
          ${package.buildPhase}
        ''
      ];
    };
in
import page {
  inherit lib stdenvNoCC;
  nodejs = null;
  cacert = null;
}
