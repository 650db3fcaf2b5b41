"""Events after which an agent must go on: what it, its mail, its model or the core do at a bad moment."""

from __future__ import annotations

import asyncio
import json
import os
import signal
import time
import tracemalloc
import uuid
from collections.abc import Awaitable, Callable
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from e2e.turn_rig import Rig, rig
from harness_rig import (
    DONE,
    INIT,
    LACKING,
    SKIP_REASON,
    answers,
    config,
    prints,
    result,
    runs,
    stand_in,
    state_of,
)
from settings_samples import sample
from test_harness_refused import hears
from test_harness_turn import until_dead

from hyperhive.dead_letters import DeadLetters
from hyperhive.errors import Rejected
from hyperhive.harness import control, turn
from hyperhive.harness.outcome import Events, Outcome
from hyperhive.harness.session import Session

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


def limits(**changes: int) -> dict[str, int]:
    return {"turnTimeout": 60, "maxTurns": 80, "compactAt": 150_000, **changes}


def said(text: str) -> str:
    """Shell that writes the agent's words into the transcript of its session."""
    line = json.dumps({"type": "assistant", "message": {"content": [{"type": "text", "text": text}]}})
    return f"cat >> /state/.claude/projects/-state-work/$session.jsonl <<'LINES'\n{line}\nLINES\n"


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
        poison, good = [await made.broker.send("operator", "worker", body) for body in ("poison", "good")]
        await made.start()
        await made.turn_done(good, 60)
        assert await made.dead_letters() == [poison]

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
        await made.turn_done(message, 60)

    play(tmp_path, scene, answers(DONE))


def test_a_turn_may_take_a_day(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "hi"), 60)

    play(tmp_path, scene, answers(DONE), session=limits(turnTimeout=86_400))


def test_a_failure_of_claude_itself_over_a_message_is_no_failure_of_the_network(tmp_path: Path) -> None:
    failure = result(subtype="error_during_execution", errors=["TypeError: undefined is not a function"])
    poisoned = "if grep -q poison /state/runs/$number/prompt; then"
    script = f"{answers()}{poisoned}\n{prints(failure)}else\n{prints(DONE)}fi\n"

    async def scene(made: Rig) -> None:
        poison = await made.broker.send("operator", "worker", "poison")
        await made.until(lambda c: c.execute("SELECT 1 FROM turns").fetchone())
        good = await made.broker.send("operator", "worker", "good")
        await made.turn_done(good, 90)
        assert await made.dead_letters() == [poison]

    play(tmp_path, scene, script)


def test_notes_that_could_not_be_written_outlive_the_harness(tmp_path: Path) -> None:
    linked = "rm -f /state/notes.md; ln -s /etc/hostname /state/notes.md\n"
    endless = "touch /state/ready\nwhile :; do sleep 0.05; done\n"

    async def scene(made: Rig) -> None:
        message = await made.broker.send("operator", "worker", "read five files")
        await made.until(lambda _: (state_of(tmp_path) / "ready").exists())
        os.kill(made.harness_pid, signal.SIGKILL)
        await made.turn_done(message)
        unwritten = "[your notes of the session before, which could not be written to /state/notes.md]\n# short\n"
        assert [unwritten in prompt for prompt, _ in runs(tmp_path)[2:]] == [True, True]
        (state_of(tmp_path) / "notes.md").unlink()

    words = prints({**INIT, "mcp_servers": []}, result(is_error=False, result="# short"))
    play(tmp_path, scene, answers() + said("I read") + prints(OVERFLOW), linked + words, endless, answers(DONE))


def test_notes_that_fill_the_window_do_not_fill_it_for_ever(tmp_path: Path) -> None:
    """As a model with a window of 200,000 tokens has it, whatever the language."""
    full = f"if [ $(wc -c < /state/runs/$number/prompt) -gt 500000 ]; then\n{prints(OVERFLOW)}exit 1\nfi\n"

    async def scene(made: Rig) -> None:
        (state_of(tmp_path) / "notes.md").write_text("a line of notes that I have made\n" * 32_000)
        await made.turn_done(await made.broker.send("operator", "worker", "hi"), 90)

    answer = prints({**DONE, "result": "# short"})
    play(tmp_path, scene, answers() + said("hello") + full + answer, notes={"enable": True, "maxBytes": 1_048_576})


def test_a_turn_of_an_impossible_cost_has_ended_all_the_same(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        turn = await made.turn_done(await made.broker.send("operator", "worker", "hi"))
        assert (turn["outcome"], turn["cost_usd"]) == ("completed", None)

    play(tmp_path, scene, answers({**DONE, "total_cost_usd": 2e6}))


@pytest.mark.parametrize(
    "removed",
    ["rmdir /state/work", "rmdir /state/work; touch /state/work", "rmdir /state/work; ln -s /gone /state/work"],
)
def test_an_agent_that_has_removed_its_working_directory_works_on(tmp_path: Path, removed: str) -> None:
    async def scene(made: Rig) -> None:
        for body in ("one", "two"):
            await made.turn_done(await made.broker.send("operator", "worker", body), 60)
        os.kill(made.harness_pid, signal.SIGKILL)
        await made.turn_done(await made.broker.send("operator", "worker", "three"), 60)
        assert len(made.crashes) == 1
        await made.backend.stop("worker")
        await made.start()

    play(tmp_path, scene, answers() + removed + "\n" + prints(DONE))


def test_what_is_kept_of_a_stream_does_not_grow_with_it() -> None:
    """A process of the agent's may print results for as long as the turn may take."""
    events = Events()
    tracemalloc.start()
    try:
        for _ in range(2000):
            events.take(json.loads(f'{{"type": "result", "usage": {{"input_tokens": 1}}, "result": "{"x" * 5000}"}}'))
        held, _ = tracemalloc.get_traced_memory()
    finally:
        tracemalloc.stop()
    assert events.usage == {"input_tokens": 2000}
    assert held < 100_000, held


def test_a_unit_that_does_not_stop_in_time_ends_neither_the_turn_nor_the_harness(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(turn, "UNIT_TIME", 0.2)
    made = replace(config(tmp_path, f"{prints(INIT)}sleep 60\n"), turn_end=("sleep", "20"))
    began = time.monotonic()
    hooks = turn.TurnHooks(lines=lambda _: None, tick=lambda: True)
    verdict, _ = turn.run_turn(made, Session(str(uuid.uuid4()), fresh=True), "go", hooks)
    assert verdict.outcome is Outcome.INTERRUPTED
    assert time.monotonic() - began < 10


def test_an_ear_that_has_no_thread_to_answer_with_listens_on(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """As under a limit of processes, which the agent has used up."""
    tried: list[str] = []

    def serve(path: Path) -> None:
        tried.append("")
        if len(tried) > 1:
            raise KeyboardInterrupt
        raise RuntimeError("can't start new thread")

    monkeypatch.setattr(control, "_serve", serve)
    monkeypatch.setattr(control, "RETRY", 0.0)
    with pytest.raises(KeyboardInterrupt):
        control._keep(tmp_path)


def test_a_prompt_that_no_command_line_takes_is_refused_and_the_longest_one_works(tmp_path: Path) -> None:
    with pytest.raises(Rejected, match=r"settings\.prompt: it has 150000 bytes; at most 65536 are allowed"):
        sample(prompt="漢" * 50_000)

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "hi"))

    play(tmp_path, scene, answers(DONE), prompt="漢" * 21_845)


async def tried(made: Rig, count: int) -> None:
    """Wait until so many turns have ended."""
    await made.until(lambda c: c.execute("SELECT count(ended_at) >= ? FROM turns", (count,)).fetchone()[0])


def test_mail_that_waits_for_the_model_may_be_restarted_over_as_often_as_the_operator_likes(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        message = await made.broker.send("operator", "worker", "hi")
        for number in range(6):
            await tried(made, number + 1)
            await made.backend.stop("worker")
            await made.start()
        (state_of(tmp_path) / "answers/0").write_text(answers(DONE))
        await made.backend.stop("worker")
        await made.start()
        await made.turn_done(message)
        assert len(await DeadLetters(made.database, made.broker).every()) == 0

    play(tmp_path, scene, answers(result(api_error_status=401, result="Invalid API key")))


def test_a_unit_whose_systemd_run_was_killed_ends_with_its_turn(tmp_path: Path) -> None:
    unit = ("sh", "-c", "setsid sleep 66.25 & kill -9 $$")
    made = replace(config(tmp_path), turn=unit, turn_end=("pkill", "-f", "^sleep 66[.]25"))
    hooks = turn.TurnHooks(lines=lambda _: None, tick=lambda: False)
    verdict, _ = turn.run_turn(made, Session(str(uuid.uuid4()), fresh=True), "go", hooks)
    assert verdict.outcome is Outcome.CRASHED
    until_dead("sleep\00066.25")


def test_a_turn_that_only_says_that_it_is_over_budget_is_not_begun_for_ever(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        message = await made.broker.send("operator", "worker", "hi")
        assert await made.dead_letters() == [message]
        assert await made.outcomes() == ["over_budget"] * 5

    play(tmp_path, scene, answers(result(api_error_status=429, result="worker is over budget until tomorrow")))


def test_a_compaction_that_something_else_interrupts_is_not_tried_for_ever(tmp_path: Path) -> None:
    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "read five files"))
        assert await made.outcomes() == ["context_overflow", "interrupted", "completed"]
        assert "I read" in (state_of(tmp_path) / "notes.md").read_text()

    interrupted = prints({**INIT, "mcp_servers": []}, ABORTED)
    turn = f"{answers()}{said('I read')}if grep -q 'grew too long' /state/runs/$number/prompt; then\n{prints(DONE)}"
    turn += f"else\n{prints(OVERFLOW)}fi\n"
    play(tmp_path, scene, f'case "$*" in *no-session*)\n{interrupted}exit ;; esac\n{turn}')


def test_mail_stands_once_in_its_session_however_often_it_is_tried(tmp_path: Path) -> None:
    """Also when Claude Code dies before it has stored the prompt that says to go on."""

    async def scene(made: Rig) -> None:
        await made.turn_done(await made.broker.send("operator", "worker", "hello"), 60)
        assert await made.outcomes() == ["model_unreachable", "claude_crashed", "completed"]
        assert [prompt.count("hello") for prompt, _ in runs(tmp_path)] == [1, 0, 0]

    play(tmp_path, scene, hears(AWAY), prints(INIT) + "kill -9 $$\n", answers(DONE))


def test_mail_that_takes_its_harness_with_it_takes_no_other_of_its_batch(tmp_path: Path) -> None:
    """As one does over which the host runs out of memory."""
    script = f"{answers()}if grep -q poison /state/runs/$number/prompt; then touch /state/ready; sleep 100; fi\n"

    async def scene(made: Rig) -> None:
        await made.backend.stop("worker")
        first, poison, last = [await made.broker.send("operator", "worker", body) for body in ("a", "poison", "b")]
        await made.start()
        for _ in range(5):
            await made.until(lambda _: (state_of(tmp_path) / "ready").exists(), 60)
            (state_of(tmp_path) / "ready").unlink()
            os.kill(made.harness_pid, signal.SIGKILL)
            await made.backend.stop("worker")
            await made.start()
        assert await made.dead_letters() == [poison]
        for good in (first, last):
            await made.turn_done(good)

    play(tmp_path, scene, script + prints(DONE))
