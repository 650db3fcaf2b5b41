"""The audit log: append-only rows (triggers refuse changes). Functions of a connection; they never commit."""

from __future__ import annotations

import json
import sqlite3
import time
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Entry:
    """One thing that happened: who (`operator:<user>`, an agent, `system`) did what to which subject."""

    id: int
    at: float
    actor: str
    action: str
    subject: str
    detail: dict[str, Any]

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        return dict(self.__dict__)


def append(connection: sqlite3.Connection, actor: str, action: str, subject: str, **detail: object) -> None:
    """Add an entry, e.g. `append(c, "operator:ann", "agent.stop", "agent/worker")`."""
    connection.execute(
        "INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)",
        (time.time(), actor, action, subject, json.dumps(detail, sort_keys=True)),
    )


def entries(
    connection: sqlite3.Connection, *, agent: str | None = None, since: float | None = None, limit: int = 200
) -> list[Entry]:
    """The newest `limit` entries, oldest first: all, or those about or by one agent, from the time `since` on."""
    rows = connection.execute(
        "SELECT id, at, actor, action, subject, detail FROM audit"
        " WHERE (?1 IS NULL OR actor = ?1 OR subject = 'agent/' || ?1 OR json_extract(detail, '$.agent') = ?1)"
        " AND (?2 IS NULL OR at >= ?2) ORDER BY id DESC LIMIT ?3",
        (agent, since, limit),
    ).fetchall()
    return [_entry(row) for row in reversed(rows)]


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(Entry.__dataclass_fields__, row, strict=True))
    return Entry(**{**values, "detail": json.loads(values["detail"])})
