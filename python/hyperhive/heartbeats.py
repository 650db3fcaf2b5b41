"""Heartbeats: the proof that a generation really runs. Harnesses report them, an activation waits for the first."""

from __future__ import annotations

import asyncio
import time
from dataclasses import dataclass

from hyperhive.errors import HyperhiveError


class NoHeartbeat(HyperhiveError):
    """A generation did not come to life; the message says what was seen instead."""

    code = "no_heartbeat"
    status = 422


@dataclass(frozen=True)
class Heartbeat:
    """The last word of one harness: which generation it runs, what it does (`idle`, `turn`, `compacting`, `waiting`)
    and what keeps it from working, if anything does.
    """

    generation: int
    activity: str
    at: float
    trouble: str | None = None


class Heartbeats:
    """The newest heartbeat of each agent, and those who wait for one."""

    def __init__(self) -> None:
        self._last: dict[str, Heartbeat] = {}
        self._waiting: dict[str, tuple[int, asyncio.Future[None]]] = {}

    def beat(self, agent: str, generation: int, activity: str, trouble: str | None = None) -> None:
        """Record a heartbeat."""
        self._last[agent] = Heartbeat(generation, activity, time.time(), trouble)
        wanted = self._waiting.get(agent)
        if wanted and wanted[0] == generation and not wanted[1].done():
            wanted[1].set_result(None)

    def last(self, agent: str) -> Heartbeat | None:
        """The newest heartbeat since the agent was last started."""
        return self._last.get(agent)

    def forget(self, agent: str) -> None:
        """Its harness ended: what that one said last is no longer so."""
        self._last.pop(agent, None)

    def awaited(self, agent: str) -> bool:
        """Whether somebody waits for this agent's first heartbeat."""
        return agent in self._waiting

    def fail(self, agent: str, reason: str) -> None:
        """Tell whoever waits for this agent that no heartbeat will come."""
        wanted = self._waiting.get(agent)
        if wanted and not wanted[1].done():
            wanted[1].set_exception(NoHeartbeat(reason))

    def expect(self, agent: str, generation: int) -> asyncio.Future[None]:
        """Forget the past and return what `wait` waits for; call it before the start, so that no beat is missed."""
        self.forget(agent)
        future: asyncio.Future[None] = asyncio.get_running_loop().create_future()
        self._waiting[agent] = (generation, future)
        return future

    def give_up(self, agent: str) -> None:
        """Nobody waits for this agent: it was not started."""
        self._waiting.pop(agent, None)

    async def wait(self, agent: str, expected: asyncio.Future[None], timeout: float) -> None:
        """Wait at most `timeout` seconds for the heartbeat. Raises NoHeartbeat with what happened instead."""
        try:
            async with asyncio.timeout(timeout):
                await expected
        except TimeoutError as error:
            raise NoHeartbeat(f"no heartbeat within {timeout:g} s") from error
        finally:
            self._waiting.pop(agent, None)
