"""Follows container@*.service over D-Bus: what each container does now, and which of its ends were crashes."""

from __future__ import annotations

import asyncio
import contextlib
import json
import logging
import time
from collections.abc import Awaitable, Callable
from dataclasses import asdict
from pathlib import Path

from hyperhive import process
from hyperhive.containers import ContainerState, Crash, CrashHandler
from hyperhive.containers.systemd import Change, Systemd, UnitState
from hyperhive.crashes import End, Ending, LoopSum, Remembered, UnitWatch, missed, recalled, waits

log = logging.getLogger(__name__)

PATTERN = "container@*.service"
LOG_LINES = 10
SETTLE = 0.1
"""Seconds after which a container that is still down will not be started again by systemd."""
_STATES = {
    "active": ContainerState.RUNNING,
    "reloading": ContainerState.RUNNING,
    "activating": ContainerState.STARTING,
    "deactivating": ContainerState.STARTING,
    "failed": ContainerState.FAILED,
}


class ContainerWatch:
    """The containers of the hive's agents. `memory` is the file that a later core compares with; `ours` says which
    names are agents, since a host may have other containers.
    """

    def __init__(self, memory: Path, on_crash: CrashHandler, ours: Callable[[str], Awaitable[bool]]) -> None:
        self._memory = memory
        self._on_crash = on_crash
        self._ours = ours
        self._active: dict[str, str] = {}
        self._units: dict[str, UnitWatch] = {}
        self._loops: dict[str, LoopSum] = {}
        self._remembered = _load(memory)

    def state(self, name: str) -> ContainerState:
        """What the container does now, as systemd last said."""
        return _STATES.get(self._active.get(container_unit(name), ""), ContainerState.STOPPED)

    async def look(self, systemd: Systemd) -> None:
        """Learn what runs, and tell of what crashed while nobody looked (at start, and after the bus was away)."""
        found = await systemd.units(PATTERN)
        self._active = systemd.active
        self._active.update(found)
        for unit in {*found, *self._remembered}:
            now = await systemd.properties(unit)
            self._units[unit] = UnitWatch(now.active, now.result, now.status, now.restarts, now.sub)
            before, remembered = self._remembered.get(unit), _remembered(now)
            if before is not None and (end := await _unseen(unit, before, remembered, now)) is not None:
                lives = max(1, now.restarts - before.restarts)
                await self._tell(unit, now, end, lives, given_up=now.active == "failed")
            self._remember(unit, remembered)

    async def follow(self, systemd: Systemd, changes: asyncio.Queue[Change]) -> None:
        """Take changes as they come, for ever."""
        looked = time.monotonic()
        while True:
            if time.monotonic() - looked >= 1:
                looked = time.monotonic()
                await self._tell_sums(systemd)
            try:
                async with asyncio.timeout(1):
                    change = await changes.get()
            except TimeoutError:
                continue
            if change.unit.startswith("container@"):
                await self._take(systemd, change)

    async def _take(self, systemd: Systemd, change: Change) -> None:
        watch = self._units.setdefault(change.unit, UnitWatch())
        if change.job is not None:
            if not change.ended:
                # A job that is over before it could be asked for was a short one: on a running container, a stop.
                watch.job(await systemd.job_type(change.job) or "stop")
            return
        end = watch.change(change.properties)
        if "ActiveState" in change.properties:
            await self._note(systemd, change.unit, watch)
        if end is not None and end.ending.is_crash:
            await self._crashed(systemd, change.unit, end)

    async def _note(self, systemd: Systemd, unit: str, watch: UnitWatch) -> None:
        if watch.active in ("active", "inactive", "failed"):
            self._remember(unit, _remembered(await systemd.properties(unit)))

    async def _crashed(self, systemd: Systemd, unit: str, end: End) -> None:
        now = await systemd.properties(unit)
        given_up = False
        if end.final and now.active == "failed":
            await asyncio.sleep(SETTLE)
            given_up = (await systemd.properties(unit)).active == "failed"
        told = self._loops.setdefault(unit, LoopSum()).crash(end, time.monotonic(), given_up=given_up)
        if told is not None:
            await self._tell(unit, now, told.end, told.count, given_up=given_up)

    async def _tell_sums(self, systemd: Systemd) -> None:
        for unit, loop in self._loops.items():
            if (told := loop.due(time.monotonic())) is not None:
                await self._tell(unit, await systemd.properties(unit), told.end, told.count)

    async def _tell(self, unit: str, now: UnitState, end: End, count: int, *, given_up: bool = False) -> None:
        name = unit.removeprefix("container@").removesuffix(".service")
        if not await self._ours(name):
            return
        text = await journal(unit, LOG_LINES)
        await self._on_crash(
            Crash(
                agent=name,
                exit_code=end.status,
                restarts=now.restarts,
                given_up=given_up,
                log=text,
                ending=str(end.ending),
                result=end.result,
                memory_peak=now.memory_peak,
                count=count,
            )
        )

    def _remember(self, unit: str, now: Remembered) -> None:
        if self._remembered.get(unit) != now:
            self._remembered[unit] = now
            fresh = self._memory.with_name(self._memory.name + ".new")
            fresh.write_text(json.dumps({name: asdict(each) for name, each in self._remembered.items()}))
            fresh.replace(self._memory)


def _load(path: Path) -> dict[str, Remembered]:
    with contextlib.suppress(OSError, ValueError, TypeError, AttributeError):
        return {unit: Remembered(**value) for unit, value in json.loads(path.read_text()).items()}
    return {}


def _remembered(now: UnitState) -> Remembered:
    up = now.active not in ("inactive", "failed") and not waits(now.active, now.sub)
    return Remembered(now.invocation, now.restarts, up)


async def _unseen(unit: str, before: Remembered, after: Remembered, now: UnitState) -> End | None:
    """The crash of what ran when somebody last looked, if it crashed; the journal knows how."""
    if not before.running or (after.running and after.invocation == before.invocation):
        return None
    end = recalled(await _systemds_entries(unit, before.invocation))
    if end is None and missed(before, after, now.result):
        return End(Ending.UNSEEN, now.result, now.status)
    return end if end is not None and end.ending.is_crash else None


async def _systemds_entries(unit: str, invocation: str) -> list[str]:
    fields = "MESSAGE_ID,COMMAND,EXIT_STATUS,UNIT_RESULT"
    argv = ["journalctl", "--output", "json", f"--output-fields={fields}", "--no-pager", "--quiet", "--lines", "1000"]
    ran = await process.run([*argv, "_PID=1", f"UNIT={unit}", f"INVOCATION_ID={invocation}"], timeout=10, check=False)
    return ran.stdout.decode(errors="replace").splitlines()


def container_unit(name: str) -> str:
    """The unit of an agent's container."""
    return f"container@{name}.service"


async def journal(unit: str, lines: int) -> str:
    """The last lines that a unit wrote, as text; empty if there are none."""
    argv = ["journalctl", "--unit", unit, "--lines", str(lines), "--output", "cat", "--no-pager", "--quiet"]
    return (await process.run(argv, timeout=10, check=False)).stdout.decode(errors="replace")
