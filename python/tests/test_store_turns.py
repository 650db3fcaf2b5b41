from __future__ import annotations

import sqlite3
from collections.abc import Iterator
from contextlib import closing

import mail_rig
import pytest

from hyperhive.errors import NotFound
from hyperhive.store import turns


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(mail_rig.connection()) as made:
        yield made


def begin(connection: sqlite3.Connection, agent: str = "bob") -> int:
    return turns.begin(connection, agent=agent, generation=3, model="haiku", session_id="s", message_ids=[4, 5])


def end(connection: sqlite3.Connection, turn: int) -> None:
    turns.end(connection, turn, outcome="completed", detail="fine", usage={"input_tokens": 7}, cost_usd=0.25)


def test_a_turn_that_runs_has_no_end(connection: sqlite3.Connection) -> None:
    turn = turns.get(connection, "bob", begin(connection))
    assert (turn.generation, turn.model, turn.session_id, turn.message_ids) == (3, "haiku", "s", [4, 5])
    assert (turn.ended_at, turn.outcome, turn.usage, turn.cost_usd) == (None, None, None, None)


def test_a_turns_end_is_recorded(connection: sqlite3.Connection) -> None:
    number = begin(connection)
    end(connection, number)
    turn = turns.get(connection, "bob", number)
    assert (turn.outcome, turn.detail, turn.usage, turn.cost_usd) == ("completed", "fine", {"input_tokens": 7}, 0.25)
    assert turn.ended_at is not None and turn.ended_at >= turn.started_at
    assert turn.view()["message_ids"] == [4, 5]


def test_the_model_that_answered_is_recorded_at_the_end(connection: sqlite3.Connection) -> None:
    number = begin(connection)
    turns.end(connection, number, outcome="completed", detail=None, usage=None, cost_usd=None, model="claude-haiku-4-5")
    assert turns.get(connection, "bob", number).model == "claude-haiku-4-5"


def test_a_resumed_sessions_turns_have_the_notes_that_it_began_with(connection: sqlite3.Connection) -> None:
    def notes(session: str, given: str | None, agent: str = "bob", purpose: str = "mail") -> str | None:
        number = turns.begin(
            connection,
            agent=agent,
            generation=3,
            model="haiku",
            session_id=session,
            message_ids=[],
            notes=given,
            purpose=purpose,
        )
        return turns.get(connection, agent, number).notes

    assert [notes("s", "abc"), notes("s", None), notes("s", None)] == ["abc"] * 3
    assert notes("s", None, purpose="compaction") is None
    assert [notes("t", None), notes("t", None), notes("s", None, "alice")] == [None] * 3


def test_a_turn_that_never_ended_is_lost_when_the_next_begins(connection: sqlite3.Connection) -> None:
    done, lost, foreign = begin(connection), begin(connection), begin(connection, "alice")
    end(connection, done)
    last = begin(connection)
    outcomes = [turns.get(connection, "bob", number).outcome for number in (lost, last)]
    assert outcomes == ["lost", None]
    assert turns.get(connection, "bob", done).outcome == "completed"
    assert turns.get(connection, "alice", foreign).outcome is None


def test_anothers_turn_is_not_found(connection: sqlite3.Connection) -> None:
    number = begin(connection)
    with pytest.raises(NotFound, match=f"alice has no turn {number}"):
        turns.get(connection, "alice", number)


def test_turns_are_listed_newest_first_for_their_agent(connection: sqlite3.Connection) -> None:
    assert turns.last_for(connection, "bob") is None
    first, _, third = begin(connection), begin(connection, "alice"), begin(connection)
    last = turns.last_for(connection, "bob")
    assert last is not None and last.id == third
    assert [turn.id for turn in turns.of_agent(connection, "bob")] == [third, first]
    assert [turn.id for turn in turns.of_agent(connection, "bob", limit=1)] == [third]


def test_events_keep_their_order_over_several_calls(connection: sqlite3.Connection) -> None:
    number, other = begin(connection), begin(connection, "alice")
    assert len(turns.add_events(connection, number, ["1", "2"])) == 2
    assert len(turns.add_events(connection, other, ["9"])) == 1
    assert len(turns.add_events(connection, number, ["3"])) == 1
    assert [(e.seq, e.event) for e in turns.events_of(connection, number)] == [(1, "1"), (2, "2"), (3, "3")]


def test_events_need_their_turn(connection: sqlite3.Connection) -> None:
    connection.execute("PRAGMA foreign_keys = ON")
    with pytest.raises(sqlite3.IntegrityError):
        turns.add_events(connection, 7, ["1"])


def test_a_turn_keeps_a_bounded_number_of_events(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turns, "MAX_EVENTS", 3)
    number = begin(connection)
    assert len(turns.add_events(connection, number, ["1", "2"])) == 2
    assert len(turns.add_events(connection, number, ["3", "4"])) == 1
    assert len(turns.add_events(connection, number, ["5"])) == 0
    assert [(e.seq, e.event) for e in turns.events_of(connection, number)] == [(1, "1"), (2, "2"), (3, "3")]
