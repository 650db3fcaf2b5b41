"""What becomes of a session that cannot go on: the real Claude Code CLI, sandbox and harness."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from e2e.turn_rig import LACKING, rig
from hyperhive.rehearsal.script import marked_notes

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not on PATH"),
]


def test_a_session_that_overflows_is_turned_into_notes_by_the_real_cli(tmp_path: Path) -> None:
    """A full session takes no more mail; the model writes the notes, and the same mail is answered in a fresh one."""
    full = {"text": "I have seen the cellar.", "usage": {"input_tokens": 199_000}}
    session = {"turnTimeout": 60, "maxTurns": 80, "compactAt": 2_000_000}
    notes = marked_notes({"text": "# What I know\nThe cellar key hangs behind the door."})

    async def go() -> None:
        async with rig(tmp_path, session=session) as hive:
            first = await hive.say([full], f"Look at the cellar. {notes}")
            await hive.turn_done(first)
            row = await hive.turn_done(await hive.say([{"text": "Behind the door."}], "Where does the key hang?"), 60)
            assert await hive.outcomes() == ["completed", "context_overflow", "completed", "completed"]
            written = tmp_path / "agents/worker/state/notes.md"
            assert written.read_text() == "# What I know\nThe cellar key hangs behind the door.\n"
            assert (row["purpose"], row["notes"] is not None, row["memory_peak"] > 2**24) == ("mail", True, True)
            assert 0.1 < row["cpu_seconds"] < 60

    asyncio.run(go())


def test_a_session_over_compact_at_becomes_notes_after_its_turn(tmp_path: Path) -> None:
    """The real CLI's count of the session's tokens passes the limit; the next turn begins a session from the notes."""
    long = {"text": "I have seen the cellar.", "usage": {"input_tokens": 60_000}}
    session = {"turnTimeout": 60, "maxTurns": 80, "compactAt": 50_000}
    notes = marked_notes({"text": "# What I know\nThe cellar key hangs behind the door."})

    async def go() -> None:
        async with rig(tmp_path, session=session) as hive:
            first = await hive.turn_done(await hive.say([long], f"Look at the cellar. {notes}"))
            await hive.until(lambda c: c.execute("SELECT 1 FROM turns WHERE id = 2 AND ended_at").fetchone())
            second = await hive.turn_done(await hive.say([{"text": "Behind it."}], "Where is the key?"))
            assert await hive.outcomes() == ["completed"] * 3
            assert (tmp_path / "agents/worker/state/notes.md").read_text().startswith("# What I know\n")
            assert second["session_id"] != first["session_id"]
            assert (first["notes"], second["notes"] is not None) == (None, True)
            assert second["model"].startswith("claude-haiku-"), "the one that answered, not the name it was asked by"

    asyncio.run(go())


def test_mail_that_is_refused_takes_no_memory_with_it(tmp_path: Path) -> None:
    """The session in which it stands is left; what was known before it stands in the notes of the next one."""
    notes = marked_notes({"text": "# What I know\nThe cellar key hangs behind the door."})

    async def go() -> None:
        async with rig(tmp_path) as hive:
            await hive.turn_done(await hive.say([{"text": "I have seen it."}], f"Look at the cellar. {notes}"))
            refused = await hive.say([{"text": "no", "stop": "refusal"}], "Poison.")
            assert await hive.dead_letters() == [refused]
            row = await hive.turn_done(await hive.say([{"text": "Behind it."}], "Where is the key?"))
            again = ["model_refused", "model_refused", "completed"]
            assert await hive.outcomes() == ["completed", "model_refused", "completed", *again]
            assert (tmp_path / "agents/worker/state/notes.md").read_text().startswith("# What I know\n")
            assert row["notes"] is not None

    asyncio.run(go())
