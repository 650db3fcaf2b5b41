"""hyperhive.broker: senders that go away."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path

from database_rig import held, within
from mail_rig import mail


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
