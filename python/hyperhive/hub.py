"""What happens in the hive, told live to whoever listens: in memory, never blocking, never durable."""

from __future__ import annotations

import asyncio
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass
from typing import Any

QUEUE = 1000


@dataclass(frozen=True)
class Event:
    """One thing that happened. `kind` is message, turn, turn_event, proposal or agent; `data` is JSON-ready."""

    kind: str
    data: dict[str, Any]


class Subscription:
    """The events from the moment of subscribing on. Iteration ends when the listener was too slow."""

    def __init__(self) -> None:
        self._queue: asyncio.Queue[Event | None] = asyncio.Queue(QUEUE + 1)

    def offer(self, event: Event) -> bool:
        """Queue an event; False if the listener is too slow and has been given up."""
        if self._queue.qsize() >= QUEUE:
            self._queue.put_nowait(None)
            return False
        self._queue.put_nowait(event)
        return True

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over the events as they come."""
        return self

    async def __anext__(self) -> Event:
        """The next event."""
        event = await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        return event


class Hub:
    """Hands every published event to every subscription."""

    def __init__(self) -> None:
        self._subscriptions: set[Subscription] = set()

    @property
    def heard(self) -> bool:
        """Whether anybody listens; if not, there is no need to make the data."""
        return bool(self._subscriptions)

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        """Tell all listeners; one that has QUEUE events waiting is dropped."""
        event = Event(kind, data)
        for subscription in list(self._subscriptions):
            if not subscription.offer(event):
                self._subscriptions.discard(subscription)

    @asynccontextmanager
    async def subscribe(self) -> AsyncIterator[Subscription]:
        """Listen for the time of the block."""
        subscription = Subscription()
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
