# `nix develop`: what the tests and the linters need.
{ pkgs, ... }:
{
  default = pkgs.mkShell {
    packages = [
      (pkgs.python3.withPackages (
        python: pkgs.lib.attrValues {
          inherit (python)
            anyio
            dbus-fast
            httptools
            httpx
            hypothesis
            jsonschema
            mcp
            mypy
            pytest
            ruff
            starlette
            tomli-w
            typer
            types-jsonschema
            uvicorn
            uvloop
            ;
        }
      ))
      pkgs.bubblewrap
      pkgs.git
      pkgs.nixfmt
      pkgs.shfmt
      pkgs.socat
      pkgs.util-linux
    ];
  };
}
