"""The loop guard: agents that answer each other for ever, or too fast, are stopped before they cost a fortune.

Two trips: an exchange that has gone on for more answers than `max_hops`, and an edge (sender → recipient) that has
used up its token bucket. Each trip is told once, not once per message.
"""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass


@dataclass(frozen=True)
class Trip:
    """Why a message is parked; `first`: nobody has been told of this trip yet."""

    reason: str
    first: bool


@dataclass
class _Edge:
    """The token bucket of one sender → recipient, and what has been told of it already."""

    tokens: float
    at: float
    flood_told: bool = False
    chain_told: int | None = None


class LoopGuard:
    """Judges every message between agents. In memory: a restart of the core gives every edge a full bucket."""

    def __init__(
        self, *, max_hops: int, burst: int, per_minute: float, clock: Callable[[], float] = time.monotonic
    ) -> None:
        self._max_hops = max_hops
        self._burst = burst
        self._per_minute = per_minute
        self._clock = clock
        self._edges: dict[tuple[str, str], _Edge] = {}

    def judge(self, sender: str, to: str, chain: int, hops: int) -> Trip | None:
        """Count a message on its edge; the trip if it must be parked. Both ends must exist: each edge is kept."""
        edge = self._refilled(sender, to)
        if hops > self._max_hops:
            first = edge.chain_told != chain
            edge.chain_told = chain
            return Trip(f"an exchange of {hops} answers in a row, the bound is {self._max_hops}", first)
        if edge.tokens < 1:
            first = not edge.flood_told
            edge.flood_told = True
            return Trip(f"more than {self._per_minute:g} messages a minute", first)
        edge.tokens -= 1
        return None

    def forgive(self, sender: str, to: str) -> None:
        """The operator lets that edge go on: its next trip is told again, though it be of the same exchange."""
        edge = self._refilled(sender, to)
        edge.chain_told, edge.flood_told = None, False

    def _refilled(self, sender: str, to: str) -> _Edge:
        now = self._clock()
        edge = self._edges.setdefault((sender, to), _Edge(self._burst, now))
        edge.tokens = min(self._burst, edge.tokens + (now - edge.at) * self._per_minute / 60)
        edge.at = now
        if edge.tokens >= self._burst:  # it came to rest: the next flood is a new trip
            edge.flood_told = False
        return edge
