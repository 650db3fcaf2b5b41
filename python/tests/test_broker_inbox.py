"""hyperhive.broker: the operator's inbox, and what is kept of delivered mail."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

import pytest
from database_rig import within
from mail_rig import Mail, mail

from hyperhive.broker import OPERATOR
from hyperhive.errors import BadInput, NotFound
from hyperhive.store.messages import Message, Question


def ids(found: list[Message]) -> list[int]:
    return [message.id for message in found]


async def unread(hive: Mail) -> list[int]:
    """The operator's unread mail, oldest first."""
    return ids(await hive.broker.inbox(all_=False, limit=1000))[::-1]


async def change(hive: Mail, statement: str, *values: object) -> None:
    """Make a past for the messages."""
    await hive.database.write(lambda c: c.execute(statement, values).rowcount)


def test_the_operators_inbox_shows_unread_mail_until_it_is_read(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            first = await hive.broker.send("alice", OPERATOR, "one")
            second = await hive.broker.send("alice", OPERATOR, "two")
            assert ids(await hive.broker.inbox(all_=False, limit=10)) == [second, first]
            await hive.broker.mark_read(first)
            await hive.broker.mark_read(first)
            assert ids(await hive.broker.inbox(all_=False, limit=10)) == [second]
            shown = [message.view() for message in await hive.broker.inbox(all_=True, limit=10)]
            assert [each["read_at"] is None for each in shown] == [True, False]
            assert ids(await hive.broker.inbox(all_=True, limit=1)) == [second]

    within(test())


def test_an_answer_goes_to_who_asked_and_marks_the_question(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            question = await hive.broker.ask("alice", "may I?", Question())
            answer = await hive.broker.reply(question, "you may")
            (received,) = await hive.broker.recv("alice")
            assert (received.id, received.sender, received.body) == (answer, OPERATOR, "you may")
            assert (received.reply_to, received.chain) == (question, question)
            (shown,) = await hive.broker.inbox(all_=True, limit=10)
            assert shown.replied
            assert shown.delivered_at is not None

    within(test())


def test_the_operator_can_neither_read_nor_answer_other_peoples_mail(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            private = await hive.broker.send("alice", "bob", "between us")
            for number in (private, 10**9):
                with pytest.raises(NotFound, match=f"no message {number}"):
                    await hive.broker.mark_read(number)
                with pytest.raises(NotFound, match=f"no message {number}"):
                    await hive.broker.reply(number, "I saw that")
            assert ids(await hive.broker.waiting("bob")) == [private]

    within(test())


def test_an_answer_to_the_hive_itself_is_refused(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            event = await hive.broker.tell(OPERATOR, "{}")
            with pytest.raises(BadInput, match="nobody to answer"):
                await hive.broker.reply(event, "thanks")
            assert await unread(hive) == [event]

    within(test())


def test_an_answer_that_cannot_be_sent_leaves_the_question_unread(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            question = await hive.broker.send("alice", OPERATOR, "may I?")
            with pytest.raises(BadInput, match="empty"):
                await hive.broker.reply(question, "  ")
            assert await unread(hive) == [question]

    within(test())


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
            assert await hive.broker.prune() == 1
            left = [number for number, _, to, _ in await hive.rows() if to == "bob"]
            assert left == [new, dead, leased, waiting]
            assert await hive.broker.prune() == 0

    within(test())


def test_only_the_newest_delivered_rows_of_each_mailbox_are_kept(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_rows=3, edge_burst=1000) as hive:
            for number in range(10):
                await hive.broker.send("alice", "bob", f"m{number}")
            await hive.broker.ack("bob", ids(await hive.broker.recv("bob", max_messages=6)))
            await hive.broker.send("bob", "alice", "kept")
            await hive.broker.ack("alice", ids(await hive.broker.recv("alice")))
            assert await hive.broker.prune() == 3
            assert [body for *_, body in await hive.rows()] == ["m3", "m4", "m5", "m6", "m7", "m8", "m9", "kept"]

    within(test())


def test_pruning_gives_the_space_back_and_mail_goes_on_meanwhile(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_rows=1, max_pending=5000, edge_burst=5000) as hive:
            body = "x" * 4000
            await asyncio.gather(*(hive.broker.send("alice", "bob", body) for _ in range(2000)))
            while received := ids(await hive.broker.recv("bob", max_messages=100)):
                await hive.broker.ack("bob", received)
            pruning = asyncio.create_task(hive.broker.prune())
            await hive.broker.send("alice", "bob", "meanwhile")
            assert not pruning.done()
            assert await pruning == 1999
            assert [message.body for message in await hive.broker.recv("bob")] == ["meanwhile"]
        assert (tmp_path / "hive.db").stat().st_size < 500_000

    within(test())
