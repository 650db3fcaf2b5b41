"""Which waiting messages are handed out together, and for how long. Functions of a connection; they never commit."""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable

from hyperhive.store.messages import LEASED, WAITING, Message, get, select, waiting

BATCH = 1024 * 1024
"""Bytes of the bodies that are handed out together."""
MANY = 2**62
SHARES = {0: MANY, 1: MANY, 2: 5}
"""How many a batch may have, by how often a message in it was handed out before; one, if more often."""


def due(connection: sqlite3.Connection, recipient: str) -> float | None:
    """When the recipient's next waiting message can be leased: 0 is now, else when its lease ends (Unix seconds)."""
    query = f"SELECT 1 FROM messages WHERE {WAITING} AND lease_until IS NULL LIMIT 1"  # noqa: S608
    if connection.execute(query, (recipient,)).fetchone():
        return 0.0
    query = f"SELECT min(lease_until) FROM messages WHERE {LEASED}"  # noqa: S608
    (at,) = connection.execute(query, (recipient,)).fetchone()
    return None if at is None else float(at)


def lease(connection: sqlite3.Connection, recipient: str, *, until: float, limit: int) -> list[Message]:
    """Lease the oldest waiting messages that make a batch, and count the attempt."""
    ids = [each.id for each in _batch(waiting(connection, recipient, limit=limit))]
    connection.executemany(
        "UPDATE messages SET lease_until = ?, attempts = attempts + 1 WHERE id = ?", [(until, each) for each in ids]
    )
    return [get(connection, each) for each in ids]


def _batch(found: list[Message]) -> list[Message]:
    """As many of the first as are handed out together: of BATCH bytes, or one alone. One of what came back twice may be
    what ended its harness or host: such mail comes in few, and after that singly, so that it takes no other with it.
    """
    kept: list[Message] = []
    size, most = 0, len(found)
    for message in found:
        size += len(message.body.encode())
        most = min(most, SHARES.get(message.attempts, 1))
        if kept and (size > BATCH or len(kept) >= most):
            break
        kept.append(message)
    return kept


def release(connection: sqlite3.Connection, recipient: str, ids: Iterable[int]) -> None:
    """Undo that recipient's leases."""
    connection.executemany(
        "UPDATE messages SET lease_until = NULL, attempts = attempts - 1"
        " WHERE id = ? AND recipient = ? AND lease_until IS NOT NULL AND delivered_at IS NULL AND dead_at IS NULL",
        [(each, recipient) for each in ids],
    )


def end_leases(connection: sqlite3.Connection, recipient: str) -> None:
    """End every lease of that recipient; the attempts stay counted."""
    connection.execute(f"UPDATE messages SET lease_until = NULL WHERE {WAITING}", (recipient,))  # noqa: S608


def leased(connection: sqlite3.Connection, recipient: str) -> list[Message]:
    """What that recipient works on now, newest first."""
    return select(connection, f"{LEASED} AND lease_until > ? ORDER BY id DESC", (recipient, time.time()))
