"""What happens in the hive, told live to whoever listens: in memory, never blocking, never durable.

The newest events are kept for a while, so that a listener who was away for a moment goes on where it left off; one who
was away for longer is told so (`Subscription.whole` is False) and asks for the state of things instead.
"""

from __future__ import annotations

import asyncio
import json
import secrets
import time
from collections import deque
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from functools import cached_property
from typing import Any

QUEUE = 1000
KEPT = 5000
"""Events that are kept for those who come back, of at most KEPT_BYTES together."""
KEPT_BYTES = 16 * 1024 * 1024
QUEUE_BYTES = 2 * KEPT_BYTES
"""What waits for one listener, who may have come back to all that is kept."""
VALUE = 64
"""Bytes that a list, an object or one of their members takes in memory beside its text."""
REMEMBERED = 600.0
"""Seconds after the last listener left until nothing is kept any more: nobody will ask for it."""


@dataclass(frozen=True)
class Event:
    """One thing that happened. `kind` is message, read, turn, turn_event, turn_text, proposal, proposal_log, agent or
    hive (what its status says). `number` is its place; 0: it has none.
    """

    kind: str
    data: dict[str, Any]
    number: int = field(default=0, compare=False)

    @cached_property
    def text(self) -> str:
        """`data` as JSON, made once however many listen."""
        return json.dumps(self.data, separators=(",", ":"))

    @cached_property
    def size(self) -> int:
        """Bytes that it takes in memory, about: short text can be very many values."""
        return len(self.text) + VALUE * sum(map(self.text.count, "[{,"))


@dataclass(eq=False)
class Subscription:
    """The events since some moment. Iteration ends when the listener was too slow."""

    whole: bool
    wanted: Callable[[Event], bool]
    _queue: asyncio.Queue[Event | None] = field(default_factory=asyncio.Queue)
    _size: int = 0

    def offer(self, event: Event) -> bool:
        """Queue an event that is wanted; False if the listener is too slow and has been given up."""
        if not self.wanted(event):
            return True
        if self._queue.qsize() >= QUEUE or self._size > QUEUE_BYTES:
            self._queue.put_nowait(None)
            return False
        self._put(event)
        return True

    @property
    def has_room(self) -> bool:
        """Whether the listener keeps up."""
        return self._queue.qsize() < QUEUE // 2 and self._size < QUEUE_BYTES // 2

    def resume(self, event: Event) -> None:
        """Queue an event that happened before, if it is wanted."""
        if self.wanted(event):
            self._put(event)

    def _put(self, event: Event) -> None:
        self._size += event.size
        self._queue.put_nowait(event)

    def __aiter__(self) -> AsyncIterator[Event]:
        """Iterate over the events as they come."""
        return self

    async def __anext__(self) -> Event:
        """The next event."""
        event = await self._queue.get()
        if event is None:
            raise StopAsyncIteration
        self._size -= event.size
        return event


class Hub:
    """Hands every published event to every subscription that wants it."""

    def __init__(self) -> None:
        self._boot = secrets.token_hex(4)  # another core's numbers mean nothing here
        self._number = 0
        self._kept: deque[Event] = deque()
        self._kept_bytes = 0
        self._subscriptions: set[Subscription] = set()
        self._left_at = float("-inf")

    @property
    def heard(self) -> bool:
        """Whether anybody listens, or did a moment ago; if not, there is no need to make the data."""
        return bool(self._subscriptions) or time.monotonic() < self._left_at + REMEMBERED

    def publish(self, kind: str, data: dict[str, Any]) -> None:
        """Tell all listeners; one that has QUEUE events, or QUEUE_BYTES, waiting is dropped."""
        if not self.heard:
            self._forget()
            return
        self._number += 1
        event = Event(kind, data, self._number)
        self._keep(event)
        for subscription in list(self._subscriptions):
            if not subscription.offer(event):
                self._subscriptions.discard(subscription)

    def pass_on(self, kind: str, data: dict[str, Any]) -> None:
        """Tell those who listen at this moment something that nobody will miss: it is not kept, and has no place."""
        event = Event(kind, data)
        for subscription in self._subscriptions:
            if subscription.has_room:
                subscription.offer(event)

    def position(self, number: int | None = None) -> str:
        """The name of the place after that event (None: the newest), for `subscribe`."""
        return f"{self._boot}-{self._number if number is None else number}"

    @asynccontextmanager
    async def subscribe(
        self, *, after: str | None = None, wanted: Callable[[Event], bool] = lambda _: True
    ) -> AsyncIterator[Subscription]:
        """Listen for the time of the block, from now on or, with `after` (a `position`), from there on."""
        if not self.heard:  # what happened meanwhile was not kept, so no earlier place is good any more
            self._forget()
            self._number += 1
        missed = self._since(after) if after is not None else []
        subscription = Subscription(whole=missed is not None, wanted=wanted)
        for event in missed or ():
            subscription.resume(event)
        self._subscriptions.add(subscription)
        try:
            yield subscription
        finally:
            self._subscriptions.discard(subscription)
            if not self._subscriptions:
                self._left_at = time.monotonic()

    def _since(self, position: str) -> list[Event] | None:
        """The events after that place; None if they are not all here any more, or the place is another core's."""
        boot, _, digits = position.rpartition("-")
        if boot != self._boot or not (digits.isascii() and digits.isdigit() and len(digits) < 16):
            return None
        number = int(digits)
        oldest = self._kept[0].number if self._kept else self._number + 1
        if not oldest - 1 <= number <= self._number:
            return None
        return [event for event in self._kept if event.number > number]

    def _keep(self, event: Event) -> None:
        self._kept.append(event)
        self._kept_bytes += event.size
        while len(self._kept) > KEPT or self._kept_bytes > KEPT_BYTES:
            self._kept_bytes -= self._kept.popleft().size

    def _forget(self) -> None:
        self._kept.clear()
        self._kept_bytes = 0
