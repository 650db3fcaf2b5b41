"""The local backend: each agent's harness is a child of the core, each of its turns a bubblewrap sandbox."""

from __future__ import annotations

import asyncio
import json
import logging
import os
import shutil
import signal
import time
from collections import deque
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import BinaryIO

from hyperhive import process, working_directory
from hyperhive.containers import Applied, ContainerState, Crash, CrashHandler, Log
from hyperhive.containers.cage import CLAUDE, CagePaths, bubblewrap, replace_file, write_etc
from hyperhive.errors import HyperhiveError, Unavailable
from hyperhive.settings import Role

log = logging.getLogger(__name__)

CRASHES_ALLOWED = 5
CRASH_WINDOW = 60.0
LOG_LIMIT = 10 * 1024 * 1024
_NEXT = ".next"
"""What the files are called that the next start is for."""


@dataclass
class _Running:
    """One supervised harness. `stopping` tells its supervisor that the coming exit is wanted."""

    applied: Applied
    supervisor: asyncio.Task[None] | None = None
    child: asyncio.subprocess.Process | None = None
    stopping: asyncio.Event = field(default_factory=asyncio.Event)
    state: ContainerState = ContainerState.STARTING


class LocalBackend:
    """Backend (see hyperhive.containers) for any Linux machine with unprivileged user namespaces."""

    def __init__(
        self, *, state_dir: Path, runtime_dir: Path, claude: str, drain: float, on_crash: CrashHandler
    ) -> None:
        """Find the programs. Raises Unavailable naming the missing one and what to install."""
        hint = "install bubblewrap (Debian: apt-get install bubblewrap)"
        self._bwrap = process.find("bwrap", hint)
        self._setpriv = process.find("setpriv", "install util-linux")
        process.find("socat", "install socat (Debian: apt-get install socat)")
        self._claude = Path(process.find(claude, "install Claude Code (npm: @anthropic-ai/claude-code)")).resolve()
        self._state_dir = state_dir
        self._runtime_dir = runtime_dir
        self._drain = drain
        self._on_crash = on_crash
        self._running: dict[str, _Running] = {}
        self._locks: dict[str, asyncio.Lock] = {}

    async def open(self) -> None:
        """Nothing to do."""

    async def build(self, name: str, number: int, flake: Path, log: Log) -> None:
        """Nothing to do: the settings are all that a harness needs."""
        log("nothing to build: a container of the local backend is what the host has")

    async def adopt(self, applied: Applied) -> bool:
        """No: harnesses end with their core."""
        return False

    async def start(self, applied: Applied) -> None:
        """Run that generation; a running one is drained and replaced. Returns before the first heartbeat."""
        async with self._lock(applied.name):
            with _clear_refusal(applied.name):
                self._write(applied, _NEXT)  # while the old one still runs
            await self._stop(applied.name)
            self._settle(self._paths(applied.name).runtime)
            running = _Running(applied)
            self._running[applied.name] = running
            running.supervisor = asyncio.create_task(self._supervise(running), name=f"supervise {applied.name}")

    async def refresh(self, applied: Applied) -> None:
        """Let a running container see `applied.configs` from its next turn on."""
        running = self._running.get(applied.name)
        if running is not None and running.applied.generation == applied.generation:
            running.applied = applied
            with _clear_refusal(applied.name):
                self._write(applied)

    async def stop(self, name: str) -> None:
        """Let the running turn end (at most the drain time), then end everything in the container."""
        async with self._lock(name):
            await self._stop(name)

    def state(self, name: str) -> ContainerState:
        """What the container does now."""
        running = self._running.get(name)
        return running.state if running else ContainerState.STOPPED

    async def log(self, name: str, lines: int) -> str:
        """The last lines of the harness's log (at most the last MiB of it)."""
        return self._log(name, lines)

    async def purge(self, name: str) -> None:
        """Remove every file of a destroyed agent. Safe to repeat."""
        for path in (self._state_dir / "agents" / name, self._state_dir / "applied" / name):
            if path.exists():
                try:
                    await asyncio.to_thread(shutil.rmtree, path)
                except OSError as error:
                    raise HyperhiveError(f"{path} could not be removed wholly: {error}; remove the rest") from error

    def _log(self, name: str, lines: int) -> str:
        path = self._log_path(name)
        if not path.exists():
            return ""
        with path.open("rb") as file:
            file.seek(max(0, path.stat().st_size - 1024 * 1024))
            return b"".join(deque(file, maxlen=lines)).decode(errors="replace")

    def shell(self, applied: Applied) -> list[str]:
        """The argv that opens an interactive shell in a cage of its own, as the agent's user."""
        return [*self._cage(applied), "/bin/bash", "--norc", "-i"]

    async def close(self) -> None:
        """Stop every container; the core is about to end."""
        async with asyncio.TaskGroup() as group:
            for name in list(self._running):
                group.create_task(self.stop(name))

    def _lock(self, name: str) -> asyncio.Lock:
        return self._locks.setdefault(name, asyncio.Lock())

    def _log_path(self, name: str) -> Path:
        return self._state_dir / "log" / f"{name}.log"

    def _paths(self, name: str) -> CagePaths:
        return CagePaths(
            state=self._state_dir / "agents" / name / "state",
            runtime=self._runtime_dir / "agents" / name,
            claude=self._claude,
        )

    def _cage(self, applied: Applied) -> list[str]:
        return bubblewrap(self._bwrap, applied, self._paths(applied.name))

    def _write(self, applied: Applied, suffix: str = "") -> None:
        """Write what the harness reads: settings.json, harness.json and the cage's /etc."""
        paths = self._paths(applied.name)
        working_directory.restore(paths.state)
        write_etc(paths.runtime / f"etc{suffix}", applied.settings)
        _replace(paths.runtime / f"settings.json{suffix}", applied.settings.to_json())
        harness = {
            "socket": str(paths.runtime / "harness.sock"),
            "settings": str(paths.runtime / "settings.json"),
            "generation": applied.generation,
            "state": str(paths.state),
            "private": str(paths.state.with_name("harness")),
            "cage": {"kind": "bwrap", "argv": self._cage(applied), "env": {}, "memoryMax": _memory_of_a_turn()},
            "claude": CLAUDE,
            "drain": self._drain,
        }
        _replace(paths.runtime / f"harness.json{suffix}", harness)

    def _settle(self, runtime: Path) -> None:
        """Let what was written for the next one be what the harness reads; that needs no room on the disk."""
        shutil.rmtree(runtime / "etc", ignore_errors=True)
        for name in ("etc", "settings.json", "harness.json"):
            (runtime / f"{name}{_NEXT}").replace(runtime / name)

    async def _stop(self, name: str) -> None:
        running = self._running.pop(name, None)
        if running is None:
            return
        running.stopping.set()
        if running.child is not None and running.child.returncode is None:
            running.child.send_signal(signal.SIGTERM)
        assert running.supervisor is not None
        done, _ = await asyncio.wait([running.supervisor], timeout=self._drain + 10)
        if not done and running.child is not None:
            log.warning("%s did not end within its drain time; killing it", name)
            running.child.kill()
            await asyncio.wait([running.supervisor])

    async def _supervise(self, running: _Running) -> None:
        """Keep one harness running until it is stopped or crashes too often."""
        name = running.applied.name
        crashes: deque[float] = deque(maxlen=CRASHES_ALLOWED)
        restarts = 0
        while not running.stopping.is_set():
            started = time.monotonic()
            code = await self._run_once(running)
            if running.stopping.is_set():
                return
            crashes.append(time.monotonic())
            given_up = len(crashes) == CRASHES_ALLOWED and crashes[-1] - crashes[0] < CRASH_WINDOW
            running.state = ContainerState.FAILED if given_up else ContainerState.STARTING
            await self._on_crash(Crash(name, code, restarts, given_up, self._log(name, 10)))
            if given_up:
                return
            restarts = 0 if time.monotonic() - started > CRASH_WINDOW else restarts + 1
            await _sleep_unless(running.stopping, min(0.2 * 2**restarts, 30))

    async def _run_once(self, running: _Running) -> int:
        """Start the harness, wait for its end and return its exit code (-1: it could not be started)."""
        applied = running.applied
        program = "hive-m1nd" if applied.settings.role is Role.MANAGER else "hive-ag3nt"
        config = self._paths(applied.name).runtime / "harness.json"
        argv = [self._setpriv, "--pdeathsig", "KILL", "--", process.find_own(program), "--config", str(config)]
        argv += ["--parent", str(os.getpid())]
        try:
            with _log_file(self._log_path(applied.name)) as output:
                running.child = await process.start(argv, env=_environment(), output=output.fileno())
        except (HyperhiveError, OSError) as error:
            log.error("%s: %s", applied.name, error)
            return -1
        running.state = ContainerState.RUNNING
        if running.stopping.is_set():  # stopped while it was being started
            running.child.send_signal(signal.SIGTERM)
        return await running.child.wait()


def _memory_of_a_turn() -> int:
    """Bytes that one turn may hold: as in a guest (modules/harness-base.nix), 80 % of all."""
    return os.sysconf("SC_PHYS_PAGES") * os.sysconf("SC_PAGE_SIZE") * 8 // 10


def _environment() -> dict[str, str]:
    """What the harness gets of the core's environment: nothing that could hold a key."""
    return {"PATH": os.environ.get("PATH", os.defpath), "LANG": "C.UTF-8", "PYTHONDONTWRITEBYTECODE": "1"}


def _log_file(path: Path) -> BinaryIO:
    path.parent.mkdir(parents=True, exist_ok=True)
    if path.exists() and path.stat().st_size > LOG_LIMIT:
        path.replace(path.with_suffix(".log.1"))
    return path.open("ab")


def _replace(path: Path, value: object) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    replace_file(path, json.dumps(value, indent=2) + "\n")


@contextmanager
def _clear_refusal(name: str) -> Iterator[None]:
    """A full disk in words. Raises Unavailable."""
    try:
        yield
    except OSError as error:
        raise Unavailable(f"{name} cannot be started: {error.filename}: {error.strerror}") from error


async def _sleep_unless(event: asyncio.Event, seconds: float) -> None:
    try:
        async with asyncio.timeout(seconds):
            await event.wait()
    except TimeoutError:
        pass
