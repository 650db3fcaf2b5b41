"""Whether the agent's disk has room."""

from __future__ import annotations

import os
from pathlib import Path

from hyperhive.harness.outcome import Outcome, Verdict

ROOM = 64 * 1024
"""Bytes on the agent's disk; with less free, a turn that crashed did so for that."""


def is_full(directory: Path) -> bool:
    """Whether next to nothing can be written on that disk, or no further file."""
    try:
        found = os.statvfs(directory)
    except OSError:
        return False
    return found.f_bavail * found.f_frsize < ROOM or 0 == found.f_favail < found.f_files


def none_left(directory: Path) -> Verdict:
    """What a turn ends with for that."""
    return Verdict(Outcome.DISK_FULL, f"no room is left for {directory}; make some")
