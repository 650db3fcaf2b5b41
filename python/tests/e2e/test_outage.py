"""A model that is away, and a session that is broken, with the real Claude Code CLI: what the session is like after."""

from __future__ import annotations

import asyncio
import os
import time
from pathlib import Path

import pytest

from e2e.turn_rig import LACKING, rig

pytestmark = pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not on PATH")


def test_mail_that_is_tried_again_stands_in_its_session_once(tmp_path: Path) -> None:
    """Or a night without the model would fill the session with copies of one message."""

    async def go() -> None:
        async with rig(tmp_path) as hive:
            await hive.turn_done(await hive.say([{"text": "one"}]))
            away = {"status": 500, "until": time.time() + 18}
            message = await hive.say([away, {"text": "two"}], "count me")
            done = await hive.turn_done(message, 120)
            outcomes = await hive.outcomes()
            assert outcomes[:2] == ["completed", "model_overloaded"] and outcomes[-1] == "completed", outcomes
            (transcript,) = (tmp_path / "agents/worker/state/.claude/projects/-state-work").glob("*.jsonl")
            prompts = [line for line in transcript.read_text().splitlines() if '"type":"user"' in line]
            assert sum("count me" in line for line in prompts) == 1, prompts
            assert done["session_id"] == transcript.stem

    asyncio.run(go())


def test_a_pipe_in_the_place_of_a_transcript_costs_one_turns_time(tmp_path: Path) -> None:
    async def go() -> None:
        session = {"turnTimeout": 10, "maxTurns": 80, "compactAt": 150_000}
        async with rig(tmp_path, session=session) as hive:
            await hive.turn_done(await hive.say([{"text": "one"}]))
            (transcript,) = (tmp_path / "agents/worker/state/.claude/projects/-state-work").glob("*.jsonl")
            transcript.unlink()
            os.mkfifo(transcript)
            await hive.turn_done(await hive.say([{"text": "two"}]), 90)
            await hive.turn_done(await hive.say([{"text": "three"}]), 90)
            assert len(await hive.outcomes()) <= 4, await hive.outcomes()

    asyncio.run(go())
