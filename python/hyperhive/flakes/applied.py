"""The applied flake: a fixed flake.nix and hive.toml, the host's say about one agent. No value is pasted into Nix."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass, field
from typing import Any

from hyperhive.errors import BadInput
from hyperhive.settings import Role, check_name

FLAKE_NIX = b"""\
# Written by hyperhive; the same for every agent. hive.toml is the host's say, agent/ the approved commit.
{
  inputs.hyperhive.url = "path:/etc/hyperhive/flake";

  outputs =
    { hyperhive, ... }:
    hyperhive.lib.mkAgent {
      hive = ./hive.toml;
      source = ./agent;
    };
}
"""


@dataclass(frozen=True)
class HiveFile:
    """What the host says about one agent. `defaults` stand below its agent.nix, `overrides` above it.

    Both have the keys of the settings, nested alike. `generation` is the number that the flake is committed as; a
    candidate has none (0).
    """

    name: str
    role: Role | str
    defaults: Mapping[str, Any] = field(default_factory=dict)
    overrides: Mapping[str, Any] = field(default_factory=dict)
    generation: int = 0

    def to_toml(self) -> bytes:
        """hive.toml. Raises BadInput for a value that TOML cannot say."""
        import tomli_w  # noqa: PLC0415  (only who writes pays)

        value: dict[str, Any] = {"name": check_name(self.name), "role": self._role()}
        if self.generation:
            value["generation"] = self.generation
        for key in ("defaults", "overrides"):
            if table := getattr(self, key):
                value[key] = dict(table)
        try:
            return tomli_w.dumps(value).encode()
        except (TypeError, ValueError) as error:
            raise BadInput(f"hive.toml of {self.name} cannot say this ({error}); leave null values out") from error

    def _role(self) -> str:
        try:
            return str(Role(self.role))
        except ValueError as error:
            raise BadInput(f"{self.role!r} is not a role: {' or '.join(Role)}") from error


def render(hive: HiveFile) -> dict[str, bytes]:
    """The files of the applied flake beside agent/, by name."""
    return {"flake.nix": FLAKE_NIX, "hive.toml": hive.to_toml()}
