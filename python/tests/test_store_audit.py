from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from pathlib import Path

import mail_rig
import pytest
from database_rig import within

from hyperhive.store import audit
from hyperhive.store.database import Database


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


@pytest.fixture
def chain(connection: sqlite3.Connection) -> sqlite3.Connection:
    """Five entries, and nothing that guards them from whoever has the file."""
    for number in range(5):
        audit.append(connection, "system", f"a{number}", "hive", number=number)
    connection.executescript("DROP TRIGGER audit_no_update; DROP TRIGGER audit_no_delete;")
    return connection


def test_an_untouched_log_is_whole(chain: sqlite3.Connection) -> None:
    found = audit.verify(chain)
    assert (found.entries, found.broken) == (5, None)
    assert (5, found.head) == audit.head(chain)
    assert found.view() == {"entries": 5, "head": found.head, "broken": None}


def test_an_empty_log_is_whole(connection: sqlite3.Connection) -> None:
    assert audit.verify(connection) == audit.Chain(0, "", None)
    assert audit.head(connection) == (0, "")


@pytest.mark.parametrize(
    ("tampering", "first", "what"),
    [
        ("UPDATE audit SET actor = 'nobody' WHERE id = 3", 3, "was changed"),
        ("UPDATE audit SET at = at + 0.001 WHERE id = 1", 1, "was changed"),
        ("UPDATE audit SET detail = '{}' WHERE id = 5", 5, "was changed"),
        ("UPDATE audit SET hash = (SELECT hash FROM audit WHERE id = 1) WHERE id = 2", 2, "was changed"),
        ("UPDATE audit SET action = 'x', hash = '' WHERE id = 4", 4, "was changed"),
        ("DELETE FROM audit WHERE id = 1", 1, "it is gone; the next one is 2"),
        ("DELETE FROM audit WHERE id = 3", 3, "it is gone; the next one is 4"),
        ("DELETE FROM audit WHERE id > 3", 4, "the newest after it are gone; there were 5"),
        ("DELETE FROM audit", 1, "the newest after it are gone; there were 5"),
        ("DELETE FROM audit WHERE id = 3; UPDATE audit SET id = id - 1 WHERE id > 3", 3, "was changed"),
        ("INSERT INTO audit SELECT 6, at, actor, 'x', subject, detail, hash FROM audit WHERE id = 5", 6, "was changed"),
        ("UPDATE audit SET id = 9 WHERE id = 2; UPDATE audit SET id = 2 WHERE id = 3", 2, "was changed"),
        (
            "REPLACE INTO audit SELECT 3, at, actor, action, subject, detail, hash FROM audit WHERE id = 2",
            3,
            "was changed",
        ),
        ("INSERT INTO audit SELECT 0, at, actor, action, subject, detail, hash FROM audit WHERE id = 1", 0, "inserted"),
        ("INSERT INTO audit SELECT 8, at, actor, action, subject, detail, hash FROM audit WHERE id = 1", 6, "is gone"),
        ("UPDATE audit SET actor = CAST(actor AS BLOB) WHERE id = 3", 3, "was changed"),
        ("UPDATE audit SET actor = CAST(x'ff' AS TEXT) WHERE id = 3", 3, "was changed"),
        ("UPDATE audit SET at = x'00' WHERE id = 2", 2, "was changed"),
        ("UPDATE audit SET hash = CAST(x'ff' AS TEXT) WHERE id = 4", 4, "was changed"),
    ],
)
def test_tampering_is_found_where_it_begins(chain: sqlite3.Connection, tampering: str, first: int, what: str) -> None:
    chain.executescript(tampering)
    broken = audit.verify(chain).broken
    assert broken is not None and broken.id == first
    assert what in broken.what


def test_what_is_appended_after_a_tampering_does_not_hide_it(chain: sqlite3.Connection) -> None:
    chain.execute("UPDATE audit SET actor = 'nobody' WHERE id = 3")
    audit.append(chain, "system", "later", "hive")
    broken = audit.verify(chain).broken
    assert broken is not None and broken.id == 3


def test_entries_that_were_undone_leave_no_gap(connection: sqlite3.Connection) -> None:
    audit.append(connection, "system", "a", "hive")
    connection.execute("BEGIN")
    audit.append(connection, "system", "undone", "hive")
    connection.execute("ROLLBACK")
    audit.append(connection, "system", "b", "hive")
    assert audit.verify(connection).broken is None
    assert actions(audit.entries(connection)) == ["a", "b"]


def test_a_cut_off_end_is_still_seen_after_the_next_entry(chain: sqlite3.Connection) -> None:
    chain.execute("DELETE FROM audit WHERE id > 3")
    audit.append(chain, "system", "later", "hive")
    assert audit.verify(chain).broken == audit.Broken(4, "it is gone; the next one is 6")


COUNTERS = ["DELETE FROM sqlite_sequence", "UPDATE sqlite_sequence SET seq = 1", "UPDATE sqlite_sequence SET seq = 'x'"]


@pytest.mark.parametrize("counter", COUNTERS)
def test_a_counter_that_was_changed_does_not_stop_the_log(chain: sqlite3.Connection, counter: str) -> None:
    chain.execute(counter)
    audit.append(chain, "system", "later", "hive")
    found = audit.verify(chain)
    assert (found.entries, found.broken) == (6, None)


@pytest.mark.parametrize(
    "forgery",
    [
        "DELETE FROM audit WHERE id > 3; UPDATE sqlite_sequence SET seq = 3 WHERE name = 'audit'",
        "UPDATE audit SET at = 1 WHERE id = 2; UPDATE audit SET hash = anew(id, at, actor, action, subject, detail)",
    ],
    ids=["cut off with the counter", "computed anew"],
)
def test_what_the_chain_cannot_show_differs_from_a_head_kept_elsewhere(chain: sqlite3.Connection, forgery: str) -> None:
    kept = audit.head(chain)
    chain.create_function("anew", 6, audit.chained())
    chain.executescript(forgery)
    assert audit.verify(chain).broken is None
    assert audit.head(chain) != kept


class Interrupted(sqlite3.Connection):
    """A reader that sees one more entry of a writer after each of its statements."""

    writer: sqlite3.Connection

    def execute(self, *arguments: object) -> sqlite3.Cursor:
        cursor = super().execute(*arguments)  # type: ignore[arg-type]
        audit.append(self.writer, "system", "meanwhile", "hive")
        return cursor


def test_what_is_appended_while_the_chain_is_walked_is_no_tampering(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"

    async def create() -> None:
        await (await Database.open(path)).close()

    within(create())
    with closing(sqlite3.connect(path, isolation_level=None)) as writer:
        with closing(sqlite3.connect(path, factory=Interrupted)) as reader:
            reader.writer = writer
            assert audit.verify(reader).broken is None
        assert audit.verify(writer) == audit.Chain(*audit.head(writer), None)


def test_whoever_changes_the_file_of_a_running_core_is_found_out(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"

    async def go() -> audit.Chain:
        database = await Database.open(path)
        for _ in range(3):
            await database.write(lambda c: audit.append(c, "system", "agent.stop", "agent/worker"))
        with closing(sqlite3.connect(path)) as attacker:
            attacker.executescript("DROP TRIGGER audit_no_update; UPDATE audit SET actor = 'nobody' WHERE id = 2")
        found = await database.read_apart(audit.verify)
        await database.close()
        return found

    found = within(go())
    assert (found.entries, found.broken) == (1, audit.Broken(2, "it, or the one before it, was changed"))
