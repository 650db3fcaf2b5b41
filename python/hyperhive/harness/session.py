"""Claude's session of one agent: its id in the state directory, so that each turn remembers the ones before."""

from __future__ import annotations

import uuid
from dataclasses import dataclass
from pathlib import Path


@dataclass(frozen=True)
class Session:
    """`fresh`: the id has not been used yet, so the turn starts the session instead of resuming it."""

    id: str
    fresh: bool


class SessionFile:
    """The file `session` in the harness's part of the state: one line, the id of the session to resume."""

    def __init__(self, state: Path) -> None:
        self._path = state / "session"

    def current(self) -> Session:
        """The session to resume, or a fresh one."""
        try:
            return Session(str(uuid.UUID(self._path.read_text().strip())), fresh=False)
        except (OSError, ValueError):
            return Session(str(uuid.uuid4()), fresh=True)

    def keep(self, session: Session) -> None:
        """Resume this one from now on. Atomic."""
        if session.fresh:
            new = self._path.with_suffix(".new")
            new.write_text(session.id + "\n")
            new.replace(self._path)

    def forget(self) -> None:
        """Start afresh next time."""
        self._path.unlink(missing_ok=True)
