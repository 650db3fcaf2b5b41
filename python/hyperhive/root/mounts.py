"""Which mount something is on: a bind mount of the same file system has the same device, so that is not enough."""

from __future__ import annotations

import os
import re
from dataclasses import dataclass
from pathlib import Path

_MOUNT_ID = re.compile(r"^mnt_id:\s*(\d+)$", re.MULTILINE)
_ESCAPED = re.compile(r"\\([0-7]{3})")


@dataclass(frozen=True)
class Mount:
    """A mount: its number in this mount namespace and its file system's device (btrfs: also its subvolume's)."""

    number: int
    device: int


def mount_of(fd: int) -> Mount:
    """The mount that an open file is on (proc(5): mnt_id of fdinfo)."""
    found = _MOUNT_ID.search(Path(f"/proc/self/fdinfo/{fd}").read_text())
    assert found is not None
    return Mount(int(found[1]), os.fstat(fd).st_dev)


def mounts_below(path: Path) -> list[Path]:
    """The mount points at `path` and below it, by name (proc(5): the fifth field of mountinfo)."""
    lines = os.fsdecode(Path("/proc/self/mountinfo").read_bytes()).splitlines()
    points = (Path(_ESCAPED.sub(lambda code: chr(int(code[1], 8)), line.split(" ")[4])) for line in lines)
    return [point for point in points if point.is_relative_to(path)]
