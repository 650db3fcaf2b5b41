"""The broker over its sockets: durable sends against a bare SQLite loop, send → recv latency, the core's memory.

The core and its clients are processes of their own, so the clients' cost is part of every figure.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
import os
import sqlite3
import statistics
import subprocess
import sys
import tempfile
import time
from collections.abc import Iterator
from dataclasses import dataclass, field
from importlib import resources
from pathlib import Path

from bench.row import Row

AGENTS = 100
SECONDS = 2.0
"""How long each load runs."""
SAMPLES = 400
"""Messages whose way from send to recv is timed."""
BODY = "the report is in /state/work/report.txt, as you asked; the second half needs another look " * 3


def measure() -> list[Row]:
    """Run everything once (about 15 s); the bare loop is measured before and after, and the better run counts."""
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as name:
        root = Path(name)
        bare = _bare_rate(root / "bare-1.db")
        with _core(root) as core:
            idle = _resident_mb(core.pid)
            rates = {clients: _clients(root, "load", str(clients))["rate"] for clients in (1, 10, 100)}
            latency = _clients(root, "latency", str(SAMPLES))
        bare = max(bare, _bare_rate(root / "bare-2.db"))
    rows = [Row("bare SQLite loop, one commit each", bare, "inserts/s", "", True)]
    for clients, rate in rates.items():
        goal = clients == AGENTS
        name = f"durable sends, {clients} concurrent client{'s' * (clients > 1)}"
        rows += [
            Row(name, rate, "sends/s", "", True),
            Row(f"{name} / bare loop", rate / bare, "ratio", "≥ 1.0" if goal else "", not goal or rate >= bare),
        ]
    return [
        *rows,
        Row("send → waiting recv, 100 idle agents, p50", latency["p50"], "ms", "", True),
        Row("send → waiting recv, 100 idle agents, p99", latency["p99"], "ms", "≤ 20", latency["p99"] <= 20),
        Row("core resident, 100 agents × 3 sockets", idle, "MB", "", True),
        Row("core resident, 100 agents in recv", latency["core_mb"], "MB", "≤ 120", latency["core_mb"] <= 120),
    ]


def _bare_rate(path: Path) -> float:
    """Rows per second of one process that inserts the same rows and commits each as durably as the broker does."""
    connection = sqlite3.connect(path, isolation_level=None)
    connection.execute("PRAGMA journal_mode = WAL")
    connection.execute("PRAGMA synchronous = FULL")
    connection.executescript(resources.files("hyperhive").joinpath("store/schema-1.sql").read_text())
    began, count = time.perf_counter(), 0
    while (took := time.perf_counter() - began) < SECONDS:
        connection.execute(
            "INSERT INTO messages (sender, recipient, kind, body, sent_at) VALUES ('a', 'b', 'mail', ?, ?)",
            (BODY, time.time()),
        )
        count += 1
    connection.close()
    return count / took


@contextlib.contextmanager
def _core(root: Path) -> Iterator[subprocess.Popen[str]]:
    process = subprocess.Popen([sys.executable, "-m", __spec__.name, "core", str(root)], stdout=subprocess.PIPE, text=True)
    try:
        assert process.stdout
        if process.stdout.readline() != "ready\n":
            raise RuntimeError("the benchmark's core did not start")
        yield process
    finally:
        process.terminate()
        process.wait()


def _clients(root: Path, *arguments: str) -> dict[str, float]:
    argv = [sys.executable, "-m", __spec__.name, *arguments, str(root)]
    result: dict[str, float] = json.loads(subprocess.run(argv, check=True, capture_output=True, text=True).stdout)
    return result


def _resident_mb(pid: int) -> float:
    """Resident memory without what is shared with other programs' files on disk."""
    fields = dict(line.split(":", 1) for line in Path(f"/proc/{pid}/status").read_text().splitlines())
    return int(fields["VmRSS"].split()[0]) / 1024


def _agent(number: int) -> str:
    return f"agent-{number}"


def _socket(root: Path, number: int) -> str:
    return str(root / _agent(number) / "harness.sock")


# The core's process


async def _serve(root: Path) -> None:
    """Everything that a core has for 100 agents: database, broker, and three sockets each."""
    from hyperhive import core as whole_core  # noqa: PLC0415  (its imports are part of the core's memory)
    from hyperhive.broker import BrokerLimits  # noqa: PLC0415
    from hyperhive.settings import Role  # noqa: PLC0415
    from hyperhive.store import agents  # noqa: PLC0415

    database = await whole_core.Database.open(root / "hive.db")
    parts = _Parts(root, database, BrokerLimits(edge_burst=10**9))
    for number in range(AGENTS):
        name = _agent(number)
        await database.write(lambda c, name=name: agents.create(c, name, Role.AGENT))  # type: ignore[misc]
        await parts.open(name)
    print("ready", flush=True)
    await asyncio.Event().wait()
