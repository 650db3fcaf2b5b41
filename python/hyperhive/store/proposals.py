"""Proposals: one row each, from the request to its end. Functions of a connection; they never commit."""

from __future__ import annotations

import json
import sqlite3
import time
from collections import Counter
from collections.abc import Iterable, Sequence
from dataclasses import dataclass
from enum import StrEnum
from typing import Any

from hyperhive.errors import NotFound


class State(StrEnum):
    """Where a proposal is (docs/design.md has the picture)."""

    REQUESTED = "requested"
    CHECKED = "checked"
    APPROVED = "approved"
    BUILDING = "building"
    ACTIVATING = "activating"
    APPLIED = "applied"
    REJECTED = "rejected"
    DENIED = "denied"
    SUPERSEDED = "superseded"
    WITHDRAWN = "withdrawn"
    FAILED = "failed"


OPEN = (State.REQUESTED, State.CHECKED)
APPLYING = (State.APPROVED, State.BUILDING, State.ACTIVATING)

MAX_LOG = 10_000  # lines of one proposal's log
MAX_LINE = 4000

_JSON = ("settings", "delta", "lint")
_COLUMNS = (
    "id, agent, commit_id, reason, requester, state, base_generation, settings, delta, lint, diff, fingerprint, "
    "generation, error, decided_by, decision, created_at, updated_at"
)


@dataclass(frozen=True)
class Proposal:
    """One request to apply one commit of one agent. `delta` is a list of JSON objects, `lint` of sentences."""

    id: int
    agent: str
    commit: str
    reason: str
    requester: str
    state: State
    base_generation: int | None
    settings: dict[str, Any] | None
    delta: list[dict[str, Any]] | None
    lint: list[str] | None
    diff: str | None
    fingerprint: str | None
    generation: int | None
    error: str | None
    decided_by: str | None
    decision: str | None
    created_at: float
    updated_at: float

    def view(self, *, whole: bool = True) -> dict[str, Any]:
        """The JSON object that the sockets show; listings (`whole=False`) leave out settings and diff."""
        shown = dict(self.__dict__)
        if not whole:
            del shown["settings"], shown["diff"]
        return {**shown, "changes": self._changes(), "warnings": len(self.lint or ())}

    def brief(self) -> dict[str, Any]:
        """A row of a long list: the view without everything that can be long."""
        shown = self.view(whole=False)
        del shown["delta"], shown["lint"], shown["fingerprint"]
        return shown

    def _changes(self) -> dict[str, int] | None:
        """How many changes of each direction the delta has; None before the check."""
        if self.delta is None:
            return None
        counted = Counter(change["direction"] for change in self.delta)
        return {direction: counted[direction] for direction in ("widening", "narrowing", "neutral")}


def _proposal(row: tuple[Any, ...]) -> Proposal:
    values = dict(zip(Proposal.__dataclass_fields__, row, strict=True))
    for name in _JSON:
        values[name] = None if values[name] is None else json.loads(values[name])
    return Proposal(**{**values, "state": State(values["state"])})


def insert(connection: sqlite3.Connection, *, agent: str, commit: str, reason: str, requester: str) -> int:
    """Store a request and return its id."""
    now = time.time()
    cursor = connection.execute(
        "INSERT INTO proposals (agent, commit_id, reason, requester, state, created_at, updated_at)"
        " VALUES (?, ?, ?, ?, 'requested', ?, ?)",
        (agent, commit, reason, requester, now, now),
    )
    assert cursor.lastrowid is not None
    return cursor.lastrowid


def get(connection: sqlite3.Connection, proposal: int) -> Proposal:
    """The proposal with that id. Raises NotFound."""
    row = connection.execute(f"SELECT {_COLUMNS} FROM proposals WHERE id = ?", (proposal,)).fetchone()  # noqa: S608
    if row is None:
        raise NotFound(f"there is no proposal {proposal}; `hyperhive apply list` shows them")
    return _proposal(row)


def find(
    connection: sqlite3.Connection,
    *,
    agent: str | None = None,
    states: Iterable[State] = (),
    limit: int = 100,
    before: int | None = None,
) -> list[Proposal]:
    """The newest `limit` proposals, newest first, of that agent and in those states (none named: any).

    `before`: only those with a smaller id.
    """
    wanted = tuple(states)
    marks = ", ".join("?" * len(wanted))
    rows = connection.execute(
        f"SELECT {_COLUMNS} FROM proposals WHERE (?1 IS NULL OR agent = ?1) AND (?2 IS NULL OR id < ?2)"  # noqa: S608
        + (f" AND state IN ({marks})" if wanted else "")  # marks are only '?'
        + " ORDER BY id DESC LIMIT ?",
        (agent, before, *wanted, limit),
    )
    return [_proposal(row) for row in rows]


@dataclass(frozen=True)
class LogLine:
    """A line of a proposal's log: its number from 1 on, when, in which step (check, build, activate), and its text."""

    seq: int
    at: float
    step: str
    text: str


def add_log(connection: sqlite3.Connection, proposal: int, step: str, texts: Sequence[str]) -> list[LogLine]:
    """Add lines to a proposal's log and return what was stored (a proposal keeps at most MAX_LOG lines)."""
    query = "SELECT coalesce(max(seq), 0) FROM proposal_log WHERE proposal = ?"
    (seq,) = connection.execute(query, (proposal,)).fetchone()
    now = time.time()
    room = max(0, MAX_LOG - seq)
    kept = [LogLine(seq + 1 + index, now, step, each[:MAX_LINE]) for index, each in enumerate(texts[:room])]
    connection.executemany(
        "INSERT INTO proposal_log (proposal, seq, at, step, text) VALUES (?, ?, ?, ?, ?)",
        [(proposal, each.seq, each.at, each.step, each.text) for each in kept],
    )
    return kept


def log_of(connection: sqlite3.Connection, proposal: int, *, after: int = 0) -> list[LogLine]:
    """The proposal's log in order; `after`: only lines with a larger number."""
    query = "SELECT seq, at, step, text FROM proposal_log WHERE proposal = ? AND seq > ? ORDER BY seq"
    return [LogLine(*row) for row in connection.execute(query, (proposal, after))]


def update(connection: sqlite3.Connection, proposal: int, **changes: object) -> Proposal:
    """Set the named columns (`commit` for the hash; lists and dicts are stored as JSON) and return the row."""
    values = {
        ("commit_id" if name == "commit" else name): json.dumps(value) if isinstance(value, list | dict) else value
        for name, value in changes.items()
    }
    assignments = ", ".join(f"{name} = ?" for name in values)
    connection.execute(
        f"UPDATE proposals SET {assignments}, updated_at = ? WHERE id = ?",  # noqa: S608  (names are our own)
        (*values.values(), time.time(), proposal),
    )
    return get(connection, proposal)
