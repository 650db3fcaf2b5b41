"""What is deleted of the hive's history: turns, their events, proposals' logs, token use. Never the audit log.

Functions of a connection; they never commit. Each takes a little at a time and returns how many rows went, 0 at last.
"""

from __future__ import annotations

import sqlite3
from collections.abc import Sequence
from itertools import accumulate

from hyperhive.store.proposals import APPLYING, OPEN

TURNS = 20
"""Turns, or proposals, in one go."""
EVENT_BYTES = 4 * 1024 * 1024
"""Bytes of events in one go, or those of one turn: mail waits meanwhile."""

_AGENTS = """
WITH RECURSIVE some (name) AS (
  SELECT min(agent) FROM turns
  UNION ALL
  SELECT (SELECT min(agent) FROM turns WHERE agent > name) FROM some WHERE name IS NOT NULL
) SELECT name FROM some WHERE name IS NOT NULL
"""
_OLD_TURNS = """
SELECT id, event_bytes FROM turns WHERE agent = ?1 AND ended_at IS NOT NULL
  AND id < (SELECT max(id) FROM turns WHERE agent = ?1)
  AND (ended_at < ?2 OR id <= (SELECT id FROM turns WHERE agent = ?1 ORDER BY id DESC LIMIT 1 OFFSET ?3))
ORDER BY id LIMIT ?4
"""
_LARGE_TURNS = """
SELECT id, event_bytes FROM (
  SELECT id, event_bytes, sum(event_bytes) OVER (ORDER BY id DESC) AS together FROM turns WHERE agent = ?1
) WHERE together > ?2 AND event_bytes > 0 AND id < (SELECT max(id) FROM turns WHERE agent = ?1) ORDER BY id LIMIT ?3
"""
_OLD_PROPOSALS = f"""
SELECT id FROM proposals WHERE state NOT IN ({", ".join(f"'{state}'" for state in OPEN + APPLYING)})
  AND (updated_at < ?1 OR id <= (SELECT id FROM proposals ORDER BY id DESC LIMIT 1 OFFSET ?2))
  AND (generation IS NULL OR EXISTS (SELECT 1 FROM proposal_log WHERE proposal = proposals.id))
ORDER BY id LIMIT ?3
"""  # noqa: S608  (the states are our own)


def agents(connection: sqlite3.Connection) -> list[str]:
    """Who has turns, also those who are gone."""
    return [name for (name,) in connection.execute(_AGENTS)]


def prune_turns(connection: sqlite3.Connection, agent: str, *, before: float, most: int) -> int:
    """Delete the agent's turns that ended before that time, or beyond the newest `most`; the newest always stays."""
    ids = _some(connection.execute(_OLD_TURNS, (agent, before, most, TURNS)).fetchall())
    connection.executemany("DELETE FROM turn_events WHERE turn = ?", ids)
    connection.executemany("DELETE FROM turns WHERE id = ?", ids)
    return len(ids)


def prune_events(connection: sqlite3.Connection, agent: str, *, most: int) -> int:
    """Delete the events of the agent's oldest turns, until the others' are `most` bytes; the newest turn's stay."""
    ids = _some(connection.execute(_LARGE_TURNS, (agent, most, TURNS)).fetchall())
    connection.executemany("DELETE FROM turn_events WHERE turn = ?", ids)
    connection.executemany("UPDATE turns SET event_bytes = 0 WHERE id = ?", ids)
    return len(ids)


def _some(turns: Sequence[tuple[int, int]]) -> list[tuple[int]]:
    """The first of these (id, bytes of its events) that have EVENT_BYTES together, or one alone."""
    together = accumulate(size for _, size in turns)
    some = [(turn,) for (turn, _), size in zip(turns, together, strict=True) if size <= EVENT_BYTES]
    return some or [(turn,) for turn, _ in turns[:1]]


def prune_proposals(connection: sqlite3.Connection, *, before: float, most: int) -> int:
    """Delete proposals that came to nothing, and the others' logs: from before that time, or beyond the newest `most`.

    One that became a generation stays: on NixOS root looks there before it runs.
    """
    ids = connection.execute(_OLD_PROPOSALS, (before, most, TURNS)).fetchall()
    connection.executemany("DELETE FROM proposal_log WHERE proposal = ?", ids)
    connection.executemany("DELETE FROM proposals WHERE id = ? AND generation IS NULL", ids)
    return len(ids)


def prune_usage(connection: sqlite3.Connection, *, before: str) -> int:
    """Delete what was used on days (2026-11-24) before that one."""
    return connection.execute("DELETE FROM model_usage WHERE day < ?", (before,)).rowcount
