"""Events after which an agent must go on: what it, its mail, its model or the core do at a bad moment."""

from __future__ import annotations

import asyncio
import json
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from e2e.turn_rig import Rig, rig
from harness_rig import DONE, INIT, LACKING, SKIP_REASON, answers, prints, result, stand_in, state_of

from hyperhive.dead_letters import DeadLetters

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

OVERFLOW = result(terminal_reason="blocking_limit", result="Prompt is too long")
AWAY = result(result="API Error: 502 the model API cannot be reached")
ABORTED = result(subtype="error_during_execution", terminal_reason="aborted_tools")


def play(root: Path, scene: Callable[[Rig], Awaitable[None]], *scripts: str, **changes: Any) -> None:
    """A scene with a worker whose runs are these scripts."""

    async def go() -> None:
        async with rig(root, claude=stand_in(root, *scripts), **changes) as made:
            await scene(made)

    asyncio.run(go())


def said(text: str) -> str:
    """Shell that writes the agent's words into the transcript of its session."""
    line = json.dumps({"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}})
    return f"cat >> /state/.claude/projects/-state-work/$session.jsonl <<'LINES'\n{line}\nLINES\n"


async def dead(made: Rig) -> list[int]:
    """The dead letters, once there are some."""
    await made.until(lambda c: c.execute("SELECT 1 FROM messages WHERE dead_at > 0").fetchone())
    return sorted(letter.id for letter in await DeadLetters(made.database, made.broker).every())


@pytest.mark.parametrize(
    "run", [prints({**INIT, "mcp_servers": []}, AWAY), prints(INIT, result(is_error=False, result="notes \ud83d"))]
)
def test_half_a_character_in_a_session_does_not_keep_it_from_becoming_notes(tmp_path: Path, run: str) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "go on"))
        assert made.crashes == []
        assert "notes ?" in (state_of(tmp_path) / "notes.md").read_text()

    play(tmp_path, scene, answers() + said("notes \ud83d") + prints(OVERFLOW), run, answers(DONE))


def test_mail_that_lets_its_turn_be_interrupted_takes_no_other_of_its_batch_with_it(tmp_path: Path) -> None:
    script = f"{answers()}if grep -q poison /state/runs/$number/prompt; then\n{prints(ABORTED)}else\n{prints(DONE)}fi\n"

    async def scene(made: Rig) -> None:
        await made.backend.stop("worker")
        sent = [await made.broker.send("operator", "worker", body) for body in ("a", "poison", "b")]
        await made.start()
        for good in (sent[0], sent[2]):
            await made.turn_done(good)
        assert await dead(made) == [sent[1]]

    play(tmp_path, scene, script)


def test_mail_that_was_handed_to_nobody_comes_when_the_core_is_back(tmp_path: Path) -> None:
    """The core was killed when it had leased the mail and before its answer went out."""

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "first"))
        await made.until(lambda _: (beat := made.heartbeats.last("worker")) and beat.activity == "idle")
        await made.hide()
        message = await made.broker.send("operator", "worker", "hi")
        assert [each.id for each in await made.broker.recv("worker", lease=2000)] == [message]
        await made.show()
        await made.turn_done(message, 15)

    play(tmp_path, scene, answers(DONE))
