"""The agents of the hive. Functions of a connection; they never commit."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

from hyperhive.errors import NotFound
from hyperhive.settings import Role


@dataclass(frozen=True)
class Agent:
    """One agent: `desired` is running or stopped, `generation` the applied one (0: none), `overrides` settings."""

    name: str
    role: Role
    desired: str
    generation: int
    overrides: dict[str, Any]
    created_at: float


_COLUMNS = "name, role, desired, generation, overrides, created_at"
_HALF_PURGED = """
SELECT substr(subject, 7) FROM audit WHERE id IN (
  SELECT max(id) FROM audit WHERE action IN ('agent.created', 'agent.destroyed', 'agent.purged') GROUP BY subject
) AND action = 'agent.destroyed' AND json_extract(detail, '$.purge') AND actor LIKE 'operator:%'
  AND substr(subject, 7) NOT IN (SELECT name FROM agents)
"""


def _agent(row: tuple[Any, ...]) -> Agent:
    name, role, desired, generation, overrides, created_at = row
    return Agent(name, Role(role), desired, generation, json.loads(overrides), created_at)


def create(connection: sqlite3.Connection, name: str, role: Role) -> None:
    """Add an agent that should run and has no generation yet."""
    connection.execute(
        "INSERT INTO agents (name, role, desired, created_at) VALUES (?, ?, 'running', ?)", (name, role, time.time())
    )


def get(connection: sqlite3.Connection, name: str) -> Agent:
    """The agent of that name. Raises NotFound."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM agents WHERE name = ?", (name,)).fetchone()  # noqa: S608
    if row is None:
        raise NotFound(f"there is no agent {name[:40]!r}; `hyperhive agent list` shows them")
    return _agent(row)


def exists(connection: sqlite3.Connection, name: str) -> bool:
    """Whether there is an agent of that name; anything can be asked for, e.g. what is no name at all."""
    if not name.isascii():
        return False
    return connection.execute("SELECT 1 FROM agents WHERE name = ?", (name,)).fetchone() is not None


def all_agents(connection: sqlite3.Connection) -> list[Agent]:
    """Every agent, by name."""
    return [_agent(row) for row in connection.execute(f"SELECT {_COLUMNS} FROM agents ORDER BY name")]  # noqa: S608


def set_desired(connection: sqlite3.Connection, name: str, desired: str) -> None:
    """Say whether the agent should be `running` or `stopped`."""
    connection.execute("UPDATE agents SET desired = ? WHERE name = ?", (desired, name))


def set_generation(connection: sqlite3.Connection, name: str, generation: int) -> None:
    """Say which generation the agent runs."""
    connection.execute("UPDATE agents SET generation = ? WHERE name = ?", (generation, name))


def set_overrides(connection: sqlite3.Connection, name: str, overrides: dict[str, Any]) -> None:
    """Replace the operator's runtime overrides."""
    connection.execute("UPDATE agents SET overrides = ? WHERE name = ?", (json.dumps(overrides), name))


def delete(connection: sqlite3.Connection, name: str) -> None:
    """Forget the agent; its mail, turns and generations stay in the record."""
    connection.execute("DELETE FROM agents WHERE name = ?", (name,))


def half_purged(connection: sqlite3.Connection) -> list[str]:
    """The agents whose purge, an operator's, the audit log has no end of."""
    return [name for (name,) in connection.execute(_HALF_PURGED)]
