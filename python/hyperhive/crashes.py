"""Which end of a container was a crash: what systemd says of container@NAME, classified. Pure; the backend feeds it.

Told by order, not by state alone: Restart=on-failure turns a crash into a start, a stop that somebody asked for is only
seen as a job before the unit goes down, and after a SIGKILL machined asks for a stop of its own when all is over.
"""

from __future__ import annotations

from collections import deque
from dataclasses import dataclass, field
from enum import StrEnum

REBOOT = 133  # systemd-nspawn's exit code when its guest reboots
LOOP_CRASHES = 3
LOOP_TIME = 60.0
"""After so many crashes within so many seconds it is a loop, told of in a sum each so many seconds."""


class Ending(StrEnum):
    """Why a container ended. The first three are nobody's fault."""

    STOPPED = "stopped"
    POWEROFF = "poweroff"
    REBOOT = "reboot"
    PID1_DIED = "pid1_died"
    KILLED = "killed"
    CORE_DUMP = "core_dump"
    OOM = "oom"
    TIMEOUT = "timeout"
    UNSEEN = "unseen"  # while no core was there to see it

    @property
    def is_crash(self) -> bool:
        """Whether somebody must hear of it."""
        return self not in (Ending.STOPPED, Ending.POWEROFF, Ending.REBOOT)


@dataclass(frozen=True)
class End:
    """One end of a container: why, and systemd's Result, and its main process' exit code or signal."""

    ending: Ending
    result: str
    status: int


_RESULTS = {
    "signal": Ending.KILLED,
    "core-dump": Ending.CORE_DUMP,
    "oom-kill": Ending.OOM,
    "timeout": Ending.TIMEOUT,
    "watchdog": Ending.TIMEOUT,
}


@dataclass
class UnitWatch:
    """The state of one container's unit as its signals told it. Feed it in order."""

    active: str = "inactive"
    result: str = "success"
    status: int = 0
    restarts: int = 0
    _asked: bool = False  # a job to stop or restart it came while it was up
    _ended: bool = False  # this end has been told

    def job(self, kind: str) -> None:
        """A job for the unit began."""
        if kind in ("stop", "restart", "try-restart") and self.active in ("active", "activating", "reloading"):
            self._asked = True

    def change(self, properties: dict[str, object]) -> End | None:
        """Take changed properties; an End if this is where the unit's end became certain."""
        self.result = str(properties.get("Result", self.result))
        self.status = int(str(properties.get("ExecMainStatus", self.status)))
        self.restarts = int(str(properties.get("NRestarts", self.restarts)))
        active = properties.get("ActiveState")
        if active is None:
            return None
        self.active = str(active)
        if self.active == "active":
            self._asked, self._ended = False, False
            return None
        return self._end()

    def _end(self) -> End | None:
        """The end, once: when the unit is down, or on its way up again after a failure."""
        over = self.active in ("inactive", "failed") or (self.active == "activating" and self.result != "success")
        rebooted = self.active == "activating" and self.status == REBOOT
        if self._ended or not (over or rebooted):
            return None
        self._ended = True
        return End(self._why(), self.result, self.status)

    def _why(self) -> Ending:
        if self._asked:
            return Ending.STOPPED if self.result in ("success", "signal", "exit-code") else Ending.TIMEOUT
        if self.result == "success":
            return Ending.REBOOT if self.status == REBOOT else Ending.POWEROFF
        return _RESULTS.get(self.result, Ending.PID1_DIED)


@dataclass(frozen=True)
class Told:
    """What is to be told of a crash now; `count` crashes since the last telling, this one included."""

    end: End
    count: int


@dataclass
class LoopSum:
    """Makes one event of a crash loop: its first crashes are told at once, those after them in a sum."""

    _told: deque[float] = field(default_factory=lambda: deque(maxlen=LOOP_CRASHES))
    _untold: int = 0
    _last: End | None = None

    def crash(self, end: End, now: float, *, given_up: bool = False) -> Told | None:
        """A crash at `now` (monotonic seconds): what to tell at once. `given_up`: systemd does not start it again."""
        looping = len(self._told) == LOOP_CRASHES and now - self._told[0] < LOOP_TIME
        if looping and not given_up:
            self._untold, self._last = self._untold + 1, end
            return None
        return self._tell(end, now, self._untold + 1)

    def due(self, now: float) -> Told | None:
        """What became due: the sum of a loop."""
        if self._last is None or now - self._told[-1] < LOOP_TIME:
            return None
        return self._tell(self._last, now, self._untold)

    def _tell(self, end: End, now: float, count: int) -> Told:
        self._told.append(now)
        self._untold, self._last = 0, None
        return Told(end, count)


@dataclass(frozen=True)
class Remembered:
    """What the core knew of a running container when it last looked: another invocation later is another start."""

    invocation: str
    restarts: int
    running: bool


def missed(before: Remembered | None, now: Remembered, result: str) -> bool:
    """Whether a container crashed while nobody watched: it restarted by itself, or it failed."""
    if before is None or not before.running:
        return False
    if result != "success" and not now.running:
        return True
    return now.restarts > before.restarts and now.invocation != before.invocation
