"""The harness's side of the conversation with the core: what it can do without, what must not be lost, heartbeats."""

from __future__ import annotations

import contextlib
import os
import random
import sys
import time
from collections.abc import Callable
from pathlib import Path
from typing import TypeVar

from hyperhive.errors import HyperhiveError, Unavailable
from hyperhive.harness.client import HarnessClient
from hyperhive.harness.outcome import Outcome, Verdict

HEARTBEAT = 10.0
CORE_TIME = 5.0
"""Seconds that a running turn waits for a core that hangs, before it reads on without it."""

T = TypeVar("T")


class Link:
    """`client` is for calls that may wait, `reporter` for those that must not hold up a turn.

    `stop_at`: when the harness must have stopped (monotonic seconds); None: nobody has asked. `paused_until`: when the
    whole hive goes on (monotonic seconds), as the core said last.
    """

    def __init__(self, socket: Path) -> None:
        self.client = HarnessClient(socket)
        self.reporter = HarnessClient(socket, timeout=CORE_TIME)
        self.stop_at: float | None = None
        self.generation = 0
        self.trouble: str | None = None
        self.paused_until = 0.0
        self._state = "idle"
        self._beat_at = 0.0
        self._silent_until = 0.0
        self._told: set[Outcome] = set()

    def beat(self, state: str, client: HarnessClient | None = None) -> None:
        """Give a heartbeat. Raises Unavailable."""
        self._state = state
        paused = (client or self.client).heartbeat(self.generation, state, os.getpid(), self.trouble)
        self._beat_at = time.monotonic()
        self.paused_until = self._beat_at + paused

    def enter(self, state: str) -> None:
        """Be in that state from now on; the core is told if it is there."""
        self._state = state
        self._beat_at = 0.0
        self.tick()

    def tick(self) -> bool:
        """Once a second: the heartbeat, and whether the harness must stop now."""
        if time.monotonic() - self._beat_at > HEARTBEAT:
            self.report(lambda: self.beat(self._state, self.reporter))
            self._beat_at = time.monotonic()
        return self.stop_at is not None and time.monotonic() >= self.stop_at

    def report(self, call: Callable[[], object]) -> None:
        """Tell the core something that it can do without. One that is away or hangs must not hold up the turn: after
        a failure it is left alone for as long as that took.
        """
        started = time.monotonic()
        if started < self._silent_until:
            return
        try:
            call()
        except HyperhiveError as error:
            say(f"not reported: {error}")
            self._silent_until = 2 * time.monotonic() - started

    def insist(self, call: Callable[[], T]) -> T:
        """Make a call that must not be lost: while the core is away, wait for it (until told to stop)."""
        while True:
            try:
                return call()
            except Unavailable as error:
                if self.stop_at is not None:
                    raise
                say(f"{error}; trying again")
                self.pause(1.0 + random.random())  # noqa: S311  (jitter, not a secret)

    def tell(self, text: str) -> None:
        """Write to the operator."""
        try:
            self.insist(lambda: self.client.send("operator", text))
        except HyperhiveError as error:
            say(f"the operator could not be told ({error}): {text}")

    def tell_once(self, verdict: Verdict) -> None:
        """Write to the operator what keeps the agent from thinking, unless that has been said since the last turn."""
        if verdict.outcome not in self._told:
            self._told.add(verdict.outcome)
            self.tell(f"I cannot think: {verdict.outcome} ({verdict.detail}). My mail waits; I try again.")

    def well(self) -> None:
        """A turn went through: no trouble any more, and the next one is told anew."""
        self._told.clear()
        self.trouble = None

    def wait(self, verdict: Verdict, seconds: float) -> None:
        """Wait with a heartbeat that says why, but not past a request to stop."""
        self.trouble = f"{verdict.outcome}: {verdict.detail}"[:500]
        self.enter("waiting")
        self.pause(seconds)

    def pause(self, seconds: float) -> None:
        """Wait, with heartbeats, but not past a request to stop."""
        until = time.monotonic() + seconds
        while self.stop_at is None and time.monotonic() < until:
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))
            if seconds > HEARTBEAT:
                self.tick()


def say(text: str) -> None:
    """A line in the harness's log; on a full disk there is none."""
    with contextlib.suppress(OSError):
        print(text, file=sys.stderr, flush=True)
