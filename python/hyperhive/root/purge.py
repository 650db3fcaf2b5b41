"""`hive-root purge NAME`: remove everything of an agent that an operator destroyed with purge. Its index stays."""

from __future__ import annotations

from hyperhive.errors import Conflict, Unavailable
from hyperhive.root import indexes
from hyperhive.root.config import RootConfig
from hyperhive.root.definition import undefine
from hyperhive.root.journal import say
from hyperhive.root.places import Places, unit
from hyperhive.root.programs import container_runs, stop_container, systemctl
from hyperhive.root.record import record
from hyperhive.root.trees import bury_all, check_no_mounts, parents, remove_all


def purge(places: Places, config: RootConfig, name: str) -> None:
    """Stop the container, rename everything out of its name's way, then remove it. Safe to repeat.

    A name without an index never had a container of the hive's: a container called so is somebody else's and stays.
    Raises Forbidden with the reason, and one line for what cannot be removed.
    """
    with record(config.state_dir, config.core().uid) as hive:
        hive.check_may_purge(name)
    container = name in config.agents or name in indexes.known(places.own)
    directories = parents(places, config, container=container)
    check_no_mounts(directories, name)
    if container:
        _end_container(places, name)
    bury_all(directories, name)
    remove_all(directories, name)
    say(f"{name} is removed")


def _end_container(places: Places, name: str) -> None:
    stop_container(name)
    if container_runs(name):
        raise Conflict(f"{unit(name)} still runs; stop it, then purge again")
    if undefine(places, name) and systemctl("daemon-reload").returncode != 0:
        raise Unavailable("systemctl daemon-reload failed; run it, then purge again")
