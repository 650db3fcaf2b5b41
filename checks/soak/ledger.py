"""What the soak itself knows: every message and decision that the hive accepted, and what it refused or left open."""

from __future__ import annotations

import threading
from collections import Counter
from dataclasses import dataclass, field


@dataclass(frozen=True)
class Sent:
    """A message that was accepted: the hive returned its id."""

    id: int
    sender: str
    to: str
    body: str


@dataclass
class Ledger:
    """Filled by the threads of the load, read when they have ended.

    `open_` are bodies whose send got no answer (it was killed): they may be there once, or not at all. `decided` are
    the proposals whose request, approval or denial was accepted.
    """

    accepted: list[Sent] = field(default_factory=list)
    open_: set[str] = field(default_factory=set)
    refused: Counter[str] = field(default_factory=Counter)
    decided: dict[str, list[int]] = field(default_factory=dict)
    odd: Counter[str] = field(default_factory=Counter)
    _lock: threading.Lock = field(default_factory=threading.Lock)

    def accept(self, sent: Sent) -> None:
        """A message's id came back."""
        with self._lock:
            self.accepted.append(sent)

    def leave_open(self, body: str) -> None:
        """No answer came."""
        with self._lock:
            self.open_.add(body)

    def refuse(self, reason: str) -> None:
        """The hive said no, clearly."""
        with self._lock:
            self.refused[reason] += 1

    def decide(self, what: str, proposal: int) -> None:
        """`what` (request, approve, deny) of a proposal was accepted."""
        with self._lock:
            self.decided.setdefault(what, []).append(proposal)

    def wonder(self, what: str) -> None:
        """Something that should not happen, however often."""
        with self._lock:
            self.odd[what] += 1
