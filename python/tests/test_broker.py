"""hyperhive.broker: who may write to whom, the bounds of mail, exchanges and the loop guard."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from pathlib import Path

import pytest
from database_rig import within
from mail_rig import Mail, mail

from hyperhive.errors import BadInput, Conflict, HyperhiveError, MailboxFull, NotFound, TooLarge
from hyperhive.exchange import OPERATOR, SYSTEM
from hyperhive.loop_guard import Rate
from hyperhive.store import parked
from hyperhive.store.messages import Message


def ids(found: list[Message]) -> list[int]:
    return [message.id for message in found]


async def unread(hive: Mail) -> list[int]:
    """The operator's unread mail, oldest first."""
    return ids(await hive.broker.inbox(all_=False, limit=1000))[::-1]


def test_mail_arrives_with_everything_it_had(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            before = time.time()
            first = await hive.broker.send("alice", "bob", "grüße 🐝")
            second = await hive.broker.send("alice", "bob", "why?", reply_to=first)
            received = await hive.broker.recv("bob")
            assert ids(received) == [first, second]
            assert (received[0].sender, received[0].recipient, received[0].kind) == ("alice", "bob", "mail")
            assert (received[0].body, received[0].reply_to) == ("grüße 🐝", None)
            assert (received[1].kind, received[1].reply_to) == ("mail", first)
            assert before <= received[0].sent_at <= time.time()

    within(test())


@pytest.mark.parametrize(
    ("to", "body", "kind", "words"),
    [
        ("nobody", "hello", NotFound, "there is nobody called 'nobody' in this hive; nothing was sent"),
        ("", "hello", NotFound, "nobody called ''"),
        ("n" * 5000, "hello", NotFound, "nobody called 'nnn"),
        ("bob\n", "hello", NotFound, r"nobody called 'bob\\n'"),
        ("system", "hello", NotFound, "nobody called 'system'"),
        ("bob", "", BadInput, "the body is empty"),
        ("bob", " \t\n", BadInput, "the body is empty"),
        ("bob", "a\0b", BadInput, "NUL"),
        ("bob", "\ud800", BadInput, "lone surrogate"),
        ("bob", "x" * (65 * 1024), TooLarge, "66560 bytes; a message holds 65536"),
        ("bob", "é" * (32 * 1024 + 1), TooLarge, "65538 bytes"),
    ],
)
def test_what_cannot_be_mail_is_refused_in_one_line(
    tmp_path: Path, to: str, body: str, kind: type[HyperhiveError], words: str
) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            with pytest.raises(kind, match=words) as caught:
                await hive.broker.send("alice", to, body)
            assert "\n" not in str(caught.value)
            assert len(str(caught.value)) < 200
            assert await hive.rows() == []

    within(test())


def test_a_body_of_exactly_the_bound_is_taken(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.broker.send("alice", "bob", "é" * (32 * 1024))
            (message,) = await hive.broker.recv("bob")
            assert message.body == "é" * (32 * 1024)

    within(test())


def test_a_full_mailbox_refuses_until_there_is_room_and_others_are_served(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "cat", max_pending=3) as hive:
            for number in range(3):
                await hive.broker.send("alice", "bob", f"m{number}")
            with pytest.raises(MailboxFull, match=r"bob's mailbox is full \(3 messages\); try again later"):
                await hive.broker.send("alice", "bob", "one too many")
            with pytest.raises(MailboxFull):
                await hive.broker.send(OPERATOR, "bob", "not even the operator")
            await hive.broker.send("alice", "cat", "this goes")
            received = await hive.broker.recv("bob", max_messages=1)
            with pytest.raises(MailboxFull):  # being worked on is not done
                await hive.broker.send("alice", "bob", "still one too many")
            await hive.broker.ack("bob", ids(received))
            await hive.broker.send("alice", "bob", "there is room")

    within(test())


def test_a_burst_into_a_nearly_full_mailbox_never_overfills_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=5) as hive:
            sends = [hive.broker.send("alice", "bob", f"m{number}") for number in range(12)]
            found = await asyncio.gather(*sends, return_exceptions=True)
            assert [type(each) for each in found] == [int] * 5 + [MailboxFull] * 7

    within(test())


def test_agents_cannot_keep_the_hive_from_telling_the_operator(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=2) as hive:
            for _ in range(2):
                await hive.broker.send("alice", OPERATOR, "look at me")
            with pytest.raises(MailboxFull, match="operator's mailbox is full"):
                await hive.broker.send("alice", OPERATOR, "look at me")
            for _ in range(5):
                await hive.broker.tell(OPERATOR, "{}")
            assert len(await unread(hive)) == 7

    within(test())


def test_what_the_hive_says_leaves_agents_their_room_with_the_operator(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=2) as hive:
            for _ in range(5):
                await hive.broker.tell(OPERATOR, "{}")
            assert await hive.broker.send("alice", OPERATOR, "a word, please")

    within(test())


def test_what_the_operator_never_reads_does_not_grow_for_ever(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=2, max_attempts=1) as hive:
            for _ in range(19):
                await hive.broker.tell(OPERATOR, "{}")
            for _ in range(2):
                await hive.broker.send(OPERATOR, "alice", "too much for her")
                (given,) = await hive.broker.recv("alice", lease=100)
                assert await hive.broker.give_up("alice", [given.id], "she cannot") == 1
            assert len(await unread(hive)) == 20
            assert len(await hive.database.read(parked.dead_letters)) == 2
            with pytest.raises(MailboxFull, match="operator's mailbox is full \\(20 messages\\)"):
                await hive.broker.tell(OPERATOR, "{}")

    within(test())


def test_what_the_hive_posts_is_stored_with_the_work_that_it_tells_of(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=1) as hive:
            await hive.broker.send(OPERATOR, "alice", "her mailbox is full now")
            receivers = ["alice", "bob", "nobody", OPERATOR]

            def killed(connection: sqlite3.Connection) -> None:
                hive.broker.post(connection, receivers, "{}")
                raise Conflict("the work was not done")

            with pytest.raises(Conflict):
                await hive.database.write(killed)
            assert len(await hive.rows()) == 1
            stored = await hive.database.write(lambda c: hive.broker.post(c, receivers, "{}"))
            assert [(row.sender, row.recipient) for row in stored] == [(SYSTEM, "bob"), (SYSTEM, OPERATOR)]
            waiting = asyncio.create_task(hive.broker.recv("bob", wait=5))
            hive.broker.announce(stored)
            assert [message.body for message in await waiting] == ["{}"]

    within(test())


def test_every_message_is_published_with_its_recipient(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive, hive.hub.subscribe() as events:
            number = await hive.broker.send("alice", "bob", "hello")
            event = await anext(events)
            assert event.kind == "message"
            assert (event.data["id"], event.data["recipient"], event.data["body"]) == (number, "bob", "hello")
            json.dumps(event.data)

    within(test())


# Exchanges and the loop guard


async def take(hive: Mail, who: str) -> Message:
    """Receive one message."""
    (message,) = await hive.broker.recv(who, max_messages=1)
    return message


def test_what_an_agent_sends_while_it_works_continues_the_exchange(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "cat") as hive:
            first = await hive.broker.send("alice", "bob", "do this")
            assert (await take(hive, "bob")).hops == 0
            await hive.broker.send("bob", "cat", "help me with it")
            asked = await take(hive, "cat")
            assert (asked.chain, asked.hops) == (first, 1)
            await hive.broker.send("cat", "bob", "done")
            answered = await take(hive, "bob")
            assert (answered.chain, answered.hops) == (first, 2)

    within(test())


def test_mail_sent_after_the_work_is_done_begins_a_new_exchange(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.broker.send("alice", "bob", "do this")
            await hive.broker.ack("bob", [(await take(hive, "bob")).id])
            await hive.broker.send("bob", "alice", "by the way")
            message = await take(hive, "alice")
            assert (message.chain, message.hops) == (0, 0)

    within(test())


def test_an_answer_belongs_to_what_it_answers_not_to_newer_work(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "cat") as hive:
            first = await hive.broker.send("alice", "bob", "the first")
            await hive.broker.send("cat", "bob", "the second")
            await hive.broker.recv("bob")
            await hive.broker.send("bob", "alice", "done", reply_to=first)
            assert (await take(hive, "alice")).chain == first

    within(test())


def test_nobody_can_answer_a_message_between_others(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "cat") as hive:
            private = await hive.broker.send("alice", "bob", "between us")
            for number in (private, 10**9):
                with pytest.raises(NotFound, match=f"there is no message {number}"):
                    await hive.broker.send("cat", "alice", "I heard", reply_to=number)
            assert len(await hive.rows()) == 1

    within(test())


def test_an_exchange_that_goes_on_for_ever_is_parked_and_the_operator_told_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_hops=3) as hive:
            await hive.broker.send("alice", "bob", "ping")
            for number in range(3):
                sender, to = ("bob", "alice") if number % 2 == 0 else ("alice", "bob")
                await take(hive, sender)
                await hive.broker.send(sender, to, "again")
            assert (await take(hive, "alice")).hops == 3
            parked = [await hive.broker.send("alice", "bob", "and again") for _ in range(2)]
            assert await hive.broker.recv("bob") == []  # nothing new: what it holds is leased
            assert ids(await hive.dead_letters.every()) == parked[::-1]
            (event,) = await hive.told()
            assert (event["event"], event["from"], event["to"]) == ("loop_guard", "alice", "bob")
            assert (event["message"], "4 answers in a row, the bound is 3" in event["reason"]) == (parked[0], True)

    within(test())


@pytest.mark.parametrize("way", ["answers what it got", "answers nothing", "answers the first", "has no lease left"])
def test_a_ring_of_three_polite_agents_is_stopped_within_20_messages(tmp_path: Path, way: str) -> None:
    """Each passes every message on to the next, for ever, at a pace that no bucket minds."""

    async def test() -> None:
        ring = ["alice", "bob", "cat"]
        async with mail(tmp_path, *ring) as hive:
            first = await hive.broker.send(OPERATOR, "alice", "say hello to bob")
            sent = 0
            while received := await hive.broker.recv(ring[sent % 3]):
                (message,) = received
                answered = {"answers what it got": message.id}.get(way)
                if way == "answers the first" and ring[sent % 3] == "alice":
                    answered = first
                if way == "has no lease left":
                    await hive.database.write(
                        lambda c: c.execute("UPDATE messages SET lease_until = 1 WHERE lease_until > 0")
                    )
                await hive.broker.send(ring[sent % 3], ring[(sent + 1) % 3], "thank you!", reply_to=answered)
                await hive.broker.ack(ring[sent % 3], [message.id])
                sent += 1
            assert sent < 20
            (event,) = await hive.told()
            assert (event["event"], event["message"]) == ("loop_guard", sent + 1)
            assert ids(await hive.dead_letters.every()) == [sent + 1]

    within(test())


def test_other_mail_in_the_batch_does_not_begin_the_count_anew_but_a_word_of_the_operators_does(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            deep = await hive.broker.send("alice", "bob", "hello")
            await hive.database.write(lambda c: c.execute("UPDATE messages SET hops = 7 WHERE id = ?", (deep,)))
            await hive.broker.tell("bob", '{"event": "something"}')
            other = await hive.broker.send("alice", "bob", "something else")
            await hive.broker.recv("bob")
            await hive.broker.send("bob", "alice", "an answer to all of it")
            await hive.broker.send("bob", "alice", "an answer to the new one", reply_to=other)
            assert [message.hops for message in await hive.broker.recv("alice")] == [8, 8]
            await hive.broker.send(OPERATOR, "bob", "well done")
            await hive.broker.recv("bob")
            await hive.broker.send("bob", "alice", "it says that we did well", reply_to=deep)
            assert (await take(hive, "alice")).hops == 1

    within(test())


def test_what_a_recipient_gives_up_is_a_dead_letter_and_the_operator_told_why(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive, hive.hub.subscribe() as events:
            letter, other = [await hive.broker.send("alice", "bob", body) for body in ("poison", "bread")]
            await hive.broker.recv("bob")
            assert await hive.broker.give_up("alice", [letter], "not mine") == 0
            assert await hive.broker.give_up("bob", [letter], "turn 3 ended with turn_timeout") == 1
            assert ids(await hive.dead_letters.every()) == [letter]
            (event,) = await hive.told()
            assert (event["event"], event["message"], event["from"]) == ("dead_letter", letter, "alice")
            assert event["reason"].startswith("turn 3 ended with turn_timeout; see ")
            assert await hive.broker.ack("bob", [letter, other]) == 1
            kinds = [(await anext(events)).kind for _ in range(4)]
            assert kinds[2:] == ["message", "hive"]

    within(test())


def test_an_agent_that_writes_to_everybody_at_once_is_parked_and_the_operator_told_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "cat", "dan", agent=Rate(2, 0.001)) as hive:
            for to in ("bob", "cat", "dan", "bob"):
                await hive.broker.send("alice", to, "hello")
            assert sorted(letter.recipient for letter in await hive.dead_letters.every()) == ["bob", "dan"]
            (event,) = await hive.told()
            assert "from alice to all others together" in event["reason"]

    within(test())


def test_a_word_from_the_operator_lets_a_long_exchange_go_on(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_hops=1) as hive:
            await hive.broker.send("alice", "bob", "ping")
            await take(hive, "bob")
            question = await hive.broker.send("bob", OPERATOR, "shall we go on?")
            await hive.broker.reply(question, "yes")
            answer = await take(hive, "bob")
            assert (answer.chain, answer.hops) == (1, 0)
            await hive.broker.send("bob", "alice", "we go on")
            assert (await take(hive, "alice")).hops == 1

    within(test())


def test_a_flood_on_one_edge_is_parked_and_the_operator_told_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "cat", edge=Rate(3, 0.001)) as hive:
            for number in range(6):
                await hive.broker.send("alice", "bob", f"m{number}")
            assert [message.body for message in await hive.broker.recv("bob")] == ["m0", "m1", "m2"]
            assert len(await hive.dead_letters.every()) == 3
            (event,) = await hive.told()
            assert (event["event"], event["from"], event["to"]) == ("loop_guard", "alice", "bob")
            assert "messages a minute" in event["reason"]
            await hive.broker.send("alice", "cat", "another edge")
            await hive.broker.send("bob", "alice", "the other way")
            assert len(await hive.broker.recv("cat")) == len(await hive.broker.recv("alice")) == 1

    within(test())


@pytest.mark.parametrize("sender", [OPERATOR, SYSTEM])
def test_neither_the_operator_nor_the_hive_trips_the_guard(tmp_path: Path, sender: str) -> None:
    async def test() -> None:
        async with mail(tmp_path, edge=Rate(1, 0.001)) as hive:
            for _ in range(5):
                await hive.broker.send(sender, "bob", "again")
            assert len(await hive.broker.recv("bob")) == 5
            assert await hive.dead_letters.every() == []

    within(test())


def test_what_is_parked_is_bounded_too(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, edge=Rate(1, 0.001), max_pending=3) as hive:
            for number in range(4):
                await hive.broker.send("alice", "bob", f"m{number}")
            with pytest.raises(MailboxFull, match="too much to bob is parked already; nothing was stored"):
                await hive.broker.send("alice", "bob", "m4")
            assert len(await hive.dead_letters.every()) == 3

    within(test())
