from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import mail_rig
import pytest

from hyperhive.errors import NotFound
from hyperhive.settings import Role
from hyperhive.store import agents


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(mail_rig.connection()) as made:
        agents.create(made, "worker", Role.AGENT)
        yield made


def test_a_new_agent_should_run_and_has_no_generation(connection: sqlite3.Connection) -> None:
    agent = agents.get(connection, "worker")
    assert (agent.role, agent.desired, agent.generation, agent.overrides) == (Role.AGENT, "running", 0, {})


def test_agents_are_listed_by_name(connection: sqlite3.Connection) -> None:
    agents.create(connection, "boss", Role.MANAGER)
    assert [(agent.name, agent.role) for agent in agents.all_agents(connection)] == [
        ("boss", Role.MANAGER),
        ("worker", Role.AGENT),
    ]


def test_what_is_set_is_kept_for_that_agent_only(connection: sqlite3.Connection) -> None:
    agents.create(connection, "other", Role.AGENT)
    agents.set_desired(connection, "worker", "stopped")
    agents.set_generation(connection, "worker", 4)
    agents.set_overrides(connection, "worker", {"model": "sonnet"})
    agent, other = agents.get(connection, "worker"), agents.get(connection, "other")
    assert (agent.desired, agent.generation, agent.overrides) == ("stopped", 4, {"model": "sonnet"})
    assert (other.desired, other.generation, other.overrides) == ("running", 0, {})


def test_a_name_is_taken_once(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        agents.create(connection, "worker", Role.MANAGER)


def test_a_nonsense_state_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        agents.set_desired(connection, "worker", "paused")


def test_a_deleted_agent_is_gone(connection: sqlite3.Connection) -> None:
    agents.delete(connection, "worker")
    assert not agents.exists(connection, "worker")
    with pytest.raises(NotFound, match="there is no agent 'worker'; `hyperhive agent list` shows them"):
        agents.get(connection, "worker")


@pytest.mark.parametrize("name", ["", "nobody", "wörker", "work\ud800er", "worker\0", "worker ", "%"])
def test_what_is_no_agents_name_does_not_exist(connection: sqlite3.Connection, name: str) -> None:
    assert agents.exists(connection, "worker")
    assert not agents.exists(connection, name)
