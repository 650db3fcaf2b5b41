"""Mail as rows: waiting, leased, delivered or dead. Functions of a connection; they never commit.

A message is *waiting* until it is delivered or dead; while its lease lasts, somebody works on it.
"""

from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterable, Sequence
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
    lease_until: float | None = None
    attempts: int = 0
    delivered_at: float | None = None
    dead_at: float | None = None
    replied: bool = False

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
_LEASED = "recipient = ? AND lease_until IS NOT NULL"  # delivering and parking end a lease
_DELIVERED = "recipient = ? AND delivered_at IS NOT NULL"
_RECIPIENTS = """
WITH RECURSIVE some (name) AS (
  SELECT min(recipient) FROM messages WHERE delivered_at IS NOT NULL
  UNION ALL
  SELECT (SELECT min(recipient) FROM messages WHERE delivered_at IS NOT NULL AND recipient > name)
  FROM some WHERE name IS NOT NULL
) SELECT name FROM some WHERE name IS NOT NULL
"""


def _select(connection: sqlite3.Connection, rest: str, values: Sequence[object]) -> list[Message]:
    rows = connection.execute(f"SELECT {_COLUMNS} FROM messages WHERE {rest}", values)  # noqa: S608
    return [_message(*row) for row in rows]


def _message(*row: Any) -> Message:  # noqa: ANN401  (a row, in the order of the fields)
    return Message(*(*row[:-1], bool(row[-1])))


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
) -> Message:
    """Store a message and return it; `dead` parks it at once."""
    now = time.time()
    dead_at = now if dead else None
    cursor = connection.execute(
        "INSERT INTO messages (sender, recipient, kind, body, reply_to, chain, hops, sent_at, dead_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (sender, recipient, kind, body, reply_to, chain, hops, now, dead_at),
    )
    assert cursor.lastrowid is not None
    return Message(cursor.lastrowid, sender, recipient, kind, body, reply_to, chain, hops, now, dead_at=dead_at)


def get(connection: sqlite3.Connection, message: int) -> Message:
    """The message with that id. Raises NotFound."""
    found = _select(connection, "id = ?", (message,))
    if not found:
        raise NotFound(f"there is no message {message}")
    return found[0]


def pending(connection: sqlite3.Connection, recipient: str) -> int:
    """How many messages wait for that recipient, leased ones included."""
    (count,) = connection.execute(f"SELECT count(*) FROM messages WHERE {_WAITING}", (recipient,)).fetchone()  # noqa: S608
    return int(count)


def is_full(connection: sqlite3.Connection, recipient: str, bound: int, *, besides: str | None = None) -> bool:
    """Whether at least `bound` messages wait for that recipient, those from the sender `besides` not counted."""
    counted, values = ("", ()) if besides is None else (" AND sender <> ?", (besides,))  # without: the index is enough
    query = f"SELECT 1 FROM messages WHERE {_WAITING}{counted} LIMIT 1 OFFSET ?"  # noqa: S608
    return connection.execute(query, (recipient, *values, bound - 1)).fetchone() is not None


def dead_is_full(connection: sqlite3.Connection, recipient: str, bound: int) -> bool:
    """Whether at least `bound` messages to that recipient are parked."""
    query = "SELECT 1 FROM messages WHERE recipient = ? AND dead_at > 0 LIMIT 1 OFFSET ?"
    return connection.execute(query, (recipient, bound - 1)).fetchone() is not None


def waiting(connection: sqlite3.Connection, recipient: str, *, limit: int = 100) -> list[Message]:
    """The waiting messages that nobody has leased, oldest first."""
    rest = f"{_WAITING} AND (lease_until IS NULL OR lease_until <= ?) ORDER BY id LIMIT ?"
    return _select(connection, rest, (recipient, time.time(), limit))


def due(connection: sqlite3.Connection, recipient: str) -> float | None:
    """When the recipient's next waiting message can be leased: 0 is now, else when its lease ends (Unix seconds)."""
    query = f"SELECT 1 FROM messages WHERE {_WAITING} AND lease_until IS NULL LIMIT 1"  # noqa: S608
    if connection.execute(query, (recipient,)).fetchone():
        return 0.0
    query = f"SELECT min(lease_until) FROM messages WHERE {_LEASED}"  # noqa: S608
    (at,) = connection.execute(query, (recipient,)).fetchone()
    return None if at is None else float(at)


def lease(connection: sqlite3.Connection, recipient: str, *, until: float, limit: int) -> list[Message]:
    """Lease the oldest waiting messages and count the attempt."""
    ids = [message.id for message in waiting(connection, recipient, limit=limit)]
    connection.executemany(
        "UPDATE messages SET lease_until = ?, attempts = attempts + 1 WHERE id = ?", [(until, each) for each in ids]
    )
    return [get(connection, each) for each in ids]


def release(connection: sqlite3.Connection, ids: Iterable[int]) -> None:
    """Undo a lease that nobody received."""
    connection.executemany(
        "UPDATE messages SET lease_until = NULL, attempts = attempts - 1"
        " WHERE id = ? AND lease_until IS NOT NULL AND delivered_at IS NULL AND dead_at IS NULL",
        [(each,) for each in ids],
    )


def end_leases(connection: sqlite3.Connection, recipient: str) -> None:
    """End every lease of that recipient; the attempts stay counted."""
    connection.execute(f"UPDATE messages SET lease_until = NULL WHERE {_WAITING}", (recipient,))  # noqa: S608


def leased(connection: sqlite3.Connection, recipient: str) -> list[Message]:
    """What that recipient works on now, newest first."""
    return _select(connection, f"{_LEASED} AND lease_until > ? ORDER BY id DESC", (recipient, time.time()))


def in_work(connection: sqlite3.Connection, recipient: str) -> tuple[int, int] | None:
    """Chain (as `Message.chain`, but never 0) and hops of the newest message that the recipient works on now."""
    query = (
        f"SELECT CASE chain WHEN 0 THEN id ELSE chain END, hops FROM messages WHERE {_LEASED}"  # noqa: S608
        " AND lease_until > ? ORDER BY id DESC LIMIT 1"
    )
    row: tuple[int, int] | None = connection.execute(query, (recipient, time.time())).fetchone()
    return row


def deliver(connection: sqlite3.Connection, recipient: str, ids: Iterable[int], *, leased: bool = True) -> int:
    """Mark waiting messages of that recipient as delivered, only those ever leased unless `leased` is False.

    Returns how many were not delivered before.
    """
    now = time.time()
    rest = f"id = ? AND {_WAITING} AND (lease_until IS NOT NULL OR NOT ?)"
    cursor = connection.executemany(
        f"UPDATE messages SET delivered_at = ?, lease_until = NULL WHERE {rest}",  # noqa: S608
        [(now, each, recipient, leased) for each in ids],
    )
    return max(cursor.rowcount, 0)  # -1 when there were no ids


def park_tired(connection: sqlite3.Connection, recipient: str, attempts: int) -> list[Message]:
    """Make dead letters of the messages that were leased `attempts` times and wait again; returns them."""
    now = time.time()
    rest = f"{_WAITING} AND attempts >= ? AND (lease_until IS NULL OR lease_until <= ?)"
    tired = _select(connection, f"{rest} ORDER BY id", (recipient, attempts, now))
    connection.executemany(
        "UPDATE messages SET dead_at = ?, lease_until = NULL WHERE id = ?", [(now, each.id) for each in tired]
    )
    return tired


def dead_letters(connection: sqlite3.Connection, limit: int = 1000) -> list[Message]:
    """The parked messages, the last parked first."""
    return _select(connection, "dead_at > 0 ORDER BY dead_at DESC, id DESC LIMIT ?", (limit,))


def mailbox(connection: sqlite3.Connection, recipient: str, *, delivered: bool, limit: int) -> list[Message]:
    """The recipient's waiting messages (and, with `delivered`, the others too), newest first."""
    if not delivered:
        return _select(connection, f"{_WAITING} ORDER BY id DESC LIMIT ?", (recipient, limit))
    each = (f"SELECT id FROM messages WHERE {which}" for which in (_WAITING, _DELIVERED))  # noqa: S608
    newest = f"SELECT id FROM ({' UNION ALL '.join(each)}) ORDER BY id DESC LIMIT ?"  # noqa: S608
    return _select(connection, f"id IN ({newest}) ORDER BY id DESC", (recipient, recipient, limit))


def recipients(connection: sqlite3.Connection) -> list[str]:
    """Who has delivered messages."""
    return [name for (name,) in connection.execute(_RECIPIENTS)]


def prune(connection: sqlite3.Connection, recipient: str, *, before: float, max_rows: int, limit: int) -> int:
    """Delete the recipient's oldest delivered messages: from before that time, or beyond `max_rows`; at most `limit`.

    Returns how many went.
    """
    (count,) = connection.execute(f"SELECT count(*) FROM messages WHERE {_DELIVERED}", (recipient,)).fetchone()  # noqa: S608
    (old,) = connection.execute(
        "SELECT count(*) FROM messages WHERE recipient = ? AND delivered_at < ?", (recipient, before)
    ).fetchone()
    number = min(max(count - max_rows, old), limit)
    oldest = f"SELECT id FROM messages WHERE {_DELIVERED} ORDER BY delivered_at, id LIMIT ?"  # noqa: S608
    connection.execute(f"DELETE FROM messages WHERE id IN ({oldest})", (recipient, number))  # noqa: S608
    return int(number)
