"""The audit log: append-only rows (triggers refuse changes), chained by hashes so that tampering shows.

Functions of a connection; they never commit.
"""

from __future__ import annotations

import hashlib
import json
import sqlite3
import time
from collections.abc import Callable
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


@dataclass(frozen=True)
class Broken:
    """The first entry that does not follow from those before it."""

    id: int
    what: str


@dataclass(frozen=True)
class Chain:
    """What `verify` found: how many entries, the hash of the last one, and where the chain breaks (None: nowhere)."""

    entries: int
    head: str
    broken: Broken | None

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        return {**self.__dict__, "broken": self.broken and dict(self.broken.__dict__)}


def append(connection: sqlite3.Connection, actor: str, action: str, subject: str, **detail: object) -> None:
    """Add an entry, e.g. `append(c, "operator:ann", "agent.stop", "agent/worker")`."""
    (last,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    row = ((last or 0) + 1, time.time(), actor, action, subject, json.dumps(detail, sort_keys=True))
    connection.execute(
        "INSERT INTO audit (id, at, actor, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*row, entry_hash(head(connection)[1], row)),
    )


def head(connection: sqlite3.Connection) -> tuple[int, str]:
    """The id and the hash of the last entry; 0 and the empty text if there is none."""
    row = connection.execute("SELECT id, hash FROM audit ORDER BY id DESC LIMIT 1").fetchone()
    return row or (0, "")


def entry_hash(before: str, row: tuple[object, ...]) -> str:
    """SHA-256 (hex) over the hash before and an entry's id, at, actor, action, subject and detail as stored."""
    return hashlib.sha256(f"{before}\n{json.dumps(row)}".encode()).hexdigest()


def chained(before: str = "") -> Callable[..., str]:
    """An `entry_hash` of row after row, for the migration's SQL."""

    def following(*row: object) -> str:
        nonlocal before
        before = entry_hash(before, row)
        return before

    return following


def verify(connection: sqlite3.Connection) -> Chain:
    """Walk the chain: a changed, removed or inserted entry is found, also one that was cut off at the end.

    Whoever can write the file can compute the whole chain anew: keep `head` elsewhere to find that (the core logs it).
    """
    before, last, count = "", 0, 0
    for *row, stored in connection.execute(
        "SELECT id, at, actor, action, subject, detail, hash FROM audit ORDER BY id"
    ):
        if row[0] != last + 1:
            return Chain(count, before, Broken(last + 1, f"it is gone; the next one is {row[0]}"))
        if entry_hash(before, tuple(row)) != stored:
            return Chain(count, before, Broken(row[0], "it, or the one before it, was changed"))
        before, last, count = stored, row[0], count + 1
    (sequence,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    cut = (
        Broken(last + 1, f"it and the newest after it are gone; there were {sequence}")
        if (sequence or 0) > last
        else None
    )
    return Chain(count, before, cut)


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
