"""hyperhive.dead_letters: what was given up is delivered after all, in its place, or dropped."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from database_rig import within
from mail_rig import Mail, mail

from hyperhive.errors import Conflict, MailboxFull, NotFound
from hyperhive.store import agents, audit
from hyperhive.store.messages import Message

OPERATOR = "operator:ann"


def ids(found: list[Message]) -> list[int]:
    return [message.id for message in found]


async def give_up(hive: Mail, body: str = "poison") -> int:
    """A message to bob that is parked after one delivery (max_attempts=1)."""
    number = await hive.broker.send("alice", "bob", body)
    assert ids(await hive.broker.recv("bob", max_messages=1)) == [number]
    await hive.broker.end_leases("bob")
    assert await hive.broker.recv("bob") == []
    return number


async def recorded(hive: Mail) -> list[tuple[str, str, str]]:
    found = await hive.database.read(lambda c: audit.entries(c, limit=10))
    return [(entry.actor, entry.action, entry.subject) for entry in found]


def test_a_requeued_message_is_delivered_in_its_place_with_its_attempts_counted_anew(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_attempts=1) as hive:
            dead = await give_up(hive)
            later = await hive.broker.send("alice", "bob", "later")
            waiting = await hive.dead_letters.requeue(dead, OPERATOR)
            assert (waiting.id, waiting.dead_at, waiting.attempts, waiting.hops) == (dead, None, 0, 0)
            first, second = await hive.broker.recv("bob")
            assert (first.id, first.attempts, second.id) == (dead, 1, later)
            assert await hive.broker.ack("bob", [dead, later]) == 2
            assert await hive.dead_letters.every() == []
            assert await recorded(hive) == [(OPERATOR, "message.requeued", f"message/{dead}")]

    within(test())


def test_a_requeued_message_wakes_who_waits_for_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_attempts=1) as hive:
            dead = await give_up(hive)
            async with hive.hub.subscribe() as told:
                receiving = asyncio.create_task(hive.broker.recv("bob", wait=60))  # longer than the test may take
                assert await hive.broker.waiting("bob") == []
                await hive.dead_letters.requeue(dead, OPERATOR)
                assert ids(await receiving) == [dead]
                assert (await anext(told)).data["id"] == dead

    within(test())


def test_an_exchange_that_the_operator_lets_go_on_trips_again_and_is_told_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_hops=1) as hive:
            number = await hive.broker.send("alice", "bob", "ping")
            ends = [("bob", "alice"), ("alice", "bob")] * 4
            for turn, (sender, to) in enumerate(ends):
                assert ids(await hive.broker.recv(sender)) == [number], turn
                number = await hive.broker.send(sender, to, "again")
                if [letter.id for letter in await hive.dead_letters.every()] == [number]:
                    await hive.dead_letters.requeue(number, OPERATOR)
            assert [event["event"] for event in await hive.told()] == ["loop_guard"] * 4

    within(test())


def test_only_a_dead_letter_is_shown_requeued_or_dropped(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            waiting = await hive.broker.send("alice", "bob", "hello")
            for number in (waiting, 99):
                for use in (hive.dead_letters.requeue, hive.dead_letters.drop):
                    with pytest.raises(NotFound, match=f"there is no dead letter {number}; `hyperhive debug"):
                        await use(number, OPERATOR)
                with pytest.raises(NotFound):
                    await hive.dead_letters.get(number)
            assert (len(await hive.rows()), await recorded(hive)) == (1, [])

    within(test())


def test_a_full_mailbox_and_one_that_is_gone_take_no_dead_letter(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_attempts=1, max_pending=1) as hive:
            dead = await give_up(hive)
            await hive.broker.send("alice", "bob", "waits")
            with pytest.raises(MailboxFull, match="bob's mailbox is full"):
                await hive.dead_letters.requeue(dead, OPERATOR)
            await hive.database.write(forget_bob)
            with pytest.raises(Conflict, match="nobody called bob any more; create that agent, or drop it"):
                await hive.dead_letters.requeue(dead, OPERATOR)
            assert ids(await hive.dead_letters.every()) == [dead]

    within(test())


def forget_bob(connection: sqlite3.Connection) -> None:
    agents.delete(connection, "bob")


def test_a_dropped_message_is_gone_and_the_audit_log_keeps_that_it_was(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_attempts=1) as hive:
            dead = await give_up(hive)
            await hive.dead_letters.drop(dead, OPERATOR)
            assert [row for row in await hive.rows() if row[2] == "bob"] == []
            assert await recorded(hive) == [(OPERATOR, "message.dropped", f"message/{dead}")]

    within(test())
