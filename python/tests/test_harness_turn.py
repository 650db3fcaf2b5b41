"""One turn in the real cage with a stand-in for Claude Code: what is read, and how it is ended."""

from __future__ import annotations

import fcntl
import json
import os
import signal
import subprocess
import sys
import threading
import time
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from harness_rig import DONE, INIT, LACKING, SKIP_REASON, STORE, config, prints, result, runs, state_of, write

from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.outcome import Events, Outcome, Verdict
from hyperhive.harness.session import Session
from hyperhive.harness.turn import MAX_BATCH, TurnHooks, run_turn

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

FRESH = Session("11111111-1111-4111-8111-111111111111", fresh=True)


class Turn:
    """A finished turn and what its hooks saw. `stop` names a file in /state whose appearance asks for the end."""

    def __init__(
        self, root: Path, script: str, *, prompt: str = "go", stop: str = "", most: int | None = None, **changes: Any
    ) -> None:
        self.batches: list[bytes] = []
        self.texts: list[str] = []
        self._stop = state_of(root) / stop if stop else None
        made = replace(config(root, script, **changes), memory_max=most)
        hooks = TurnHooks(
            lines=self.batches.append,
            text=self.texts.append,
            tick=lambda: self._stop is not None and self._stop.exists(),
        )
        self.verdict: Verdict
        self.events: Events
        self.verdict, self.events = run_turn(made, FRESH, prompt, hooks)

    @property
    def lines(self) -> list[dict[str, Any]]:
        return [json.loads(line) for batch in self.batches for line in batch.split(b"\n")]


def alive(fragment: str) -> bool:
    for entry in Path("/proc").iterdir():
        try:
            if entry.name.isdigit() and fragment in (entry / "cmdline").read_text(errors="replace"):
                return True
        except OSError:
            continue
    return False


def until_dead(fragment: str) -> None:
    deadline = time.monotonic() + 5
    while alive(fragment):
        assert time.monotonic() < deadline, f"{fragment!r} lives on"


def test_the_events_are_handed_on_as_they_are_and_judged(tmp_path: Path) -> None:
    turn = Turn(tmp_path, prints(INIT, DONE))
    assert turn.verdict.outcome is Outcome.COMPLETED, turn.verdict
    assert turn.lines == [INIT, DONE]


def test_a_line_that_comes_in_pieces_is_one_event(tmp_path: Path) -> None:
    script = 'printf \'{"type": "resu\'; sleep 0.1; printf \'lt", "is_error": false}\\n\''
    turn = Turn(tmp_path, prints(INIT) + script)
    assert turn.verdict.outcome is Outcome.COMPLETED, turn.verdict
    assert turn.lines[-1] == {"type": "result", "is_error": False}


def test_a_last_line_without_its_newline_counts(tmp_path: Path) -> None:
    turn = Turn(tmp_path, prints(INIT) + 'printf \'{"type": "result", "is_error": false}\'')
    assert turn.verdict.outcome is Outcome.COMPLETED, turn.verdict
    assert turn.lines[-1] == {"type": "result", "is_error": False}


def test_an_enormous_event_is_judged_but_only_its_size_is_handed_on(tmp_path: Path) -> None:
    size = MAX_BATCH + 1000
    script = f'printf \'{{"type": "result", "is_error": false, "result": "\'; head -c {size} /dev/zero | tr \'\\0\' x'
    turn = Turn(tmp_path, prints(INIT) + script + "; printf '\"}\\n'")
    assert turn.verdict.outcome is Outcome.COMPLETED, turn.verdict
    assert turn.lines[-1]["type"] == "oversized"
    assert turn.lines[-1]["bytes"] > size


def test_many_events_are_handed_on_in_batches_that_the_core_takes(tmp_path: Path) -> None:
    line = json.dumps({"type": "assistant", "text": "x" * 1000})
    script = f"yes '{line}' | head -n 3000\n"
    turn = Turn(tmp_path, prints(INIT) + script + prints(DONE))
    assert len(turn.lines) == 3002
    assert max(map(len, turn.batches)) <= MAX_BATCH


def test_words_that_are_no_json_do_no_harm(tmp_path: Path) -> None:
    turn = Turn(tmp_path, prints(INIT) + "echo; echo not json; echo '[1]'; echo 'null'\n" + prints(DONE))
    assert turn.verdict.outcome is Outcome.COMPLETED, turn.verdict


def test_a_crash_is_told_by_the_last_line_of_standard_error(tmp_path: Path) -> None:
    turn = Turn(tmp_path, "yes noise | head -c 300000 >&2; echo 'the last words' >&2; exit 1")
    assert turn.verdict == Verdict(Outcome.CRASHED, "the last words")


def test_a_long_prompt_arrives_whole(tmp_path: Path) -> None:
    prompt = "[from bob, message 1]\n" + "päper 'n\" $(x) " * 100_000
    Turn(tmp_path, prints(INIT, DONE), prompt=prompt)
    assert runs(tmp_path)[0][0] == prompt


def test_a_turn_without_the_hives_tools_is_ended_before_it_does_anything(tmp_path: Path) -> None:
    lame = {**INIT, "mcp_servers": [{"name": "hive", "status": "failed"}]}
    act = "for _ in $(seq 200); do sleep 0.05; done\ntouch /state/acted\n"
    turn = Turn(tmp_path, f"trap 'exit 1' INT\n{prints(lame)}{act}{prints(DONE)}")
    assert turn.verdict.outcome is Outcome.NO_MCP, turn.verdict
    assert not (tmp_path / "agents/worker/state/acted").exists()


def test_a_turn_that_must_end_is_interrupted_first_and_may_have_a_last_word(tmp_path: Path) -> None:
    last = prints(result(terminal_reason="aborted_tools", total_cost_usd=0.5))
    script = f"last() {{\ntouch /state/interrupted\n{last}exit 1\n}}\ntrap last INT\n{prints(INIT)}touch /state/ready\n"
    turn = Turn(tmp_path, script + "while :; do sleep 0.05; done", stop="ready")
    assert turn.verdict.outcome is Outcome.INTERRUPTED, turn.verdict
    assert (tmp_path / "agents/worker/state/interrupted").exists()
    assert turn.events.cost_usd == 0.5


def test_one_that_heeds_no_interrupt_ends_with_everything_it_started(tmp_path: Path) -> None:
    script = "trap '' INT TERM HUP\nsetsid sleep 91919 >/dev/null 2>&1 &\n" + prints(INIT)
    turn = Turn(tmp_path, script + "touch /state/ready\nwhile :; do sleep 0.05; done", stop="ready")
    assert turn.verdict.outcome is Outcome.INTERRUPTED, turn.verdict
    until_dead("sleep\x0091919")


def test_what_a_turn_leaves_running_ends_with_it(tmp_path: Path) -> None:
    turn = Turn(tmp_path, "setsid sleep 92929 >/dev/null 2>&1 &\n" + STORE + prints(INIT, DONE))
    assert turn.verdict.outcome is Outcome.COMPLETED, turn.verdict
    until_dead("sleep\x0092929")


RUN = """
import sys
from pathlib import Path
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.session import Session
from hyperhive.harness.turn import TurnHooks, run_turn
hooks = TurnHooks(lines=lambda _: None, tick=lambda: False)
run_turn(HarnessConfig.load(Path(sys.argv[1])), Session("11111111-1111-4111-8111-111111111111", True), "go", hooks)
"""


def unbound(root: Path, script: str) -> HarnessConfig:
    """A cage as a bubblewrap leaves it that is killed before --die-with-parent has an effect."""
    made = config(root, script)
    return replace(made, cage=tuple(word for word in made.cage if word != "--die-with-parent"))


def until_begun(root: Path) -> None:
    deadline = time.monotonic() + 10
    while not (state_of(root) / "begun").exists():
        assert time.monotonic() < deadline
        time.sleep(0.01)


def test_a_cage_that_is_not_bound_to_its_harness_ends_with_it_all_the_same(tmp_path: Path) -> None:
    made = unbound(tmp_path, "touch /state/begun; setsid sleep 61.25 & sleep 61.25")
    path = write(tmp_path / "harness.json", made)
    with subprocess.Popen([sys.executable, "-c", RUN, str(path)]) as harness:
        until_begun(tmp_path)
        harness.kill()
    until_dead("sleep\00061.25")
    until_dead(f"{tmp_path}/agents/worker/state")


def test_a_cage_whose_bubblewrap_was_killed_does_not_hold_up_the_harness(tmp_path: Path) -> None:
    made = unbound(tmp_path, "touch /state/begun; sleep 62.25")
    hooks = TurnHooks(lines=lambda _: None, tick=lambda: False)
    verdicts: list[Verdict] = []
    turn = threading.Thread(target=lambda: verdicts.append(run_turn(made, FRESH, "go", hooks)[0]))
    turn.start()
    until_begun(tmp_path)
    os.kill(children(os.getpid(), "bwrap")[0], signal.SIGKILL)
    turn.join(10)
    assert [verdict.outcome for verdict in verdicts] == [Outcome.CRASHED]
    until_dead("sleep\00062.25")


def children(parent: int, program: str) -> list[int]:
    """The pids of a process's children of that name."""
    stats = [path.read_text() for path in Path("/proc").glob("[0-9]*/stat")]
    return [int(stat.split()[0]) for stat in stats if f" ({program}) S {parent} " in stat]


def test_what_is_being_written_is_shown_in_pieces_and_kept_whole(tmp_path: Path) -> None:
    def piece(text: object, **more: object) -> dict[str, Any]:
        delta = {"type": "text_delta", "text": text}
        return {"type": "stream_event", "event": {"type": "content_block_delta", "index": 0, "delta": delta}, **more}

    subagent = piece("not mine", parent_tool_use_id="toolu_1")
    first = prints(
        INIT, piece("It ", parent_tool_use_id=None), piece("begins"), subagent, piece(7), {"type": "stream_event"}
    )
    said = {"type": "assistant", "message": {"content": [{"type": "text", "text": "It begins and ends"}]}}
    turn = Turn(tmp_path, STORE + first + "sleep 0.5\n" + prints(piece(" and"), piece(" ends"), said, DONE))
    assert turn.verdict.outcome is Outcome.COMPLETED
    assert "It begins and ends".startswith("".join(turn.texts)) and turn.texts[0].startswith("It ")
    assert [line["type"] for line in turn.lines] == ["system", "assistant", "result"]


HUNGRY = f"{prints(INIT)}python3 -c 'import time; held = bytearray(300_000_000); time.sleep(60)'\n{prints(DONE)}"
"""Holds 300 MB in a child of the turn's."""


def test_a_turn_over_its_memory_is_ended_with_all_its_processes_and_named_so(tmp_path: Path) -> None:
    began = time.monotonic()
    turn = Turn(tmp_path, HUNGRY, most=200_000_000)
    assert turn.verdict.outcome is Outcome.OUT_OF_MEMORY
    assert time.monotonic() - began < 15
    used = turn.events.resources
    assert used is not None and used.memory_peak is not None and used.memory_peak > 300_000_000
    assert not alive("held = bytearray")


def test_a_turn_under_its_memory_goes_on(tmp_path: Path) -> None:
    turn = Turn(tmp_path, HUNGRY.replace("sleep(60)", "sleep(1.5)"), most=2_000_000_000)
    assert turn.verdict.outcome is Outcome.COMPLETED


@pytest.mark.parametrize("stop", ["ready", ""])
def test_no_process_of_a_turn_is_left_when_it_is_over(tmp_path: Path, stop: str) -> None:
    """Not even for the moment that the kernel takes to end a large one: the next turn would find what it has locked."""
    holds = "import fcntl, time; file = open('/state/lock', 'w'); fcntl.flock(file, fcntl.LOCK_EX); big = b'x' * 2**28"
    script = f"setsid python3 -c \"{holds}; open('/state/ready', 'w'); time.sleep(60)\" >/dev/null 2>&1 &\n"
    ends = "trap '' INT\nwait\nwait\n" if stop else "while [ ! -e /state/ready ]; do sleep 0.02; done\n"
    turn = Turn(tmp_path, prints(INIT) + script + ends + prints(DONE), stop=stop)
    with (state_of(tmp_path) / "lock").open() as lock:
        fcntl.flock(lock, fcntl.LOCK_EX | fcntl.LOCK_NB)
    assert turn.verdict.outcome is (Outcome.INTERRUPTED if stop else Outcome.COMPLETED)
