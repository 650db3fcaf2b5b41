"""A usage limit's pause outlives the core, and the operator is told once."""

from __future__ import annotations

import json
import time
from pathlib import Path

import pytest
from database_rig import within
from mail_rig import Mail, mail

from hyperhive import usage_limit
from hyperhive.gateway.pause import Pause
from hyperhive.store import audit


def pause_of(hive: Mail) -> Pause:
    return usage_limit.pause_of(hive.database, hive.broker, hive.hub)


async def told(hive: Mail) -> list[str]:
    return [json.loads(message.body)["reason"] for message in await hive.broker.inbox(all_=True, limit=10)]


def test_the_next_core_goes_on_with_it_and_tells_nobody_again(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            pause = pause_of(hive)
            await pause.begin(time.time() + 3600, "the model API's")
            await hive.broker.send("alice", "bob", "hello")
            assert await hive.broker.recv("bob") == []
        async with mail(tmp_path) as hive:
            pause = pause_of(hive)
            await usage_limit.recall(hive.database, pause)
            assert 3500 < pause.left() <= 3600
            assert await hive.broker.recv("bob") == []
            await pause.begin(time.time() + 3600, "the model API's")
            assert await told(hive) == ["the model API's"]

    within(test())


def test_the_next_core_knows_of_a_longer_limit_that_came_later(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            pause = pause_of(hive)
            await pause.begin(time.time() + 3600, "five hours")
            await pause.begin(time.time() + 3601, "five hours")
            await pause.begin(time.time() + 7 * 86400, "a week")
            await pause.begin(time.time() + 1800, "five hours")
            assert await told(hive) == ["five hours"]
            assert len(await hive.database.read(audit.entries)) == 2
        async with mail(tmp_path) as hive:
            pause = pause_of(hive)
            await usage_limit.recall(hive.database, pause)
            assert 7 * 86400 - 60 < pause.left() <= 7 * 86400

    within(test())


@pytest.mark.parametrize("over", ["ended", "reset"])
def test_one_that_is_over_is_not_taken_up_again(tmp_path: Path, over: str) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive:
            pause = pause_of(hive)
            await pause.begin(time.time() + (3600 if over == "ended" else -1), "the model API's")
            if over == "ended":
                assert await usage_limit.end(hive.database, pause, "operator:ann")
                assert not await usage_limit.end(hive.database, pause, "operator:ann")
        async with mail(tmp_path) as hive:
            pause = pause_of(hive)
            await usage_limit.recall(hive.database, pause)
            assert pause.view() is None
            await hive.broker.send("alice", "bob", "hello")
            assert len(await hive.broker.recv("bob")) == 1
            actions = [(entry.actor, entry.action) for entry in await hive.database.read(audit.entries)]
            assert actions == [("system", "hive.paused"), ("operator:ann", "hive.resumed")][: 1 + (over == "ended")]

    within(test())


def test_the_end_lets_those_who_wait_have_their_mail(tmp_path: Path) -> None:
    async def test() -> None:
        async with mail(tmp_path) as hive, hive.hub.subscribe() as events:
            pause = pause_of(hive)
            await pause.begin(time.time() + 3600, "x")
            assert (await anext(events)).kind == "hive"
            pause.end()
            await hive.broker.send("alice", "bob", "hello")
            assert len(await hive.broker.recv("bob", wait=10)) == 1

    within(test())
