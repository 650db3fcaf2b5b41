"""What a test says while it runs: the NixOS driver's `log`, and the errors that end a test."""

from __future__ import annotations

import sys
import time
from collections.abc import Callable, Iterator
from contextlib import contextmanager
from datetime import timedelta

POLL = 0.1
"""Seconds between two tries of a condition."""


class TestFailed(AssertionError):
    """A test asked for something of a machine that did not come true (NixOS: RequestedAssertionFailed)."""

    __test__ = False


class MachineError(Exception):
    """A machine is not there, or does not do what every machine does."""


def seconds(duration: float | timedelta) -> float:
    """A duration as NixOS' methods take it, in seconds."""
    return duration.total_seconds() if isinstance(duration, timedelta) else float(duration)


def retry(condition: Callable[[bool], bool], timeout: float | timedelta = 900, what: str = "the condition") -> None:
    """Try `condition(last)` until it is true. At the deadline it is tried once more with `last` true, so that it can
    say what it saw. Raises TestFailed."""
    limit = seconds(timeout)
    deadline = time.monotonic() + limit
    while time.monotonic() < deadline:
        if condition(False):
            return
        time.sleep(POLL)
    if not condition(True):
        raise TestFailed(f"{what} did not come true within {limit:g} s")


class Log:
    """Lines on standard error, indented by what they belong to."""

    def __init__(self) -> None:
        self._depth = 0

    def log(self, message: str) -> None:
        """One message; further lines of it are indented like the first."""
        indent = "  " * self._depth
        text = message.rstrip("\n").replace("\n", f"\n{indent}")
        print(f"{indent}{text}", file=sys.stderr, flush=True)

    info = error = log

    def warning(self, message: str) -> None:
        """One message of what may surprise."""
        self.log(message)

    @contextmanager
    def nested(self, message: str) -> Iterator[None]:
        """What is logged inside is indented; the end says how long it took, unless that was no time."""
        self.log(message)
        began = time.monotonic()
        self._depth += 1
        try:
            yield
        finally:
            self._depth -= 1
            took = time.monotonic() - began
            if took >= 1:
                self.log(f"({took:.1f} s: {message})")
