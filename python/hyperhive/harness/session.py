"""What a harness remembers for its agent in its own directory: Claude's session, notes that could not be written."""

from __future__ import annotations

import contextlib
import os
import uuid
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Session:
    """`fresh`: the id has not been used yet, so the turn starts the session instead of resuming it."""

    id: str
    fresh: bool


class SessionFile:
    """The file `session` in the harness's `private` directory: one line, the id of the session to resume.

    `state` is what the agent sees as /state, where Claude Code keeps the transcripts.
    """

    def __init__(self, private: Path, state: Path) -> None:
        self._path = private / "session"
        self._transcripts = state / ".claude/projects/-state-work"

    def current(self, *, aside: bool = False) -> Session:
        """The session to resume, or a fresh one; `aside`: a fresh one in any case."""
        try:
            if aside:
                return Session(str(uuid.uuid4()), fresh=True)
            return Session(str(uuid.UUID(self._path.read_text().strip())), fresh=False)
        except (OSError, ValueError):
            return Session(str(uuid.uuid4()), fresh=True)

    def keep(self, session: Session) -> bool:
        """Resume this one from now on, if its transcript is there and it can be noted; else start afresh. Atomic."""
        new = self._path.with_suffix(".new")
        try:
            if not self._stored(session):
                self.forget()
                return False
            if session.fresh:
                new.write_text(session.id + "\n")
                new.replace(self._path)
        except OSError:  # a full disk
            new.unlink(missing_ok=True)
            self.forget()
            return False
        return True

    def forget(self) -> None:
        """Start afresh next time."""
        self._path.unlink(missing_ok=True)

    def _stored(self, session: Session) -> bool:
        try:
            os.lstat(self._transcripts / f"{session.id}.jsonl")
        except PermissionError:  # the agent's directory is not ours to look into
            return True
        except OSError:
            return False
        return True


class Unwritten:
    """Notes that could not be written to the agent's /state: in the file `unwritten.md` until some can be."""

    def __init__(self, private: Path) -> None:
        self._path = private / "unwritten.md"
        self._new = private / "unwritten.new"
        self.text = b""
        self._clear()  # of one that was killed
        with contextlib.suppress(OSError):
            self.text = self._path.read_bytes()

    def keep(self, text: bytes) -> bool:
        """Hold these instead; empty: none any more. False: they could not be stored, and the old ones are held."""
        try:
            if text:
                self._new.write_bytes(text)
                self._new.replace(self._path)
            else:
                self._path.unlink(missing_ok=True)
        except OSError:
            self._clear()
            return False
        self.text = text
        return True

    def _clear(self) -> None:
        with contextlib.suppress(OSError):
            self._new.unlink(missing_ok=True)
