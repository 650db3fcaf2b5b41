"""One round: wait for a random instant, kill something, bring back what does not come back by itself."""

from __future__ import annotations

import random
import signal
import time
from collections import Counter, deque
from enum import StrEnum

from checks.soak.condemned import Condemned
from checks.soak.hive import AGENTS, Hive, descendants, send
from hyperhive.harness.turn import claude_processes

LATEST = 1.2
"""Seconds after the last return within which the next kill comes."""
AIM = 1.0
"""Seconds that an aimed kill waits for a proposal on its way."""
RESTARTS = 3
"""Harness kills of one agent within a minute; the backend gives it up at five, as it should."""
DELIVERIES = 4
"""A message that was interrupted so often gets its turn: at five deliveries the hive parks it, as it should."""


class Victim(StrEnum):
    """What is killed: the core alone, with all it started, or asked to end; a harness; a process of a running turn.

    The latter two by SIGKILL, at times by SIGTERM.
    """

    CORE = "core"
    HOST = "core and all below"
    STOP = "core, by SIGTERM"
    HARNESS = "harness"
    CLAUDE = "claude"


WEIGHTS = {Victim.CORE: 25, Victim.HOST: 15, Victim.STOP: 5, Victim.HARNESS: 25, Victim.CLAUDE: 30}


class Striker:
    """Kills, round after round. `kills` counts what was hit, `held` how often a message was given its turn, `early` how
    often the next kill could hit the core while it started, `aimed` how often a proposal was on its way; `condemned`
    are the processes that must end for it.
    """

    def __init__(self, hive: Hive, seed: int) -> None:
        self.kills: Counter[str] = Counter()
        self.held = 0
        self.early = 0
        self.aimed = 0
        self.hive = hive
        self.condemned = Condemned(hive)
        self._chance = random.Random(f"{seed} strike")  # noqa: S311  (a plan, not a secret)
        self._harnesses: dict[str, deque[float]] = {}

    def round(self) -> Victim | str:
        """One round; returns what was killed. Raises SoakError if something does not come back."""
        (victim,) = self._chance.choices(list(WEIGHTS), list(WEIGHTS.values()))
        early, aimed = self._chance.random() < 0.2, self._chance.random() < 0.4
        self.condemned.look()
        self._spare_the_tired()
        time.sleep(self._chance.uniform(0, LATEST))
        if aimed:
            self._aim()
        return self.strike(victim, early=early)

    def strike(self, victim: Victim, *, early: bool) -> Victim:
        """Kill it, or what is above it if there is none or it was killed too often; returns what was killed.

        `early`: do not wait for the core that is started then.
        """
        agent = self._chance.choice(AGENTS)
        if victim is Victim.CLAUDE and not self._kill_claude(agent):
            victim = Victim.HARNESS
        if victim is Victim.HARNESS and not self._kill_harness(agent):
            victim = Victim.CORE
        if victim in (Victim.CORE, Victim.HOST, Victim.STOP):
            self._kill_core(victim, early=early)
        self.kills[victim] += 1
        return victim

    def _aim(self) -> None:
        """Wait a moment for a proposal that is being checked or applied, then for an instant of that."""
        query = "SELECT count(*) FROM proposals WHERE state IN ('requested', 'approved', 'building', 'activating')"
        until = time.monotonic() + AIM
        while time.monotonic() < until:
            if self.hive.query(query)[0][0]:
                self.aimed += 1
                time.sleep(self._chance.uniform(0, 0.4))
                return
            time.sleep(0.005)

    def _spare_the_tired(self) -> None:
        query = "SELECT count(*) FROM messages WHERE attempts >= ? AND delivered_at IS NULL AND dead_at IS NULL"
        if not self.hive.query(query, DELIVERIES)[0][0]:
            return
        self.held += 1
        self.hive.wait_until_up()

        def done() -> bool:
            self.hive.revive()
            return not self.hive.query(query, DELIVERIES)[0][0]

        self.hive.wait(done, 90, "a message that was interrupted four times gets no turn")

    def _kill_claude(self, agent: str) -> bool:
        """Any process of a turn that runs, its cage included; another agent's if this one is idle."""
        for name in (agent, *AGENTS):
            harness = self.hive.harness(name)
            if harness is not None and claude_processes(harness):
                below = descendants(harness)  # it may have ended meanwhile
                self.condemned.add(below)
                return bool(below) and send(self._chance.choice(below), self._signal())
        return False

    def _kill_harness(self, agent: str) -> bool:
        recent = self._harnesses.setdefault(agent, deque(maxlen=RESTARTS))
        if len(recent) == RESTARTS and time.monotonic() - recent[0] < 61:
            return False
        pid = self.hive.harness(agent)
        below = [] if pid is None else descendants(pid)
        if pid is None or not send(pid, self._signal()):
            return False
        self.condemned.add([pid, *below])
        recent.append(time.monotonic())
        return True

    def _signal(self) -> int:
        return self._chance.choice([signal.SIGKILL, signal.SIGKILL, signal.SIGTERM])

    def _kill_core(self, victim: Victim, *, early: bool) -> None:
        """`early`: the next kill may hit the core while it starts."""
        assert self.hive.core is not None
        self.condemned.add(descendants(self.hive.core.pid))
        if victim is Victim.STOP:
            self.hive.stop()
        else:
            self.hive.kill(everything=victim is Victim.HOST)
        self._harnesses.clear()  # the next core counts anew
        self.hive.start()
        if early:
            self.early += 1
        else:
            self.hive.wait_until_up()
