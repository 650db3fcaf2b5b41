"""An agent over its budget, with the real Claude Code: its turn ends by name, its mail waits."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path
from typing import Any

import pytest
from settings_samples import sample

from e2e.turn_rig import LACKING, Rig, rig
from hyperhive.store import agents, generations, messages

pytestmark = pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not on PATH")


async def bound(hive: Rig, tokens: int) -> None:
    """Let the agent have so many tokens a day."""
    settings = sample(budget={"tokensPerDay": tokens, "costPerDay": None})
    number = await hive.database.read(lambda c: generations.next_number(c, "worker"))
    values: dict[str, Any] = {"commit": "0" * 40, "tree": "0" * 40, "proposal": None, "reason": "test"}
    await hive.database.write(
        lambda c: generations.insert(c, agent="worker", number=number, settings=settings, **values)
    )
    await hive.database.write(lambda c: agents.set_generation(c, "worker", number))


def test_a_turn_over_the_budget_ends_its_mail_waits_and_it_goes_on_when_the_budget_is_raised(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            await bound(hive, 10**9)
            await hive.turn_done(await hive.say([{"text": "done"}]))
            await bound(hive, 1)
            message = await hive.say([{"text": "done too"}])
            await hive.until(lambda c: c.execute("SELECT 1 FROM turns WHERE outcome = 'over_budget'").fetchone())
            left = await hive.database.read(lambda c: messages.get(c, message))
            assert (left.delivered_at, left.dead_at, left.lease_until, left.attempts) == (None, None, None, 0)
            (told,) = await hive.broker.inbox(all_=True, limit=10)
            assert json.loads(told.body)["event"] == "over_budget"
            await bound(hive, 10**9)
            await hive.budgets.refresh()
            turn = await hive.turn_done(message)
            assert turn["outcome"] == "completed"
            assert (await hive.database.read(lambda c: messages.get(c, message))).attempts == 1
            assert hive.crashes == []

    asyncio.run(go())
