"""Turns and their events, as the harness reports them. Functions of a connection; they never commit."""

from __future__ import annotations

import json
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any

from hyperhive.errors import NotFound

MAX_EVENTS = 5000  # of one turn; a turn of 80 model calls has a few hundred
MAX_BYTES = 32 * 1024 * 1024


@dataclass(frozen=True)
class Turn:
    """One run of the model over a batch of messages, or a compaction. `outcome` is None while it runs.

    `model` is the one that answered; until one has, as it was asked for. `commit` and `proposal` are what its
    generation was made of, `notes` names (SHA-256) what stood in the prompt that its session began with.
    """

    id: int
    agent: str
    generation: int
    model: str
    session_id: str
    message_ids: list[int]
    started_at: float
    ended_at: float | None
    outcome: str | None
    detail: str | None
    usage: dict[str, Any] | None
    cost_usd: float | None
    purpose: str
    commit: str | None
    proposal: int | None
    notes: str | None
    cpu_seconds: float | None
    memory_peak: int | None

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        return dict(self.__dict__)


_COLUMNS = (
    "id, agent, generation, model, session_id, message_ids, started_at, ended_at, outcome, detail, usage, cost_usd,"
    " purpose, applied_commit, proposal, notes, cpu_seconds, memory_peak"
)


def _turn(row: tuple[Any, ...]) -> Turn:
    values = dict(zip(Turn.__dataclass_fields__, row, strict=True))
    values["message_ids"] = json.loads(values["message_ids"])
    values["usage"] = None if values["usage"] is None else json.loads(values["usage"])
    return Turn(**values)


def begin(
    connection: sqlite3.Connection,
    *,
    agent: str,
    generation: int,
    model: str,
    session_id: str,
    message_ids: Sequence[int],
    notes: str | None = None,
    purpose: str = "mail",
) -> int:
    """Record that a turn began; a turn of the same agent that never ended did not survive: it is closed as `lost`."""
    now = time.time()
    connection.execute(
        "UPDATE turns SET ended_at = ?, outcome = 'lost' WHERE agent = ? AND ended_at IS NULL", (now, agent)
    )
    cursor = connection.execute(
        "INSERT INTO turns (agent, generation, model, session_id, message_ids, started_at, notes, purpose)"
        " VALUES (?, ?, ?, ?, ?, ?, ?, ?)",
        (agent, generation, model, session_id, json.dumps(list(message_ids)), now, notes, purpose),
    )
    if notes is None and purpose == "mail":  # none in its own prompt: a resumed session
        connection.execute(
            "UPDATE turns SET notes = (SELECT notes FROM turns WHERE agent = ?2 AND session_id = ?3 AND id < ?1"
            " AND purpose = 'mail' ORDER BY id DESC LIMIT 1) WHERE id = ?1",
            (cursor.lastrowid, agent, session_id),
        )
    connection.execute(
        "UPDATE turns SET (applied_commit, proposal) ="
        " (SELECT commit_id, proposal FROM generations WHERE agent = ?2 AND number = ?3) WHERE id = ?1",
        (cursor.lastrowid, agent, generation),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def running(connection: sqlite3.Connection, agent: str) -> int | None:
    """The agent's turn that has not ended."""
    row = connection.execute("SELECT max(id) FROM turns WHERE agent = ? AND ended_at IS NULL", (agent,)).fetchone()
    return None if row is None else row[0]


def get(connection: sqlite3.Connection, agent: str, turn: int) -> Turn:
    """That turn of that agent. Raises NotFound."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM turns WHERE id = ? AND agent = ?",  # noqa: S608
        (turn, agent),
    ).fetchone()
    if row is None:
        raise NotFound(f"{agent} has no turn {turn}")
    return _turn(row)


@dataclass(frozen=True)
class TurnEvent:
    """One event of a turn: its number within it from 1 on, when it came, and the event as a JSON line."""

    seq: int
    at: float | None
    event: str

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        return {"seq": self.seq, "at": self.at, "event": json.loads(self.event)}


def add_events(connection: sqlite3.Connection, turn: int, events: Sequence[str]) -> list[TurnEvent]:
    """Store JSON lines of a turn and return what was stored (a turn keeps its first MAX_EVENTS, of MAX_BYTES)."""
    (seq,) = connection.execute("SELECT coalesce(max(seq), 0) FROM turn_events WHERE turn = ?", (turn,)).fetchone()
    (size,) = connection.execute("SELECT coalesce(max(event_bytes), 0) FROM turns WHERE id = ?", (turn,)).fetchone()
    now = time.time()
    kept: list[TurnEvent] = []
    for event in events[: max(0, MAX_EVENTS - seq)]:
        if (size := size + len(event.encode())) > MAX_BYTES:
            break
        kept.append(TurnEvent(seq + 1 + len(kept), now, event))
    connection.executemany(
        "INSERT INTO turn_events (turn, seq, at, event) VALUES (?, ?, ?, ?)",
        [(turn, each.seq, each.at, each.event) for each in kept],
    )
    connection.execute("UPDATE turns SET event_bytes = ? WHERE id = ?", (size, turn))
    return kept


def end(
    connection: sqlite3.Connection,
    turn: int,
    *,
    outcome: str,
    detail: str | None,
    usage: dict[str, Any] | None,
    cost_usd: float | None,
    model: str | None = None,
    cpu_seconds: float | None = None,
    memory_peak: int | None = None,
) -> None:
    """Record how a turn ended, the model that answered, if one did, and what its processes used: seconds of CPU, bytes
    of the largest.
    """
    used = None if usage is None else json.dumps(usage)
    connection.execute(
        "UPDATE turns SET ended_at = ?, outcome = ?, detail = ?, model = coalesce(?, model), usage = ?, cost_usd = ?,"
        " cpu_seconds = ?, memory_peak = ? WHERE id = ?",
        (time.time(), outcome, detail, model, used, cost_usd, cpu_seconds, memory_peak, turn),
    )


def last_for(connection: sqlite3.Connection, agent: str) -> Turn | None:
    """The agent's newest turn."""
    row = connection.execute(
        f"SELECT {_COLUMNS} FROM turns WHERE agent = ? ORDER BY id DESC LIMIT 1",  # noqa: S608
        (agent,),
    ).fetchone()
    return _turn(row) if row else None


def of_agent(connection: sqlite3.Connection, agent: str, limit: int = 20, *, before: int | None = None) -> list[Turn]:
    """The agent's turns, newest first; `before`: only those with a smaller id."""
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM turns WHERE agent = ?1 AND (?2 IS NULL OR id < ?2) ORDER BY id DESC LIMIT ?3",  # noqa: S608
        (agent, before, limit),
    )
    return [_turn(row) for row in rows]


def events_of(connection: sqlite3.Connection, turn: int, *, after: int = 0) -> list[TurnEvent]:
    """The turn's events in order; `after`: only those with a larger number."""
    query = "SELECT seq, at, event FROM turn_events WHERE turn = ? AND seq > ? ORDER BY seq"
    return [TurnEvent(*row) for row in connection.execute(query, (turn, after))]
