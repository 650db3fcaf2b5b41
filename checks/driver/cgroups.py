"""A cgroup of its own for each machine.

systemd-nspawn with --keep-unit divides the cgroup that it is started in; two machines started in one would share a
tree. A kernel with cgroup v1 beside v2 has a tree for each controller and two that systemd looks at, so a machine has a
directory in each. The controllers' bound the machine from outside: what runs away in a test takes no more than that.
"""

from __future__ import annotations

import contextlib
import os
import signal
import time
from dataclasses import dataclass
from pathlib import Path

CONTROLLERS = ("blkio", "cpu", "cpuacct", "devices", "memory", "pids")
"""Those of cgroup v1 that systemd knows."""
PROCESSES = 3000
"""How many processes and threads a machine may have, its containers included; of memory it may have half."""
_ENTER = 'for directory in $1; do echo 0 > "$directory/cgroup.procs"; done; shift; exec "$@"'


@dataclass(frozen=True)
class Cgroup:
    """One name in the hierarchies: cgroup v2, and v1's name=systemd and controllers."""

    directories: tuple[Path, ...]

    @classmethod
    def named(cls, name: str) -> Cgroup:
        """The cgroup `name` below this process' own; it need not exist."""
        return cls(tuple(own / name for own in _own()))

    def create(self) -> None:
        """Make the directories, with their bounds."""
        memory = os.sysconf("SC_PAGE_SIZE") * os.sysconf("SC_PHYS_PAGES") // 2
        bounds = {"pids.max": PROCESSES, "memory.limit_in_bytes": memory, "memory.max": memory}
        for directory in self.directories:
            directory.mkdir(exist_ok=True)
            for name, bound in bounds.items():
                if (directory / name).exists():
                    (directory / name).write_text(str(bound))

    def enter(self, argv: list[str]) -> list[str]:
        """A command that runs `argv` inside."""
        return ["/bin/sh", "-c", _ENTER, "sh", " ".join(map(str, self.directories)), *argv]

    def processes(self) -> set[int]:
        """The pids of all processes inside, at any depth."""
        pids: set[int] = set()
        for directory in self.directories:
            for file in directory.rglob("cgroup.procs"):
                with contextlib.suppress(OSError):  # a cgroup that ended meanwhile
                    pids.update(map(int, file.read_text().split()))
        return pids - {0}

    def kill(self, timeout: float = 10) -> None:
        """Kill every process inside. Raises TimeoutError if one does not die."""
        deadline = time.monotonic() + timeout
        while pids := self.processes():
            for pid in pids:
                with contextlib.suppress(ProcessLookupError):
                    os.kill(pid, signal.SIGKILL)
            if time.monotonic() > deadline:
                raise TimeoutError(f"these processes do not die: {sorted(pids)}")
            time.sleep(0.02)

    def remove(self) -> None:
        """Remove the directories and what systemd made below them; their processes must be gone."""
        for directory in self.directories:
            if directory.exists():
                inner = [Path(path) for path, _, _ in os.walk(directory, topdown=False)]
                for path in inner:
                    path.rmdir()


def mounted() -> set[str]:
    """The controllers that have a hierarchy of cgroup v1 here."""
    return set(_mounts()) & set(CONTROLLERS)


def _own() -> list[Path]:
    """This process' cgroup in each hierarchy."""
    mounts = _mounts()
    found = []
    for line in Path("/proc/self/cgroup").read_text().splitlines():
        _, controllers, path = line.split(":", 2)
        first = controllers.split(",")[0]
        if first in mounts:
            found.append(mounts[first] / path.lstrip("/"))
    return found


def _mounts() -> dict[str, Path]:
    """Where the hierarchies are mounted, by the name that /proc/self/cgroup gives them (v2: the empty one)."""
    mounts: dict[str, Path] = {}
    for line in Path("/proc/self/mountinfo").read_text().splitlines():
        mount, _, filesystem = line.partition(" - ")
        kind, _, options = filesystem.split(" ", 2)
        point = Path(mount.split(" ")[4])
        if kind == "cgroup2":
            mounts.setdefault("", point)
        elif kind == "cgroup":
            named = {"name=systemd", *CONTROLLERS}.intersection(options.split(","))
            mounts.update({name: point for name in named if name not in mounts})
    return mounts
