"""Turns of one agent with the real Claude Code CLI in the real cage; only the model is rehearsed."""

from __future__ import annotations

import asyncio
import json
import shutil
import time
import urllib.request
import uuid
from pathlib import Path
from typing import Any

import pytest

from e2e.turn_rig import LACKING, Rig, rig
from hyperhive.harness import turn
from hyperhive.harness.claude import environment
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.outcome import Outcome
from hyperhive.harness.session import Session
from hyperhive.harness.turn import TurnHooks, run_turn
from hyperhive.rehearsal.script import Step, marked
from hyperhive.store import leases

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not on PATH"),
]


def bash(command: str) -> Step:
    return {"tool": "Bash", "input": {"command": command}}


async def asked(hive: Rig) -> dict[str, Any]:
    """What the model saw of requests."""

    def get() -> dict[str, Any]:
        with urllib.request.urlopen(f"http://127.0.0.1:{hive.model_port}/rehearsal", timeout=5) as answer:
            seen: dict[str, Any] = json.loads(answer.read())
            return seen

    return await asyncio.to_thread(get)


def test_a_turn_runs_allowed_commands_denies_others_and_sends_mail(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path, bash={"allow": ["touch *"], "deny": []}) as hive:
            steps = [
                bash("touch allowed.txt"),
                bash("mkdir denied"),
                {"tool": "mcp__hive__send", "input": {"to": "operator", "body": "done"}},
                {"text": "ok"},
            ]
            message = await hive.say(steps)
            turn = await hive.turn_done(message)
            results = await hive.results(turn["id"])
            work = tmp_path / "agents/worker/state/work"
            assert turn["outcome"] == "completed", turn
            assert [bool(r.get("is_error")) for r in results] == [False, True, False], results
            assert (work / "allowed.txt").exists()
            assert not (work / "denied").exists()
            inbox = await hive.broker.inbox(all_=False, limit=10)
            assert [(mail.sender, mail.body) for mail in inbox] == [("worker", "done")]

    asyncio.run(go())


def test_the_key_and_the_home_of_the_operator_are_not_in_the_cage(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setenv("ANTHROPIC_API_KEY", "sk-operators-own")

    async def go() -> None:
        async with rig(tmp_path, bash={"allow": ["env", "cat *", "ls *"], "deny": []}) as hive:
            turn = await hive.turn_done(await hive.say([bash("env"), bash("ls -a /state/.."), {"text": "ok"}]))
            env, root = [str(result["content"]) for result in await hive.results(turn["id"])]
            assert "ANTHROPIC_API_KEY=the-gateway-adds-the-key" in env
            assert "sk-" not in env
            assert str(tmp_path) not in env
            assert "root" not in root.split()

    asyncio.run(go())


def test_the_cage_has_loopback_only_and_no_process_of_the_host(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path, bash={"allow": ["sh *", "ps *"], "deny": []}) as hive:
            steps = [bash("sh -c 'cat /proc/net/dev'"), bash("ps -eo args"), {"text": "ok"}]
            turn = await hive.turn_done(await hive.say(steps))
            devices, processes = [str(result["content"]) for result in await hive.results(turn["id"])]
            names = [line.split(":")[0].strip() for line in devices.splitlines() if ":" in line]
            assert names == ["lo"]
            assert "claude" in processes
            assert "hive-ag3nt" not in processes and "hyperhive.rehearsal" not in processes
            await hive.until(lambda _: not _alive("socat\x00TCP-LISTEN:8080"))

    asyncio.run(go())


FAILURES: list[tuple[Step, Outcome]] = [
    ({"text": "no", "stop": "refusal"}, Outcome.REFUSED),
    ({"status": 400, "error": {"type": "invalid_request_error", "message": "bad tool ids"}}, Outcome.REFUSED),
    (
        {"status": 400, "error": {"type": "invalid_request_error", "message": "prompt is too long: 9 tokens > 8"}},
        Outcome.OVERFLOW,
    ),
    ({"text": "no", "stop": "model_context_window_exceeded"}, Outcome.OVERFLOW),
    ({"text": "x", "tool": "Read", "input": {"file_path": "/x"}, "usage": {"input_tokens": 199_000}}, Outcome.OVERFLOW),
    ({"status": 404, "error": {"type": "not_found_error", "message": "model: x"}}, Outcome.NO_MODEL),
    ({"status": 403, "error": {"type": "permission_error", "message": "not yours"}}, Outcome.NO_MODEL),
    ({"status": 429, "headers": {"retry-after": "3600"}}, Outcome.USAGE_LIMIT),
    (
        {"status": 400, "error": {"type": "invalid_request_error", "message": "Your credit balance is too low to …"}},
        Outcome.USAGE_LIMIT,
    ),
    (
        {
            "status": 429,
            "headers": {
                "anthropic-ratelimit-unified-status": "rejected",
                "anthropic-ratelimit-unified-reset": str(2**33),
            },
        },
        Outcome.USAGE_LIMIT,
    ),
    ({"status": 429, "error": {"type": "rate_limit_error", "message": "slow down"}}, Outcome.OVERLOADED),
    ({"status": 500}, Outcome.OVERLOADED),
    ({"status": 529, "error": {"type": "overloaded_error", "message": "Overloaded"}}, Outcome.OVERLOADED),
    ({"status": 502}, Outcome.UNREACHABLE),
    ({"status": 413}, Outcome.OVERFLOW),
    ({"status": 401, "error": {"type": "authentication_error", "message": "invalid x-api-key"}}, Outcome.NOT_LOGGED_IN),
    ({"hang": 60}, Outcome.UNREACHABLE),
    ({"text": "the whole of it comes in the end", "cut": True}, Outcome.COMPLETED),  # asked again at once
    ({"text": "the whole of it comes in the end", "garble": True}, Outcome.COMPLETED),
]
IMPATIENT = {"CLAUDE_CODE_MAX_RETRIES": "0", "API_TIMEOUT_MS": "1500"}
"""Claude Code's own patience is minutes for some of these; what it says in the end is the same."""


def test_each_failure_of_the_real_cli_is_called_by_its_name(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(turn, "environment", lambda settings: environment(settings) | IMPATIENT)

    async def go() -> None:
        async with rig(tmp_path) as hive:
            await hive.backend.stop("worker")
            config = HarnessConfig.load(tmp_path / "run/agents/worker/harness.json")
            hooks = TurnHooks(lines=lambda _: None, tick=lambda: False)
            for step, outcome in FAILURES:
                session = Session(str(uuid.uuid4()), fresh=True)
                verdict, _ = await asyncio.to_thread(run_turn, config, session, f"go {marked([step])}", hooks)
                assert verdict.outcome is outcome, (step, verdict)
                hive.pause.end()
            hive.stop_model()
            session = Session(str(uuid.uuid4()), fresh=True)
            verdict, _ = await asyncio.to_thread(run_turn, config, session, "go", hooks)
            assert verdict.outcome is Outcome.UNREACHABLE, verdict

    asyncio.run(go())


def test_a_session_that_is_gone_is_begun_anew_with_the_same_mail(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            first = await hive.turn_done(await hive.say([{"text": "one"}]))
            shutil.rmtree(tmp_path / "agents/worker/state/.claude/projects")
            second = await hive.turn_done(await hive.say([{"text": "two"}]))
            assert await hive.outcomes() == ["completed", "session_lost", "completed"]
            assert second["session_id"] != first["session_id"]

    asyncio.run(go())


def test_the_second_turn_remembers_the_first(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            first = await hive.turn_done(await hive.say([{"text": "one"}]))
            assert (await asked(hive))["messages"] == 1
            second = await hive.turn_done(await hive.say([{"text": "two"}]))
            assert second["outcome"] == "completed", second
            assert second["session_id"] == first["session_id"]
            assert (await asked(hive))["messages"] == 3  # the first prompt, its answer, the second prompt

    asyncio.run(go())


def test_a_batch_of_mail_is_one_turn(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            first = await hive.say([{"delay": 1.0, "text": "slow"}])
            await hive.until(lambda c: leases.leased(c, "worker"))
            batch = [await hive.broker.send("operator", "worker", f"note {n}") for n in range(3)]
            await hive.turn_done(first)
            turn = await hive.turn_done(batch[-1])
            assert turn["message_ids"] == str(batch)

    asyncio.run(go())


def test_a_stop_lets_the_running_turn_end(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            message = await hive.say([{"delay": 1.0, "text": "slow"}])
            await hive.until(lambda c: leases.leased(c, "worker"))
            await hive.backend.stop("worker")
            turn = await hive.turn_done(message, timeout=1)
            assert turn["outcome"] == "completed", turn

    asyncio.run(go())


def test_a_turn_over_its_time_is_ended_and_the_operator_is_told(tmp_path: Path) -> None:
    limits = {"turnTimeout": 10, "maxTurns": 80, "compactAt": 150000}

    async def go() -> None:
        async with rig(tmp_path, session=limits, bash={"allow": ["sleep *"], "deny": []}) as hive:
            message = await hive.say([bash("sleep 77777"), {"text": "ok"}])
            await hive.until(lambda c: c.execute("SELECT 1 FROM messages WHERE dead_at > 0").fetchone(), 40)
            assert await hive.outcomes() == ["turn_timeout"]
            (told,) = await hive.broker.inbox(all_=False, limit=10)
            event = json.loads(told.body)
            assert (event["message"], "turn 1 ended with turn_timeout: " in event["reason"]) == (message, True), event
            assert not _alive("sleep\x0077777")

    asyncio.run(go())


def test_a_killed_harness_leaves_no_process_and_its_mail_comes_again(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path, bash={"allow": ["sleep *"], "deny": []}) as hive:
            message = await hive.say([bash("sleep 88888"), {"text": "ok"}])
            await hive.until(lambda _: _alive("sleep\x0088888"))
            pid = next(pid for pid, line in _commands() if "hive-ag3nt" in line and str(tmp_path) in line)
            _kill(pid)
            await hive.until(lambda _: not _alive("sleep\x0088888"))
            held = await hive.until(lambda c: [m for m in leases.leased(c, "worker") if m.attempts == 2])
            assert [m.id for m in held] == [message]
            assert hive.crashes[0].exit_code == -9

    asyncio.run(go())


def _kill(pid: int) -> None:
    import os  # noqa: PLC0415
    import signal  # noqa: PLC0415

    os.kill(pid, signal.SIGKILL)


def _commands() -> list[tuple[int, str]]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((int(entry.name), (entry / "cmdline").read_text(errors="replace")))
            except OSError:
                continue
    return found


def _alive(fragment: str) -> bool:
    return any(line.startswith(fragment) for _, line in _commands())


def test_a_usage_limit_is_asked_about_once_until_the_operator_says_so(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            await hive.say([{"status": 429, "headers": {"retry-after": "3600"}}], "Go on.")
            await hive.until(lambda _: (beat := hive.heartbeats.last("worker")) and beat.activity == "waiting")
            beat = hive.heartbeats.last("worker")
            assert beat is not None and beat.trouble is not None
            assert "usage_limit: " in beat.trouble and "resets at 20" in beat.trouble
            assert await hive.outcomes() == ["usage_limit"]
            hive.pause.end()
            await hive.until(lambda _: hive.pause.view() is not None)
            await hive.until(lambda c: c.execute("SELECT count(*) = 2 FROM turns WHERE ended_at").fetchone()[0])
            assert await hive.outcomes() == ["usage_limit"] * 2

    asyncio.run(go())


def test_mail_waits_without_a_turn_while_the_hive_is_paused_and_is_handled_once_when_it_goes_on(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            await hive.pause.begin(time.time() + 3, "the model API's")
            first = [await hive.say([{"text": "done"}], f"mail {number}") for number in range(3)]
            began = time.time()
            for message in first:
                row = await hive.turn_done(message, 60)
            assert row["started_at"] > began + 2.5
            assert await hive.outcomes() == ["completed"], "all of it in one turn, and none before"
            attempts = await hive.database.read(lambda c: c.execute("SELECT max(attempts) FROM messages").fetchone())
            assert attempts == (1,)

    asyncio.run(go())
