"""The NixOS backend: each agent is container@NAME, an unprivileged systemd-nspawn container.

The core is not root: it asks systemd, by polkit's leave, to run the oneshot units that are (hyperhive.root); each of
them looks for itself whether an operator agreed. What systemd does already (restarts, limits, logs) is systemd's.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

from hyperhive.containers import Applied, ContainerState, Log
from hyperhive.containers.systemd import Systemd
from hyperhive.containers.watch import ContainerWatch, container_unit, journal
from hyperhive.errors import HyperhiveError, Unavailable
from hyperhive.flakes.build import SystemBuilder
from hyperhive.root.places import Places

log = logging.getLogger(__name__)

RETRY = 1.0
Spawn = Callable[[Coroutine[Any, Any, None]], object]


class NixosBackend:
    """Backend (see hyperhive.containers) for NixOS hosts whose module has made the units."""

    def __init__(
        self,
        *,
        state_dir: Path,
        builder: SystemBuilder,
        watch: ContainerWatch,
        spawn: Spawn,
        profiles: Path = Places.profiles,
    ) -> None:
        self._systems = state_dir / "systems"
        self._profiles = profiles
        self._builder = builder
        self._watch = watch
        self._spawn = spawn
        self._systemd: Systemd | None = None

    async def open(self) -> None:
        """Connect to systemd and learn what runs. Raises Unavailable without a system bus."""
        self._systemd = await Systemd.connect()
        await self._watch.look(self._systemd)
        self._spawn(self._follow(self._systemd))

    async def build(self, name: str, number: int, flake: Path, log: Log) -> None:
        """Build the guest's system of that generation. Raises Rejected with the reason."""
        await self._builder.build(name, flake, self._systems / name / str(number), log)

    async def adopt(self, applied: Applied) -> bool:
        """Whether the container runs that generation already; it outlives the core. It may run another one, if the last
        core ended in the midst of a change.
        """
        if self.state(applied.name) not in (ContainerState.RUNNING, ContainerState.STARTING):
            return False
        links = self._profiles / applied.name / "system", self._systems / applied.name / str(applied.generation)
        runs, wanted = (link.resolve() for link in links)
        return runs == wanted or not all(link.is_symlink() for link in links)

    async def start(self, applied: Applied) -> None:
        """Run that generation; a running one is drained and replaced. Returns before the first heartbeat."""
        await self._run("prepare", applied.name)
        await self._run("activate", f"{applied.name}:{applied.generation}")

    async def refresh(self, applied: Applied) -> None:
        """Nothing to do: the manager's container holds the directory of all config repositories."""

    async def stop(self, name: str) -> None:
        """Let the running turn end (at most the drain time), then end everything in the container."""
        if self.state(name) is not ContainerState.STOPPED:
            await self._run("stop", name)

    async def purge(self, name: str) -> None:
        """Remove everything of a destroyed agent."""
        await self._run("purge", name)

    def state(self, name: str) -> ContainerState:
        """What the container does now, as systemd last said."""
        return self._watch.state(name)

    async def log(self, name: str, lines: int) -> str:
        """The last lines of the container's journal."""
        return await journal(container_unit(name), lines)

    def shell(self, applied: Applied) -> list[str]:
        """The argv that opens an interactive shell in the container, as the agent's user.

        systemd-run would hand on the exit code, but works for root alone; machined asks polkit.
        """
        inside = "cd /state/work && exec sh -i"
        return ["machinectl", "--quiet", "shell", f"agent@{applied.name}", "/bin/sh", "-lc", inside]

    async def close(self) -> None:
        """The containers run on without the core."""
        if self._systemd is not None:
            await self._systemd.close()

    async def _run(self, verb: str, instance: str) -> None:
        """Run one of root's oneshots. Raises HyperhiveError with the last line that it said."""
        if self._systemd is None or not self._systemd.connected:
            raise Unavailable("the system bus is away; try again when it is back")
        unit = f"hive-{verb}@{instance}.service"
        try:
            await self._systemd.start_unit(unit)
        except HyperhiveError as error:
            said = (await journal(unit, 20)).strip().splitlines()
            reason = next((line.removeprefix("error: ") for line in reversed(said) if line.startswith("error: ")), None)
            if reason is None:
                raise
            raise type(error)(reason) from error

    async def _follow(self, systemd: Systemd) -> None:
        """Let the watch see every change; connect again when the bus went away, and look what was missed."""
        while True:
            async with systemd.changes() as changes:
                following = asyncio.create_task(self._watch.follow(systemd, changes))
                gone = asyncio.create_task(systemd.wait_for_disconnect())
                try:
                    await asyncio.wait([following, gone], return_when=asyncio.FIRST_COMPLETED)
                finally:
                    gone.cancel()
                    following.cancel()
                    ended, _ = await asyncio.gather(following, gone, return_exceptions=True)
            log.warning("the containers are not followed any more; connecting again", exc_info=_failure(ended))
            systemd = await self._reconnect()

    async def _reconnect(self) -> Systemd:
        while True:
            await asyncio.sleep(RETRY)
            try:
                self._systemd = await Systemd.connect()
                await self._watch.look(self._systemd)
            except HyperhiveError:
                continue
            return self._systemd


def _failure(ended: object) -> Exception | None:
    return ended if isinstance(ended, Exception) else None
