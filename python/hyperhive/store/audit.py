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
    last, before = head(connection)
    number = max(last, _counted(connection)) + 1  # a cut off entry's id is not used again: the gap shows
    row = (number, time.time(), actor, action, subject, json.dumps(detail, sort_keys=True))
    connection.execute(
        "INSERT INTO audit (id, at, actor, action, subject, detail, hash) VALUES (?, ?, ?, ?, ?, ?, ?)",
        (*row, entry_hash(before, row)),
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
    """Walk the chain, one row in memory at a time: a changed, removed, inserted or cut off entry is found.

    What cannot be found here: entries from some point on, or all, whose hashes somebody computed anew; and that the
    newest were cut off, if SQLite's own count of them was lowered too. Keep `head` elsewhere for that (the core logs it
    with its id): the entry of that id must still have that hash.
    """
    counted = _counted(connection)  # first, since the core may append meanwhile
    factory, connection.text_factory = connection.text_factory, _text_as_stored
    try:
        return _walk(connection, counted)
    finally:
        connection.text_factory = factory


def _walk(connection: sqlite3.Connection, counted: int) -> Chain:
    last, before = 0, ""
    for *values, stored in connection.execute(
        "SELECT id, at, actor, action, subject, detail, hash FROM audit ORDER BY id"
    ):
        broken = _break(last, before, tuple(values), stored)
        if broken is not None:
            return Chain(last, before, broken)
        last, before = values[0], stored
    cut = Broken(last + 1, f"it and the newest after it are gone; there were {counted}") if counted > last else None
    return Chain(last, before, cut)


def _break(last: int, before: str, row: tuple[Any, ...], stored: object) -> Broken | None:
    """How an entry does not follow the one with the id `last` and the hash `before`; None if it does."""
    number = row[0]
    if number <= last:
        return Broken(number, "it was inserted; the first one is 1")
    if number > last + 1:
        return Broken(last + 1, f"it is gone; the next one is {number}")
    if bytes in map(type, row) or entry_hash(before, row) != stored:  # `append` stores no blobs
        return Broken(number, "it, or the one before it, was changed")
    return None


def _text_as_stored(text: bytes) -> str:
    """Text that need not be UTF-8: what is not becomes what no text of ours has, rather than an error."""
    return text.decode(errors="surrogateescape")


def _counted(connection: sqlite3.Connection) -> int:
    """How many entries there ever were, as SQLite counts them for AUTOINCREMENT."""
    (counted,) = connection.execute("SELECT max(seq) FROM sqlite_sequence WHERE name = 'audit'").fetchone()
    return counted if isinstance(counted, int) else 0


def entries(
    connection: sqlite3.Connection,
    *,
    agent: str | None = None,
    since: float | None = None,
    limit: int = 200,
    before: int | None = None,
) -> list[Entry]:
    """The newest `limit` entries, oldest first: all, or those about or by one agent, from the time `since` on.

    `before`: only those with a smaller id.
    """
    rows = connection.execute(
        "SELECT id, at, actor, action, subject, detail FROM audit"
        " WHERE (?1 IS NULL OR actor = ?1 OR subject = 'agent/' || ?1 OR json_extract(detail, '$.agent') = ?1)"
        " AND (?2 IS NULL OR at >= ?2) AND (?4 IS NULL OR id < ?4) ORDER BY id DESC LIMIT ?3",
        (agent, since, limit, before),
    ).fetchall()
    return [_entry(row) for row in reversed(rows)]


def newest(connection: sqlite3.Connection, subject: str, actions: tuple[str, ...]) -> Entry | None:
    """The newest entry of these actions about that subject."""
    row = connection.execute(
        "SELECT id, at, actor, action, subject, detail FROM audit"
        " WHERE subject = ? AND action IN (SELECT value FROM json_each(?)) ORDER BY id DESC LIMIT 1",
        (subject, json.dumps(actions)),
    ).fetchone()
    return None if row is None else _entry(row)


def _entry(row: tuple[Any, ...]) -> Entry:
    values = dict(zip(Entry.__dataclass_fields__, row, strict=True))
    return Entry(**{**values, "detail": json.loads(values["detail"])})
