"""The agent's notes.md: read here, changed by notes.sh in the agent's cage, one change at a time.

The harness alone changes it for others (the operator, an append, a compaction); the agent edits it too, whenever it
wants. So a change names the version that it replaces, and what it replaces is kept in /state/notes.backup/1.md to 5.md.
"""

from __future__ import annotations

import hashlib
import os
import stat
import threading
import time
from dataclasses import dataclass
from importlib import resources
from pathlib import Path

from hyperhive import process
from hyperhive.harness import sandbox
from hyperhive.harness.config import HarnessConfig

NOTES = "notes.md"
TIME = 10.0
MOST = 16 * 1024 * 1024
"""Bytes of the file that are looked at; only the first `notes.maxBytes` ever stand in a prompt."""
CHANGED = 9
"""The exit code of notes.sh when the notes are not of the version that is to be replaced."""
_one_at_a_time = threading.Lock()


@dataclass(frozen=True)
class Changed:
    """How notes.sh ended: exit code, its error in a line, what it printed."""

    exit: int
    error: str
    out: bytes


def run(config: HarnessConfig, given: bytes, *arguments: str) -> Changed:
    """Run notes.sh in the cage: `read LIMIT`, `write SIZE VERSION` or `append SIZE MOST`, with `given` as its input."""
    script = resources.files("hyperhive").joinpath("harness/notes.sh").read_text()
    argv = [*config.cage, "env", "sh", "-c", script, "notes", *arguments]
    with (
        _one_at_a_time,
        process.Popen(argv, stdin=process.PIPE, stdout=process.PIPE, stderr=process.PIPE) as child,
    ):
        try:
            out, err = child.communicate(given, timeout=TIME)
        except process.TimeoutExpired:
            sandbox.kill(child)
            out, err = b"", b"it took too long"
        code = child.wait()
    said = err.decode(errors="replace").strip().splitlines()[-1:]
    return Changed(code, "".join(said), out)


def write(config: HarnessConfig, data: bytes, version: str) -> Changed:
    """Replace the notes if they are of that version."""
    return run(config, data, "write", str(len(data)), version)


def version(data: bytes) -> str:
    """What names the content of the whole file: its SHA-256."""
    return hashlib.sha256(data).hexdigest()


@dataclass(frozen=True)
class File:
    """A file of the agent's: its size in bytes, when it was changed (epoch seconds, from 0 to now, whatever time the
    agent has given it), and as much of it as was asked.
    """

    size: int
    modified: float
    data: bytes


def read(state: Path, *parts: str, first: int = 0, last: int = 0) -> File | None:
    """The `first` and the `last` bytes of a regular file below `state` (all of it, if it has no more than both).

    None for anything else: the agent may put a link or a pipe there, so no link is followed anywhere.
    """
    try:
        descriptor = _open(state, parts)
    except OSError:
        return None
    try:
        found = os.fstat(descriptor)
        if not stat.S_ISREG(found.st_mode):
            return None
        modified = min(max(found.st_mtime, 0.0), time.time())
        if found.st_size <= first + last:
            return File(found.st_size, modified, os.pread(descriptor, first + last, 0))
        data = os.pread(descriptor, first, 0) + os.pread(descriptor, last, found.st_size - last)
        return File(found.st_size, modified, data)
    except OSError:
        return None
    finally:
        os.close(descriptor)


def _open(state: Path, parts: tuple[str, ...]) -> int:
    safe = os.O_RDONLY | os.O_NOFOLLOW | os.O_NONBLOCK | os.O_CLOEXEC
    descriptor = os.open(state, os.O_RDONLY | os.O_DIRECTORY | os.O_CLOEXEC)
    for part in parts:
        try:
            inner = os.open(part, safe, dir_fd=descriptor)
        finally:
            os.close(descriptor)
        descriptor = inner
    return descriptor
