"""hyperhive.broker: senders that go away, a disk that is full, recipients that give everything up."""

from __future__ import annotations

import asyncio
import sqlite3
import time
from pathlib import Path

import pytest
from database_rig import held, within
from mail_rig import FREE, mail

from hyperhive.errors import MailboxFull, Unavailable
from hyperhive.exchange import OPERATOR
from hyperhive.loop_guard import Rate
from hyperhive.store import parked
from hyperhive.store.messages import Question


def pages(connection: sqlite3.Connection, most: int) -> None:
    """Let the database have so many pages at most, or as many as it has."""
    connection.execute(f"PRAGMA max_page_count = {most}").fetchone()


def test_mail_of_a_sender_that_goes_away_meanwhile_wakes_its_recipient(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            receiving = asyncio.create_task(hive.broker.recv("bob", wait=25))
            await hive.database.read(lambda _: None)  # it has looked, and waits
            await asyncio.sleep(0.01)
            started = time.monotonic()
            async with held(hive.database):
                sending = asyncio.create_task(hive.broker.send("alice", "bob", "hello"))
                await asyncio.sleep(0)
                sending.cancel()
                await asyncio.gather(sending, return_exceptions=True)
            assert [message.body for message in await receiving] == ["hello"]
            assert time.monotonic() - started < 5

    within(test())


@pytest.mark.parametrize("guard", [{"edge": Rate(1, 0.001)}, {"max_hops": 1}])
def test_a_trip_that_a_full_disk_kept_from_the_operator_is_told_later(tmp_path: Path, guard: dict[str, object]) -> None:
    async def test() -> None:
        async with mail(tmp_path, **guard) as hive:
            first = await hive.broker.send("alice", "bob", "ping")
            await hive.broker.recv("bob")
            second = await hive.broker.send("bob", "alice", "pong", reply_to=first)
            await hive.broker.recv("alice")
            await hive.database.read(lambda c: pages(c, 1))
            with pytest.raises(Unavailable, match="the disk is full: nothing was stored"):
                await hive.broker.send("alice", "bob", "x" * 60_000, reply_to=second)
            assert await hive.told() == []
            await hive.database.read(lambda c: pages(c, 1_000_000))
            for _ in range(2):
                await hive.broker.send("alice", "bob", "again", reply_to=second)
            assert [event["event"] for event in await hive.told()] == ["loop_guard"]

    within(test())


def test_what_one_recipient_gives_up_is_bounded_and_its_mailbox_fills_then(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=5, **FREE) as hive:
            with pytest.raises(MailboxFull, match="bob's mailbox is full"):
                for number in range(100):
                    await hive.broker.send("bob", "bob", f"m{number}")
                    try:
                        received = [message.id for message in await hive.broker.recv("bob")]
                    except Unavailable as error:
                        assert str(error) == "bob gave up 5 messages already; have the operator look at them"
                    else:
                        await hive.broker.give_up("bob", received, "no")
            letters = await hive.dead_letters.every()
            assert len(letters) == 5
            await hive.dead_letters.drop(letters[0].id, "operator:ann")
            assert len(await hive.broker.recv("bob")) == 5

    within(test())


def test_a_message_that_is_named_often_is_given_up_and_told_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            sent = await hive.broker.send("alice", "bob", "hello")
            await hive.broker.recv("bob")
            assert await hive.broker.give_up("bob", [sent] * 1000, "no") == 1
            assert [event["message"] for event in await hive.told()] == [sent]

    within(test())


def test_what_a_purged_agent_gave_up_keeps_no_mail_from_the_next_of_its_name(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=2, **FREE) as hive:
            for body in ("given up", "in work", "waits"):
                await hive.broker.send("alice", "bob", body)
                received = [message.id for message in await hive.broker.recv("bob", max_messages=1)]
                if body == "given up":
                    await hive.broker.give_up("bob", received, "no")
            assert await hive.database.write(lambda c: parked.park_all(c, "bob")) == 2
            sent = await hive.broker.send("alice", "bob", "hello")
            assert [message.id for message in await hive.broker.recv("bob")] == [sent]
            assert len(await hive.dead_letters.every()) == 3

    within(test())


def test_a_question_that_nobody_answers_does_not_begin_an_exchange_anew(tmp_path: Path) -> None:
    """Each asks the operator what to say, and says something when no answer came."""

    async def test() -> None:
        async with mail(tmp_path, max_hops=3) as hive:
            await hive.broker.send("alice", "bob", "hello")
            for agent, other in [("bob", "alice"), ("alice", "bob")] * 3:
                received = await hive.broker.recv(agent)
                await hive.broker.ask(agent, "what shall I say?", Question(time_limit=0))
                await hive.broker.ack(agent, [message.id for message in received])
                await hive.broker.expire_questions()
                expired = await hive.broker.recv(agent)
                await hive.broker.send(agent, other, "and hello to you")
                await hive.broker.ack(agent, [message.id for message in expired])
            assert "loop_guard" in [event["event"] for event in await hive.told()]

    within(test())


def test_an_agent_that_another_draws_into_a_long_exchange_still_reaches_the_operator(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "eve", max_hops=3) as hive:
            last = await hive.broker.send("eve", "eve", "one")
            for _ in range(3):
                last = await hive.broker.send("eve", "eve", "more", reply_to=last)
            await hive.broker.send("eve", "bob", "read this", reply_to=last - 1)
            await hive.broker.recv("bob")
            parked = await hive.broker.send("bob", "alice", "hello")
            await hive.broker.send("bob", OPERATOR, "my mail is parked")
            await hive.broker.ask("bob", "what now?", Question())
            assert [letter.id for letter in await hive.dead_letters.every()] == [parked]
            unread = [message.body for message in await hive.broker.inbox(all_=False, limit=10)]
            assert unread[:2] == ["what now?", "my mail is parked"]

    within(test())


@pytest.mark.parametrize("count", [1, 2, 3, 7, 20])
def test_mail_that_ends_its_harness_takes_no_other_with_it_wherever_it_stands(tmp_path: Path, count: int) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            for place in {0, 1, count // 2, count - 2, count - 1} & set(range(count)):
                sent = [await hive.broker.send(OPERATOR, "bob", "x") for _ in range(count)]
                turns = 0
                while batch := [message.id for message in await hive.broker.recv("bob")]:
                    turns += 1
                    if sent[place] in batch:
                        await hive.broker.end_leases("bob")
                    else:
                        assert await hive.broker.ack("bob", batch) == len(batch)
                letters = await hive.database.read(parked.dead_letters)
                assert [letter.id for letter in letters][:1] == [sent[place]]
                assert turns <= 5 + 5 + count // 5, "the others come in few, not all alone"
            assert len(letters) == len({0, 1, count // 2, count - 2, count - 1} & set(range(count)))

    within(test())
