"""Remove trees that strangers filled: first they get a tombstone's name, so a half-done removal can be finished.

Links are removed, never followed; another mount is never entered. Directories are taken apart from the top: what is in
one moves up to the tombstone, so that any depth takes three open descriptors.
"""

from __future__ import annotations

import contextlib
import errno
import os
import secrets
import stat
from itertools import count

from hyperhive.errors import Conflict, NotFound
from hyperhive.root.directories import Directory, explained
from hyperhive.root.journal import say
from hyperhive.root.mounts import Mount, mount_of
from hyperhive.root.places import TOMBSTONE


def bury(parent: Directory, name: str) -> None:
    """Give `name` its tombstone's name, if it is there; an older tombstone of that name is removed first."""
    if parent.status(name) is None:
        return
    remove_buried(parent, name)
    with explained(parent.path / name):
        os.rename(name, TOMBSTONE + name, src_dir_fd=parent.fd, dst_dir_fd=parent.fd)
        os.fsync(parent.fd)


def remove_buried(parent: Directory, name: str) -> None:
    """Remove what `bury` left of `name`, if anything. Raises HyperhiveError, one line, where that cannot be."""
    tombstone = TOMBSTONE + name
    if parent.status(tombstone) is None:
        return
    if _is_directory(parent, tombstone):
        with parent.child(tombstone) as top:
            _check_mount(top, mount_of(parent.fd))
            _empty(top)
        _remove_directory(parent, tombstone)
    else:
        _unlink(parent, tombstone)
    say(f"removed {parent.path / name}")


def _empty(top: Directory) -> None:
    mount = mount_of(top.fd)
    prefix, numbers = f".{secrets.token_hex(8)}-", count()
    while names := top.names():
        for name in names:
            if not _is_directory(top, name):
                _unlink(top, name)
                continue
            with contextlib.suppress(NotFound), top.child(name) as child:
                _check_mount(child, mount)
                for inner in child.names():
                    _lift(child, inner, top, f"{prefix}{next(numbers)}")
            _remove_directory(top, name)


def _lift(child: Directory, name: str, top: Directory, new: str) -> None:
    """Remove one entry of a directory; a directory moves up, to be removed later."""
    if not _is_directory(child, name):
        _unlink(child, name)
        return
    with explained(child.path / name), contextlib.suppress(FileNotFoundError):
        os.rename(name, new, src_dir_fd=child.fd, dst_dir_fd=top.fd)


def _check_mount(directory: Directory, mount: Mount) -> None:
    if mount_of(directory.fd) != mount:
        raise Conflict(f"{directory.path} is a mount point or another file system; unmount it and try again")


def _is_directory(parent: Directory, name: str) -> bool:
    status = parent.status(name)
    return status is not None and stat.S_ISDIR(status.st_mode)


def _unlink(parent: Directory, name: str) -> None:
    with explained(parent.path / name), contextlib.suppress(FileNotFoundError):
        os.unlink(name, dir_fd=parent.fd)


def _remove_directory(parent: Directory, name: str) -> None:
    """Remove an empty directory; one that got new entries meanwhile stays, for the next round."""
    with explained(parent.path / name), contextlib.suppress(FileNotFoundError):
        try:
            os.rmdir(name, dir_fd=parent.fd)
        except OSError as error:
            if error.errno not in (errno.ENOTEMPTY, errno.EEXIST):
                raise
