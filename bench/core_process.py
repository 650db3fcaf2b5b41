"""A real hive-c0re as a process of its own, with many agents that are stopped; and what a process costs."""

from __future__ import annotations

import asyncio
import contextlib
import os
import sqlite3
import subprocess
import sys
import time
from collections.abc import Iterator
from pathlib import Path

from core_rig import config, write_json
from settings_samples import sample

from hyperhive.client import Client
from hyperhive.errors import Unavailable
from hyperhive.settings import Role
from hyperhive.store import agents, generations
from hyperhive.store.database import Database

MAIN = "import sys; from hyperhive.cli.hive_c0re import main; sys.exit(main())"


@contextlib.contextmanager
def real_core(root: Path, count: int) -> Iterator[int]:
    """Its pid; it answers, and its agents' sockets are in `agent_sockets`."""
    asyncio.run(_fill(root, count))
    argv = [sys.executable, "-c", MAIN, "--config", str(write_json(root / "core.json", config(root)))]
    with subprocess.Popen(argv, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL) as core:
        try:
            _wait(Client(root / "run/operator.sock"))
            yield core.pid
        finally:
            core.terminate()
            core.wait()


def agent_sockets(root: Path, number: int) -> Path:
    """The directory of that agent's sockets."""
    return root / f"run/agents/agent{number}"


async def _fill(root: Path, count: int) -> None:
    """A database with so many stopped agents."""
    (root / "hive").mkdir()
    database = await Database.open(root / "hive/hive.db")
    for number in range(count):
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


def resident(pid: int) -> float:
    """Megabytes (10^6 bytes) of memory."""
    pages = int(Path(f"/proc/{pid}/statm").read_text().split()[1])
    return pages * os.sysconf("SC_PAGE_SIZE") / 1e6


def cpu_seconds(pid: int) -> float:
    """The CPU time that a process has used, all its threads together."""
    fields = Path(f"/proc/{pid}/stat").read_text().rpartition(")")[2].split()
    return (int(fields[11]) + int(fields[12])) / os.sysconf("SC_CLK_TCK")
