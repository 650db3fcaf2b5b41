"""What the model or its API refuses: the session is left, what it knew becomes notes, and the agent can go on."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from e2e.turn_rig import Rig
from harness_rig import DONE, INIT, LACKING, SKIP_REASON, STORE, prints, result, runs
from test_harness_compaction import AWAY, OLD, notes_of, play, told, writes

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

REFUSED = result(api_error_status=400, result="API Error: 400 bad ids")
HEARD = r"""
line() { python3 -c 'import json, sys; print(json.dumps({"type": sys.argv[1], "message": {"content": [
  {"type": "text", "text": sys.stdin.read()}]}}))' "$1" >> /state/.claude/projects/-state-work/$session.jsonl; }
line user < /state/runs/$number/prompt
echo "I have read two of the five files." | line assistant
"""
"""Shell that keeps the prompt and an answer in the transcript, as Claude Code does."""


def unless(word: str) -> str:
    """Shell of a run that is refused whenever that word stands in its prompt."""
    return f"{hears()}if grep -q {word} /state/runs/$number/prompt; then\n{prints(REFUSED)}else\n{prints(DONE)}fi\n"


def hears(*events: dict[str, object]) -> str:
    """Shell of a run whose transcript goes on with the prompt and an answer, and which ends with these events."""
    return STORE.replace(": > /state", ": >> /state") + HEARD + prints(INIT, *events)


def test_what_a_session_knew_before_it_was_refused_becomes_notes(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        await made.turn_done(await made.broker.send("operator", "worker", "poison"))
        assert await made.outcomes() == ["completed", "model_refused", "completed", "completed"]
        asked, prompt = runs(tmp_path)[2][0], runs(tmp_path)[3][0]
        assert "I have read two of the five files." in asked and "poison" not in asked
        assert "--resume" in runs(tmp_path)[1][1] and "--session-id" in runs(tmp_path)[3][1]
        assert "# two are read" in prompt and "the model refused to go on" in prompt and "poison" in prompt
        assert notes_of(tmp_path) == "# two are read\n"
        assert await told(made) == []

    play(tmp_path, scene, hears(DONE), hears(REFUSED), writes("# two are read"), hears(DONE))


def test_without_the_model_the_last_words_before_the_refused_mail_stay(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        await made.turn_done(await made.broker.send("operator", "worker", "poison"))
        assert await made.outcomes() == ["completed", "model_refused", "model_unreachable", "completed"]
        notes = notes_of(tmp_path)
        assert notes.startswith(OLD.strip()) and "two of the five files" in notes and "poison" not in notes

    play(tmp_path, scene, hears(DONE), hears(REFUSED), prints(INIT, AWAY), hears(DONE))


def test_a_session_that_knew_nothing_leaves_the_notes_alone(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "hi"))
        assert await made.outcomes() == ["model_refused", "completed"]
        assert notes_of(tmp_path) == OLD

    play(tmp_path, scene, hears(REFUSED), hears(DONE))


def test_notes_that_the_model_refuses_do_not_end_the_agent(tmp_path: Path) -> None:
    """It gets its mail without them, is told so, and can mend them; the turn's row has no notes."""

    async def scene(made: Rig) -> None:
        done = await made.turn_done(await made.broker.send("operator", "worker", "hi"))
        assert await made.outcomes() == ["model_refused", "completed"]
        assert done["notes"] is None
        prompt = runs(tmp_path)[1][0]
        assert prompt.startswith("[your notes are left out") and "/state/notes.md" in prompt
        await made.turn_done(await made.broker.send("operator", "worker", "again"))
        assert "--resume" in runs(tmp_path)[2][1], "no refused turn for every mail"
        assert await told(made) == []

    play(tmp_path, scene, unless("cellar"))


def test_mail_that_is_refused_in_every_way_becomes_a_dead_letter_and_the_next_mail_is_handled(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        dead = await made.broker.send("operator", "worker", "poison")
        assert await made.dead_letters() == [dead]
        assert await made.outcomes() == ["completed", "model_refused", "completed", *["model_refused"] * 2]
        await made.turn_done(await made.broker.send("operator", "worker", "go on"))
        prompt = runs(tmp_path)[-1][0]
        assert prompt.startswith("[your notes, /state/notes.md") and "# two are read" in prompt
        (word,) = await told(made)
        assert "turn 5 ended with model_refused: API Error: 400 bad ids" in word

    compaction = f"if grep -q '^<session>' /state/runs/$number/prompt; then\n{writes('# two are read')}exit 0; fi\n"
    play(tmp_path, scene, compaction + unless("poison"))


def test_mail_that_is_delivered_again_after_it_was_refused_stays_out_of_the_notes(tmp_path: Path) -> None:
    """The harness died while the session was made notes: then the mail stands in it twice, under two headers."""

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        dead = await made.broker.send("operator", "worker", "poison")
        await made.until(lambda _: (tmp_path / "agents/worker/state/ready").exists())
        os.kill(made.harness_pid, signal.SIGKILL)
        assert await made.dead_letters() == [dead]
        assert "poison" in runs(tmp_path)[3][0] and ", delivery 2]" in runs(tmp_path)[3][0]
        assert notes_of(tmp_path) == "# two are read\n"

    first = "[ -e /state/ready ] || { touch /state/ready; while :; do sleep 0.05; done; }\n"
    short = f"{prints(INIT)}if grep -q poison /state/runs/$number/prompt; then\n{prints(REFUSED)}else\n"
    short += f"{writes('# two are read')}fi\nexit 0\n"
    compaction = f"if grep -q '^<session>' /state/runs/$number/prompt; then\n{first}{short}fi\n"
    play(tmp_path, scene, compaction + unless("poison"))


def test_mail_gets_its_try_without_the_notes_also_when_something_else_fails_meanwhile(tmp_path: Path) -> None:
    """A turn that does not begin, say, of which no session is kept."""

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "hi"))
        assert await made.outcomes() == ["model_refused", "mcp_not_connected", "completed"]
        assert runs(tmp_path)[2][0].startswith("[your notes are left out")

    play(tmp_path, scene, hears(REFUSED), prints({**INIT, "mcp_servers": []}), unless("cellar"))
