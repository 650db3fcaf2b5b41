"""What an agent may run now: its applied settings' verdict on a command, and the record of what was denied."""

from __future__ import annotations

import time
from dataclasses import dataclass

from hyperhive.hub import Hub
from hyperhive.lifecycle import Hive
from hyperhive.policy.bash import Decision, decide
from hyperhive.policy.places import WORK
from hyperhive.store import audit
from hyperhive.store.database import Database

RECORDED = 30
"""Denials of one agent that are recorded one by one; an agent that goes on and on gets one in TICK seconds."""
TICK = 10.0
_SHOWN = 2000  # characters of a command in the audit log


@dataclass
class _Allowance:
    """A token bucket: an agent cannot fill the disk with its denials."""

    left: float
    at: float
    skipped: int = 0

    def take(self, now: float) -> bool:
        self.left = min(RECORDED, self.left + (now - self.at) / TICK)
        self.at = now
        if self.left < 1:
            self.skipped += 1
            return False
        self.left -= 1
        return True


class Permissions:
    """Decides about commands for the hook (which records denials) and for `policy explain` (which does not)."""

    def __init__(self, hive: Hive, database: Database, hub: Hub) -> None:
        self._hive = hive
        self._database = database
        self._hub = hub
        self._allowances: dict[str, _Allowance] = {}

    async def explain(self, agent: str, command: str, cwd: str = WORK) -> Decision:
        """The verdict. Raises NotFound, Conflict (no generation yet), Unavailable (no shfmt)."""
        return await decide(command, await self._hive.settings(agent), cwd=cwd)

    async def decide(self, agent: str, command: str, cwd: str) -> Decision:
        """The verdict on what the agent is about to run; a denial is recorded."""
        decision = await self.explain(agent, command, cwd)
        if not decision.allowed:
            await self._record(agent, command, decision.reason)
        return decision

    async def _record(self, agent: str, command: str, reason: str) -> None:
        now = time.monotonic()
        allowance = self._allowances.setdefault(agent, _Allowance(RECORDED, now))
        if not allowance.take(now):
            return
        more = {"unrecorded": allowance.skipped} if allowance.skipped else {}
        allowance.skipped = 0
        detail = {"command": command[:_SHOWN], "reason": reason[:_SHOWN], **more}
        await self._database.write(lambda c: audit.append(c, agent, "bash.denied", f"agent/{agent}", **detail))
        self._hub.publish("agent", {"name": agent, "event": "denied", "command": command[:_SHOWN]})
