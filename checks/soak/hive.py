"""A hive in a temporary directory: hive-c0re as a process of its own, its harnesses and cages real."""

from __future__ import annotations

import json
import os
import shlex
import signal
import sqlite3
import struct
import sys
import time
from collections.abc import Callable
from contextlib import closing
from importlib.resources import files
from pathlib import Path
from typing import Any, TypeVar

from hyperhive import process
from hyperhive.client import Client
from hyperhive.errors import HyperhiveError, Unavailable
from hyperhive.harness import resources

ROOT = Path(__file__).parents[2]
MANAGER = "boss"
AGENTS = (MANAGER, "ant", "bee", "cob")
UP = 60.0
GONE = 15.0

T = TypeVar("T")


class SoakError(Exception):
    """The soak cannot go on: a part did not come back, or did not end."""


class Hive:
    """`state` and `runtime` as core.json names them; `core` is the running process, if there is one."""

    def __init__(self, root: Path, *, claude: str | None = None, model_url: str = "http://127.0.0.1:1") -> None:
        self.root = root
        self.state = root / "hive"
        self.runtime = root / "run"
        self.log = root / "core.log"
        self.clock = root / "clock"
        self.client = Client(self.runtime / "operator.sock", timeout=20)
        self.core: process.Popen[bytes] | None = None
        self._programs = root / "bin"
        self._config = root / "core.json"
        self._write(claude or str(root / "claude"), model_url)

    def _write(self, claude: str, model_url: str) -> None:
        for directory in (self.state, self.runtime, self._programs, self.root / "tmp"):
            directory.mkdir(parents=True, exist_ok=True)
        script = files("checks.soak").joinpath("stand_in.sh").read_text()
        _write_program(self.root / "claude", script.replace("@ROOT@", str(self.root)))
        for program, entry in (("hive-ag3nt", "agent"), ("hive-m1nd", "manager")):
            code = f"from hyperhive.harness.main import {entry}; {entry}()"
            words = ["env", f"PYTHONPATH={ROOT / 'python'}", sys.executable, "-c", code]
            _write_program(self._programs / program, f'#!/bin/sh\nexec {shlex.join(words)} "$@"\n')
        self.set_clock(0)
        value = {
            "backend": "local",
            "stateDir": str(self.state),
            "runtimeDir": str(self.runtime),
            "modelApi": {"url": model_url, "keyFile": None},
            "claude": claude,
            "health": 15.0,
            "drain": 5.0,
        }
        self._config.write_text(json.dumps(value))

    def set_clock(self, seconds: float) -> None:
        """Let the core's clock be off by so many seconds."""
        if not self.clock.exists():
            self.clock.write_bytes(bytes(8))
        with self.clock.open("r+b") as file:  # the core has it mapped: same file, one write
            file.write(struct.pack("d", seconds))

    def start(self) -> None:
        """Start the core; it may take a moment until it answers."""
        argv = [sys.executable, "-m", "checks.soak.entry", str(self._programs), str(self.clock)]
        environment = {**os.environ, "PYTHONPATH": f"{ROOT / 'python'}:{ROOT}", "TMPDIR": str(self.root / "tmp")}
        with self.log.open("ab") as log:
            self.core = process.Popen(
                [*argv, "--config", str(self._config)], stdin=process.DEVNULL, stdout=log, stderr=log, cwd=self.root,
                env=environment, start_new_session=True,
            )  # fmt: skip

    def wait_until_up(self) -> None:
        """Until the operator's socket answers. Raises SoakError."""

        def answers() -> bool:
            if self.core is not None and self.core.poll() is not None:
                raise SoakError(f"the core ended with {self.core.returncode}: {self.last_words()}")
            try:
                self.client.status()
            except Unavailable:
                return False
            return True

        self.wait(answers, UP, "the core does not answer")

    def kill(self, *, everything: bool) -> None:
        """SIGKILL for the core; `everything`: and for all that it has started, as the end of its cgroup would be."""
        assert self.core is not None
        below = descendants(self.core.pid) if everything else []
        for pid in (self.core.pid, *below):
            send(pid, signal.SIGKILL)
        self.core.wait()
        self.core = None

    def stop(self) -> int:
        """SIGTERM, and the exit code."""
        assert self.core is not None
        self.core.terminate()
        try:
            code = self.core.wait(GONE + 20)
        except process.TimeoutExpired as error:
            raise SoakError(f"the core does not end: {self.last_words()}") from error
        self.core = None
        return code

    def wait_until_gone(self) -> None:
        """Until no process of this hive is left. Raises SoakError naming them."""
        self.wait(lambda: not self.processes(), GONE, lambda: f"left over: {shown(self.processes())}")

    def processes(self) -> dict[int, str]:
        """Every process whose command line names this hive's directory."""
        return {pid: line for pid, line in command_lines().items() if f"{self.root}/" in line and pid != os.getpid()}

    def harness(self, agent: str) -> int | None:
        """The pid of an agent's harness."""
        config = str(self.runtime / "agents" / agent / "harness.json")
        found = [pid for pid, line in command_lines().items() if config in line and "hyperhive.harness" in line]
        return found[0] if found else None

    def query(self, sql: str, *values: object) -> list[tuple[Any, ...]]:
        """Rows of the hive's database, read beside the core."""
        with closing(sqlite3.connect(f"file:{self.state / 'hive.db'}?mode=ro", uri=True, timeout=20)) as connection:
            return connection.execute(sql, values).fetchall()

    def last_words(self) -> str:
        """The end of the core's log."""
        return " / ".join(self.log.read_text(errors="replace").splitlines()[-5:])[-2000:]

    def wait(self, condition: Callable[[], T], seconds: float, what: str | Callable[[], str]) -> T:
        """Until `condition` gives something true. Raises SoakError with `what` and the core's last words."""
        deadline = time.monotonic() + seconds
        while not (found := condition()):
            if time.monotonic() > deadline:
                said = what if isinstance(what, str) else what()
                raise SoakError(f"{said} after {seconds:g} s; the core's log: {self.last_words()}")
            time.sleep(0.03)
        return found

    def create_agents(self) -> None:
        """Create the manager and the agents. Raises HyperhiveError."""
        for name in AGENTS:
            self.client.create_agent(name, role="manager" if name == MANAGER else "agent")

    def revive(self) -> list[str]:
        """Start the agents that the backend gave up; returns their names."""
        try:
            failed = [agent["name"] for agent in self.client.agents() if agent["state"] == "failed"]
            for name in failed:
                self.client.start(name)
        except HyperhiveError:
            return []
        return failed


def _write_program(path: Path, text: str) -> None:
    path.write_text(text)
    path.chmod(0o755)


def shown(processes: dict[int, str]) -> str:
    """Processes in a line."""
    return "; ".join(f"{pid}: {line[:80]} … {line[-80:]}" for pid, line in sorted(processes.items()))


def command_lines() -> dict[int, str]:
    """The command line of every process that has one."""
    found = {}
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found[int(entry.name)] = (entry / "cmdline").read_text(errors="replace").replace("\0", " ")
            except OSError:
                continue
    return found


def descendants(root: int) -> list[int]:
    """Every process below `root`."""
    return [pid for pid in resources.descendants(root) if pid != root]


def send(pid: int, number: int) -> bool:
    """A signal to one process of the hive; False if it is gone already."""
    if pid <= 1:
        raise ValueError(f"{pid} is no process of the hive: 0, -1 and less are many")
    try:
        os.kill(pid, number)
    except ProcessLookupError:
        return False
    return True
