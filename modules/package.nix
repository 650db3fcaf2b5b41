# The Python package: the tool `hyperhive`, the core and the harness.
{ lib, python3Packages }:
python3Packages.buildPythonApplication {
  pname = "hyperhive";
  version = "0.1.0";
  pyproject = true;
  src = lib.fileset.toSource {
    root = ../.;
    fileset = lib.fileset.unions [
      ../pyproject.toml
      ../README.md
      ../python/hyperhive
    ];
  };
  build-system = [ python3Packages.setuptools ];
  dependencies = builtins.attrValues {
    inherit (python3Packages)
      anyio
      dbus-fast
      httptools
      httpx
      jsonschema
      mcp
      starlette
      tomli-w
      typer
      uvicorn
      uvloop
      websockets
      ;
  };
  # What a guest's Claude Code asks before each command (modules/harness-base.nix).
  postInstall = "install -Dm644 python/hyperhive/harness/hook.sh -t $out/libexec/hyperhive";
  pythonImportsCheck = [ "hyperhive" ];
  meta = {
    description = "A hive of Claude Code agents, each in an unprivileged NixOS container";
    license = lib.licenses.mit;
    mainProgram = "hyperhive";
    platforms = lib.platforms.linux;
  };
}
