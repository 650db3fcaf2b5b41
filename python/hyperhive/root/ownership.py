"""Give a tree that strangers write to an owner, whatever they put into it meanwhile.

Each entry is held by a descriptor before it is looked at, and what was looked at is what is changed. A link's own owner
is changed, never its target's. Left as they are: what is no file, directory or link; a file with another name
elsewhere, unless it is the new owner's already; what belongs to neither the core nor any agent; other mounts.
"""

from __future__ import annotations

import os
import stat
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from hyperhive.root.directories import Directory, Owner, explained
from hyperhive.root.journal import say
from hyperhive.root.mounts import Mount, mount_of

MAX_DEPTH = 64
"""Directories in each other that are entered: two descriptors each."""
SHOWN = 5

_HOLD = os.O_PATH | os.O_NOFOLLOW | os.O_CLOEXEC
_ENTER = os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC


@dataclass
class _Giving:
    """One walk: what is wanted, and what came of it."""

    owner: Owner
    ours: Callable[[int], bool]
    related: Callable[[int, int], bool]
    mount: Mount
    given: int = 0
    left: list[str] = field(default_factory=list)


def give(top: Directory, owner: Owner, *, ours: Callable[[int], bool], related: Callable[[int, int], bool]) -> None:
    """Change the owner of everything below `top`. `ours` says whose entries may be given away; `related` whether two
    ids are of one agent, whose hard links are its own affair. Raises HyperhiveError where the kernel refuses.
    """
    walk = _Giving(owner, ours, related, mount_of(top.fd))
    _directory(walk, top.fd, top.path, 0)
    if walk.given:
        say(f"gave {walk.given} entries below {top.path} to {owner.uid}:{owner.gid}")
    for reason in walk.left[:SHOWN]:
        say(f"left as it is: {reason}")
    if len(walk.left) > SHOWN:
        say(f"left as they are: {len(walk.left) - SHOWN} more below {top.path}")


def _directory(walk: _Giving, fd: int, path: Path, depth: int) -> None:
    with explained(path):
        names = os.listdir(fd)
    for name in names:
        _entry(walk, fd, name, path / name, depth)


def _entry(walk: _Giving, parent: int, name: str, path: Path, depth: int) -> None:
    with explained(path):
        try:
            fd = os.open(name, _HOLD, dir_fd=parent)
        except FileNotFoundError:  # its owner was faster
            return
        try:
            _held(walk, fd, path, depth)
        finally:
            os.close(fd)


def _held(walk: _Giving, fd: int, path: Path, depth: int) -> None:
    status = os.fstat(fd)
    if reason := _reason(walk, fd, status, depth):
        walk.left.append(f"{path} {reason}")
        return
    if (status.st_uid, status.st_gid) != (walk.owner.uid, walk.owner.gid):
        os.chown(f"/proc/self/fd/{fd}", walk.owner.uid, walk.owner.gid)  # this inode, also where it is a link
        walk.given += 1
    if stat.S_ISDIR(status.st_mode):
        inside = os.open(".", _ENTER, dir_fd=fd)
        try:
            _directory(walk, inside, path, depth + 1)
        finally:
            os.close(inside)


def _reason(walk: _Giving, fd: int, status: os.stat_result, depth: int) -> str | None:
    """Why an entry is left as it is; None if it is not."""
    is_directory = stat.S_ISDIR(status.st_mode)
    if not (is_directory or stat.S_ISREG(status.st_mode) or stat.S_ISLNK(status.st_mode)):
        return "is no file, directory or link"
    if status.st_dev != walk.mount.device or (is_directory and mount_of(fd) != walk.mount):
        return "is another mount"
    if status.st_uid != walk.owner.uid and not walk.ours(status.st_uid):
        return f"belongs to uid {status.st_uid}, no part of the hive"
    if not is_directory and status.st_nlink > 1 and not _own_link(walk, status.st_uid):
        return f"has another name elsewhere, and belongs to uid {status.st_uid}"
    return "is too deep" if depth >= MAX_DEPTH else None


def _own_link(walk: _Giving, uid: int) -> bool:
    return uid == walk.owner.uid or walk.related(uid, walk.owner.uid)
