"""The end of a sandbox.

A bubblewrap that is killed while it makes one leaves it behind: it has no parent to die with yet, and neither runs
anything nor ends. So its first process, with which all of it ends, is killed too.
"""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path

from hyperhive import process


def first(child: process.Popen[bytes]) -> list[int]:
    """Descriptors, to be closed, of the first process in the sandbox that `child` makes; empty if there is none yet."""
    found: list[int] = []
    if child.poll() is not None:  # its number may be another's by now
        return found
    with contextlib.suppress(OSError):
        for pid in Path(f"/proc/{child.pid}/task/{child.pid}/children").read_text().split():
            found.append(os.pidfd_open(int(pid)))
    return found


def kill(child: process.Popen[bytes]) -> None:
    """End the program that makes the sandbox, and what it has made of it so far."""
    child.send_signal(signal.SIGSTOP)  # it makes no more
    inside = first(child)
    child.kill()
    for descriptor in inside:
        with contextlib.suppress(OSError):
            signal.pidfd_send_signal(descriptor, signal.SIGKILL)
        os.close(descriptor)
