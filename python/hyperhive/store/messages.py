"""Mail as rows: waiting, leased, delivered or dead. Functions of a connection; they never commit.

A message is *waiting* until it is delivered or dead; while its lease lasts, somebody works on it.
"""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from typing import Any, NamedTuple

from hyperhive.errors import NotFound

BRIEF = 2000
"""Characters of a body that a list shows where whole ones would be too much."""


@dataclass(frozen=True)
class Question:
    """What a question has beside its text: answers to choose from, and seconds after which nobody waits any more."""

    options: tuple[str, ...] = ()
    time_limit: float | None = None


@dataclass(frozen=True)
class Message:
    """One message. `chain` is the id of the message that began the exchange, `hops` how many answers ago that was.

    A question may have `options`, answers to choose from, and a time (`expires_at`) after which its asker was told that
    no answer came (`expired`). `cut`: so many characters of the body were not read from the database.
    """

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
    options: tuple[str, ...] | None = None
    expires_at: float | None = None
    expired: bool = False
    replied: bool = False
    cut: int = 0

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show; `read_at` is the operator's word for delivered."""
        shown = dict(self.__dict__)
        del shown["lease_until"], shown["delivered_at"], shown["cut"]
        return {**shown, "read_at": self.delivered_at}


_COLUMNS = (
    "id, sender, recipient, kind, {body}, reply_to, chain, hops, sent_at, lease_until, attempts, delivered_at, dead_at,"
    " options, expires_at, expired, EXISTS (SELECT 1 FROM messages AS answer WHERE answer.reply_to = messages.id AND"
    " answer.sender = messages.recipient), {cut}"
)
_WHOLE = _COLUMNS.format(body="body", cut="0")
_CUT = _COLUMNS.format(
    body=f"CASE sender WHEN 'system' THEN body ELSE substr(body, 1, {BRIEF}) END",
    cut=f"CASE sender WHEN 'system' THEN 0 ELSE max(0, length(body) - {BRIEF}) END",
)
WAITING = "recipient = ? AND delivered_at IS NULL AND dead_at IS NULL"
LEASED = "recipient = ? AND lease_until IS NOT NULL"  # delivering and parking end a lease
_DELIVERED = "recipient = ? AND delivered_at IS NOT NULL"
_NO_BOUND = 2**62
_ASKED = "SELECT id FROM messages WHERE expires_at > 0 AND expired = 0"
_OPEN = f"SELECT id, delivered_at FROM messages WHERE id IN ({_ASKED}) AND {_DELIVERED}"  # noqa: S608
_ANSWERS = f"""
SELECT id, delivered_at FROM messages WHERE reply_to IN ({_ASKED}) AND sender = 'operator' AND {_DELIVERED}
"""  # noqa: S608
_RECIPIENTS = """
WITH RECURSIVE some (name) AS (
  SELECT min(recipient) FROM messages WHERE delivered_at IS NOT NULL
  UNION ALL
  SELECT (SELECT min(recipient) FROM messages WHERE delivered_at IS NOT NULL AND recipient > name)
  FROM some WHERE name IS NOT NULL
) SELECT name FROM some WHERE name IS NOT NULL
"""


def select(connection: sqlite3.Connection, rest: str, values: Sequence[object], *, cut: bool = False) -> list[Message]:
    """The messages that the rest of a query is about."""
    rows = connection.execute(f"SELECT {_CUT if cut else _WHOLE} FROM messages WHERE {rest}", values)  # noqa: S608
    return [_message(*row) for row in rows]


def _message(*row: Any) -> Message:  # noqa: ANN401  (a row, in the order of the fields)
    *values, options, expires_at, expired, replied, cut = row
    chosen = None if options is None else tuple(json.loads(options))
    build: Any = Message  # the row's order is the fields'
    message: Message = build(*values, chosen, expires_at, bool(expired), bool(replied), cut)
    return message


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
    question: Question | None = None,
) -> Message:
    """Store a message and return it; `dead` parks it at once."""
    now = time.time()
    dead_at = now if dead else None
    cursor = connection.execute(
        "INSERT INTO messages (sender, recipient, kind, body, reply_to, chain, hops, sent_at, dead_at)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?, ?)",
        (sender, recipient, kind, body, reply_to, chain, hops, now, dead_at),
    )
    number = cursor.lastrowid
    assert number is not None
    if question is not None:
        _set_question(connection, number, question, now)
        return get(connection, number)
    return Message(number, sender, recipient, kind, body, reply_to, chain, hops, now, dead_at=dead_at)


def _set_question(connection: sqlite3.Connection, message: int, question: Question, now: float) -> None:
    options = json.dumps(question.options) if question.options else None
    expires = None if question.time_limit is None else now + question.time_limit
    connection.execute("UPDATE messages SET options = ?, expires_at = ? WHERE id = ?", (options, expires, message))


def get(connection: sqlite3.Connection, message: int) -> Message:
    """The message with that id. Raises NotFound."""
    found = select(connection, "id = ?", (message,))
    if not found:
        raise NotFound(f"there is no message {message}")
    return found[0]


def those(connection: sqlite3.Connection, ids: Sequence[int]) -> list[Message]:
    """The messages with these ids, as far as they are still there, oldest first."""
    marks = ", ".join("?" * len(ids))
    return select(connection, f"id IN ({marks}) ORDER BY id", ids)


def pending(connection: sqlite3.Connection, recipient: str) -> int:
    """How many messages wait for that recipient, leased ones included."""
    (count,) = connection.execute(f"SELECT count(*) FROM messages WHERE {WAITING}", (recipient,)).fetchone()  # noqa: S608
    return int(count)


def is_full(connection: sqlite3.Connection, recipient: str, bound: int, *, besides: str | None = None) -> bool:
    """Whether at least `bound` messages wait for that recipient, those from the sender `besides` not counted."""
    counted, values = ("", ()) if besides is None else (" AND sender <> ?", (besides,))  # without: the index is enough
    query = f"SELECT 1 FROM messages WHERE {WAITING}{counted} LIMIT 1 OFFSET ?"  # noqa: S608
    return connection.execute(query, (recipient, *values, bound - 1)).fetchone() is not None


def waiting(connection: sqlite3.Connection, recipient: str, *, limit: int = 100, cut: bool = False) -> list[Message]:
    """The waiting messages that nobody has leased, oldest first; `cut` as for `mailbox`."""
    rest = f"{WAITING} AND (lease_until IS NULL OR lease_until <= ?) ORDER BY id LIMIT ?"
    return select(connection, rest, (recipient, time.time(), limit), cut=cut)


class Step(NamedTuple):
    """A message's place in its exchange; `chain` is the id of the exchange's first message, its own if it is that."""

    id: int
    sender: str
    chain: int
    hops: int


def step(message: Message) -> Step:
    """That message's place."""
    return Step(message.id, message.sender, message.chain or message.id, message.hops)


def in_work(connection: sqlite3.Connection, recipient: str) -> list[Step]:
    """What was given to that recipient and is not acknowledged, also if its lease ran out: the newest hundred."""
    rows = connection.execute(
        f"SELECT id, sender, CASE chain WHEN 0 THEN id ELSE chain END, hops FROM messages WHERE {LEASED}"  # noqa: S608
        " ORDER BY id DESC LIMIT 100",
        (recipient,),
    )
    return [Step(*row) for row in rows]


def deliver(connection: sqlite3.Connection, recipient: str, ids: Iterable[int], *, leased: bool = True) -> int:
    """Mark waiting messages of that recipient as delivered, only those ever leased unless `leased` is False.

    Returns how many were not delivered before.
    """
    now = time.time()
    rest = f"id = ? AND {WAITING} AND (lease_until IS NOT NULL OR NOT ?)"
    cursor = connection.executemany(
        f"UPDATE messages SET delivered_at = ?, lease_until = NULL WHERE {rest}",  # noqa: S608
        [(now, each, recipient, leased) for each in ids],
    )
    return max(cursor.rowcount, 0)  # -1 when there were no ids


def delete(connection: sqlite3.Connection, message: int) -> None:
    """Delete a message."""
    connection.execute("DELETE FROM messages WHERE id = ?", (message,))


def mailbox(
    connection: sqlite3.Connection,
    recipient: str,
    *,
    delivered: bool,
    limit: int,
    before: int | None = None,
    cut: bool = False,
) -> list[Message]:
    """The recipient's waiting messages (and, with `delivered`, the others too), newest first.

    `before`: with a smaller id; `cut`: with BRIEF characters of each body, but of the hive's own events all.
    """
    older = before or _NO_BOUND
    if not delivered:
        rest = f"{WAITING} AND id < ? ORDER BY id DESC LIMIT ?"
        return select(connection, rest, (recipient, older, limit), cut=cut)
    each = (f"SELECT id FROM messages WHERE {which}" for which in (WAITING, _DELIVERED))  # noqa: S608
    newest = f"SELECT id FROM ({' UNION ALL '.join(each)}) WHERE id < ? ORDER BY id DESC LIMIT ?"  # noqa: S608
    return select(connection, f"id IN ({newest}) ORDER BY id DESC", (recipient, recipient, older, limit), cut=cut)


@dataclass(frozen=True)
class Filter:
    """Which mail: to or from `agent`, to `recipient`, of one chain, with `search` in text or names, unread."""

    agent: str | None = None
    recipient: str | None = None
    chain: int | None = None
    search: str | None = None
    unread: bool = False


def flow(
    connection: sqlite3.Connection, wanted: Filter, *, limit: int, before: int | None = None, cut: bool = False
) -> list[Message]:
    """All mail that is wanted, newest first; `before`: with a smaller id; `cut` as for `mailbox`.

    It looks at every message, so it belongs on a connection of its own (`Database.read_apart`).
    """
    words = (wanted.search or "").casefold()
    connection.create_function("holds", 3, lambda *texts: any(words in text.casefold() for text in texts))
    return select(
        connection,
        "id < ?1 AND (?2 IS NULL OR ?2 IN (sender, recipient)) AND (?3 IS NULL OR recipient = ?3)"
        " AND (?4 IS NULL OR ?4 IN (id, chain)) AND NOT (?5 AND delivered_at IS NOT NULL)"
        " AND (?6 = '' OR holds(body, sender, recipient)) ORDER BY id DESC LIMIT ?7",
        (before or _NO_BOUND, wanted.agent, wanted.recipient, wanted.chain, wanted.unread, words, limit),
        cut=cut,
    )


def expire(connection: sqlite3.Connection, now: float) -> list[Message]:
    """Mark the questions whose time is over as such; returns those that nobody has answered."""
    due = select(connection, "expires_at <= ? AND expired = 0 ORDER BY id", (now,))
    connection.executemany("UPDATE messages SET expired = 1 WHERE id = ?", [(each.id,) for each in due])
    return [each for each in due if not each.replied]


def next_expiry(connection: sqlite3.Connection) -> float | None:
    """When the next question's time is over (Unix seconds); None if there is none."""
    query = "SELECT min(expires_at) FROM messages WHERE expires_at IS NOT NULL AND expired = 0"
    (moment,) = connection.execute(query).fetchone()
    return None if moment is None else float(moment)


def recipients(connection: sqlite3.Connection) -> list[str]:
    """Who has delivered messages."""
    return [name for (name,) in connection.execute(_RECIPIENTS)]


def prune(connection: sqlite3.Connection, recipient: str, *, before: float, max_rows: int, limit: int) -> int:
    """Delete the recipient's oldest delivered messages: from before that time, or beyond `max_rows`; at most `limit`.

    A question whose time is not over, and the answer to one, stay until it is. Returns how many went.
    """
    (count,) = connection.execute(f"SELECT count(*) FROM messages WHERE {_DELIVERED}", (recipient,)).fetchone()  # noqa: S608
    (old,) = connection.execute(
        "SELECT count(*) FROM messages WHERE recipient = ? AND delivered_at < ?", (recipient, before)
    ).fetchone()
    kept = connection.execute(f"{_OPEN} UNION {_ANSWERS}", (recipient, recipient)).fetchall()
    most = max(count - len(kept) - max_rows, old - sum(at < before for _, at in kept), 0)
    number = int(min(most, limit))
    but = "id NOT IN (SELECT value FROM json_each(?))"
    oldest = f"SELECT id FROM messages WHERE {_DELIVERED} AND {but} ORDER BY delivered_at, id LIMIT ?"  # noqa: S608
    ids = json.dumps([each for each, _ in kept])
    connection.execute(f"DELETE FROM messages WHERE id IN ({oldest})", (recipient, ids, number))  # noqa: S608
    return number
