"""Which end of a container was a crash: what systemd says of container@NAME, classified. Pure; the backend feeds it.

Told by order, not by state alone: Restart=on-failure turns a crash into a start, a stop that somebody asked for is only
seen as a job before the unit goes down, and after a SIGKILL machined asks for a stop of its own when all is over.
"""

from __future__ import annotations

import json
from collections import deque
from collections.abc import Iterable
from contextlib import suppress
from dataclasses import dataclass, field
from enum import StrEnum

REBOOT = 133  # systemd-nspawn's exit code when its guest reboots
LOOP_CRASHES = 3
LOOP_TIME = 60.0
"""After so many crashes within so many seconds it is a loop, told of in a sum each so many seconds."""
SPARE_STARTS = 2
"""So many failed restarts in a row are part of the crash before them: after a SIGKILL the first fails (257, 262)."""


class Ending(StrEnum):
    """Why a container ended. The first three are nobody's fault."""

    STOPPED = "stopped"
    POWEROFF = "poweroff"
    REBOOT = "reboot"
    PID1_DIED = "pid1_died"
    KILLED = "killed"
    CORE_DUMP = "core_dump"
    OOM = "oom"
    WATCHDOG = "watchdog"
    START_FAILED = "start_failed"
    START_TIMEOUT = "start_timeout"
    START_LIMIT = "start_limit"  # it failed so often that systemd starts it no more
    STOP_TIMEOUT = "stop_timeout"
    UNSEEN = "unseen"  # while no core was there to see it

    @property
    def is_crash(self) -> bool:
        """Whether somebody must hear of it."""
        return self not in (Ending.STOPPED, Ending.POWEROFF, Ending.REBOOT)


@dataclass(frozen=True)
class End:
    """One end of a container: why, and systemd's Result, and its main process' exit code or signal.

    `lives` is how many of its starts came to nothing, this one included. `again`: systemd had restarted it, and it did
    not come up. `final`: it is down for good, unless systemd is about to restart it and (before 254) does not say so.
    """

    ending: Ending
    result: str
    status: int
    lives: int = 1
    again: bool = False
    final: bool = False


_RESULTS = {
    "signal": Ending.KILLED,
    "core-dump": Ending.CORE_DUMP,
    "oom-kill": Ending.OOM,
    "watchdog": Ending.WATCHDOG,
    "start-limit-hit": Ending.START_LIMIT,
}


def ending_of(result: str, status: int, *, asked: bool = False, ready: bool = True) -> Ending:
    """Why it ended. `asked`: a job to stop it came before; `ready`: it had been up.

    A container that was up and is stopped ends with success. If it does not, it died: the job was machined's, which
    asks for a stop of what it sees dying (262: at times before systemd itself has noticed).
    """
    if result == "timeout":
        return Ending.STOP_TIMEOUT if asked or ready else Ending.START_TIMEOUT
    if asked and (result == "success" or not ready):
        return Ending.STOPPED
    if result == "success":
        return Ending.REBOOT if status == REBOOT else Ending.POWEROFF
    return _RESULTS.get(result, Ending.PID1_DIED if ready else Ending.START_FAILED)


@dataclass
class UnitWatch:
    """One container's unit as its signals told it. Begin with what systemd says of it; feed it in order."""

    active: str = "inactive"
    result: str = "success"
    status: int = 0
    restarts: int = 0
    sub: str = ""
    _alive: bool = False  # from a start until the end of it
    _ready: bool = False  # it came up in this life
    _asked: bool = False  # a job to stop or restart it came in this life
    _waits: bool = False  # systemd itself is about to begin the next life
    _again: bool = False  # and it has begun this one
    _failed_starts: int = 0  # of systemd's own, one after the other
    _lives: int = 0  # that ended since the last End, or since it was up

    def __post_init__(self) -> None:
        self._waits = waits(self.active, self.sub)
        self._alive = self.active not in ("inactive", "failed") and not self._waits
        self._ready = self.active in ("active", "reloading", "deactivating")

    def job(self, kind: str) -> None:
        """A job for the unit began. One that comes when it is going down already is no reason: machined's, mostly."""
        if self._alive:
            up = self.active != "deactivating"
            self._asked = self._asked or (up and kind in ("stop", "restart", "try-restart"))
        elif not waits(self.active, self.sub):
            self._waits = False  # what comes now was asked for

    def change(self, properties: dict[str, object]) -> End | None:
        """Take changed properties; an End if this is where the unit's end became certain."""
        self.result = str(properties.get("Result", self.result))
        self.status = int(str(properties.get("ExecMainStatus", self.status)))
        self.restarts = int(str(properties.get("NRestarts", self.restarts)))
        if "ActiveState" not in properties:
            return None
        self.active, self.sub = str(properties["ActiveState"]), str(properties.get("SubState", ""))
        if waits(self.active, self.sub):
            self._waits = True
            return self._over()
        if self.active in ("inactive", "failed"):
            return self._over() or self._given_up()
        self._lives_on(idle="Job" in properties and not _job(properties["Job"]))
        return None

    def _lives_on(self, *, idle: bool) -> None:
        """`idle`: no job of the unit is left."""
        if not self._alive:
            self._alive, self._ready, self._asked = True, False, False
            self._again, self._waits = self._waits, False
        if self.active in ("active", "reloading"):
            self._ready = True
            self._failed_starts = self._lives = 0
            if idle:  # the job changed nothing, as `start` of what runs: it was no stop
                self._asked = False

    def _over(self) -> End | None:
        """The end of a life, once; None for the failed restarts that belong to the crash before them."""
        if not self._alive:
            return None
        self._alive = False
        ending = ending_of(self.result, self.status, asked=self._asked, ready=self._ready)
        down = self.active == "failed" and self.sub == "failed"
        final = down and not (self._asked and ending is Ending.STOP_TIMEOUT)
        again = self._again and not self._ready
        if not ending.is_crash:
            self._failed_starts = self._lives = 0
            return End(ending, self.result, self.status)
        self._lives += 1
        self._failed_starts = self._failed_starts + 1 if again else 0
        if 0 < self._failed_starts <= SPARE_STARTS:
            return None
        return self._end(ending, again=again, final=final)

    def _given_up(self) -> End | None:
        """It waited for systemd to restart it, which failed it without another try: the start limit."""
        if not self._waits or self.active != "failed":
            return None
        self._waits = False
        return self._end(Ending.START_LIMIT, final=True)

    def _end(self, ending: Ending, *, again: bool = False, final: bool) -> End:
        lives, self._lives = self._lives, 0
        return End(ending, self.result, self.status, lives, again, final)


def _job(value: object) -> int:
    """The number of the job that a unit has, 0 if none: the first of its property's two parts."""
    return int(str(value[0])) if isinstance(value, (list, tuple)) and value else 0


def waits(active: str, sub: str) -> bool:
    """Whether systemd is about to restart the unit (SubState auto-restart, auto-restart-queued)."""
    return active == "activating" and sub.startswith("auto-restart")


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
        self._untold += end.lives
        if (looping or (end.again and self._told)) and not given_up:
            self._last = end
            return None
        return self._tell(end, now)

    def due(self, now: float) -> Told | None:
        """What became due: the sum of a loop."""
        if self._last is None or now - self._told[-1] < LOOP_TIME:
            return None
        return self._tell(self._last, now)

    def _tell(self, end: End, now: float) -> Told:
        count, self._untold, self._last = max(1, self._untold), 0, None
        self._told.append(now)
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


_STARTED = "39f53479d3a045ac8e11786248231fbf"
_STOPPING = "de5b426a63be47a7b6ac3eaac82e2f6f"
_SUCCEEDED = "7ad2d189f7e94e70a38c781354912448"


def recalled(entries: Iterable[str]) -> End | None:
    """How one invocation of a unit ended, by what systemd wrote of it in the journal (JSON, an entry a line).

    None if it is not there. The unit's properties do not help: they are those of its next start by then. The messages
    are those of systemd's catalog (journalctl --catalog): started, stopping, exited, failed, succeeded.
    """
    result, status, seen = "", 0, set()
    for fields in map(_fields, entries):
        seen.add(fields.get("MESSAGE_ID"))
        result = fields.get("UNIT_RESULT", result)
        if fields.get("COMMAND") == "ExecStart" and fields.get("EXIT_STATUS", "").isdecimal():
            status = int(fields["EXIT_STATUS"])
    if not result and _SUCCEEDED not in seen:
        return None
    ending = ending_of(result or "success", status, asked=_STOPPING in seen, ready=_STARTED in seen)
    return End(ending, result or "success", status)


def _fields(entry: str) -> dict[str, str]:
    with suppress(ValueError):
        if isinstance(fields := json.loads(entry), dict):
            return {name: value for name, value in fields.items() if isinstance(value, str)}
    return {}
