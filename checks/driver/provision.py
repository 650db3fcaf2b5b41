"""Makes a booted Debian host a hive's: Nix builds it from the modules, inside the machine, and it is activated."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Protocol

SOURCE = "/hyperhive"
_OPTIONS = "--no-out-link --option sandbox false --option build-users-group '' --option substituters ''"


class Shell(Protocol):
    """What provisioning needs of a machine."""

    def succeed(self, *commands: str) -> str:
        """Run commands that must succeed."""


def provision(machine: Shell, modules: list[Path]) -> None:
    """Build and activate the host of these NixOS modules (files in the checkout's checks/vm)."""
    inside = " ".join(f"{SOURCE}/checks/vm/{module.name}" for module in modules)
    host = f"(import {SOURCE}/checks/stand-in/nixos/host.nix {{ modules = [ {inside} ]; }}).config.system.build.host"
    built = machine.succeed(f"nix-build {_OPTIONS} --expr {json.dumps(host)} 2>/tmp/build.log").strip()
    machine.succeed(f"{built}/bin/switch-to-configuration test")
