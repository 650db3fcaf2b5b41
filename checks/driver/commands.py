"""Programs on this side: the driver's synchronous way through hyperhive.process."""

from __future__ import annotations

import asyncio
import os
import signal
from collections.abc import Callable, Iterator
from contextlib import contextmanager

from hyperhive import process


def run(*argv: object, timeout: float = 60, check: bool = True) -> process.Result:
    """Run a program to its end; raises what `hyperhive.process.run` does."""
    return asyncio.run(process.run([str(part) for part in argv], timeout=timeout, check=check))


def follow(argv: list[str], line: Callable[[str], None]) -> None:
    """Run a program and hand on each line that it prints. Raises ProcessFailed, with its last lines.

    It is killed with its process group when `line` raises, or the user interrupts.
    """
    running = process.Popen(
        argv, stdin=process.DEVNULL, stdout=process.PIPE, stderr=-2, text=True, start_new_session=True
    )
    last: list[str] = []
    try:
        assert running.stdout
        for text in running.stdout:
            last = [*last[-9:], text.rstrip()]
            line(text.rstrip())
        code = running.wait()
    finally:
        if running.returncode is None:
            os.killpg(running.pid, signal.SIGKILL)
            running.wait()
    if code:
        said = " / ".join(last).encode()
        raise process.ProcessFailed(process.Result(tuple(argv), code, b"", said))


@contextmanager
def signals_raise() -> Iterator[None]:
    """SIGINT and SIGTERM raise KeyboardInterrupt here, so that each `finally` is run."""
    before = {number: signal.signal(number, _interrupt) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


@contextmanager
def signals_wait() -> Iterator[None]:
    """SIGINT and SIGTERM do nothing here: what cleans up is not interrupted."""
    before = {number: signal.signal(number, signal.SIG_IGN) for number in (signal.SIGINT, signal.SIGTERM)}
    try:
        yield
    finally:
        for number, handler in before.items():
            signal.signal(number, handler)


def _interrupt(number: int, frame: object) -> None:
    raise KeyboardInterrupt
