"""Sandboxes that lost their bubblewrap while it made them: they neither run anything nor end by themselves."""

from __future__ import annotations

import contextlib
import os
import signal
from pathlib import Path


def end_orphans(directory: Path) -> None:
    """Kill the sandboxes with something below `directory` in them; each is the first of its namespace.

    One that has its bubblewrap as parent, as an operator's shell in there, stays.
    """
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            with contextlib.suppress(OSError, LookupError, ValueError):
                if _is_orphan(entry, os.fsencode(directory)):
                    os.kill(int(entry.name), signal.SIGKILL)


def _is_orphan(entry: Path, directory: bytes) -> bool:
    words = (entry / "cmdline").read_bytes().split(b"\0")
    within = any(word == directory or word.startswith(directory + b"/") for word in words)
    if Path(os.fsdecode(words[0])).name != "bwrap" or not within:
        return False
    fields = dict(line.split(":\t", 1) for line in (entry / "status").read_text().splitlines() if ":\t" in line)
    inside = fields["NSpid"].split()
    parent = entry.parent / fields["PPid"] / "comm"
    return len(inside) > 1 and inside[-1] == "1" and parent.read_text().strip() != "bwrap"
