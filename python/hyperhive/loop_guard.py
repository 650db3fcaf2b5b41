"""The loop guard: agents that answer each other for ever, or too fast, are stopped before they cost a fortune.

Three trips: an exchange that has gone on for more answers than `max_hops`, and the token bucket of an edge (sender →
recipient) or of a sender (all its edges together) that is used up. Each trip is told once, not once per message.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Rate:
    """How many messages may come at once, and how many a minute for ever."""

    burst: int
    per_minute: float


EDGE = Rate(burst=30, per_minute=60)
AGENT = Rate(burst=120, per_minute=240)

MAX_CHAINS = 1000
"""Exchanges of one edge that are known to have been told of."""


@dataclass(frozen=True)
class Trip:
    """Why a message is parked; `first`: nobody has been told of this trip yet."""

    reason: str
    first: bool


@dataclass
class _Bucket:
    """A token bucket, and whether it has been told that it is empty."""

    tokens: float
    at: float
    told: bool = False

    def refill(self, rate: Rate, now: float) -> None:
        self.tokens = min(rate.burst, self.tokens + (now - self.at) * rate.per_minute / 60)
        self.at = now
        if self.tokens >= rate.burst:  # it came to rest: the next flood is a new trip
            self.told = False

    def trip(self, reason: str) -> Trip | None:
        if self.tokens >= 1:
            return None
        first, self.told = not self.told, True
        return Trip(reason, first)


class LoopGuard:
    """Judges every message between agents. In memory: a restart of the core gives every bucket its burst."""

    def __init__(self, *, max_hops: int, edge: Rate, agent: Rate, clock: Callable[[], float] = time.monotonic) -> None:
        self._max_hops = max_hops
        self._edge = edge
        self._agent = agent
        self._clock = clock
        self._edges: dict[tuple[str, str], _Bucket] = {}
        self._agents: dict[str, _Bucket] = {}
        self._chains: dict[tuple[str, str], dict[int, None]] = {}  # the exchanges whose length was told, oldest first

    def judge(self, sender: str, to: str, chain: int, hops: int) -> Trip | None:
        """Count a message; the trip if it must be parked. Both ends must exist: their buckets are kept."""
        edge, agent = self._buckets(sender, to)
        if hops > self._max_hops:
            told = self._chains.setdefault((sender, to), {})
            first = chain not in told
            told[chain] = None
            if len(told) > MAX_CHAINS:
                del told[next(iter(told))]
            return Trip(f"an exchange of {hops} answers in a row, the bound is {self._max_hops}", first)
        trip = edge.trip(f"more than {self._edge.per_minute:g} messages a minute") or agent.trip(
            f"more than {self._agent.per_minute:g} messages a minute from {sender} to all others together"
        )
        if trip is None:
            edge.tokens -= 1
            agent.tokens -= 1
        return trip

    def forgive(self, sender: str, to: str) -> None:
        """The operator lets that edge go on, or was not told: its next trip is told, though of the same exchange."""
        self._chains.pop((sender, to), None)
        for bucket in (self._edges.get((sender, to)), self._agents.get(sender)):
            if bucket is not None:
                bucket.told = False

    def _buckets(self, sender: str, to: str) -> tuple[_Bucket, _Bucket]:
        now = self._clock()
        edge = self._edges.setdefault((sender, to), _Bucket(self._edge.burst, now))
        agent = self._agents.setdefault(sender, _Bucket(self._agent.burst, now))
        edge.refill(self._edge, now)
        agent.refill(self._agent, now)
        return edge, agent
