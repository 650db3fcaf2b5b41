"""What idle parts cost in memory: one harness, and the core with a hundred connected agents."""

from __future__ import annotations

import asyncio
import json
import socket
import tempfile
from pathlib import Path

from e2e.turn_rig import rig

from bench.core_process import agent_sockets, real_core, resident
from bench.row import Row

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
        return resident(hive.harness_pid)


def _core(root: Path) -> float:
    """A real hive-c0re whose agents are stopped, with a long poll on every harness socket."""
    with real_core(root, AGENTS) as pid:
        polls = [_poll(agent_sockets(root, number) / "harness.sock") for number in range(AGENTS)]
        polls += [_mcp(agent_sockets(root, number) / "mcp.sock") for number in range(AGENTS)]
        found = resident(pid)
        for poll in polls:
            poll.close()
    return found


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


if __name__ == "__main__":
    for row in measure():
        print(row)
