# The dashboard's page, built by npm from web/. With a network, so its result has a fixed hash: page.hash, which
# `make page-hash` writes and a test compares with what the sources give.
{
  lib,
  stdenvNoCC,
  nodejs,
  cacert,
}:
stdenvNoCC.mkDerivation {
  name = "hyperhive-page";
  src = lib.fileset.toSource {
    root = ../web;
    fileset = lib.fileset.unions [
      ../web/index.html
      ../web/package.json
      ../web/package-lock.json
      ../web/tsconfig.json
      ../web/vite.config.ts
      ../web/public
      ../web/src
    ];
  };
  nativeBuildInputs = [
    nodejs
    cacert
  ];
  buildPhase = ''
    export HOME=$TMPDIR
    npm ci --ignore-scripts --no-audit --no-fund
    npx vite build --outDir "$out"
  '';
  dontInstall = true;
  dontFixup = true;
  outputHashMode = "recursive";
  outputHash = lib.fileContents ./page.hash;
  meta = {
    description = "The page of hyperhive's dashboard";
    license = lib.licenses.mit;
  };
}
