"""Sandboxes that lost their bubblewrap while it made them: they neither run anything nor end by themselves."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def end_orphans(state: Path) -> None:
    """Kill what an earlier harness of the agent with that state directory left; each is the first of its namespace.

    An operator's shell in such a sandbox has its bubblewrap as parent, and stays.
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, LookupError, ValueError):
                if _is_orphan(entry, os.fsencode(state)):
                    os.kill(int(entry.name), signal.SIGKILL)


def _is_orphan(entry: Path, state: bytes) -> bool:
    words = (entry / "cmdline").read_bytes().split(b"\0")
    if Path(os.fsdecode(words[0])).name != "bwrap" or state not in words:
        return False
    fields = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines() if ":\t" in line)
    inside = fields["NSpid"].split()
    parent = entry.parent / fields["PPid"] / "comm"
    return len(inside) > 1 and inside[-1] == "1" and parent.read_text().strip() != "bwrap"
