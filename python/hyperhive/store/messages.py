"""Mail as rows: waiting, leased, delivered or dead. Functions of a connection; they never commit.

A message is *waiting* until it is delivered or dead; while its lease lasts, somebody works on it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hyperhive.errors import NotFound


@dataclass(frozen=True)
class Message:
    """One message. `chain` is the id of the message that began the exchange, `hops` how many answers ago that was."""

    id: int
    sender: str
    recipient: str
    kind: str
    body: str
    reply_to: int | None
    chain: int
    hops: int
    sent_at: float
    lease_until: float | None
    attempts: int
    delivered_at: float | None
    dead_at: float | None
    replied: bool

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show; `read_at` is the operator's word for delivered."""
        shown = dict(self.__dict__)
        del shown["lease_until"], shown["delivered_at"]
        return {**shown, "read_at": self.delivered_at}


_COLUMNS = (
    "id, sender, recipient, kind, body, reply_to, chain, hops, sent_at, lease_until, attempts, delivered_at, dead_at,"
    " EXISTS (SELECT 1 FROM messages AS answer WHERE answer.reply_to = messages.id AND"
    " answer.sender = messages.recipient)"
)
_WAITING = "recipient = ? AND delivered_at IS NULL AND dead_at IS NULL"


def _message(row: tuple[Any, ...]) -> Message:
    values = dict(zip(Message.__dataclass_fields__, row, strict=True))
    return Message(**{**values, "replied": bool(values["replied"])})


def insert(
    connection: sqlite3.Connection,
    *,
    sender: str,
    recipient: str,
    kind: str,
    body: str,
    reply_to: int | None = None,
    chain: int = 0,
    hops: int = 0,
    dead: bool = False,
) -> int:
    """Store a message and return its id; `dead` parks it at once."""
    now = time.time()
    cursor = connection.execute(
        "INSERT INTO messages (sender, recipient, kind, body, reply_to, chain, hops, sent_at, dead_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (sender, recipient, kind, body, reply_to, chain, hops, now, now if dead else None),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def get(connection: sqlite3.Connection, message: int) -> Message:
    """The message with that id. Raises NotFound."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM messages WHERE id = ?", (message,)).fetchone()  # noqa: S608
    if row is None:
        raise NotFound(f"there is no message {message}")
    return _message(row)


def pending(connection: sqlite3.Connection, recipient: str) -> int:
    """How many messages wait for that recipient, leased ones included."""
    (count,) = connection.execute(f"SELECT count(*) FROM messages WHERE {_WAITING}", (recipient,)).fetchone()  # noqa: S608
    return int(count)


def waiting(connection: sqlite3.Connection, recipient: str, *, limit: int = 100) -> list[Message]:
    """The waiting messages that nobody has leased, oldest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE {_WAITING} AND (lease_until IS NULL OR lease_until <= ?)"  # noqa: S608
        " ORDER BY id LIMIT ?",
        (recipient, time.time(), limit),
    )
    return [_message(row) for row in rows]


def lease(connection: sqlite3.Connection, recipient: str, *, until: float, limit: int) -> list[Message]:
    """Lease the oldest waiting messages and count the attempt."""
    ids = [message.id for message in waiting(connection, recipient, limit=limit)]
    connection.executemany(
        "UPDATE messages SET lease_until = ?, attempts = attempts + 1 WHERE id = ?", [(until, each) for each in ids]
    )
    return [get(connection, each) for each in ids]


def release(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Undo a lease that nobody received."""
    connection.executemany(
        "UPDATE messages SET lease_until = NULL, attempts = attempts - 1 WHERE id = ? AND delivered_at IS NULL",
        [(each,) for each in ids],
    )


def end_leases(connection: sqlite3.Connection, recipient: str) -> None:
    """End every lease of that recipient; the attempts stay counted."""
    connection.execute(f"UPDATE messages SET lease_until = NULL WHERE {_WAITING}", (recipient,))  # noqa: S608


def next_lease_end(connection: sqlite3.Connection, recipient: str) -> float | None:
    """When the next lease of that recipient runs out (Unix seconds)."""
    (until,) = connection.execute(
        f"SELECT min(lease_until) FROM messages WHERE {_WAITING}",  # noqa: S608
        (recipient,),
    ).fetchone()
    return None if until is None else float(until)


def leased(connection: sqlite3.Connection, recipient: str) -> list[Message]:
    """What that recipient works on now, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE {_WAITING} AND lease_until > ? ORDER BY id DESC",  # noqa: S608
        (recipient, time.time()),
    )
    return [_message(row) for row in rows]


def deliver(connection: sqlite3.Connection, recipient: str, ids: Sequence[int]) -> int:
    """Mark messages of that recipient as delivered; returns how many were not so before."""
    before = connection.total_changes
    connection.executemany(
        f"UPDATE messages SET delivered_at = ?, lease_until = NULL WHERE id = ? AND {_WAITING}",  # noqa: S608
        [(time.time(), each, recipient) for each in ids],
    )
    return connection.total_changes - before


def park(connection: sqlite3.Connection, ids: Sequence[int]) -> None:
    """Make dead letters of them."""
    connection.executemany("UPDATE messages SET dead_at = ? WHERE id = ?", [(time.time(), each) for each in ids])


def dead_letters(connection: sqlite3.Connection, limit: int = 1000) -> list[Message]:
    """The parked messages, newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE dead_at IS NOT NULL ORDER BY id DESC LIMIT ?",  # noqa: S608
        (limit,),
    )
    return [_message(row) for row in rows]


def mailbox(connection: sqlite3.Connection, recipient: str, *, delivered: bool, limit: int) -> list[Message]:
    """The recipient's waiting messages (and, with `delivered`, the others too), newest first."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM messages WHERE recipient = ? AND dead_at IS NULL"  # noqa: S608
        " AND (? OR delivered_at IS NULL) ORDER BY id DESC LIMIT ?",
        (recipient, delivered, limit),
    )
    return [_message(row) for row in rows]


def prune(connection: sqlite3.Connection, *, before: float, max_rows: int) -> int:
    """Delete delivered messages from before that time, or beyond `max_rows` per recipient, oldest first."""
    gone = connection.execute("DELETE FROM messages WHERE delivered_at < ?", (before,)).rowcount
    gone += connection.execute(
        "DELETE FROM messages WHERE id IN (SELECT id FROM (SELECT id, row_number() OVER"
        " (PARTITION BY recipient ORDER BY id DESC) AS place FROM messages WHERE delivered_at IS NOT NULL)"
        " WHERE place > ?)",
        (max_rows,),
    ).rowcount
    return gone
