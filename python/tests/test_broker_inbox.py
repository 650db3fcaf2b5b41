"""hyperhive.broker: the operator's inbox."""

from __future__ import annotations

from pathlib import Path

import pytest
from database_rig import within
from mail_rig import Mail, mail

from hyperhive.errors import BadInput, NotFound, Unavailable
from hyperhive.exchange import OPERATOR
from hyperhive.store.messages import Message, Question


def ids(found: list[Message]) -> list[int]:
    return [message.id for message in found]


async def unread(hive: Mail) -> list[int]:
    """The operator's unread mail, oldest first."""
    return ids(await hive.broker.inbox(all_=False, limit=1000))[::-1]


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


def test_an_answer_to_what_cannot_be_marked_as_read_is_not_sent(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    def full(*values: object, **more: object) -> int:
        raise Unavailable("the disk is full")

    async def test() -> None:
        async with mail(tmp_path) as hive:
            asked = await hive.broker.send("bob", "operator", "may I?")
            with monkeypatch.context() as disk, pytest.raises(Unavailable):
                disk.setattr("hyperhive.store.messages.deliver", full)
                await hive.broker.reply(asked, "yes")
            assert await hive.broker.recv("bob") == []
            await hive.broker.reply(asked, "yes")
            assert len(await hive.broker.recv("bob")) == 1

    within(test())


def test_an_answer_that_cannot_be_sent_leaves_the_question_unread(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            question = await hive.broker.send("alice", OPERATOR, "may I?")
            with pytest.raises(BadInput, match="empty"):
                await hive.broker.reply(question, "  ")
            assert await unread(hive) == [question]

    within(test())
