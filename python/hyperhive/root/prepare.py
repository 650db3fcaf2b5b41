"""`hive-root prepare NAME`: what an agent's container needs before it starts. Every run repairs what it finds."""

from __future__ import annotations

import os

from hyperhive.errors import Conflict, HyperhiveError, NotFound, Unavailable
from hyperhive.root import definition, indexes
from hyperhive.root.acl import share
from hyperhive.root.config import RootConfig, agent_uid, is_agents, same_range
from hyperhive.root.directories import Owner, made, opened
from hyperhive.root.journal import say
from hyperhive.root.ownership import give
from hyperhive.root.places import Places
from hyperhive.root.programs import systemctl
from hyperhive.root.record import record
from hyperhive.root.trees import finish_removals


def prepare(places: Places, config: RootConfig, name: str) -> None:
    """Index, directories, owners and, for an agent made at run time, the container's definition.

    Raises HyperhiveError: an agent that the hive does not have, a container of somebody else's, an index of another
    agent's, a path that is not what it should be.
    """
    core = config.core()
    with record(config.state_dir, core.uid) as hive:
        if name not in config.agents and not hive.exists(name):
            raise NotFound(f"the hive has no agent {name}, neither in its database nor declared")
        manager, agents = hive.manager(), hive.names()
    index = _index(places, config, name)
    finish_removals(places, config, name)
    _directories(config, name, core, agent_uid(index))
    _root_directories(places, name)
    keeper = _keeper(places, config, manager, core)
    _config_repository(config, name, keeper, core)
    if name == manager:
        _other_repositories(config, [agent for agent in agents if agent != name], keeper, core)
    _define(places, config, name, index, manager=name == manager)
    say(f"{name} is prepared: index {index}")


def _index(places: Places, config: RootConfig, name: str) -> int:
    """The agent's index; before a new name gets one, nobody else's container may have that name."""
    if name not in config.agents and name not in indexes.known(places.own):
        definition.check_not_foreign(places, name)
        if os.path.lexists(places.machines / name):
            raise Conflict(f"{places.machines / name} is a container that is not the hive's; name the agent otherwise")
    return indexes.claim(places.own, name, config.agents)


def _directories(config: RootConfig, name: str, core: Owner, agent: int) -> None:
    """What the core and the container share; only `state` is the agent's."""
    with made(config.state_dir, core, 0o700) as top:
        for parent, mode in (("applied", 0o700), ("systems", 0o755), ("configs", 0o755)):
            with top.made(parent, core, mode) as directory, directory.made(name, core, mode):
                pass
        with (
            top.made("agents", core, 0o700) as agents,
            agents.made(name, core, 0o711) as home,
            home.made("state", Owner(agent, agent), 0o770, takes=lambda uid: uid == core.uid) as state,
        ):
            share(state, core.uid)
    with (
        made(config.runtime_dir, core, 0o755) as runtime,
        runtime.made("agents", core, 0o700) as sockets,
        sockets.made(name, core, 0o755),
    ):
        pass


def _root_directories(places: Places, name: str) -> None:
    """What is root's; the container sees its profile, read-only."""
    root = Owner(os.geteuid(), os.getegid())
    with made(places.machines, root, 0o700):
        pass
    with made(places.profiles, root, 0o755) as profiles, profiles.made(name, root, 0o755):
        pass


def _keeper(places: Places, config: RootConfig, manager: str | None, core: Owner) -> Owner:
    """Who owns the config repositories: the manager's own user, or the core as long as there is no manager."""
    if manager is None:
        return core
    index = (
        indexes.claim(places.own, manager, config.agents)
        if manager in config.agents
        else indexes.known(places.own).get(manager)
    )
    return core if index is None else Owner(agent_uid(index), core.gid)


def _config_repository(config: RootConfig, name: str, keeper: Owner, core: Owner) -> None:
    """Give an agent's config repository, whatever is in it, to the keeper."""

    def ours(uid: int) -> bool:
        return uid == core.uid or is_agents(uid)

    with opened(config.state_dir) as top, top.child("configs") as configs, configs.child(name) as parent:
        if parent.status("config") is None:
            raise NotFound(f"{name} has no config repository: there is no {parent.path}/config; the core makes it")
        with parent.child("config") as repository:
            repository.settle(keeper, 0o2755, takes=ours)
            give(repository, keeper, ours=ours, related=same_range)


def _other_repositories(config: RootConfig, names: list[str], keeper: Owner, core: Owner) -> None:
    """A manager's first start: the repositories of those before it become its. One that cannot keeps none of it."""
    for name in names:
        try:
            _config_repository(config, name, keeper, core)
        except HyperhiveError as error:
            say(f"left as it is: {error}")


def _define(places: Places, config: RootConfig, name: str, index: int, *, manager: bool) -> None:
    """A declared agent's container is NixOS'; one that was made at run time before is so no more."""
    if name in config.agents:
        changed = definition.undefine(places, name)
    else:
        changed = definition.define(places, config, name, index, manager=manager)
    if changed and systemctl("daemon-reload").returncode != 0:
        definition.undefine(places, name)  # so that the next run finds it changed again
        raise Unavailable("systemctl daemon-reload failed; run it, then prepare again")
