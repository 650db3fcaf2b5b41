from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing
from dataclasses import replace
from typing import Any

import mail_rig
import pytest

from hyperhive.errors import NotFound
from hyperhive.store import leases, messages, parked

HOUR = 3600.0


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(mail_rig.connection()) as made:
        yield made


def put(connection: sqlite3.Connection, body: str = "hello", *, to: str = "bob", sender: str = "alice") -> int:
    return messages.insert(connection, sender=sender, recipient=to, kind="mail", body=body).id


def lease(connection: sqlite3.Connection, *, seconds: float = HOUR, limit: int = 10) -> list[int]:
    return [m.id for m in leases.lease(connection, "bob", until=time.time() + seconds, limit=limit)]


def waiting(connection: sqlite3.Connection) -> list[int]:
    return [message.id for message in messages.waiting(connection, "bob")]


def test_what_insert_returns_is_what_is_stored(connection: sqlite3.Connection) -> None:
    made = messages.insert(
        connection, sender="alice", recipient="bob", kind="question", body="é\n", reply_to=7, chain=3, hops=2
    )
    parked = messages.insert(connection, sender="alice", recipient="bob", kind="mail", body="x", dead=True)
    assert [messages.get(connection, made.id), messages.get(connection, parked.id)] == [made, parked]
    assert made.dead_at is None and parked.dead_at is not None


def test_a_message_that_is_not_there_is_not_found(connection: sqlite3.Connection) -> None:
    with pytest.raises(NotFound, match="there is no message 5"):
        messages.get(connection, 5)


def test_an_unknown_kind_is_refused(connection: sqlite3.Connection) -> None:
    with pytest.raises(sqlite3.IntegrityError):
        messages.insert(connection, sender="alice", recipient="bob", kind="spam", body="x")


def test_the_view_says_read_at_and_hides_the_lease(connection: sqlite3.Connection) -> None:
    message = replace(messages.get(connection, put(connection)), delivered_at=5.0, lease_until=9.0)
    assert message.view()["read_at"] == 5.0
    assert not {"lease_until", "delivered_at"} & set(message.view())


def test_the_oldest_wait_first_and_only_for_their_recipient(connection: sqlite3.Connection) -> None:
    first, _, third = put(connection), put(connection, to="carol"), put(connection)
    assert waiting(connection) == [first, third]
    assert [m.id for m in messages.waiting(connection, "bob", limit=1)] == [first]


def test_a_leased_message_does_not_wait_until_its_lease_ends(connection: sqlite3.Connection) -> None:
    first, second = put(connection), put(connection)
    assert lease(connection, limit=1) == [first]
    assert waiting(connection) == [second]
    connection.execute("UPDATE messages SET lease_until = ? WHERE id = ?", (time.time() - 1, first))
    assert waiting(connection) == [first, second]
    assert [m.attempts for m in leases.lease(connection, "bob", until=time.time() + 9, limit=9)] == [2, 1]


def test_a_batch_has_a_bound_of_bytes_and_at_least_one_message(
    connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(leases, "BATCH", 3)
    for body in ("ä", "b", "c", "long"):
        messages.insert(connection, sender="alice", recipient="bob", kind="mail", body=body)

    def batch() -> list[str]:
        return [each.body for each in leases.lease(connection, "bob", until=time.time() + 60, limit=10)]

    assert [batch() for _ in range(4)] == [["ä", "b"], ["c"], ["long"], []]


def test_due_is_now_for_fresh_mail_the_leases_end_for_leased_and_never_for_none(connection: sqlite3.Connection) -> None:
    assert leases.due(connection, "bob") is None
    put(connection)
    assert leases.due(connection, "bob") == 0
    until = time.time() + HOUR
    leases.lease(connection, "bob", until=until, limit=1)
    assert leases.due(connection, "bob") == until
    assert leases.due(connection, "alice") is None


def test_a_release_gives_the_attempt_back(connection: sqlite3.Connection) -> None:
    number = put(connection)
    lease(connection)
    leases.release(connection, "alice", [number])  # which are not hers
    assert messages.get(connection, number).attempts == 1
    leases.release(connection, "bob", [number])
    leases.release(connection, "bob", [number])  # a second time there is nothing to release
    assert waiting(connection) == [number]
    assert messages.get(connection, number).attempts == 0


def test_ended_leases_keep_their_attempts_and_touch_nobody_else(connection: sqlite3.Connection) -> None:
    number, other = put(connection), put(connection, to="carol")
    lease(connection)
    leases.lease(connection, "carol", until=time.time() + HOUR, limit=1)
    leases.end_leases(connection, "bob")
    assert messages.get(connection, number).attempts == 1
    assert waiting(connection) == [number]
    assert [m.id for m in leases.leased(connection, "carol")] == [other]


def test_only_leased_messages_of_the_recipient_are_delivered(connection: sqlite3.Connection) -> None:
    held, fresh, foreign = put(connection), put(connection), put(connection, to="carol")
    lease(connection, limit=1)
    leases.lease(connection, "carol", until=time.time() + HOUR, limit=1)
    assert messages.deliver(connection, "bob", [held, fresh, foreign, 99]) == 1
    assert messages.deliver(connection, "bob", [held]) == 0
    assert messages.deliver(connection, "bob", []) == 0
    assert waiting(connection) == [fresh]
    assert [m.id for m in leases.leased(connection, "carol")] == [foreign]


def test_an_answer_after_the_lease_ended_still_counts(connection: sqlite3.Connection) -> None:
    number = put(connection)
    lease(connection, seconds=-1)
    assert messages.deliver(connection, "bob", [number]) == 1


def test_without_a_lease_delivery_must_be_asked_for(connection: sqlite3.Connection) -> None:
    number = put(connection)
    assert messages.deliver(connection, "bob", [number], leased=False) == 1
    assert waiting(connection) == []


def test_only_messages_that_wait_again_are_tired(connection: sqlite3.Connection) -> None:
    tired, held, fresh = put(connection, "tired"), put(connection, "held"), put(connection, "fresh")
    connection.execute("UPDATE messages SET attempts = 5 WHERE id IN (?, ?)", (tired, held))
    connection.execute("UPDATE messages SET lease_until = ? WHERE id = ?", (time.time() + HOUR, held))
    assert [m.id for m in parked.park_tired(connection, "bob", 5)] == [tired]
    assert parked.park_tired(connection, "bob", 5) == []
    assert waiting(connection) == [fresh]
    assert [m.id for m in parked.dead_letters(connection)] == [tired]


def test_the_work_in_hand_is_what_was_leased_also_when_the_lease_has_run_out(connection: sqlite3.Connection) -> None:
    first = put(connection)
    second = messages.insert(connection, sender="alice", recipient="bob", kind="mail", body="x", chain=70, hops=4).id
    put(connection)
    assert messages.in_work(connection, "bob") == []
    lease(connection, limit=1)
    assert messages.in_work(connection, "bob") == [(first, "alice", first, 0)]
    lease(connection, limit=1)
    connection.execute("UPDATE messages SET lease_until = 1 WHERE lease_until IS NOT NULL")
    assert messages.in_work(connection, "bob") == [(second, "alice", 70, 4), (first, "alice", first, 0)]
    messages.deliver(connection, "bob", [second])
    assert [each.id for each in messages.in_work(connection, "bob")] == [first]
    assert messages.in_work(connection, "alice") == []


def test_what_its_recipient_gives_up_is_parked_and_nothing_else(connection: sqlite3.Connection) -> None:
    first, second = put(connection), put(connection)
    lease(connection, limit=1)
    assert parked.park(connection, "alice", [first, second]) == []
    assert [each.id for each in parked.park(connection, "bob", [first, second, 99])] == [first]
    assert parked.park(connection, "bob", [first]) == []
    assert [m.id for m in parked.dead_letters(connection)] == [first]
    assert waiting(connection) == [second]


def test_full_counts_leased_mail_but_neither_delivered_nor_dead(connection: sqlite3.Connection) -> None:
    held, gone = put(connection), put(connection)
    assert lease(connection) == [held, gone]
    assert messages.is_full(connection, "bob", 2)
    assert not messages.is_full(connection, "bob", 3)
    messages.deliver(connection, "bob", [gone])
    messages.insert(connection, sender="alice", recipient="bob", kind="mail", body="x", dead=True)
    assert not messages.is_full(connection, "bob", 2)
    assert messages.pending(connection, "bob") == 1
    assert parked.dead_is_full(connection, "bob", 1) and not parked.dead_is_full(connection, "bob", 2)


def test_full_can_leave_one_sender_out(connection: sqlite3.Connection) -> None:
    put(connection, sender="system")
    put(connection, sender="alice")
    assert messages.is_full(connection, "bob", 2) and not messages.is_full(connection, "bob", 2, besides="system")


def test_a_message_is_replied_once_its_recipient_answered(connection: sqlite3.Connection) -> None:
    number = put(connection)
    messages.insert(connection, sender="carol", recipient="alice", kind="mail", body="x", reply_to=number)
    assert not messages.get(connection, number).replied
    messages.insert(connection, sender="bob", recipient="alice", kind="mail", body="x", reply_to=number)
    assert messages.get(connection, number).replied


def test_a_mailbox_is_shown_newest_first_without_the_dead(connection: sqlite3.Connection) -> None:
    read, unread = put(connection), put(connection)
    messages.insert(connection, sender="alice", recipient="bob", kind="mail", body="x", dead=True)
    messages.deliver(connection, "bob", [read], leased=False)
    shown = [[m.id for m in messages.mailbox(connection, "bob", delivered=d, limit=9)] for d in (True, False)]
    assert shown == [[unread, read], [unread]]


def test_the_flow_is_all_mail_that_is_wanted_newest_first(connection: sqlite3.Connection) -> None:
    first = put(connection, "Über the report")
    second = put(connection, "yes", to="alice", sender="carol")
    third = messages.insert(
        connection, sender="bob", recipient="operator", kind="mail", body="done", reply_to=first, chain=first, hops=1
    ).id

    def found(before: int | None = None, limit: int = 10, **wanted: Any) -> list[int]:
        return [each.id for each in messages.flow(connection, messages.Filter(**wanted), limit=limit, before=before)]

    assert found() == [third, second, first]
    assert (found(limit=1), found(before=third)) == ([third], [second, first])
    assert (found(agent="alice"), found(recipient="alice")) == ([second, first], [second])
    assert found(chain=first) == [third, first]
    assert (found(search="ÜBER"), found(search="CAROL"), found(search="nothing")) == ([first], [second], [])
    messages.deliver(connection, "operator", [third], leased=False)
    assert found(unread=True) == [second, first]


@pytest.mark.parametrize("delivered", [False, True])
def test_a_list_may_hold_the_beginnings_of_bodies_alone(connection: sqlite3.Connection, delivered: bool) -> None:
    for body in ("ü" * messages.BRIEF, "ü" * (messages.BRIEF + 1), f"{'x' * 60_000}needle"):
        put(connection, body)
    found = messages.mailbox(connection, "bob", delivered=delivered, limit=10, cut=True)
    assert [(len(each.body), each.cut) for each in found] == [
        (messages.BRIEF, 60_006 - messages.BRIEF),
        (messages.BRIEF, 1),
        (messages.BRIEF, 0),
    ]
    assert all(each.cut == 0 for each in messages.mailbox(connection, "bob", delivered=delivered, limit=10))
    (hit,) = messages.flow(connection, messages.Filter(search="NEEDLE"), limit=10, cut=True)
    assert (len(hit.body), hit.cut) == (messages.BRIEF, 60_006 - messages.BRIEF)


def test_a_search_among_unread_mail_is_not_filled_up_with_read_mail(connection: sqlite3.Connection) -> None:
    unread = put(connection, "report", to="operator")
    read = [put(connection, "report", to="operator") for _ in range(3)]
    messages.deliver(connection, "operator", read, leased=False)
    wanted = messages.Filter(recipient="operator", search="report", unread=True)
    assert [each.id for each in messages.flow(connection, wanted, limit=2)] == [unread]


def deliver_all(connection: sqlite3.Connection, ages: dict[int, float]) -> None:
    for number, age in ages.items():
        connection.execute("UPDATE messages SET delivered_at = ? WHERE id = ?", (time.time() - age, number))


def test_retention_takes_old_rows_and_rows_beyond_the_bound_oldest_first(connection: sqlite3.Connection) -> None:
    old, newer, newest, undelivered = (put(connection) for _ in range(4))
    foreign = put(connection, to="carol")
    deliver_all(connection, {old: 9 * HOUR, newer: 2 * HOUR, newest: HOUR, foreign: 99 * HOUR})

    def prune(hours: float, rows: int, limit: int = 100) -> int:
        return messages.prune(connection, "bob", before=time.time() - hours * HOUR, max_rows=rows, limit=limit)

    def left() -> list[int]:
        return [row[0] for row in connection.execute("SELECT id FROM messages ORDER BY id")]

    assert prune(24, 10) == 0
    assert prune(8, 10) == 1
    assert left() == [newer, newest, undelivered, foreign]
    assert prune(24, 1) == 1
    assert left() == [newest, undelivered, foreign]
    assert prune(0, 0, limit=0) == 0
    assert prune(0, 0) == 1
    assert left() == [undelivered, foreign], "undelivered mail never goes"


def test_a_question_that_stays_takes_nothing_else_with_it(connection: sqlite3.Connection) -> None:
    question, newer, newest = (put(connection) for _ in range(3))
    connection.execute("UPDATE messages SET expires_at = ? WHERE id = ?", (time.time() + HOUR, question))
    deliver_all(connection, {question: 9 * HOUR, newer: 2 * HOUR, newest: HOUR})
    assert messages.prune(connection, "bob", before=time.time() - 3 * HOUR, max_rows=2, limit=100) == 0
    assert messages.prune(connection, "bob", before=time.time() - 3 * HOUR, max_rows=1, limit=100) == 1
    assert [row[0] for row in connection.execute("SELECT id FROM messages ORDER BY id")] == [question, newest]


def test_recipients_are_those_with_delivered_mail(connection: sqlite3.Connection) -> None:
    assert messages.recipients(connection) == []
    deliver_all(connection, {put(connection, to=name): 1.0 for name in ("carol", "bob", "carol", "alice")})
    put(connection, to="dave")
    assert messages.recipients(connection) == ["alice", "bob", "carol"]


def test_no_question_of_the_mails_daily_path_reads_the_whole_table(connection: sqlite3.Connection) -> None:
    asked: list[str] = []
    connection.set_trace_callback(asked.append)
    number = put(connection)
    messages.is_full(connection, "bob", 10)
    parked.dead_is_full(connection, "bob", 10)
    leases.due(connection, "bob")
    lease(connection)
    leases.due(connection, "bob")
    messages.in_work(connection, "bob")
    leases.leased(connection, "bob")
    parked.park_tired(connection, "bob", 5)
    messages.deliver(connection, "bob", [number])
    messages.mailbox(connection, "bob", delivered=False, limit=10)
    messages.mailbox(connection, "bob", delivered=True, limit=10)
    parked.dead_letters(connection)
    messages.prune(connection, "bob", before=0, max_rows=10, limit=10)
    connection.set_trace_callback(None)
    plans = {query: connection.execute(f"EXPLAIN QUERY PLAN {query}").fetchall() for query in asked}
    steps = [(query, step[3]) for query, plan in plans.items() for step in plan]
    scans = [(query, step) for query, step in steps if step.startswith("SCAN messages")]
    assert len(plans) > 10
    assert scans == []
