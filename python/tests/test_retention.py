"""hyperhive.retention: what goes, what stays, and the file that shrinks."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest
from database_rig import within
from mail_rig import FREE, Mail, mail, until

from hyperhive.bounds import BrokerLimits, HistoryLimits
from hyperhive.retention import Retention
from hyperhive.store import audit, history, leases, messages, proposals, turns, usage
from hyperhive.store.messages import Message, Question
from hyperhive.store.usage import Use


async def prune(hive: Mail, limits: BrokerLimits, **past: int) -> int:
    return await Retention(hive.database, hive.broker, limits, HistoryLimits(**past)).prune()


def ids(found: list[Message]) -> list[int]:
    return [message.id for message in found]


async def change(hive: Mail, statement: str, *values: object) -> None:
    """Make a past for the messages."""
    await hive.database.write(lambda c: c.execute(statement, values).rowcount)


def test_what_was_delivered_long_ago_is_pruned_and_nothing_else(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_attempts=1) as hive:
            old, new, dead, leased, waiting = [await hive.broker.send("alice", "bob", f"m{n}") for n in range(5)]
            await hive.broker.recv("bob", max_messages=2)
            await hive.broker.ack("bob", [old, new])
            await hive.broker.recv("bob", max_messages=1)
            await hive.broker.end_leases("bob")
            assert ids(await hive.broker.recv("bob", max_messages=1)) == [leased]
            long_ago = time.time() - 31 * 86400
            await change(hive, "UPDATE messages SET sent_at = ?", long_ago)
            await change(hive, "UPDATE messages SET delivered_at = ? WHERE id = ?", long_ago, old)
            assert await prune(hive, BrokerLimits()) == 1
            left = [number for number, _, to, _ in await hive.rows() if to == "bob"]
            assert left == [new, dead, leased, waiting]
            assert await prune(hive, BrokerLimits()) == 0

    within(test())


def test_only_the_newest_delivered_rows_of_each_mailbox_are_kept(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, **FREE) as hive:
            for number in range(10):
                await hive.broker.send("alice", "bob", f"m{number}")
            await hive.broker.ack("bob", ids(await hive.broker.recv("bob", max_messages=6)))
            await hive.broker.send("bob", "alice", "kept")
            await hive.broker.ack("alice", ids(await hive.broker.recv("alice")))
            assert await prune(hive, BrokerLimits(max_rows=3)) == 3
            assert [body for *_, body in await hive.rows()] == ["m3", "m4", "m5", "m6", "m7", "m8", "m9", "kept"]

    within(test())


def test_pruning_gives_the_space_back_and_mail_goes_on_meanwhile(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=5000, **FREE) as hive:
            body = "x" * 4000
            await asyncio.gather(*(hive.broker.send("alice", "bob", body) for _ in range(2000)))
            while received := ids(await hive.broker.recv("bob", max_messages=100)):
                await hive.broker.ack("bob", received)
            pruning = asyncio.create_task(prune(hive, BrokerLimits(max_rows=1)))
            await hive.broker.send("alice", "bob", "meanwhile")
            assert not pruning.done()
            assert await pruning == 1999
            assert [message.body for message in await hive.broker.recv("bob")] == ["meanwhile"]
        assert (tmp_path / "hive.db").stat().st_size < 500_000

    within(test())


def test_undelivered_mail_is_never_pruned(tmp_path: Path) -> None:
    """Whatever its age and number: waiting, leased and given up mail stays."""

    async def test() -> None:
        async with mail(tmp_path, max_attempts=1, **FREE) as hive:
            for number in range(30):
                await hive.broker.send("alice", "bob", f"m{number}")
            given_up = ids(await hive.broker.recv("bob", max_messages=10))
            await hive.broker.end_leases("bob")
            leased = ids(await hive.broker.recv("bob", max_messages=10))
            await change(hive, "UPDATE messages SET sent_at = 1")
            await change(hive, "UPDATE messages SET dead_at = 1 WHERE dead_at IS NOT NULL")
            assert await prune(hive, BrokerLimits(retention_days=1, max_rows=1)) == 0
            assert sorted(ids(await hive.dead_letters.every())) == given_up
            assert await hive.broker.ack("bob", leased) == 10
            assert len(await hive.broker.recv("bob", max_messages=100)) == 10

    within(test())


def test_a_question_and_its_answer_stay_until_its_time_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            answered = await hive.broker.ask("alice", "this?", Question(time_limit=3600))
            read = await hive.broker.ask("bob", "that?", Question(time_limit=3600))
            await hive.broker.reply(answered, "yes")
            await hive.broker.mark_read(read)
            await hive.broker.ack("alice", ids(await hive.broker.recv("alice")))
            assert await prune(hive, BrokerLimits(max_rows=0)) == 0
            now = time.time()
            monkeypatch.setattr(time, "time", lambda: now + 3601)
            await hive.broker.expire_questions()
            assert await hive.broker.recv("alice") == [], "it has its answer"
            (told,) = await hive.broker.recv("bob")
            assert f'"question": {read}' in told.body
            assert await prune(hive, BrokerLimits(max_rows=0)) == 3

    within(test())


def test_what_an_asker_itself_says_to_its_open_question_is_no_answer_and_goes(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, **FREE) as hive:
            asked = await hive.broker.ask("alice", "this?", Question(time_limit=3600))
            for _ in range(5):
                await hive.broker.send("alice", "bob", "by the way", reply_to=asked)
            await hive.broker.ack("bob", ids(await hive.broker.recv("bob")))
            assert await prune(hive, BrokerLimits(max_rows=1)) == 4

    within(test())


def test_much_delivered_mail_is_pruned_at_once(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr("hyperhive.retention.MANY", 20)
        async with mail(tmp_path, **FREE) as hive:
            running = asyncio.create_task(
                Retention(hive.database, hive.broker, BrokerLimits(max_rows=5), HistoryLimits()).run()
            )
            for number in range(40):
                await hive.broker.send("alice", "bob", f"m{number}")
            while received := ids(await hive.broker.recv("bob", max_messages=10)):
                await hive.broker.ack("bob", received)
            await until(lambda: pruned(hive, 5))
            running.cancel()

    within(test())


async def pruned(hive: Mail, left: int) -> bool:
    return len(await hive.rows()) == left


def turn(connection: sqlite3.Connection, agent: str, *events: str, ended: bool = True) -> int:
    number = turns.begin(connection, agent=agent, generation=1, model="haiku", session_id="s", message_ids=[])
    turns.add_events(connection, number, events)
    if ended:
        turns.end(connection, number, outcome="completed", detail=None, usage=None, cost_usd=None)
    return number


async def kept(hive: Mail, agent: str) -> dict[int, int]:
    """The agent's turns, and how many events each has."""
    found = await hive.database.read(lambda c: turns.of_agent(c, agent, 100))
    events = {each.id: await hive.database.read(lambda c, n=each.id: turns.events_of(c, n)) for each in found}  # type: ignore[misc]
    return {number: len(events[number]) for number in sorted(events)}


def test_old_turns_go_with_their_events_and_the_newest_and_the_running_one_stay(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            first, second = [await hive.database.write(lambda c: turn(c, "bob", "{}", "{}")) for _ in range(2)]
            other = await hive.database.write(lambda c: turn(c, "alice", "{}"))
            running = await hive.database.write(lambda c: turn(c, "bob", "{}", ended=False))
            await change(hive, "UPDATE turns SET ended_at = 1 WHERE id IN (?, ?)", first, other)
            assert await prune(hive, BrokerLimits()) == 1
            assert (await kept(hive, "bob"), await kept(hive, "alice")) == ({second: 2, running: 1}, {other: 1})
            assert await hive.database.read(count_events) == 4

    within(test())


def count_events(connection: sqlite3.Connection) -> int:
    return int(connection.execute("SELECT count(*) FROM turn_events").fetchone()[0])


def test_only_so_many_turns_of_each_agent_are_kept(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            numbers = [await hive.database.write(lambda c: turn(c, "bob", "{}")) for _ in range(history.TURNS * 2 + 5)]
            await hive.database.write(lambda c: turn(c, "alice"))
            assert await prune(hive, BrokerLimits(), max_turns=3) == history.TURNS * 2 + 2
            assert list(await kept(hive, "bob")) == numbers[-3:]
            assert len(await kept(hive, "alice")) == 1

    within(test())


def test_the_events_of_an_agents_turns_take_only_so_much(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            event = '"' + "é" * 499 + '"'  # 1000 bytes
            bob = [await hive.database.write(lambda c: turn(c, "bob", event, event)) for _ in range(4)]
            alice = await hive.database.write(lambda c: turn(c, "alice", *[event] * 9))
            assert await prune(hive, BrokerLimits(), max_event_bytes=4500) == 2
            assert await kept(hive, "bob") == {bob[0]: 0, bob[1]: 0, bob[2]: 2, bob[3]: 2}
            assert await kept(hive, "alice") == {alice: 9}, "the newest turn's events stay"

    within(test())


def test_many_events_go_a_few_at_a_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.store.history.EVENT_BYTES", 250)

    async def test() -> None:
        async with mail(tmp_path) as hive:
            for size in (100, 100, 100, 1000, 100, 100):
                await hive.database.write(lambda c, size=size: turn(c, "alice", "x" * size))  # type: ignore[misc]
            pruned = [await hive.database.write(lambda c: history.prune_events(c, "alice", most=0)) for _ in range(5)]
            assert pruned == [2, 1, 1, 1, 0]
            pruned = [await hive.database.write(prune_all) for _ in range(2)]
            assert (pruned, await kept(hive, "alice")) == ([5, 0], {6: 1})

    within(test())


def prune_all(connection: sqlite3.Connection) -> int:
    return history.prune_turns(connection, "alice", before=0, most=0)


def test_a_database_that_grows_fast_is_pruned_before_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.retention.GROWTH", 1_000_000)
    monkeypatch.setattr("hyperhive.retention.LOOK", 0.01)

    async def test() -> None:
        async with mail(tmp_path) as hive:
            past = HistoryLimits(max_event_bytes=150_000)
            running = asyncio.create_task(Retention(hive.database, hive.broker, BrokerLimits(), past).run())
            await until(lambda: hive.database.read(lambda c: True))
            for _ in range(30):
                await hive.database.write(lambda c: turn(c, "alice", '"' + "x" * 100_000 + '"'))

            async def few() -> bool:
                return sum((await kept(hive, "alice")).values()) < 20

            await until(few)
            running.cancel()

    within(test())


def test_one_turn_stores_only_so_many_bytes(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        monkeypatch.setattr(turns, "MAX_BYTES", 10)
        async with mail(tmp_path) as hive:
            number = await hive.database.write(lambda c: turn(c, "bob", "1234", "1234", "1234", ended=False))
            assert await kept(hive, "bob") == {number: 2}
            assert await hive.database.write(lambda c: turns.add_events(c, number, ["123"])) == []

    within(test())


def test_proposals_that_came_to_nothing_go_and_those_that_became_a_generation_lose_their_log(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:

            def propose(connection: sqlite3.Connection, state: str, generation: int | None = None) -> int:
                number = proposals.insert(connection, agent="bob", commit="c", reason="r", requester="alice")
                proposals.update(connection, number, state=state, generation=generation)
                proposals.add_log(connection, number, "check", ["a line"])
                return number

            wanted = [("denied", None), ("applied", 1), ("checked", None), ("rejected", None), ("failed", 2)]
            denied, applied, checked, rejected, failed = [
                await hive.database.write(lambda c, s=state, g=generation: propose(c, s, g))  # type: ignore[misc]
                for state, generation in wanted
            ]
            old = (denied, applied, checked)
            await change(hive, "UPDATE proposals SET updated_at = 1 WHERE id IN (?, ?, ?)", *old)
            assert await prune(hive, BrokerLimits()) == 2
            left = await hive.database.read(proposals.find)
            assert [proposal.id for proposal in left] == [failed, rejected, checked, applied]
            lines = [await hive.database.read(lambda c, n=n: len(proposals.log_of(c, n))) for n in (applied, checked)]  # type: ignore[misc]
            assert lines == [0, 1]
            assert await prune(hive, BrokerLimits(), max_proposals=1) == 1
            assert [each.id for each in await hive.database.read(proposals.find)] == [failed, checked, applied]

    within(test())


def test_old_usage_goes_and_the_audit_log_stays(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.database.write(lambda c: usage.add(c, "bob", Use("haiku", 1, 0, 0, 1), 0))
            await hive.database.write(lambda c: audit.append(c, "system", "x", "y"))
            await change(hive, "INSERT INTO model_usage (agent, day, model) VALUES ('bob', '2020-01-01', 'haiku')")
            assert await prune(hive, BrokerLimits()) == 1
            assert len(await hive.database.read(lambda c: usage.for_agent(c, "bob"))) == 1
            assert len(await hive.database.read(lambda c: audit.entries(c, limit=10))) == 1

    within(test())


def test_a_hundred_thousand_messages_leave_a_file_that_does_not_grow(tmp_path: Path) -> None:
    async def test() -> list[int]:
        async with mail(tmp_path) as hive:
            retention = Retention(hive.database, hive.broker, BrokerLimits(max_rows=2000), HistoryLimits())
            sizes = []
            for _ in range(20):
                await hive.database.write(lambda c: exchange(c, 5000))
                await retention.prune()
                await hive.database.read(lambda c: c.execute("PRAGMA wal_checkpoint(TRUNCATE)").fetchall())
                sizes.append((tmp_path / "hive.db").stat().st_size)
            return sizes

    sizes = within(test())
    assert max(sizes[1:]) <= sizes[0] * 1.05, sizes
    assert (tmp_path / "hive.db").stat().st_size < 2_000_000


def exchange(connection: sqlite3.Connection, number: int) -> None:
    """So many messages to bob, each leased and delivered."""
    for _ in range(number // 100):
        for _ in range(100):
            messages.insert(connection, sender="alice", recipient="bob", kind="mail", body="x" * 200)
        leased = leases.lease(connection, "bob", until=time.time() + 60, limit=100)
        messages.deliver(connection, "bob", ids(leased))
