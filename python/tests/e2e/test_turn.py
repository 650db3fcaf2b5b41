"""Turns of one agent with the real Claude Code CLI in the real cage; only the model is rehearsed."""

from __future__ import annotations

import asyncio
from pathlib import Path

import pytest

from e2e.turn_rig import LACKING, rig
from hyperhive.rehearsal.script import Step
from hyperhive.store import messages

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not on PATH"),
]


def bash(command: str) -> Step:
    return {"tool": "Bash", "input": {"command": command}}


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


def test_the_second_turn_remembers_the_first(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            first = await hive.turn_done(await hive.say([{"text": "one"}]))
            second = await hive.turn_done(await hive.say([{"text": "two"}]))
            assert second["outcome"] == "completed", second
            assert second["session_id"] == first["session_id"]

    asyncio.run(go())


def test_a_batch_of_mail_is_one_turn(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            first = await hive.say([{"delay": 1.0, "text": "slow"}])
            await hive.until(lambda c: messages.leased(c, "worker"))
            batch = [await hive.broker.send("operator", "worker", f"note {n}") for n in range(3)]
            await hive.turn_done(first)
            turn = await hive.turn_done(batch[-1])
            assert turn["message_ids"] == str(batch)

    asyncio.run(go())


def test_a_stop_lets_the_running_turn_end(tmp_path: Path) -> None:
    async def go() -> None:
        async with rig(tmp_path) as hive:
            message = await hive.say([{"delay": 1.0, "text": "slow"}])
            await hive.until(lambda c: messages.leased(c, "worker"))
            await hive.backend.stop("worker")
            turn = await hive.turn_done(message, timeout=1)
            assert turn["outcome"] == "completed", turn

    asyncio.run(go())


def test_a_turn_over_its_time_is_ended_and_the_operator_is_told(tmp_path: Path) -> None:
    limits = {"turnTimeout": 10, "maxTurns": 80, "compactAt": 150000}

    async def go() -> None:
        async with rig(tmp_path, session=limits, bash={"allow": ["sleep *"], "deny": []}) as hive:
            turn = await hive.turn_done(await hive.say([bash("sleep 77777"), {"text": "ok"}]), timeout=40)
            assert turn["outcome"] == "turn_timeout", turn
            told = await hive.broker.inbox(all_=False, limit=10)
            assert "turn_timeout" in told[0].body
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
            held = await hive.until(lambda c: [m for m in messages.leased(c, "worker") if m.attempts == 2])
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
