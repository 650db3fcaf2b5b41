"""Where each setting of an agent comes from, as the evaluation of its flake tells it (modules/lib/sources.nix)."""

from __future__ import annotations

import functools
from collections.abc import Iterator
from enum import StrEnum
from typing import Any

from hyperhive.settings import schema


class Source(StrEnum):
    """Who decided about a setting's value."""

    OVERRIDE = "override"
    """The operator, at run time."""
    AGENT_NIX = "agent.nix"
    HOST = "host"
    """The defaults that this host's configuration has for the agent."""
    DEFAULT = "default"
    """Nobody: it is the option's own default."""
    IDENTITY = "identity"
    """The host's name for the agent and its role, and what follows from the name."""


Sources = dict[str, Source]
"""By the setting's dotted path, e.g. `bash.allow`: every setting but `schema`, or none at all when it is not known."""


@functools.cache
def paths() -> frozenset[str]:
    """The dotted paths of all settings."""
    return frozenset(_leaves("", schema())) - {"schema"}


def _leaves(prefix: str, node: dict[str, Any]) -> Iterator[str]:
    for name, child in node["properties"].items():
        if "properties" in child:
            yield from _leaves(f"{prefix}{name}.", child)
        else:
            yield f"{prefix}{name}"


def checked(value: object) -> Sources:
    """What an evaluation gave, if it has exactly the settings' paths and the known words; else {}: not known."""
    if not isinstance(value, dict) or value.keys() != paths():
        return {}
    try:
        return {path: Source(word) for path, word in value.items()}
    except ValueError:
        return {}
