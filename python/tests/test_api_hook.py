"""policy.sock and the hook's script: a whole answer decides, whatever else happens is a no."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import socket
import subprocess
import sys
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from importlib import resources
from pathlib import Path
from typing import Any

import pytest

from hyperhive.api import hook
from hyperhive.api.hook import hook_listener
from hyperhive.errors import Unavailable
from hyperhive.policy.bash import Decision

LACKING = next((program for program in ("bwrap", "socat") if shutil.which(program) is None), None)
in_a_cage = pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not installed")

QUESTION = {"tool_name": "Bash", "tool_input": {"command": "ls"}, "cwd": "/state/work", "hook_event_name": "PreToolUse"}


class Fixed:
    """A guard with one answer."""

    def __init__(self, answer: Decision | Exception) -> None:
        self.answer = answer
        self.asked: list[tuple[str, str, str]] = []

    async def decide(self, agent: str, command: str, cwd: str) -> Decision:
        self.asked.append((agent, command, cwd))
        if isinstance(self.answer, Exception):
            raise self.answer
        return self.answer


YES = Decision(True, "every command in it is allowed", ())
NO = Decision(False, "`rm`: no rule of bash.allow matches it", ())


@asynccontextmanager
async def listening(root: Path, guard: Fixed) -> AsyncIterator[Path]:
    listener = hook_listener(guard)
    path = root / "policy.sock"
    await listener.listen(path, "worker")
    try:
        yield path
    finally:
        await listener.close_all()


async def ask(path: Path, question: bytes) -> bytes:
    reader, writer = await asyncio.open_unix_connection(str(path))
    try:
        writer.write(question)
        writer.write_eof()
        return await reader.read()
    finally:
        writer.close()


def answer(root: Path, guard: Fixed, question: bytes) -> dict[str, Any] | None:
    """What the hook's output says; None if nothing came."""

    async def go() -> bytes:
        async with listening(root, guard) as path:
            return await ask(path, question)

    said = asyncio.run(go())
    return json.loads(said)["hookSpecificOutput"] if said else None


def test_an_allowed_command_is_allowed_and_the_agent_is_the_sockets(tmp_path: Path) -> None:
    guard = Fixed(YES)
    said = answer(tmp_path, guard, json.dumps({**QUESTION, "agent": "manager"}).encode())
    assert said and said["permissionDecision"] == "allow"
    assert guard.asked == [("worker", "ls", "/state/work")]


def test_a_denial_says_why(tmp_path: Path) -> None:
    said = answer(tmp_path, Fixed(NO), json.dumps(QUESTION).encode())
    assert said and said["permissionDecision"] == "deny"
    assert said["permissionDecisionReason"] == f"denied by the hive's Bash rules: {NO.reason}"


@pytest.mark.parametrize(
    "question",
    [
        b"",
        b"garbage",
        b"[]",
        b'{"tool_name": "Bash"',
        b"\xff\xfe",
        b"[" * 100_000,
        json.dumps({**QUESTION, "tool_name": "Write"}).encode(),
        json.dumps({**QUESTION, "tool_input": {"command": 7}}).encode(),
        json.dumps({**QUESTION, "tool_input": {}}).encode(),
        json.dumps({**QUESTION, "cwd": None}).encode(),
    ],
)
def test_what_is_no_question_is_denied_and_never_asked(tmp_path: Path, question: bytes) -> None:
    guard = Fixed(YES)
    said = answer(tmp_path, guard, question)
    assert said and said["permissionDecision"] == "deny"
    assert guard.asked == []


def test_a_question_without_end_is_denied(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "MAX_QUESTION", 1000)
    said = answer(tmp_path, Fixed(YES), b"x" * 5000)
    assert said and "1000 bytes" in said["permissionDecisionReason"]


def test_a_core_that_cannot_parse_denies_with_what_to_do(tmp_path: Path) -> None:
    said = answer(tmp_path, Fixed(Unavailable("shfmt cannot be run: install it")), json.dumps(QUESTION).encode())
    assert said == {
        "hookEventName": "PreToolUse",
        "permissionDecision": "deny",
        "permissionDecisionReason": "shfmt cannot be run: install it",
    }


def test_an_error_nobody_thought_of_is_no_answer(tmp_path: Path) -> None:
    assert answer(tmp_path, Fixed(RuntimeError("what?")), json.dumps(QUESTION).encode()) is None


def test_a_client_that_hangs_is_left_and_others_are_served(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(hook, "TIME", 0.2)

    async def go() -> None:
        async with listening(tmp_path, Fixed(YES)) as path:
            reader, writer = await asyncio.open_unix_connection(str(path))
            writer.write(b"{")
            assert b"allow" in await ask(path, json.dumps(QUESTION).encode())
            assert await reader.read() == b""
            writer.close()

    asyncio.run(go())


def run_hook(root: Path, server: str) -> subprocess.CompletedProcess[str]:
    """The hook as Claude Code starts it, in a cage whose policy.sock a Python script serves."""
    path = root / "policy.sock"
    (root / "hook.sh").write_text(resources.files("hyperhive").joinpath("harness/hook.sh").read_text())
    serving = subprocess.Popen([sys.executable, "-c", server, str(path)], stdout=subprocess.PIPE)
    assert serving.stdout
    serving.stdout.readline()
    argv = [
        "bwrap",
        "--unshare-all",
        "--dev",
        "/dev",
        "--proc",
        "/proc",
        "--tmpfs",
        "/tmp",
        "--ro-bind",
        "/usr",
        "/usr",
    ]
    for name in ("bin", "lib", "lib64"):
        argv += ["--symlink", f"usr/{name}", f"/{name}"]
    argv += ["--ro-bind-try", str(path), "/run/hive/policy.sock", "--ro-bind", str(root / "hook.sh"), "/hook.sh"]
    try:
        env = {"PATH": os.environ["PATH"]}
        return subprocess.run(
            [*argv, "--", "sh", "-c", "sh /hook.sh || exit 2"],
            input=json.dumps(QUESTION),
            env=env,
            capture_output=True,
            text=True,
            timeout=20,
            check=False,
        )
    finally:
        serving.kill()
        serving.wait()
        serving.stdout.close()


SERVE = """
import socket, sys
server = socket.socket(socket.AF_UNIX); server.bind(sys.argv[1]); server.listen(); print("ready", flush=True)
while True:
    client = server.accept()[0]
    while client.recv(65536): pass
    client.sendall({said!r}); client.close()
"""
ALLOW = b'{"hookSpecificOutput":{"hookEventName":"PreToolUse","permissionDecision":"allow"}}\n'


@in_a_cage
def test_the_script_hands_a_whole_answer_on(tmp_path: Path) -> None:
    done = run_hook(tmp_path, SERVE.format(said=ALLOW))
    assert (done.returncode, json.loads(done.stdout)["hookSpecificOutput"]["permissionDecision"]) == (0, "allow")


@in_a_cage
@pytest.mark.parametrize("said", [b"", b"garbage\n", ALLOW[:40], ALLOW[:-3], b"allow\n", b'{"continue":true}\n'])
def test_the_script_takes_all_else_for_a_no(tmp_path: Path, said: bytes) -> None:
    done = run_hook(tmp_path, SERVE.format(said=said))
    assert (done.returncode, done.stdout) == (2, "")
    assert "the hive's core did not answer" in done.stderr


@in_a_cage
def test_without_a_core_nothing_runs(tmp_path: Path) -> None:
    gone = socket.socket(socket.AF_UNIX)
    gone.bind(str(tmp_path / "policy.sock"))
    gone.close()
    done = run_hook(tmp_path, "print('nobody listens', flush=True); import time; time.sleep(60)")
    assert done.returncode == 2, done


def test_a_hook_that_cannot_be_started_is_a_no_too() -> None:
    from hyperhive.containers.cage import HOOK  # noqa: PLC0415

    done = subprocess.run(["sh", "-c", str(HOOK["command"])], capture_output=True, check=False)
    assert done.returncode == 2
