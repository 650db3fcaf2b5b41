"""A usage limit with two agents, a whole core and the real Claude Code: both wait until it resets, then both go on."""

from __future__ import annotations

import asyncio
import time
from pathlib import Path
from typing import Any

import core_rig
import pytest
from checks.soak.model import rehearsal
from core_rig import Hive, until

from e2e.turn_rig import CLAUDE
from hyperhive.rehearsal.script import marked
from hyperhive.store import turns

LACKING = core_rig.LACKING or (None if CLAUDE else "claude")
pytestmark = pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not on PATH")
RESET = 15.0


def test_a_limit_that_one_agent_meets_pauses_the_other_until_it_resets(tmp_path: Path) -> None:
    async def go(url: str) -> None:
        async with core_rig.hive(tmp_path, claude=CLAUDE, model_url=url) as hive:
            for name in ("ant", "bee"):
                await hive.create(name)
            resets = int(time.time() + RESET)
            headers = {
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-reset": f"{resets}",
            }
            limit = {"status": 429, "headers": headers, "until": resets, "text": "done"}
            met = await hive.core.broker.send("operator", "ant", f"Go on. {marked([limit])}")
            await until(paused(hive))
            waits = await hive.core.broker.send("operator", "bee", f"You too. {marked([{'text': 'done'}])}")
            rows = {agent: await until(done(hive, agent), 120) for agent in ("ant", "bee")}
            assert [each["outcome"] for each in rows["bee"]] == ["completed"], "no turn is begun in a pause"
            assert [each["outcome"] for each in rows["ant"]] == ["usage_limit", "completed"]
            assert [rows["ant"][-1]["message_ids"], rows["bee"][-1]["message_ids"]] == [[met], [waits]]
            assert min(rows["ant"][-1]["started_at"], rows["bee"][-1]["started_at"]) >= resets - 0.5
            told = [event for event in await hive.events("operator") if event["event"] == "hive_paused"]
            assert len(told) == 1
            await until(well(hive))

    with rehearsal() as url:
        asyncio.run(go(url))


def paused(hive: Hive) -> Any:
    async def seen() -> bool:
        return hive.core.pause.view() is not None

    return seen


def well(hive: Hive) -> Any:
    """Nobody has trouble any more: the next heartbeat says so."""

    async def seen() -> bool:
        return not (await hive.core.status())["trouble"]

    return seen


def done(hive: Hive, agent: str) -> Any:
    """The agent's turns, oldest first, once the last of them is a completed one and nothing waits."""

    async def seen() -> list[dict[str, Any]]:
        found = await hive.core.database.read(lambda c: [turn.view() for turn in turns.of_agent(c, agent)])
        return found[::-1] if found and found[0]["outcome"] == "completed" else []

    return seen
