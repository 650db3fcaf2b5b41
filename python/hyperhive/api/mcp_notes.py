"""An agent's durable notes, seen from the host: the directory is the agent's, nothing there is trusted."""

from __future__ import annotations

import errno
import os
import stat
import time
from pathlib import Path

from hyperhive.errors import BadInput, Conflict, Unavailable

FILE = "notes.md"


def append(state: Path, text: str, limit: int) -> int:
    """Append `text` as one dated entry to notes.md in `state`; returns the file's size in bytes.

    Raises Conflict when the file would be over `limit` bytes, BadInput when it is no plain file or the text
    cannot be stored, Unavailable when the disk does not take it.
    """
    entry = _entry(text)
    try:
        with _Opened(state, os.O_WRONLY | os.O_APPEND | os.O_CREAT) as file:
            size = os.fstat(file).st_size + len(entry)
            if size > limit:
                raise Conflict(
                    f"{FILE} holds {size - len(entry)} of {limit} bytes and the entry has {len(entry)}:"
                    " make the file shorter first, keeping what still matters"
                )
            if os.write(file, entry) != len(entry):
                raise Unavailable(f"the disk is full: the end of the entry is missing from {FILE}")
            os.fsync(file)
            return size
    except OSError as error:
        raise _problem(error) from error


def size(state: Path) -> int:
    """Bytes of notes.md in `state`; 0 when there is none or it is no plain file."""
    try:
        with _Opened(state, os.O_RDONLY) as file:
            return os.fstat(file).st_size
    except (OSError, BadInput):
        return 0


class _Opened:
    """notes.md, opened without following a link anywhere or waiting for a pipe's other end."""

    def __init__(self, state: Path, flags: int) -> None:
        safe = os.O_NOFOLLOW | os.O_CLOEXEC | os.O_NONBLOCK
        directory = os.open(state, os.O_RDONLY | os.O_DIRECTORY | safe)
        try:
            self._file = os.open(FILE, flags | safe, 0o600, dir_fd=directory)
            self._owner = os.fstat(directory)
        finally:
            os.close(directory)

    def __enter__(self) -> int:
        try:
            found = os.fstat(self._file)
            if not stat.S_ISREG(found.st_mode) or found.st_nlink != 1:
                raise BadInput(f"{FILE} is not a plain file of its own; remove it and try again")
            if found.st_uid == os.geteuid() != self._owner.st_uid:  # made by the core just now
                self._give()
        except BaseException:
            os.close(self._file)
            raise
        return self._file

    def _give(self) -> None:
        """Let the agent write the file too."""
        try:
            os.fchown(self._file, self._owner.st_uid, self._owner.st_gid)
        except PermissionError:  # a core that is not root; nobody else can reach the directory
            os.fchmod(self._file, 0o666)

    def __exit__(self, *_: object) -> None:
        os.close(self._file)


def _entry(text: str) -> bytes:
    if "\0" in text:
        raise BadInput("a note cannot hold NUL characters")
    lines = text.strip().splitlines()
    try:
        return ("\n".join([f"- {time.strftime('%Y-%m-%d %H:%M')} {lines[0]}", *lines[1:]]) + "\n").encode()
    except (IndexError, UnicodeEncodeError) as error:
        raise BadInput("a note must have text that can be stored as UTF-8") from error


def _problem(error: OSError) -> BadInput | Unavailable:
    if error.errno in (errno.ENOSPC, errno.EDQUOT, errno.EROFS):
        return Unavailable(f"{FILE} cannot be written: {error.strerror}")
    return BadInput(f"{FILE} is not a plain file that can be written: {error.strerror}")
