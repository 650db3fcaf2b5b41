"""What idle parts cost in memory: one harness, and the core with a hundred connected agents."""

from __future__ import annotations

import asyncio
import json
import os
import socket
import sqlite3
import subprocess
import sys
import tempfile
import time
from pathlib import Path

from core_rig import config, write_json
from e2e.turn_rig import rig
from settings_samples import sample

from bench.row import Row
from hyperhive.client import Client
from hyperhive.errors import Unavailable
from hyperhive.settings import Role
from hyperhive.store import agents, generations
from hyperhive.store.database import Database

AGENTS = 100


def measure() -> list[Row]:
    """Resident memory in MB (10^6 bytes) once everything is idle."""
    with tempfile.TemporaryDirectory(prefix="hyperhive-bench-") as directory:
        harness = asyncio.run(_harness(Path(directory)))
    with tempfile.TemporaryDirectory(prefix="hyperhive-bench-") as directory:
        core = _core(Path(directory))
    return [
        Row("idle harness, resident", harness, "MB", "≤ 25", harness <= 25),
        Row(f"core with {AGENTS} connected agents, resident", core, "MB", "≤ 120", core <= 120),
    ]


async def _harness(root: Path) -> float:
    async with rig(root) as hive:
        await hive.turn_done(await hive.say([{"text": "one turn, so that everything is loaded"}]))
        return _resident(hive.harness_pid)


def _core(root: Path) -> float:
    """A real hive-c0re whose agents are stopped, with a long poll on every harness socket."""
    asyncio.run(_fill(root))
    main = "import sys; from hyperhive.cli.hive_c0re import main; sys.exit(main())"
    argv = [sys.executable, "-c", main, "--config", str(write_json(root / "core.json", config(root)))]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as core:
        try:
            _wait(Client(root / "run/operator.sock"))
            polls = [_poll(root / f"run/agents/agent{number}/harness.sock") for number in range(AGENTS)]
            polls += [_mcp(root / f"run/agents/agent{number}/mcp.sock") for number in range(AGENTS)]
            resident = _resident(core.pid)
            for poll in polls:
                poll.close()
        finally:
            core.terminate()
            core.wait()
    return resident


async def _fill(root: Path) -> None:
    """A database with AGENTS stopped agents."""
    (root / "hive").mkdir()
    database = await Database.open(root / "hive/hive.db")
    for number in range(AGENTS):
        await database.write(lambda c, name=f"agent{number}": _create(c, name))  # type: ignore[misc]
    await database.close()


def _create(connection: sqlite3.Connection, name: str) -> None:
    """A stopped agent with applied settings, without which there is no MCP for it."""
    agents.create(connection, name, Role.AGENT)
    agents.set_desired(connection, name, "stopped")
    made = sample(name=name)
    generations.insert(
        connection, agent=name, number=1, commit="0" * 40, tree="0" * 40, settings=made, proposal=None, reason="bench"
    )
    agents.set_generation(connection, name, 1)


def _wait(client: Client) -> None:
    deadline = time.monotonic() + 30
    while time.monotonic() < deadline:
        try:
            client.status()
        except Unavailable:
            time.sleep(0.05)
        else:
            return
    raise AssertionError("the core did not come up")


def _poll(path: Path) -> socket.socket:
    """A harness that waits for mail."""
    body = json.dumps({"wait": 60}).encode()
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(path))
    connection.sendall(b"POST /v1/recv HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    return connection


def _mcp(path: Path) -> socket.socket:
    """A turn that has listed the hive's tools."""
    connection = socket.socket(socket.AF_UNIX)
    connection.settimeout(10)
    connection.connect(str(path))
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "bench", "version": "0"}}
    for message in (
        {"jsonrpc": "2.0", "id": 1, "method": "initialize", "params": hello},
        {"jsonrpc": "2.0", "method": "notifications/initialized"},
        {"jsonrpc": "2.0", "id": 2, "method": "tools/list", "params": {}},
    ):
        connection.sendall(json.dumps(message).encode() + b"\n")
    seen = b""
    while b'"id":2' not in seen.replace(b" ", b""):
        received = connection.recv(65536)
        assert received, f"{path} was closed before the tools were listed"
        seen += received
    return connection


def _resident(pid: int) -> float:
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


if __name__ == "__main__":
    for row in measure():
        print(row)
