"""hyperhive.broker: leases and acknowledgements, mail that comes again, dead letters."""

from __future__ import annotations

import asyncio
import itertools
import time
from pathlib import Path

from database_rig import held, within
from mail_rig import FREE, mail

from hyperhive.store.messages import Message

LONG = 60.0
"""Seconds of a wait that must never last that long."""


def ids(found: list[Message]) -> list[int]:
    return [message.id for message in found]


def test_mail_that_is_worked_on_is_nobody_elses(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.broker.send("alice", "bob", "hello")
            assert len(await hive.broker.waiting("bob")) == 1
            assert len(await hive.broker.recv("bob")) == 1
            assert await hive.broker.recv("bob") == []
            assert await hive.broker.waiting("bob") == []

    within(test())


def test_looking_at_what_waits_leases_nothing(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.broker.send("alice", "bob", "hello")
            for _ in range(2):
                (message,) = await hive.broker.waiting("bob")
                assert message.attempts == 0
            assert len(await hive.broker.recv("bob")) == 1

    within(test())


def test_many_who_receive_at_once_never_get_the_same_message(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, **FREE) as hive:
            sent = await asyncio.gather(*(hive.broker.send("alice", "bob", f"m{number}") for number in range(200)))

            async def drain() -> list[int]:
                mine: list[int] = []
                while found := await hive.broker.recv("bob", max_messages=7):
                    mine += ids(found)
                return mine

            drained = await asyncio.gather(*(drain() for _ in range(10)))
            assert sorted(itertools.chain(*drained)) == sorted(sent)

    within(test())


def test_one_message_ends_only_one_of_two_waits(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            waits = {asyncio.create_task(hive.broker.recv("bob", wait=LONG)) for _ in range(2)}
            await hive.database.read(lambda c: None)  # both have looked
            await hive.broker.send("alice", "bob", "first")
            done, left = await asyncio.wait(waits, return_when=asyncio.FIRST_COMPLETED)
            assert [message.body for task in done for message in task.result()] == ["first"]
            (other,) = left
            looks: list[str] = []
            await hive.database.read(lambda c: c.set_trace_callback(looks.append))
            for _ in range(50):
                await hive.database.read(lambda c: None)
            assert len(looks) < 10, "it waits, it does not look again and again"
            await hive.broker.send("alice", "bob", "second")
            assert [message.body for message in await other] == ["second"]

    within(test())


def test_recv_gives_at_most_what_is_asked_for_oldest_first(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            sent = [await hive.broker.send("alice", "bob", f"m{number}") for number in range(5)]
            assert ids(await hive.broker.recv("bob", max_messages=2)) == sent[:2]
            assert ids(await hive.broker.recv("bob", max_messages=100)) == sent[2:]

    within(test())


def test_recv_without_mail_waits_as_long_as_asked_and_no_longer(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            began = time.monotonic()
            assert await hive.broker.recv("bob") == []
            at_once = time.monotonic() - began
            assert await hive.broker.recv("bob", wait=0.2) == []
            assert at_once < 0.2 <= time.monotonic() - began - at_once

    within(test())


def test_mail_comes_again_when_its_lease_ends_and_counts_its_attempts(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            number = await hive.broker.send("alice", "bob", "hello")
            for attempt in range(1, 4):
                (message,) = await hive.broker.recv("bob", wait=LONG, lease=0.05)
                assert (message.id, message.attempts) == (number, attempt)

    within(test())


def test_a_wait_is_woken_by_new_mail_while_older_mail_is_leased(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.broker.send("alice", "bob", "old")
            await hive.broker.recv("bob")
            waiting = asyncio.create_task(hive.broker.recv("bob", wait=LONG))
            await hive.database.read(lambda c: None)
            await hive.broker.send("alice", "bob", "new")
            assert [message.body for message in await waiting] == ["new"]

    within(test())


def test_mail_nobody_finishes_becomes_a_dead_letter_and_the_operator_is_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_attempts=2) as hive:
            number = await hive.broker.send("alice", "bob", "impossible")
            for _ in range(2):
                assert ids(await hive.broker.recv("bob", wait=LONG, lease=0.05)) == [number]
            assert await hive.broker.recv("bob", wait=0.3) == []
            assert ids(await hive.dead_letters.every()) == [number]
            (event,) = await hive.told()
            assert (event["event"], event["from"], event["to"], event["message"]) == (
                "dead_letter",
                "alice",
                "bob",
                number,
            )
            assert "delivered 2 times without an answer" in str(event["reason"])
            assert await hive.broker.recv("bob") == []
            assert len(await hive.told()) == 1

    within(test())


def test_a_dead_letter_does_not_hold_up_the_mail_behind_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_attempts=1) as hive:
            bad = await hive.broker.send("alice", "bob", "impossible")
            assert ids(await hive.broker.recv("bob")) == [bad]
            await hive.broker.end_leases("bob")
            good = await hive.broker.send("alice", "bob", "easy")
            assert ids(await hive.broker.recv("bob", wait=LONG)) == [good]

    within(test())


def test_a_harness_that_starts_anew_gets_its_mail_again_at_once(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "cat") as hive:
            number = await hive.broker.send("alice", "bob", "hello")
            await hive.broker.send("alice", "cat", "other")
            await hive.broker.recv("bob")
            await hive.broker.recv("cat")
            waiting = asyncio.create_task(hive.broker.recv("bob", wait=LONG))
            await hive.database.read(lambda c: None)
            await hive.broker.end_leases("bob")
            (message,) = await waiting
            assert (message.id, message.attempts) == (number, 2)
            assert await hive.broker.recv("cat") == []

    within(test())


def test_acknowledged_mail_never_comes_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.broker.send("alice", "bob", "hello")
            received = ids(await hive.broker.recv("bob", lease=0.01))
            assert await hive.broker.ack("bob", received) == 1
            assert await hive.broker.ack("bob", received) == 0
            assert await hive.broker.recv("bob", wait=0.1) == []
            await hive.broker.end_leases("bob")
            assert await hive.broker.recv("bob") == []

    within(test())


def test_only_own_mail_that_was_received_can_be_acknowledged(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, "cat") as hive:
            mine = await hive.broker.send("alice", "bob", "hello")
            waiting = await hive.broker.send("alice", "bob", "unseen")
            assert ids(await hive.broker.recv("bob", max_messages=1)) == [mine]
            assert await hive.broker.ack("cat", [mine]) == 0
            assert await hive.broker.ack("alice", [mine]) == 0
            assert await hive.broker.ack("bob", [waiting, 10**9, 0, -1]) == 0
            assert await hive.broker.ack("bob", []) == 0
            assert await hive.broker.ack("bob", [mine, mine, waiting]) == 1
            assert ids(await hive.broker.recv("bob")) == [waiting]

    within(test())


def test_a_cancelled_wait_leaves_nothing_leased(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            waiting = asyncio.create_task(hive.broker.recv("bob", wait=LONG))
            await hive.database.read(lambda c: None)
            waiting.cancel()
            await asyncio.gather(waiting, return_exceptions=True)
            await hive.broker.send("alice", "bob", "hello")
            (message,) = await hive.broker.recv("bob")
            assert message.attempts == 1

    within(test())


def test_a_receiver_cancelled_in_the_middle_of_leasing_gives_the_mail_back(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.broker.send("alice", "bob", "hello")
            for steps in range(6):  # whatever step it has come to
                async with held(hive.database):
                    receiving = asyncio.create_task(hive.broker.recv("bob", wait=LONG))
                    await asyncio.sleep(0)
                for _ in range(steps):
                    await asyncio.sleep(0)
                receiving.cancel()
                (found,) = await asyncio.gather(receiving, return_exceptions=True)
                if isinstance(found, list):  # it was done already
                    await hive.broker.release("bob", [each.id for each in found])
            (message,) = await hive.broker.recv("bob")
            assert message.attempts == 1

    within(test())


def test_mail_given_back_wakes_another_receiver(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            await hive.broker.send("alice", "bob", "hello")
            received = await hive.broker.recv("bob")
            waiting = asyncio.create_task(hive.broker.recv("bob", wait=LONG))
            await hive.database.read(lambda c: None)
            await hive.broker.release("bob", [each.id for each in received])
            assert [(message.id, message.attempts) for message in await waiting] == [(received[0].id, 1)]

    within(test())


def test_mail_and_its_leases_survive_a_restart_of_the_core(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            held_one = await hive.broker.send("alice", "bob", "in work")
            await hive.broker.recv("bob")
            waiting = await hive.broker.send("alice", "bob", "waiting")
        async with mail(tmp_path) as hive:
            assert ids(await hive.broker.recv("bob")) == [waiting]
            assert await hive.broker.ack("bob", [held_one, waiting]) == 2

    within(test())


def test_two_messages_at_once_end_two_waits_that_take_one_each(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            waits = [asyncio.create_task(hive.broker.recv("bob", max_messages=1, wait=LONG)) for _ in range(2)]
            await hive.database.read(lambda c: None)  # both have looked
            await asyncio.gather(*(hive.broker.send("alice", "bob", body) for body in ("one", "two")))
            found = await asyncio.gather(*waits)
            assert sorted(message.body for each in found for message in each) == ["one", "two"]

    within(test())


def test_mail_that_is_held_back_reaches_nobody_who_waits_until_it_is_not(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            until: dict[str, float] = {}
            hive.broker.hold(until.get)
            hive.broker.hold(lambda _: None)
            waits = asyncio.create_task(hive.broker.recv("bob", wait=LONG))
            await hive.database.read(lambda c: None)  # it has looked
            until["bob"] = time.time() + LONG
            sent = await hive.broker.send("alice", "bob", "later")
            assert await hive.broker.recv("bob", wait=0.05) == []
            assert not waits.done()
            until.clear()
            hive.broker.wake_all()
            assert ids(await waits) == [sent]

    within(test())


def test_mail_that_is_held_back_comes_by_itself_when_its_time_has_come(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            until = time.time() + 0.2
            hive.broker.hold(lambda _: until)
            sent = await hive.broker.send("alice", "bob", "later")
            assert ids(await hive.broker.recv("bob", wait=LONG)) == [sent]
            assert time.time() >= until

    within(test())


def test_mail_is_put_back_by_who_holds_it_once_and_that_it_was_given_out_does_not_count(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            first, second, bobs = [await hive.broker.send("operator", to, "hi") for to in ("alice", "alice", "bob")]
            await hive.broker.recv("bob", lease=100)
            assert ids(await hive.broker.recv("alice", lease=100)) == [first, second]
            await hive.broker.ack("alice", [first])
            await asyncio.gather(
                *(hive.broker.release("alice", [first, second, second, bobs, 10**9]) for _ in range(5))
            )
            await hive.broker.release("alice", [])
            (again,) = await hive.broker.recv("alice", lease=100)
            assert (again.id, again.attempts) == (second, 1)
            assert await hive.broker.recv("bob") == [], "what another holds is not alice's to put back"

    within(test())
