"""Where hive-root finds and puts things that root.json does not name."""

from __future__ import annotations

from dataclasses import dataclass
from pathlib import Path

TOMBSTONE = ".purged-"
"""What is being removed has this before its name: no agent can be called so."""


@dataclass(frozen=True)
class Places:
    """The fixed directories of a NixOS host. `own` is root's alone, and holds what must outlive every agent."""

    config: Path = Path("/etc/hyperhive/root.json")
    own: Path = Path("/var/lib/hyperhive-root")
    machines: Path = Path("/var/lib/nixos-containers")
    definitions: Path = Path("/etc/nixos-containers")
    units: Path = Path("/run/systemd/system")
    profiles: Path = Path("/nix/var/nix/profiles/per-container")
    gcroots: Path = Path("/nix/var/nix/gcroots/per-container")
    store: Path = Path("/nix/store")


def unit(name: str) -> str:
    """The systemd unit of an agent's container."""
    return f"container@{name}.service"
