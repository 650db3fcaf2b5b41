from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import mail_rig
import pytest

from hyperhive.store import audit


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(mail_rig.connection()) as made:
        yield made


def actions(entries: list[audit.Entry]) -> list[str]:
    return [entry.action for entry in entries]


def test_an_entry_says_who_did_what_to_which_and_when(connection: sqlite3.Connection) -> None:
    before = time.time()
    audit.append(connection, "operator:ann", "agent.stop", "agent/worker", reason="lunch", count=2)
    (entry,) = audit.entries(connection)
    assert (entry.actor, entry.action, entry.subject) == ("operator:ann", "agent.stop", "agent/worker")
    assert entry.detail == {"reason": "lunch", "count": 2}
    assert before <= entry.at <= time.time()
    assert entry.view()["detail"] == entry.detail


def test_the_newest_entries_are_given_oldest_first(connection: sqlite3.Connection) -> None:
    for number in range(5):
        audit.append(connection, "system", f"a{number}", "hive")
    assert actions(audit.entries(connection, limit=2)) == ["a3", "a4"]


def test_an_agents_entries_are_those_by_it_about_it_and_of_its_proposals(connection: sqlite3.Connection) -> None:
    audit.append(connection, "worker", "by", "proposal/1")
    audit.append(connection, "operator:ann", "about", "agent/worker")
    audit.append(connection, "operator:ann", "of", "proposal/2", agent="worker")
    audit.append(connection, "operator:ann", "other", "agent/worker-2", agent="worker-2")
    assert actions(audit.entries(connection, agent="worker")) == ["by", "about", "of"]


def test_entries_can_begin_at_a_time(connection: sqlite3.Connection) -> None:
    audit.append(connection, "system", "early", "hive")
    audit.append(connection, "system", "late", "hive")
    (early, late) = audit.entries(connection)
    assert actions(audit.entries(connection, since=late.at)) == ["early", "late"][early.at < late.at :]
    assert audit.entries(connection, since=late.at + 1) == []


@pytest.mark.parametrize("change", ["UPDATE audit SET actor = 'nobody'", "DELETE FROM audit"])
def test_what_was_written_stays(connection: sqlite3.Connection, change: str) -> None:
    audit.append(connection, "system", "agent.stop", "agent/worker")
    with pytest.raises(sqlite3.IntegrityError, match="append-only"):
        connection.execute(change)
    assert actions(audit.entries(connection)) == ["agent.stop"]
