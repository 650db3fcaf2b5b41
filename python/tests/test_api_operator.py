"""operator.sock from outside: who may call, and what bad requests get."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import sys
from pathlib import Path
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON, hive
from mail_rig import post

from hyperhive.client import call

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def answers(root: Path, *requests: tuple[str, str, bytes | None]) -> list[tuple[int, dict[str, Any]]]:
    """Status and body of raw requests to operator.sock, made by a process of their own."""

    async def go() -> list[tuple[int, dict[str, Any]]]:
        async with hive(root):
            return [await asyncio.to_thread(_raw, root / "run/operator.sock", *request) for request in requests]

    return asyncio.run(go())


def _raw(socket: Path, method: str, path: str, body: bytes | None) -> tuple[int, dict[str, Any]]:
    script = (
        "import http.client, socket, sys, json\n"
        "c = http.client.HTTPConnection('x'); c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])\n"
        "c.request(sys.argv[2], sys.argv[3], sys.stdin.buffer.read() or None)\n"
        "r = c.getresponse(); print(json.dumps([r.status, r.read().decode()]))"
    )
    done = subprocess.run(
        [sys.executable, "-c", script, str(socket), method, path],
        input=body or b"", capture_output=True, timeout=20, check=True,
    )  # fmt: skip
    status, text = json.loads(done.stdout)
    return status, json.loads(text)


@pytest.mark.parametrize(
    ("method", "path", "body", "status", "words"),
    [
        ("GET", "/v1/nothing", None, 404, "Not Found"),
        ("PUT", "/v1/status", b"{}", 405, "Method Not Allowed"),
        ("POST", "/v1/agents", b"{", 400, "not JSON"),
        ("POST", "/v1/agents", b"[]", 400, "JSON object"),
        ("POST", "/v1/agents", b"\xff", 400, "UTF-8"),
        ("POST", "/v1/agents", b"{}", 400, "name is missing"),
        ("POST", "/v1/agents", b'{"name": 3}', 400, "name must be a string"),
        ("POST", "/v1/agents", b'{"name": "a", "role": "king"}', 400, "role is 'king'"),
        ("GET", "/v1/agents/nobody", None, 404, "no agent 'nobody'"),
        ("GET", "/v1/proposals/x", None, 404, "id is a number"),
        ("GET", "/v1/proposals/7", None, 404, "no proposal 7"),
        ("GET", "/v1/proposals?state=odd", None, 400, "state is 'odd'; it must be one of requested"),
        ("GET", "/v1/proposals?limit=-1", None, 400, "must be a number"),
        ("POST", "/v1/proposals", b'{"agent": "a", "commit": "c"}', 400, "reason is missing"),
        ("GET", "/v1/proposals?limit=1&limit=2", None, 400, "limit is given twice"),
        ("GET", "/v1/proposals?limit=1001", None, 400, "it must be at most 1000"),
        ("GET", "/v1/proposals?bound=1", None, 400, "no parameter 'bound'"),
        ("POST", "/v1/inbox/1/read", b'{"why": 1}', 400, "no field 'why'"),
        ("POST", "/v1/proposals/1/approve", b"{}", 400, "fingerprint is missing"),
        ("GET", "/v1/proposals/1/approve", None, 405, "Method Not Allowed"),
        ("POST", "/v1/messages", b'{"to": "nobody", "body": "x"}', 404, "nobody called 'nobody'"),
        ("POST", "/v1/inbox/1/reply", b'{"body": "x"}', 404, "no message 1"),
        ("PUT", "/v1/agents/nobody/budget", b'{"cost_per_day": "5"}', 400, "cost_per_day must be a number or"),
        ("PUT", "/v1/agents/nobody/budget", b'{"cost_per_day": 0}', 400, "it must be at least 0.01"),
        ("PUT", "/v1/agents/nobody/budget", b"{}", 404, "no agent 'nobody'"),
        ("GET", "/v1/messages/3", None, 404, "no message 3"),
        ("GET", "/v1/inbox?brief=2", None, 400, "brief is 2; it must be one of 0, 1"),
        ("GET", "/v1/dead-letters/3", None, 404, "no dead letter 3"),
        ("POST", "/v1/dead-letters/3/requeue", b"{}", 404, "no dead letter 3"),
        ("DELETE", "/v1/dead-letters/3", None, 404, "no dead letter 3"),
        ("DELETE", "/v1/agents/nobody", None, 404, "no agent 'nobody'"),
    ],
)
def test_a_bad_request_is_one_line_and_a_code(
    tmp_path: Path, method: str, path: str, body: bytes | None, status: int, words: str
) -> None:
    [(answered, error)] = answers(tmp_path, (method, path, body))
    assert answered == status, error
    assert words in error["error"] and "\n" not in error["error"]
    assert set(error) == {"error", "code"}


def test_a_request_of_two_megabytes_is_refused(tmp_path: Path) -> None:
    [(status, error)] = answers(tmp_path, ("POST", "/v1/messages", b'{"body": "' + b"x" * 2_000_000 + b'"}'))
    assert (status, error["code"]) == (413, "too_large")


def test_the_socket_is_its_owners_alone(tmp_path: Path) -> None:
    async def go() -> tuple[int, int]:
        async with hive(tmp_path):
            return (
                (tmp_path / "run/operator.sock").stat().st_mode & 0o777,
                (tmp_path / "run").stat().st_mode & 0o777,
            )

    assert asyncio.run(go()) == (0o600, 0o700)


@pytest.mark.skipif(os.geteuid() != 0 or not shutil.which("setpriv"), reason="needs root to become another user")
def test_another_user_who_reaches_the_socket_is_no_operator(tmp_path: Path) -> None:
    script = (
        "import http.client, socket, sys\n"
        "c = http.client.HTTPConnection('x'); c.sock = socket.socket(socket.AF_UNIX); c.sock.connect(sys.argv[1])\n"
        "c.request('GET', '/v1/status'); r = c.getresponse(); print(r.status, r.read().decode())"
    )

    async def go(root: Path) -> str:
        async with hive(root):
            (root / "run").chmod(0o755)
            (root / "run/operator.sock").chmod(0o666)
            done = await asyncio.to_thread(
                subprocess.run,
                ["setpriv", "--reuid=65534", "--regid=65534", "--clear-groups", "/usr/bin/python3", "-c", script,
                 str(root / "run/operator.sock")],
                capture_output=True, text=True, timeout=20, check=True,
            )  # fmt: skip
            return str(done.stdout)

    root = Path("/tmp") / f"hive-{os.getpid()}"  # a place that another user can reach
    root.mkdir(mode=0o755)
    try:
        said = asyncio.run(go(root))
    finally:
        shutil.rmtree(root)
    assert said.startswith("403 ")
    assert "uid 65534 is not an operator" in said


def test_an_agents_socket_has_no_way_to_approve(tmp_path: Path) -> None:
    async def go() -> list[str]:
        async with hive(tmp_path) as made:
            await made.create("worker")
            errors = []
            for path in ("/v1/proposals/1/approve", "/v1/proposals", "/v1/agents", "/v1/status", "/v1/audit"):
                for method in ("GET", "POST"):
                    with pytest.raises(Exception, match=f"there is no {method}") as refused:
                        await asyncio.to_thread(
                            call, tmp_path / "run/agents/worker/harness.sock", method, path, {"fingerprint": "x"}
                        )
                    errors.append(str(refused.value))
            return errors

    assert len(asyncio.run(go())) == 10


def test_half_an_emoji_in_what_an_agent_does_hides_nothing_from_the_operator(tmp_path: Path) -> None:
    use = {"type": "tool_use", "name": "Bash", "input": {"command": f"echo {chr(0xD83D)}"}}

    async def go() -> dict[str, tuple[int, dict[str, Any]]]:
        async with hive(tmp_path) as made:
            await made.create("worker")
            socket = tmp_path / "run/agents/worker/harness.sock"
            begun = {"message_ids": [], "session_id": "s", "model": "haiku", "generation": 1}
            assert (await post(socket, "/v1/turns", begun)).json == {"turn": 1}
            event = {"type": "assistant", "message": {"content": [use]}}
            assert (await post(socket, "/v1/turns/1/events", event)).json == {"stored": 1}
            paths = ("/v1/agents", "/v1/agents/worker", "/v1/agents/worker/turns/1")
            operator = tmp_path / "run/operator.sock"
            return {path: await asyncio.to_thread(_raw, operator, "GET", path, None) for path in paths}

    told = asyncio.run(go())
    assert {path: status for path, (status, _) in told.items()} == dict.fromkeys(told, 200)
    assert told["/v1/agents"][1]["agents"][0]["doing"] == "Bash: echo ?"


def test_every_list_of_mail_can_be_brief(tmp_path: Path) -> None:
    paths = ["/v1/messages", "/v1/agents/worker/inbox", "/v1/dead-letters"]

    async def go() -> list[Any]:
        async with hive(tmp_path) as made:
            await made.create("worker")
            await made.core.hive.stop("worker", "operator:test")
            given_up = await made.core.broker.send("operator", "worker", "x" * 2500)
            await made.core.broker.recv("worker", lease=100)
            await made.core.broker.give_up("worker", [given_up], "no")
            await made.core.broker.send("operator", "worker", "x" * 2500)
            socket = tmp_path / "run/operator.sock"
            asked = [f"{path}?brief={brief}" for path in paths for brief in (1, 0)]
            return [await asyncio.to_thread(_raw, socket, "GET", each, None) for each in asked]

    found = [[each for each in told["messages"] if each["sender"] == "operator"] for _, told in asyncio.run(go())]
    assert [len(each) for each in found] == [2, 2, 1, 1, 1, 1]
    assert [(len(each[0]["body"]), each[0].get("cut")) for each in found] == [(2000, 500), (2500, None)] * 3


def test_a_brief_inbox_cuts_bodies_and_says_by_how_much(tmp_path: Path) -> None:
    crash = json.dumps({"event": "container_crash", "agent": "worker", "log": "\n" * 5000, "proposal": 3})
    bodies = ["short", "é" * 2500, f"{'x' * 60_000} needle", crash]

    async def go() -> list[Any]:
        async with hive(tmp_path) as made:
            for body in bodies[:-1]:
                await made.core.broker.send("worker", "operator", body)
            await made.core.broker.tell("operator", crash)
            await made.core.broker.send("operator", "operator", "x")
            asked = [f"/v1/inbox{each}" for each in ("?brief=1", "", "?brief=1&search=needle")]
            asked += [f"/v1/messages/{each}" for each in (2, 4, 7)]
            socket = tmp_path / "run/operator.sock"
            return [await asyncio.to_thread(_raw, socket, "GET", each, None) for each in asked]

    (_, brief), (_, whole), (_, found), (_, second), (_, event), (status, error) = asyncio.run(go())
    shown = {each["id"]: each for each in brief["messages"]}
    assert [(len(shown[id_]["body"]), shown[id_]["cut"]) for id_ in (1, 2, 3)] == [(5, 0), (2000, 500), (2000, 58_007)]
    told = json.loads(shown[4]["body"])
    assert (told["event"], told["agent"], told["proposal"]) == ("container_crash", "worker", 3)
    assert len(shown[4]["body"]) <= 2000 and shown[4]["cut"] == len(crash) - len(shown[4]["body"])
    assert {each["id"]: each["body"] for each in whole["messages"]} == dict(enumerate([*bodies, "x"], 1))
    assert all("cut" not in each for each in [*whole["messages"], second, event])
    assert [each["id"] for each in found["messages"]] == [3], "a search looks at what is not shown"
    assert (second["body"], event["body"], second["read_at"]) == (bodies[1], crash, None)
    assert (status, error["code"]) == (404, "not_found")
