"""Where agents run: one small protocol, two backends (`local`: bubblewrap; `nixos`: container@NAME)."""

from __future__ import annotations

import time
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from enum import StrEnum
from pathlib import Path
from typing import Protocol

from hyperhive.settings import Settings


class ContainerState(StrEnum):
    """What a container does now; `failed` means that it crashed too often and was given up."""

    STOPPED = "stopped"
    STARTING = "starting"
    RUNNING = "running"
    FAILED = "failed"


@dataclass(frozen=True)
class Applied:
    """What a container runs: one generation's settings; `configs` are the config repos it may see, by agent."""

    name: str
    generation: int
    settings: Settings
    configs: dict[str, Path]


@dataclass(frozen=True)
class Crash:
    """An agent's harness or container ended although nobody stopped it. `log` is the end of its log.

    `ending` says how (hyperhive.crashes.Ending), `result` is systemd's word for it, `memory_peak` in bytes; `count` is
    how many crashes this tells of, more than one in a loop; `at` the Unix time at which it was noticed.
    """

    agent: str
    exit_code: int
    restarts: int
    given_up: bool
    log: str
    ending: str = "exited"
    result: str | None = None
    memory_peak: int | None = None
    count: int = 1
    at: float = field(default_factory=time.time)


Log = Callable[[str], None]
"""Takes lines of what is done, for who waits for it."""
CrashHandler = Callable[[Crash], Awaitable[None]]


class Backend(Protocol):
    """Starts and stops containers. Every method is safe to call in any state and raises HyperhiveError."""

    async def open(self) -> None:
        """Get ready; called once, before everything else."""

    async def build(self, name: str, number: int, flake: Path, log: Log) -> None:
        """Build what generation `number` runs from its applied flake, with lines for `log`. Raises Rejected."""

    async def adopt(self, applied: Applied) -> bool:
        """Whether the container runs already, since it outlived the last core; then it need not be started."""

    async def start(self, applied: Applied) -> None:
        """Run that generation; a running one is drained and replaced. Returns before the first heartbeat.

        Raises Unavailable (a full disk); then what ran before runs on.
        """

    async def refresh(self, applied: Applied) -> None:
        """Let a running container see `applied.configs` from its next turn on."""

    async def stop(self, name: str) -> None:
        """Let the running turn end (at most the configured drain time), then end everything in the container."""

    def state(self, name: str) -> ContainerState:
        """What the container does now."""

    async def log(self, name: str, lines: int) -> str:
        """The last lines of the container's log."""

    async def purge(self, name: str) -> None:
        """Remove every file of a destroyed agent. Safe to repeat."""

    def shell(self, applied: Applied) -> list[str]:
        """The argv that opens an interactive shell in the container, as the agent's user."""

    async def close(self) -> None:
        """The core is about to end: stop what cannot live without it."""


class AgentSockets(Protocol):
    """Opens and closes the sockets that an agent's container sees."""

    async def open(self, agent: str) -> None:
        """Listen on harness.sock, mcp.sock and model.sock of that agent."""

    async def close(self, agent: str) -> None:
        """Stop listening and remove them."""
