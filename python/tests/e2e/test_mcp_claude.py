"""The real Claude Code CLI: its tools come through socat and our MCP server, its model through our gateway."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import sys
import uuid
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any

import pytest
from gateway_rig import serve_gateway
from mcp_rig import FOR_ALL, FOR_MANAGERS, Rig, rig

from hyperhive import process
from hyperhive.gateway.model import create_model_app
from hyperhive.gateway.pause import Pause
from hyperhive.gateway.upstream import ModelApi
from hyperhive.rehearsal.script import Step, marked
from hyperhive.store.usage import Use

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(not shutil.which("claude") or not shutil.which("socat"), reason="no claude or socat"),
]


@dataclass
class Turn:
    """What a run of the CLI printed, and the tokens that the gateway counted for it."""

    events: list[dict[str, Any]]
    records: list[tuple[str, str, int, int]]

    @property
    def init(self) -> dict[str, Any]:
        return next(event for event in self.events if event.get("subtype") == "init")

    @property
    def result(self) -> dict[str, Any]:
        return next(event for event in self.events if event["type"] == "result")

    @property
    def tool_results(self) -> list[tuple[bool, str]]:
        """Of each call whether it failed, and its text."""
        contents = [event["message"]["content"] for event in self.events if event["type"] == "user"]
        blocks = [block for content in contents for block in content if block["type"] == "tool_result"]
        return [(bool(block.get("is_error")), _text(block["content"])) for block in blocks]


def _text(content: Any) -> str:
    return content if isinstance(content, str) else "".join(part.get("text", "") for part in content)


@asynccontextmanager
async def rehearsal() -> AsyncIterator[str]:
    """The scripted model in a process of its own; its URL."""
    server = await asyncio.create_subprocess_exec(
        *(sys.executable, "-m", "hyperhive.rehearsal", "--port", "0"), stdout=process.PIPE
    )
    assert server.stdout
    try:
        yield f"http://127.0.0.1:{json.loads(await server.stdout.readline())['port']}"
    finally:
        server.terminate()
        await server.communicate()


@asynccontextmanager
async def relay(path: Path) -> AsyncIterator[str]:
    """A loopback port that leads to the unix socket at `path`, as socat's in a cage; its URL."""

    async def pump(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        try:
            while data := await reader.read(65536):
                writer.write(data)
                await writer.drain()
        except ConnectionError:
            pass
        finally:
            writer.close()

    async def connected(reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        far_reader, far_writer = await asyncio.open_unix_connection(str(path))
        async with asyncio.TaskGroup() as group:
            group.create_task(pump(reader, far_writer))
            group.create_task(pump(far_reader, writer))

    server = await asyncio.start_server(connected, "127.0.0.1", 0)
    try:
        yield f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    finally:
        server.close()
        await server.wait_closed()


async def turn(hive: Rig, agent: str, steps: list[Step]) -> Turn:
    """One turn of `agent`, whose model takes `steps`."""
    home = hive.directory / f"home-{agent}"
    home.mkdir()
    socat = {"command": "socat", "args": ["STDIO", f"UNIX-CONNECT:{hive.path(agent)}"], "alwaysLoad": True}
    config = home / "mcp.json"
    config.write_text(json.dumps({"mcpServers": {"hive": socat}}))
    records: list[tuple[str, str, int, int]] = []

    async def record(agent: str, use: Use) -> None:
        records.append((agent, use.model, use.input_tokens, use.output_tokens))

    argv = ["claude", "-p", "--output-format", "stream-json", "--verbose", "--model", "haiku"]
    argv += ["--session-id", str(uuid.uuid4()), "--tools", "Read", "--permission-mode", "dontAsk"]
    argv += ["--setting-sources", "", "--strict-mcp-config", "--mcp-config", str(config)]
    argv += ["--allowedTools", "mcp__hive"]
    model = home / "model.sock"
    async with rehearsal() as api, relay(model) as url:
        gateway = create_model_app(
            ModelApi(api, key=lambda: "sk-of-the-operator"), record, Pause(lambda *_: asyncio.sleep(0))
        )
        async with serve_gateway(gateway, model, agent):
            env = {
                "PATH": os.environ["PATH"],
                "HOME": str(home),
                "ANTHROPIC_BASE_URL": url,
                "ANTHROPIC_API_KEY": "none",
                "CLAUDE_CODE_DISABLE_NONESSENTIAL_TRAFFIC": "1",
                "CLAUDE_CODE_MAX_RETRIES": "0",
            }
            prompt = f"[from operator]\n{marked(steps)}".encode()
            done = await process.run(argv, timeout=90, stdin=prompt, cwd=str(home), env=env)
    return Turn([json.loads(line) for line in done.stdout.splitlines()], records)


def call(tool: str, **arguments: object) -> Step:
    return {"tool": f"mcp__hive__{tool}", "input": arguments}


def test_an_agents_turn_uses_its_tools_and_is_counted(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path, deadline=120) as hive:
            done = await turn(
                hive,
                "worker",
                [
                    call("send", to="boss", body="gzip was denied"),
                    call("send", to="nobody", body="x"),
                    call("restart_agent", name="boss"),
                    call("notes_append", text="ask boss for gzip"),
                    {"text": "done"},
                ],
            )
            assert [(one["name"], one["status"]) for one in done.init["mcp_servers"]] == [("hive", "connected")]
            offered = sorted(name.removeprefix("mcp__hive__") for name in done.init["tools"] if "hive" in name)
            assert offered == FOR_ALL
            assert (done.result["is_error"], done.result["result"]) == (False, "done")
            sent, refused, denied, noted = done.tool_results
            assert sent == (False, '{"id": 1}')
            assert refused == (True, "there is no agent 'nobody'")
            assert denied[0], "the CLI ran a tool that was not offered"
            assert not noted[0] and "ask boss" in (tmp_path / "worker.md").read_text()
            assert [(letter.sender, letter.to) for letter in hive.letters.sent] == [("worker", "boss")]
            assert len(done.records) == 5
            used = done.result["usage"]
            told = sum(tokens_in for _, _, tokens_in, _ in done.records)
            assert {(agent, "haiku" in model) for agent, model, _, _ in done.records} == {("worker", True)}
            assert told == sum(used[key] for key in used if key.endswith("input_tokens"))

    asyncio.run(check())


def test_a_managers_turn_requests_an_apply(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path, deadline=120) as hive:
            commit = "0123456789abcdef0123456789abcdef01234567"
            wanted = call("request_apply_commit", agent="worker", commit=commit, reason="gzip")
            done = await turn(hive, "boss", [wanted, {"text": "asked"}])
            offered = sorted(name.removeprefix("mcp__hive__") for name in done.init["tools"] if "hive" in name)
            assert offered == FOR_MANAGERS
            assert [failed for failed, _ in done.tool_results] == [False]
            assert hive.hive.done == [("apply", "worker", commit, "gzip", "boss")]

    asyncio.run(check())
