"""hyperhive.retention: what goes, what stays, and the file that shrinks."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from database_rig import within
from mail_rig import Mail, mail

from hyperhive.broker import BrokerLimits
from hyperhive.retention import prune
from hyperhive.store.messages import Message


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
            assert await prune(hive.database, BrokerLimits()) == 1
            left = [number for number, _, to, _ in await hive.rows() if to == "bob"]
            assert left == [new, dead, leased, waiting]
            assert await prune(hive.database, BrokerLimits()) == 0

    within(test())


def test_only_the_newest_delivered_rows_of_each_mailbox_are_kept(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, edge_burst=1000) as hive:
            for number in range(10):
                await hive.broker.send("alice", "bob", f"m{number}")
            await hive.broker.ack("bob", ids(await hive.broker.recv("bob", max_messages=6)))
            await hive.broker.send("bob", "alice", "kept")
            await hive.broker.ack("alice", ids(await hive.broker.recv("alice")))
            assert await prune(hive.database, BrokerLimits(max_rows=3)) == 3
            assert [body for *_, body in await hive.rows()] == ["m3", "m4", "m5", "m6", "m7", "m8", "m9", "kept"]

    within(test())


def test_pruning_gives_the_space_back_and_mail_goes_on_meanwhile(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path, max_pending=5000, edge_burst=5000) as hive:
            body = "x" * 4000
            await asyncio.gather(*(hive.broker.send("alice", "bob", body) for _ in range(2000)))
            while received := ids(await hive.broker.recv("bob", max_messages=100)):
                await hive.broker.ack("bob", received)
            pruning = asyncio.create_task(prune(hive.database, BrokerLimits(max_rows=1)))
            await hive.broker.send("alice", "bob", "meanwhile")
            assert not pruning.done()
            assert await pruning == 1999
            assert [message.body for message in await hive.broker.recv("bob")] == ["meanwhile"]
        assert (tmp_path / "hive.db").stat().st_size < 500_000

    within(test())
