"""Messages that were given up, the dead letters. Functions of a connection; they never commit."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable

from hyperhive.errors import NotFound
from hyperhive.store.messages import WAITING, Message, select


def dead_is_full(connection: sqlite3.Connection, recipient: str, bound: int) -> bool:
    """Whether at least `bound` messages to that recipient are parked."""
    query = "SELECT 1 FROM messages WHERE recipient = ? AND dead_at > 0 LIMIT 1 OFFSET ?"
    return connection.execute(query, (recipient, bound - 1)).fetchone() is not None


def given_up_is_full(connection: sqlite3.Connection, recipient: str, bound: int) -> bool:
    """The same of those that the recipient was given."""
    query = "SELECT 1 FROM messages WHERE recipient = ? AND dead_at > 0 AND attempts > 0 LIMIT 1 OFFSET ?"
    return connection.execute(query, (recipient, bound - 1)).fetchone() is not None


def park(connection: sqlite3.Connection, recipient: str, ids: Iterable[int]) -> list[Message]:
    """Make dead letters of those that the recipient was given and has not acknowledged; returns them."""
    named = "id IN (SELECT value FROM json_each(?))"  # each once, however often it is named
    rest = f"{named} AND {WAITING} AND lease_until IS NOT NULL ORDER BY id"
    letters = select(connection, rest, (json.dumps(list(ids)), recipient))
    _bury(connection, letters)
    return letters


def park_all(connection: sqlite3.Connection, recipient: str) -> int:
    """Make dead letters of all that is not delivered to that recipient, who is no more; returns how many.

    Whoever has that name next was given none of its dead letters.
    """
    letters = select(connection, WAITING, (recipient,), cut=True)
    _bury(connection, letters)
    connection.execute("UPDATE messages SET attempts = 0 WHERE recipient = ? AND dead_at > 0", (recipient,))
    return len(letters)


def _bury(connection: sqlite3.Connection, letters: Iterable[Message]) -> None:
    connection.executemany(
        "UPDATE messages SET dead_at = ?, lease_until = NULL WHERE id = ?", [(time.time(), each.id) for each in letters]
    )


def park_tired(connection: sqlite3.Connection, recipient: str, attempts: int) -> list[Message]:
    """Make dead letters of the messages that were leased `attempts` times and wait again; returns them."""
    now = time.time()
    rest = f"{WAITING} AND attempts >= ? AND (lease_until IS NULL OR lease_until <= ?)"
    tired = select(connection, f"{rest} ORDER BY id", (recipient, attempts, now))
    _bury(connection, tired)
    return tired


def dead_letters(connection: sqlite3.Connection, limit: int = 1000, *, cut: bool = False) -> list[Message]:
    """The parked messages, the last parked first; `cut` as `messages.mailbox` says."""
    return select(connection, "dead_at > 0 ORDER BY dead_at DESC, id DESC LIMIT ?", (limit,), cut=cut)


def count(connection: sqlite3.Connection) -> int:
    """How many messages are parked."""
    (number,) = connection.execute("SELECT count(*) FROM messages WHERE dead_at > 0").fetchone()
    return int(number)


def dead_letter(connection: sqlite3.Connection, message: int) -> Message:
    """The parked message with that id. Raises NotFound."""
    found = select(connection, "id = ? AND dead_at IS NOT NULL", (message,))
    if not found:
        raise NotFound(f"there is no dead letter {message}; `hyperhive debug dead-letters` lists them")
    return found[0]


def requeue(connection: sqlite3.Connection, message: int) -> None:
    """Let a parked message wait again, with its attempts and hops counted anew: a person has decided about it."""
    connection.execute("UPDATE messages SET dead_at = NULL, attempts = 0, hops = 0 WHERE id = ?", (message,))
