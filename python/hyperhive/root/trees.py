"""What an agent has on disk, as trees to remove."""

from __future__ import annotations

from pathlib import Path

from hyperhive.errors import Conflict, HyperhiveError, NotFound
from hyperhive.root.config import RootConfig
from hyperhive.root.directories import opened
from hyperhive.root.journal import say
from hyperhive.root.mounts import mounts_below
from hyperhive.root.places import Places
from hyperhive.root.removal import bury, remove_buried


def parents(places: Places, config: RootConfig, *, container: bool) -> list[Path]:
    """The directories in which an agent's trees are, called NAME; the container's too if it is the hive's."""
    hive = [config.state_dir / kind for kind in ("agents", "configs", "applied", "systems")]
    hive.append(config.runtime_dir / "agents")
    return [*hive, places.machines, places.profiles, places.gcroots] if container else hive


def check_no_mounts(directories: list[Path], name: str) -> None:
    """That nothing is mounted in any of the trees, before the first is touched. Raises Conflict."""
    for parent in directories:
        if mounts := mounts_below(parent / name):
            raise Conflict(f"{mounts[0]} is a mount point; unmount it, and nothing of it will be removed")


def bury_all(directories: list[Path], name: str) -> None:
    """Take its name from every tree: whoever is called so next finds nothing."""
    for parent in directories:
        try:
            with opened(parent) as directory:
                bury(directory, name)
        except NotFound:
            continue


def remove_all(directories: list[Path], name: str) -> None:
    """Remove what is buried."""
    for parent in directories:
        try:
            with opened(parent) as directory:
                remove_buried(directory, name)
        except NotFound:
            continue


def finish_removals(places: Places, config: RootConfig, name: str) -> None:
    """Remove what an interrupted purge left buried. Nothing of it is in the way, so what fails is only told."""
    for parent in parents(places, config, container=True):
        try:
            remove_all([parent], name)
        except HyperhiveError as error:
            say(f"left for the next purge: {error}")
