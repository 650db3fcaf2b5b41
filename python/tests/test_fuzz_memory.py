"""The core's memory under clients that mean no good: after a while it grows no more."""

from __future__ import annotations

import gc
import json
import os
import re
import subprocess
import sys
import time
import tracemalloc
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import ExitStack, asynccontextmanager, contextmanager, suppress
from pathlib import Path

import pytest
from core_rig import LACKING, SKIP_REASON
from fuzz_rig import Connection, connected, deep, served
from mail_rig import request, sockets, until
from mcp_rig import rig

from hyperhive.api.streams import StreamListener

MAX_GROWTH = 20 * 1024
"""KiB; if each request of a megabyte stayed, it would be some 80 MiB."""
MAX_HELD = 2_000_000
"""Bytes, after 20 clients that sent 200,000 or more each."""
ROUNDS = int(os.environ.get("HYPERHIVE_FUZZ_ROUNDS", "4"))
"""Before it is measured, and as many again: the allocators find their places slowly."""

CORE = """
import asyncio, sys
from pathlib import Path
from fuzz_rig import hive
from hyperhive.core import collect_garbage_rarely

async def main():
    collect_garbage_rarely()
    async with hive(Path(sys.argv[1])) as core, core.hub.subscribe():
        print(core.config.runtime_dir / "agents/alice", flush=True)
        await asyncio.to_thread(sys.stdin.read)

asyncio.run(main())
"""


@contextmanager
def core(root: Path) -> Iterator[tuple[int, Path]]:
    """A core in a process of its own: its pid, and the directory of alice's sockets."""
    argv = [sys.executable, "-c", CORE, str(root)]
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        argv, stdin=subprocess.PIPE, stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment
    ) as made:
        assert made.stdin and made.stdout and made.stderr
        place = made.stdout.readline().strip()
        assert place, f"the core did not start: {made.stderr.read()}"
        yield made.pid, Path(place)
        made.stdin.close()
        said = made.stderr.read()
        assert said == "", f"something was logged: {said}"


def resident(pid: int) -> int:
    """KiB of memory that the process holds."""
    status = Path(f"/proc/{pid}/status").read_text()
    return int(re.findall(r"VmRSS:\s+(\d+) kB", status)[0])


MEGABYTE = b"x" * 1_048_000
WIDE = ("[" + "[]," * 300_000 + "1]").encode()
DEEP = deep(100_000).encode()
SMALL = [b"", b"{", b"[]", b'{"to":"nobody","body":"x"}', b'{"ids":[-1]}', deep(500).encode()]
PATHS = [
    "/v1/send",
    "/v1/recv",
    "/v1/ack",
    "/v1/give-up",
    "/v1/turns",
    "/v1/turns/1/events",
    "/v1/turns/9/end",
    "/nowhere",
]
HTTP = [request(path, body) for body in SMALL for path in PATHS] * 4
HTTP += [request("/v1/turns/1/events", body) for body in (WIDE, DEEP, MEGABYTE, b"1\n" * 500_000)]
HTTP += [request("/v1/ack", b'{"ids":' + WIDE + b"}"), request("/v1/ack", b"{}") * 100, MEGABYTE]
HTTP += [b"GET / HTTP/1.1\r\n" + b"X: y\r\n" * 200, b"POST /v1/send HTTP/1.1\r\nContent-Length: 99999999\r\n\r\n"]
HTTP += [b"POST /v1/send HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\nFFFFF\r\n" + MEGABYTE]


def calls(*calls: tuple[str, object]) -> bytes:
    """Requests of MCP, with the handshake."""
    hello = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}}
    asked = enumerate([("initialize", hello), *calls])
    lines = ({"jsonrpc": "2.0", "id": number, "method": method, "params": params} for number, (method, params) in asked)
    return b"".join(json.dumps(line).encode() + b"\n" for line in lines)


LISTED: tuple[str, object] = ("tools/list", {})
MCP = [
    MEGABYTE + b"\n",
    MEGABYTE * 2,
    b"\n" * 30_000,
    WIDE + b"\n",
    DEEP + b"\n",
    calls(*[LISTED] * 50),
    b'{"jsonrpc"',
]
MCP += [calls(("tools/call", {"name": "send", "arguments": {f"x{number}": [] for number in range(50_000)}}))]
MCP += [calls(("tools/call", {"name": "ask_operator", "arguments": {"question": "x", "options": [{}] * 200_000}}))]
HOOK = [b"", b"{"] * 10 + [MEGABYTE[:300_000], WIDE[:200_000], DEEP[:200_000]]
CONTROL = [b'{"control": true}\n' + MEGABYTE[:200_000], b'{"answer": "x"}\n', b"\n", DEEP + b"\n", MEGABYTE]
CONTROL += [b'{"answer": "x"}\n', b"7\n"] * 10
ATTACKS = {"harness.sock": HTTP, "mcp.sock": MCP, "policy.sock": HOOK, "control.sock": CONTROL}
HALVES = {
    "harness.sock": b"POST /v1/send HTTP/1.1\r\nContent-Le",
    "mcp.sock": b'{"json',
    "policy.sock": b"{",
    "control.sock": b"{",
}


def attack(directory: Path) -> int:
    """Each attack once to its end and once without reading, beside connections that stay half open; how many."""
    count = 0
    with ExitStack() as open_ones:
        for name, half in HALVES.items():
            for _ in range(10):
                open_ones.enter_context(connected(directory / name)).send(half)
        for name, attacks in ATTACKS.items():
            for data in attacks:
                with connected(directory / name) as client:
                    client.send(data)
                    client.finish()
                    client.rest()
                leave_early(Connection(directory / name), data)
                count += 2
    return count


def leave_early(client: Connection, data: bytes) -> None:
    """Send as much as is taken at once, read nothing, and go."""
    client.socket.setblocking(False)
    with suppress(BlockingIOError, BrokenPipeError, ConnectionResetError):
        client.socket.send(data)
    client.close()


@pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)
def test_memory_stays_flat_under_hostile_clients(tmp_path: Path) -> None:
    with core(tmp_path) as (pid, directory):
        for _ in range(ROUNDS):
            attack(directory)
        before = resident(pid)
        count = sum(attack(directory) for _ in range(ROUNDS))
        grown = resident(pid) - before
        print(f"{before} KiB, {grown:+} KiB after {count} attacks")
        assert grown < MAX_GROWTH, f"{grown} KiB more after {count} attacks"


def unread_line(directory: Path) -> None:
    """A line of MCP that is no message, from a client that has gone before the answer."""
    with connected(directory / "worker.sock") as client:
        client.send(WIDE[:200_000] + b"\n")


def endless_line(directory: Path) -> None:
    """A line of MCP that is too long."""
    with connected(directory / "worker.sock") as client:
        client.send(MEGABYTE * 2)
        client.rest()


def refused_events(directory: Path) -> None:
    """A megabyte of events for a turn that is not there."""
    with connected(directory / "alice.sock") as client:
        client.send(request("/v1/turns/9/events", MEGABYTE))
        assert b" 404 " in client.file.readline()


@asynccontextmanager
async def both(root: Path) -> AsyncIterator[StreamListener]:
    """A broker's and the tools' sockets; the latter's listener."""
    async with sockets(root), rig(root, deadline=60) as made:
        yield made.listener


async def over(listener: StreamListener) -> None:
    """Wait until every connection is."""

    async def none() -> bool:
        return not any(each.connections for each in listener._listening.values())

    await until(none)


def held_in_the_end(wait: Callable[[], object]) -> int:
    """Bytes that are held when every connection is over; those of the last clients may only now be accepted."""
    until = time.monotonic() + 20
    while True:
        wait()
        held, _ = tracemalloc.get_traced_memory()
        if held < MAX_HELD or time.monotonic() > until:
            return held
        time.sleep(0.05)


@pytest.mark.parametrize("attack", [unread_line, endless_line, refused_events])
def test_what_a_client_sent_is_gone_with_it_and_waits_for_no_garbage_collection(
    tmp_path: Path, attack: Callable[[Path], None]
) -> None:
    with served(lambda: both(tmp_path)) as made:
        attack(tmp_path)
        gc.collect()
        gc.disable()
        tracemalloc.start()
        try:
            for _ in range(20):
                attack(tmp_path)
            held = held_in_the_end(lambda: made.call(over(made.rig)))
        finally:
            tracemalloc.stop()
            gc.enable()
    assert held < MAX_HELD, f"{held} bytes are held"
