"""Budgets: an agent that has used up its day is given neither the model nor mail until the next one (UTC).

The gateway counts; the bound is the applied settings' `budget` under the host's ceiling. Whoever raises it, or the next
day, lets the agent go on by itself.
"""

from __future__ import annotations

import json
import logging
import sqlite3
import time
from collections.abc import Mapping
from dataclasses import dataclass
from datetime import UTC, datetime
from typing import Any

from hyperhive.broker import Broker
from hyperhive.errors import HyperhiveError, NotFound
from hyperhive.exchange import OPERATOR
from hyperhive.gateway.prices import Prices, cost
from hyperhive.hub import Hub
from hyperhive.policy.ceilings import Ceilings
from hyperhive.settings import Role
from hyperhive.store import agents, audit, generations, usage
from hyperhive.store.database import Database
from hyperhive.store.usage import Use

log = logging.getLogger(__name__)
DAY = 86400


@dataclass(frozen=True)
class Over:
    """An agent is over its budget until then (Unix seconds), for that reason."""

    until: float
    reason: str

    @property
    def ends(self) -> str:
        """`until` as ISO 8601."""
        return datetime.fromtimestamp(self.until, UTC).isoformat().replace("+00:00", "Z")

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        return dict(self.__dict__)


class Budgets:
    """Counts what every agent uses, and knows who may go on."""

    def __init__(
        self, database: Database, broker: Broker, hub: Hub, ceilings: Ceilings, prices: Mapping[str, Any]
    ) -> None:
        self._database = database
        self._broker = broker
        self._hub = hub
        self._ceilings = ceilings
        self._prices: Prices = prices
        self._over: dict[str, Over] = {}
        self._untold: set[str] = set()  # who is over, and nobody could be told
        self._uncounted: dict[str, list[Use]] = {}  # what could not be stored
        broker.hold(self._held_until)

    async def load(self) -> None:
        """Find those who are over their budget at the start; only what was not told before is told."""
        for agent in await self._database.read(agents.all_agents):
            name = agent.name
            over = await self._database.read(lambda c, name=name: self._judge(c, name))  # type: ignore[misc]
            if over is not None and await self._database.read(lambda c, name=name: _was_told(c, name)):  # type: ignore[misc]
                self._over[name] = over
            await self._mark(name, over)

    def over(self, agent: str) -> Over | None:
        """Whether the agent is known to be over its budget."""
        found = self._over.get(agent)
        return found if found is not None and found.until > time.time() else None

    def _held_until(self, agent: str) -> float | None:
        found = self._over.get(agent)
        return None if found is None else found.until

    async def check(self, agent: str) -> Over | None:
        """Whether the agent is over its budget, by what the database has. Raises Unavailable if it lacks some use."""
        await self._store_uncounted(agent)
        over = await self._database.read(lambda c: self._judge(c, agent))
        await self._mark(agent, over)
        return over

    async def count(self, agent: str, use: Use) -> None:
        """Count an answer of the model. Raises Unavailable if that cannot be stored yet; `check` tries it again."""
        self._uncounted.setdefault(agent, []).append(use)
        await self._store_uncounted(agent)

    async def _store_uncounted(self, agent: str) -> None:
        uses = self._uncounted.pop(agent, [])
        if not uses:
            return

        def work(connection: sqlite3.Connection) -> Over | None:
            for use in uses:
                usage.add(connection, agent, use, cost(use, self._prices))
            return self._judge(connection, agent)

        try:
            over = await self._database.write(work)
        except HyperhiveError:
            self._uncounted[agent] = uses + self._uncounted.get(agent, [])
            raise
        await self._mark(agent, over)

    async def refresh(self) -> None:
        """Look again at those who are over: their budget may have been raised, or their day may be over."""
        for agent in {*self._over, *self._uncounted}:
            try:
                await self.check(agent)
            except HyperhiveError as error:
                log.warning("what %s used is not counted yet: %s", agent, error)

    def _judge(self, connection: sqlite3.Connection, agent: str) -> Over | None:
        try:
            settings = generations.get(connection, agent, agents.get(connection, agent).generation).settings
        except NotFound:  # it is gone, or has not begun
            return None
        budget = self._ceilings.bounded(settings.budget)
        now = time.time()
        tokens, dollars = usage.of_day(connection, agent, time.strftime("%Y-%m-%d", time.gmtime(now)))
        until = (now // DAY + 1) * DAY
        if budget.tokensPerDay is not None and tokens >= budget.tokensPerDay:
            return Over(until, f"it used {tokens:,} of {budget.tokensPerDay:,} tokens today")
        if budget.costPerDay is not None and dollars >= budget.costPerDay:
            return Over(until, f"it used ${dollars:,.2f} of ${budget.costPerDay:,.2f} today")
        return None

    async def _mark(self, agent: str, over: Over | None) -> None:
        """Remember it; what is new is told."""
        known = self._over.get(agent)
        if over is None:
            self._untold.discard(agent)
            if self._over.pop(agent, None) is not None:
                self._hub.publish("agent", {"name": agent, "event": "within_budget"})
                self._broker.wake(agent)
            return
        self._over[agent] = over
        if known is None or known.until != over.until:
            self._hub.publish("agent", {"name": agent, "event": "over_budget"})
            self._untold.add(agent)
        if agent in self._untold:
            self._untold.discard(agent)
            try:
                await self._tell(agent, over)
            except HyperhiveError as error:  # a full disk: at the next look
                self._untold.add(agent)
                log.warning("nobody is told that %s is over its budget: %s", agent, error)

    async def _tell(self, agent: str, over: Over) -> None:
        """One message to the operator, a helper event to the manager, an entry in the audit log."""
        event = {"event": "over_budget", "agent": agent, "until": over.ends, "reason": over.reason}

        def work(connection: sqlite3.Connection) -> list[Any]:
            managers = [each.name for each in agents.all_agents(connection) if each.role is Role.MANAGER]
            receivers = [OPERATOR, *(name for name in managers if name != agent)]
            audit.append(connection, "system", "agent.over_budget", f"agent/{agent}", until=over.ends, why=over.reason)
            return self._broker.post(connection, receivers, json.dumps(event))

        self._broker.announce(await self._database.write(work))


def _was_told(connection: sqlite3.Connection, agent: str) -> bool:
    """Whether the day's excess was told before."""
    query = "SELECT 1 FROM audit WHERE action = 'agent.over_budget' AND subject = ? AND at >= ?"
    return connection.execute(query, (f"agent/{agent}", time.time() // DAY * DAY)).fetchone() is not None
