"""Processes that must end soon: what ran below something that was killed, and what no core has started."""

from __future__ import annotations

import os
import time
from collections.abc import Iterable
from pathlib import Path

from checks.soak.hive import GONE, Hive, command_lines, descendants


class Condemned:
    """Filled at each kill, looked through at each round; a process is known by its pid and when it began.

    `wrong` names those that were still there after GONE seconds.
    """

    def __init__(self, hive: Hive) -> None:
        self._hive = hive
        self._deadlines: dict[tuple[int, str], float] = {}
        self.count = 0
        self.wrong: list[str] = []

    def add(self, pids: Iterable[int]) -> None:
        """They must be gone in GONE seconds."""
        for pid in pids:
            if (began := _began(pid)) is not None and (pid, began) not in self._deadlines:
                self._deadlines[pid, began] = time.monotonic() + GONE
                self.count += 1

    def look(self) -> None:
        """Condemn what belongs to the hive and is not below its core; note what has outlived its time."""
        core = self._hive.core
        own = set() if core is None else {core.pid, *descendants(core.pid)}
        self.add(pid for pid in self._hive.processes() if pid not in own)
        for (pid, began), deadline in list(self._deadlines.items()):
            if _began(pid) != began:
                del self._deadlines[pid, began]
            elif time.monotonic() > deadline:
                del self._deadlines[pid, began]
                self.wrong.append(
                    f"process {pid} is there {GONE:g} s after its end: {command_lines().get(pid, '')[:200]}"
                )


def _began(pid: int) -> str | None:
    """When that process began, in clock ticks; None if it is gone, or a zombie."""
    try:
        fields = Path(f"/proc/{pid}/stat").read_text().rsplit(")", 1)[1].split()
    except OSError:
        return None
    return None if fields[0] == "Z" or pid == os.getpid() else fields[19]
