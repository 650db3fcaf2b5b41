"""`hive-root stop NAME`: stop an agent's container, and no other container of the host."""

from __future__ import annotations

from hyperhive.errors import NotFound
from hyperhive.root import indexes
from hyperhive.root.config import RootConfig
from hyperhive.root.places import Places
from hyperhive.root.programs import stop_container


def stop(places: Places, config: RootConfig, name: str) -> None:
    """Stop it and wait for its end. Raises NotFound for a name that never was an agent's, Unavailable if it failed."""
    if name not in config.agents and name not in indexes.known(places.own):
        raise NotFound(f"{name} is no agent of this hive: it is not declared and was never prepared")
    stop_container(name)
