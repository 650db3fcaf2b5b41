"""A Claude Code that does not begin: a real broker and cage, itself played by a stand-in."""

from __future__ import annotations

from pathlib import Path

import pytest
from e2e.turn_rig import Rig
from harness_rig import DONE, INIT, LACKING, SKIP_REASON, answers, prints, runs, state_of
from test_harness_dead_ends import AWAY, limits, play
from test_harness_refused import hears

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


@pytest.mark.parametrize(
    ("broken", "ends"), [("echo 'no, not this' >&2; exit 1", ["claude_crashed"] * 3), ("sleep 100", ["turn_timeout"])]
)
def test_a_session_with_which_claude_does_not_begin_is_left_for_a_fresh_one(
    tmp_path: Path, broken: str, ends: list[str]
) -> None:
    async def scene(made: Rig) -> None:
        (state_of(tmp_path) / "notes.md").write_text("what lasts")
        for body in ("one", "two", "three"):
            await made.turn_done(await made.broker.send("operator", "worker", body), 90)
        assert await made.outcomes() == ["completed", *ends, "completed", "completed"]
        assert "what lasts" in runs(tmp_path)[1 + len(ends)][0]

    first = f"{answers(DONE)}echo $session > /state/bad\n"
    later = f'case "$*" in *"--resume $(cat /state/bad)"*) {broken} ;; esac\n'
    play(tmp_path, scene, first, later + answers(DONE), session=limits(turnTimeout=10))


def test_a_claude_that_begins_with_no_session_costs_none(tmp_path: Path) -> None:
    """A new Claude Code that is broken is mended some day; the session goes on then."""

    async def scene(made: Rig) -> None:
        first = await made.turn_done(await made.broker.send("operator", "worker", "one"))
        second = await made.turn_done(await made.broker.send("operator", "worker", "two"), 90)
        assert await made.outcomes() == ["completed", *["claude_crashed"] * 4, "completed"]
        assert first["session_id"] == second["session_id"]

    play(tmp_path, scene, answers(DONE), *["echo 'unknown option' >&2; exit 1\n"] * 4, answers(DONE))


def test_a_claude_that_hangs_before_it_begins_costs_no_mail(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "hi"), 60)
        assert await made.outcomes() == ["turn_timeout", "completed"]
        assert await made.broker.inbox(all_=True, limit=1) == [], "no dead letter"

    play(tmp_path, scene, "sleep 100\n", answers(DONE), session=limits(turnTimeout=10))


@pytest.mark.parametrize("away", [True, False])
def test_a_session_with_which_claude_does_not_begin_becomes_notes(tmp_path: Path, away: bool) -> None:
    async def scene(made: Rig) -> None:
        for body in ("one", "two"):
            await made.turn_done(await made.broker.send("operator", "worker", body), 90)
        ends = ["claude_crashed"] * 3 + ["model_unreachable" if away else "completed"]
        assert await made.outcomes() == ["completed", *ends, "completed"]
        assert "two of the five files" in runs(tmp_path)[5][0]

    begun = prints({**INIT, "mcp_servers": []}, AWAY if away else {**DONE, "result": "two of the five files"})
    play(tmp_path, scene, hears(DONE), *["exit 1\n"] * 3, begun, answers(DONE))
