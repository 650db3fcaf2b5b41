"""Generations: the applied configurations of each agent. Functions of a connection; they never commit."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass, field
from typing import Any

from hyperhive.errors import NotFound
from hyperhive.settings import Settings
from hyperhive.sources import Source, Sources


@dataclass(frozen=True)
class Generation:
    """One applied configuration. `commit` is the config repo's, `tree` the applied repo's commit that carries it."""

    agent: str
    number: int
    commit: str
    tree: str
    settings: Settings
    proposal: int | None
    reason: str
    healthy: bool
    created_at: float
    sources: Sources = field(default_factory=dict)

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show, without the settings."""
        return {
            "number": self.number,
            "commit": self.commit,
            "proposal": self.proposal,
            "reason": self.reason,
            "healthy": self.healthy,
            "created_at": self.created_at,
        }


_COLUMNS = "agent, number, commit_id, tree, settings, proposal, reason, healthy, created_at, sources"


def _generation(row: tuple[Any, ...]) -> Generation:
    agent, number, commit, tree, settings, proposal, reason, healthy, created_at, sources = row
    parsed = Settings.from_json(json.loads(settings))
    known = {path: Source(word) for path, word in json.loads(sources or "{}").items()}
    return Generation(agent, number, commit, tree, parsed, proposal, reason, bool(healthy), created_at, known)


def insert(
    connection: sqlite3.Connection,
    *,
    agent: str,
    number: int,
    commit: str,
    tree: str,
    settings: Settings,
    proposal: int | None,
    reason: str,
    sources: Sources | None = None,
) -> Generation:
    """Store a generation that is built but not yet known to run; the same number again replaces it."""
    known = json.dumps(sources) if sources else None
    connection.execute(
        f"INSERT OR REPLACE INTO generations ({_COLUMNS}) VALUES (?, ?, ?, ?, ?, ?, ?, 0, ?, ?)",  # noqa: S608
        (agent, number, commit, tree, json.dumps(settings.to_json()), proposal, reason, time.time(), known),
    )
    return get(connection, agent, number)


def get(connection: sqlite3.Connection, agent: str, number: int) -> Generation:
    """That generation of that agent. Raises NotFound."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM generations WHERE agent = ? AND number = ?",  # noqa: S608
        (agent, number),
    ).fetchone()
    if row is None:
        raise NotFound(f"{agent} has no generation {number}; `hyperhive agent show {agent}` lists them")
    return _generation(row)


def of_agent(connection: sqlite3.Connection, agent: str) -> list[Generation]:
    """All generations of that agent, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM generations WHERE agent = ? ORDER BY number DESC",  # noqa: S608
        (agent,),
    )
    return [_generation(row) for row in rows]


def next_number(connection: sqlite3.Connection, agent: str) -> int:
    """The number that the agent's next generation gets; numbers are never reused."""
    (newest,) = connection.execute(
        "SELECT max(number) FROM (SELECT number FROM generations WHERE agent = ?1"
        " UNION ALL SELECT generation FROM proposals WHERE agent = ?1)",
        (agent,),
    ).fetchone()
    return (newest or 0) + 1


def mark_healthy(connection: sqlite3.Connection, agent: str, number: int) -> None:
    """Record that the heartbeat of that generation came."""
    connection.execute("UPDATE generations SET healthy = 1 WHERE agent = ? AND number = ?", (agent, number))


def forget(connection: sqlite3.Connection, agent: str) -> None:
    """Remove an agent's generations (purge)."""
    connection.execute("DELETE FROM generations WHERE agent = ?", (agent,))
