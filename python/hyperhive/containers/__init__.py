"""Where agents run: one small protocol, two backends (`local`: bubblewrap; `nixos`: container@NAME)."""

from __future__ import annotations

from collections.abc import Awaitable, Callable
from dataclasses import dataclass
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
    """An agent's harness ended although nobody stopped it. `log` is the end of its log."""

    agent: str
    exit_code: int
    restarts: int
    given_up: bool
    log: str


CrashHandler = Callable[[Crash], Awaitable[None]]


class Backend(Protocol):
    """Starts and stops containers. Every method is safe to call in any state and raises HyperhiveError."""

    async def start(self, applied: Applied) -> None:
        """Run that generation; a running one is drained and replaced. Returns before the first heartbeat."""

    async def refresh(self, applied: Applied) -> None:
        """Let a running container see `applied.configs` from its next turn on."""

    async def stop(self, name: str) -> None:
        """Let the running turn end (at most the configured drain time), then end everything in the container."""

    def state(self, name: str) -> ContainerState:
        """What the container does now."""

    def log(self, name: str, lines: int) -> str:
        """The last lines of the container's log."""

    def shell(self, applied: Applied) -> list[str]:
        """The argv that opens an interactive shell in the container, as the agent's user."""

    async def close(self) -> None:
        """Stop every container; the core is about to end."""
