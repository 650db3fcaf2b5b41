"""What the processes of a turn use, looked at about once a second: CPU time, memory, whether the kernel killed one.

In a guest they have a cgroup of their own, whose files say it (cgroup v2; a host without it measures nothing) and whose
limit the kernel keeps. In a bubblewrap they are the processes below it, and the limit is looked after here.
"""

from __future__ import annotations

import os
from collections.abc import Iterable
from dataclasses import dataclass, field
from pathlib import Path

from hyperhive.harness.outcome import Resources

_TICK = os.sysconf("SC_CLK_TCK")
_PAGE = os.sysconf("SC_PAGE_SIZE")


@dataclass
class Meter:
    """Of one turn: the processes below `root`, or all of `cgroup`. `most`: how many bytes it may hold."""

    root: int
    cgroup: Path | None = None
    most: int | None = None
    _cpu: float = 0.0
    _peak: int = 0
    _before: dict[str, int] = field(default_factory=dict)

    def __post_init__(self) -> None:
        self._before = self._counters()

    def look(self) -> None:
        """Note what they use at this moment."""
        if self.cgroup is not None:
            self._peak = max(self._peak, _number(self.cgroup / "memory.current"))
            return
        below = descendants(self.root)
        cpu, memory = _used(below)
        if self.most is not None and memory > self.most:
            memory = sum(map(_share, below))
        self._cpu, self._peak = max(self._cpu, cpu), max(self._peak, memory)

    @property
    def is_over(self) -> bool:
        """Whether it held more than it may when it was looked at."""
        return self.most is not None and self._peak > self.most

    def total(self) -> Resources | None:
        """What they used; None if that could not be measured."""
        if self.cgroup is None:
            return Resources(round(self._cpu, 3), self._peak) if self._peak else None
        now = self._counters()
        if "usage_usec" not in now:
            return None
        used = {name: value - self._before.get(name, 0) for name, value in now.items()}
        return Resources(used["usage_usec"] / 1e6, self._peak or None, oom_kills=used.get("oom_kill", 0))

    def _counters(self) -> dict[str, int]:
        if self.cgroup is None:
            return {}
        return {**_table(self.cgroup / "cpu.stat"), **_table(self.cgroup / "memory.events")}


def _used(pids: Iterable[int]) -> tuple[float, int]:
    """CPU seconds of these processes and of their children that have ended, and the bytes they hold; what they share
    counts for each.
    """
    cpu, memory = 0, 0
    for pid in pids:
        try:
            fields = Path(f"/proc/{pid}/stat").read_text(errors="replace").rsplit(")", 1)[1].split()
        except (OSError, IndexError):
            continue
        cpu += sum(map(int, fields[11:15]))
        memory += int(fields[21])
    return cpu / _TICK, memory * _PAGE


def _share(pid: int) -> int:
    """The bytes that a process holds, of what it shares its part."""
    try:
        rows = Path(f"/proc/{pid}/smaps_rollup").read_text().splitlines()
        return next(int(row.split()[1]) * 1024 for row in rows if row.startswith("Pss:"))
    except PermissionError:
        return _used([pid])[1]
    except (OSError, StopIteration):  # it is gone
        return 0


def descendants(root: int) -> dict[int, str]:
    """The processes below `root` and itself, with their names, from /proc."""
    names: dict[int, str] = {}
    children: dict[int, list[int]] = {}
    for entry in os.listdir("/proc"):  # noqa: PTH208  (once a second in every harness: names are enough)
        if entry.isdigit():
            try:
                name, rest = Path("/proc", entry, "stat").read_text(errors="replace").split("(", 1)[1].rsplit(")", 1)
            except (OSError, IndexError, ValueError):
                continue
            names[int(entry)] = name
            children.setdefault(int(rest.split()[1]), []).append(int(entry))
    below = [root]
    for pid in below:  # which grows meanwhile
        below += children.get(pid, ())
    return {pid: names[pid] for pid in sorted(below) if pid in names}


def _number(file: Path) -> int:
    try:
        return int(file.read_text())
    except (OSError, ValueError):
        return 0


def _table(file: Path) -> dict[str, int]:
    """A cgroup's file of names and numbers."""
    try:
        return {name: int(value) for name, value in map(str.split, file.read_text().splitlines())}
    except (OSError, ValueError):
        return {}
