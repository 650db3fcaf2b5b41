# hyperhive as a package: its Python files, compiled as nixpkgs would, and a wrapper for each of pyproject.toml's
# scripts. Python and the libraries are the host's, below /usr. Beside a copy of this directory that has no checkout
# around it (nixos/host.nix makes one) stands `built-hyperhive`: the path of the package that was built before.
{ lib, build }:
let
  built = ./built-hyperhive;

  source = builtins.path {
    name = "hyperhive-python";
    path = ../../python/hyperhive;
    filter = path: _: !(lib.hasSuffix ".pyc" path || baseNameOf path == "__pycache__");
  };

  inherit (builtins.fromTOML (builtins.readFile ../../pyproject.toml)) project;

  wrapper =
    name: entry:
    let
      parts = lib.splitString ":" entry;
      import' = "from ${builtins.head parts} import ${lib.last parts} as main";
    in
    ''
      cat > $out/bin/${name} <<END
      #!/bin/sh
      export PYTHONPATH=$out/lib:/usr/lib/hyperhive-python
      exec /usr/bin/python3 -B -c 'import sys; sys.argv[0] = "${name}"; ${import'}; sys.exit(main())' "\$@"
      END
      chmod +x $out/bin/${name}
    '';
in
if builtins.pathExists built then
  {
    type = "derivation";
    name = "hyperhive";
    outPath = builtins.storePath (builtins.readFile built);
  }
else
  build "hyperhive-${project.version}" { } ''
    mkdir -p $out/bin $out/lib $out/libexec/hyperhive
    cp ${source}/harness/hook.sh $out/libexec/hyperhive/
    cp -r ${source} $out/lib/hyperhive
    chmod -R u+w $out/lib/hyperhive
    /usr/bin/python3 -m compileall -q --invalidation-mode unchecked-hash $out/lib/hyperhive
    ${lib.concatStrings (lib.mapAttrsToList wrapper project.scripts)}
  ''
