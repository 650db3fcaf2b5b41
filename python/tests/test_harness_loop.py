"""What the loop does with each end of a turn: a real broker and cage, Claude Code's bad days played by a stand-in."""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import re
import signal
import socket
import subprocess
import sys
import time
from collections.abc import AsyncIterator, Iterator
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
    write,
)

from hyperhive.errors import Conflict, HyperhiveError, Unavailable
from hyperhive.harness.link import CORE_TIME
from hyperhive.harness.loop import Harness
from hyperhive.store import leases

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

LAME = {**INIT, "mcp_servers": [{"name": "hive", "status": "failed"}]}
REFUSED = result(api_error_status=400, result="API Error: 400 bad ids")
TOO_LONG = result(result="API Error: Claude's response exceeded the 32000 output token maximum.")
LOST = result(subtype="error_during_execution", errors=["No conversation found with session ID: x"])


@contextlib.asynccontextmanager
async def hive(root: Path, *scripts: str, **more: Any) -> AsyncIterator[Rig]:
    """A hive whose worker runs the stand-in with these scripts, one a turn."""
    async with rig(root, claude=stand_in(root, *scripts), **more) as made:
        yield made


async def told(made: Rig) -> list[str]:
    """What worker and the hive told the operator, in order."""
    return [mail.body for mail in reversed(await made.broker.inbox(all_=True, limit=100))]


def session_of(arguments: list[str], flag: str) -> str:
    return arguments[arguments.index(flag) + 1]


def test_mail_becomes_a_prompt_and_is_acknowledged_after_the_turn(tmp_path: Path) -> None:
    done = {**DONE, "usage": {"input_tokens": 7, "output_tokens": 3}, "total_cost_usd": 0.25}

    async def go() -> None:
        async with hive(tmp_path, answers(done)) as made:
            message = await made.broker.send("operator", "worker", "/compact is no command here")
            turn = await made.turn_done(message)
            assert (turn["outcome"], turn["generation"], turn["cost_usd"]) == ("completed", 1, 0.25)
            assert json.loads(turn["usage"]) == {"input_tokens": 7, "output_tokens": 3}
            prompt, arguments = runs(tmp_path)[0]
            assert prompt == f"[from operator, message {message}]\n/compact is no command here"
            assert session_of(arguments, "--session-id") == turn["session_id"]
            assert await told(made) == []

    asyncio.run(go())


def test_notes_stand_in_the_first_prompt_of_a_session_only(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path, answers(DONE)) as made:
            (state_of(tmp_path) / "notes.md").write_text("the cellar key hangs behind the door")
            for number in range(2):
                await made.turn_done(await made.broker.send("operator", "worker", f"mail {number}"))
            (first, _), (second, arguments) = runs(tmp_path)
            assert re.match(
                r"\[your notes, /state/notes.md, 36 bytes, last changed 20..-..-.. ..:..\]\nthe cellar key", first
            )
            assert "cellar" not in second
            assert "--resume" in arguments

    asyncio.run(go())


def test_a_lost_session_is_replaced_by_one_from_the_notes_with_the_same_mail(tmp_path: Path) -> None:
    scripts = answers(DONE), prints(LOST), answers(DONE)

    async def go() -> None:
        async with hive(tmp_path, *scripts) as made:
            await made.turn_done(await made.broker.send("operator", "worker", "one"))
            (state_of(tmp_path) / "notes.md").write_text("what lasts")
            await made.turn_done(await made.broker.send("operator", "worker", "two"))
            assert await made.outcomes() == ["completed", "session_lost", "completed"]
            (_, first), (_, second), (prompt, third) = runs(tmp_path)
            assert session_of(second, "--resume") == session_of(first, "--session-id")
            assert session_of(third, "--session-id") != session_of(first, "--session-id")
            assert "what lasts" in prompt and "two" in prompt

    asyncio.run(go())


def test_a_session_that_was_not_stored_is_said_so_and_not_resumed(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path, prints(INIT, DONE)) as made:
            for number in range(2):
                turn = await made.turn_done(await made.broker.send("operator", "worker", f"mail {number}"))
                assert (turn["outcome"], "could not be stored" in turn["detail"]) == ("completed", True), turn
            assert all("--session-id" in arguments for _, arguments in runs(tmp_path))

    asyncio.run(go())


def test_a_turn_without_the_hives_tools_is_tried_again_and_loses_no_mail(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path, prints(LAME, DONE), answers(DONE)) as made:
            await made.turn_done(await made.broker.send("operator", "worker", "hi"))
            assert await made.outcomes() == ["mcp_not_connected", "completed"]

    asyncio.run(go())


def test_an_overloaded_model_is_asked_again_with_the_same_mail(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path, answers(result(api_error_status=529)), answers(DONE)) as made:
            message = await made.broker.send("operator", "worker", "hi")
            await made.turn_done(message)
            assert await made.outcomes() == ["model_overloaded", "completed"]
            attempts = await made.database.read(
                lambda c: c.execute("SELECT attempts FROM messages WHERE id = ?", (message,)).fetchone()
            )
            assert attempts == (1,)

    asyncio.run(go())


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [
        (result(api_error_status=429, result="API Error: hyperhive: usage limit reached"), "usage_limit"),
        (result(api_error_status=400, result="Credit balance is too low"), "usage_limit"),
        (result(api_error_status=401, result="Invalid API key"), "not_logged_in"),
        (result(api_error_status=404, result="no such model"), "model_not_available"),
    ],
)
def test_a_model_that_says_no_for_a_while_keeps_the_mail_and_the_operator_is_told_once(
    tmp_path: Path, failure: dict[str, Any], outcome: str
) -> None:
    async def go() -> None:
        async with hive(tmp_path, answers(failure)) as made:
            message = await made.broker.send("operator", "worker", "hi")
            await made.until(lambda c: c.execute("SELECT 1 FROM messages WHERE recipient = 'operator'").fetchone())
            (word,) = await told(made)
            assert outcome in word and str(failure["result"]) in word
            held = await made.database.read(lambda c: leases.leased(c, "worker"))
            assert [each.id for each in held] == [message]
            started = time.monotonic()
            await made.backend.stop("worker")  # it waits for minutes, but not when told to stop
            assert time.monotonic() - started < 5
            assert made.crashes == []

    asyncio.run(go())


def test_mail_that_the_model_refuses_thrice_becomes_a_dead_letter_and_is_not_lost(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path, answers(REFUSED)) as made:
            message = await made.broker.send("operator", "worker", "hi")
            assert await made.dead_letters() == [message]
            assert await made.outcomes() == ["model_refused"] * 3
            (word,) = await told(made)
            assert "turn 3 ended with model_refused: API Error: 400 bad ids; see `hyperhive debug dead-letters`" in word
            assert all("--session-id" in arguments for _, arguments in runs(tmp_path))

    asyncio.run(go())


@pytest.mark.parametrize(
    ("failure", "outcome"),
    [(result(subtype="error_max_turns"), "max_turns"), (REFUSED, "model_refused"), (TOO_LONG, "max_output")],
)
def test_one_message_that_fails_takes_no_other_of_its_batch_with_it(
    tmp_path: Path, failure: dict[str, Any], outcome: str
) -> None:
    """The stand-in fails whenever the poison is in its prompt."""
    script = f"{answers()}if grep -q poison /state/runs/$number/prompt; then\n{prints(failure)}else\n{prints(DONE)}fi\n"

    async def go() -> None:
        async with hive(tmp_path, script) as made:
            await made.backend.stop("worker")
            sent = [await made.broker.send("operator", "worker", body) for body in ("a", "b", "poison", "c", "d")]
            await made.start()
            assert await made.dead_letters() == [sent[2]]
            await made.until(
                lambda c: c.execute(
                    "SELECT count(delivered_at) = 4 FROM messages WHERE recipient = 'worker'"
                ).fetchone()[0]
            )
            assert len(await told(made)) == 1
            outcomes = await made.outcomes()
            assert set(outcomes) == {outcome, "completed"} and outcomes.count("completed") <= 3, outcomes
            await made.until(
                lambda c: c.execute("SELECT 1 FROM messages WHERE delivered_at IS NULL").fetchone() is not None
            )

    asyncio.run(go())


def test_a_claude_that_crashes_over_a_message_five_times_gives_it_up(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path, f"{answers()}kill -9 $$\n") as made:
            message = await made.broker.send("operator", "worker", "hi")
            assert await made.dead_letters() == [message]
            assert await made.outcomes() == ["claude_crashed"] * 5

    asyncio.run(go())


def test_a_claude_that_does_not_even_begin_costs_no_mail_and_the_operator_is_told_once(tmp_path: Path) -> None:
    broken = "echo 'unknown option' >&2; exit 1\n"

    async def go() -> None:
        async with hive(tmp_path, *[broken] * 4, answers(DONE)) as made:
            await made.turn_done(await made.broker.send("operator", "worker", "hi"), 60)
            assert await made.outcomes() == ["claude_crashed"] * 4 + ["completed"]
            (word,) = await told(made)
            assert "claude_crashed (unknown option)" in word

    asyncio.run(go())


def test_a_drain_that_takes_too_long_interrupts_the_turn_and_its_mail_comes_again(tmp_path: Path) -> None:
    endless = f"{answers()}trap 'exit 1' INT\ntouch /state/ready\nwhile :; do sleep 0.05; done"

    async def go() -> None:
        async with hive(tmp_path, endless, answers(DONE), drain=0.5) as made:
            message = await made.broker.send("operator", "worker", "hi")
            await made.until(lambda _: (state_of(tmp_path) / "ready").exists())
            await made.backend.stop("worker")
            assert await made.outcomes() == ["interrupted"]
            assert made.crashes == []
            await made.start()
            await made.turn_done(message)
            assert await made.outcomes() == ["interrupted", "completed"]
            assert "delivery 2" in runs(tmp_path)[1][0]

    asyncio.run(go())


def test_a_cage_that_is_missing_or_does_not_start_is_one_clear_error(tmp_path: Path) -> None:
    made = config(tmp_path, answers(DONE))
    path = write(tmp_path / "harness.json", made)
    value = json.loads(path.read_text())
    value["cage"]["argv"] = [str(tmp_path / "nowhere"), "--"]
    path.write_text(json.dumps(value))
    with pytest.raises(Unavailable, match="nowhere: No such file"):
        Harness(path).run()
    value["cage"]["argv"] = [made.cage[0], "--no-such-flag", "--"]
    path.write_text(json.dumps(value))
    with pytest.raises(HyperhiveError, match=r"does not start .exit 1.: .*no-such-flag"):
        Harness(path).run()


def test_a_claude_that_hangs_at_the_start_is_given_up(tmp_path: Path) -> None:
    made = config(tmp_path, answers(DONE))
    (tmp_path / "claude").write_text("#!/bin/sh\nexec sleep 93939\n")
    with pytest.raises(Unavailable, match=r"no answer within 0\.5 s"):
        Harness(write(tmp_path / "harness.json", made), check_time=0.5).run()


def test_only_a_generation_that_was_never_proven_checks_its_cage_before_the_first_heartbeat(tmp_path: Path) -> None:
    async def go() -> None:
        async with hive(tmp_path, answers(DONE)) as made:
            (proven,) = (tmp_path / "agents").rglob("proven")
            await made.backend.stop("worker")
            program = tmp_path / "claude"
            waits = "#!/bin/sh\nuntil [ -e /state/go ]; do sleep 0.02; done\n"
            program.write_text(program.read_text().replace("#!/bin/sh\n", waits, 1))
            await made.start()  # this generation has been checked before
            await made.backend.stop("worker")
            proven.write_text("7\n")
            start = asyncio.create_task(made.start())
            await asyncio.sleep(1)
            assert not start.done()
            (state_of(tmp_path) / "go").touch()
            await start
            assert proven.read_text() == "1\n"

    asyncio.run(go())


def test_a_core_that_goes_away_during_a_turn_finds_it_done_when_it_is_back(tmp_path: Path) -> None:
    script = f"{answers()}touch /state/ready\nuntil [ -e /state/go ]; do sleep 0.02; done\n{prints(DONE)}"

    async def go() -> None:
        async with hive(tmp_path, script) as made:
            message = await made.broker.send("operator", "worker", "hi")
            await made.until(lambda _: (state_of(tmp_path) / "ready").exists())
            await made.hide()
            (state_of(tmp_path) / "go").touch()
            await made.until(lambda _: "trying again" in made.log())
            await made.show()
            turn = await made.turn_done(message)
            assert turn["outcome"] == "completed"
            assert made.crashes == []

    asyncio.run(go())


def test_a_core_that_hangs_does_not_hold_up_a_turn_event_by_event(tmp_path: Path) -> None:
    say_much = prints({"type": "assistant", "text": "x" * 60_000}) * 10  # a pipe holds one of them
    wait = "touch /state/ready\nuntil [ -e /state/go ]; do sleep 0.02; done\n"
    script = f"{answers()}{wait}{say_much}touch /state/finished\n{prints(DONE)}"

    async def go() -> None:
        async with hive(tmp_path, script) as made:
            message = await made.broker.send("operator", "worker", "hi")
            await made.until(lambda _: (state_of(tmp_path) / "ready").exists())
            await made.hide()
            with socket.socket(socket.AF_UNIX) as silent:
                silent.bind(str(tmp_path / "run/agents/worker/harness.sock"))
                silent.listen()
                (state_of(tmp_path) / "go").touch()
                await made.until(lambda _: (state_of(tmp_path) / "finished").exists(), timeout=4 * CORE_TIME)
            await made.show()
            assert (await made.turn_done(message))["outcome"] == "completed"

    asyncio.run(go())


@contextlib.contextmanager
def alone(root: Path) -> Iterator[subprocess.Popen[str]]:
    """hive-ag3nt as a process, without a core."""
    path = write(root / "harness.json", config(root, answers(DONE)))
    main = "from hyperhive.harness.main import agent; agent()"
    argv = [sys.executable, "-c", main, "--config", str(path)]
    environment = {**os.environ, "PYTHONPATH": "python"}
    with subprocess.Popen(argv, stderr=subprocess.PIPE, text=True, env=environment) as child:
        try:
            yield child
        finally:
            child.kill()


def test_without_a_core_it_keeps_trying_and_sigterm_ends_it_well(tmp_path: Path) -> None:
    with alone(tmp_path) as child:
        assert child.stderr
        first, second = child.stderr.readline(), child.stderr.readline()
        assert first.startswith("no core answers at") and second == first
        child.send_signal(signal.SIGTERM)
        assert child.wait(timeout=5) == 0
        assert "Traceback" not in child.stderr.read()


def test_mail_in_an_answer_that_was_lost_does_not_wait_for_the_end_of_its_lease(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    harness = Harness(write(tmp_path / "harness.json", config(tmp_path, answers(DONE))))
    asked: list[bool] = []

    def recv(wait: float, *, lease: float, restarted: bool) -> list[dict[str, Any]]:
        asked.append(restarted)
        if len(asked) == 2:
            raise Unavailable("the core ended the connection")
        if len(asked) == 4:
            harness._link.stop_at = 0.0
        return []

    monkeypatch.setattr(harness._link.client, "recv", recv)
    monkeypatch.setattr(harness._link.client, "heartbeat", lambda *_: 0.0)
    monkeypatch.setattr(harness._link, "pause", lambda _: None)
    harness._work()
    assert asked == [True, False, True, False]


def test_a_second_harness_of_one_agent_is_refused(tmp_path: Path) -> None:
    with alone(tmp_path) as child:
        assert child.stderr
        child.stderr.readline()
        with pytest.raises(Conflict, match="another harness runs this agent"):
            Harness(tmp_path / "harness.json").run()


@pytest.fixture
def small_home(tmp_path: Path) -> Iterator[Path]:
    """A hive whose worker has a MiB of disk."""
    home = state_of(tmp_path)
    home.mkdir(parents=True)
    if (
        os.geteuid() != 0
        or subprocess.run(["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", home], check=False).returncode
    ):
        pytest.skip("mounting a small file system needs root")
    yield tmp_path
    subprocess.run(["umount", "--lazy", home], check=True)


def test_a_full_disk_has_its_name_and_the_mail_is_handled_when_there_is_room_again(small_home: Path) -> None:
    fills = "cat /dev/zero > /state/fill 2>/dev/null; exit 1\n"

    async def go() -> None:
        async with hive(small_home, fills, answers(DONE)) as made:
            message = await made.broker.send("operator", "worker", "hi")
            await made.until(lambda c: c.execute("SELECT 1 FROM messages WHERE recipient = 'operator'").fetchone())
            (word,) = await told(made)
            assert word.startswith("I cannot think: disk_full (no room is left for ")
            (state_of(small_home) / "fill").unlink()
            await made.turn_done(message)
            assert await made.outcomes() == ["disk_full", "completed"]

    asyncio.run(go())
