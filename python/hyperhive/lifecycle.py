"""The agents of a hive: create, start, stop, restart, override, roll back, destroy; and what is told about them."""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
from collections.abc import Coroutine
from pathlib import Path
from typing import Any

from hyperhive.activity import Activities
from hyperhive.broker import Broker
from hyperhive.budgets import Budgets
from hyperhive.config import DeclaredAgent
from hyperhive.containers import AgentSockets, Backend, ContainerState, Crash
from hyperhive.errors import BadInput, Conflict, HyperhiveError, MailboxFull, NotFound
from hyperhive.flakes.config import create_config
from hyperhive.generations import Generations
from hyperhive.heartbeats import Heartbeats
from hyperhive.hub import Hub
from hyperhive.purges import Purges
from hyperhive.settings import Role, Settings, check_name
from hyperhive.store import agents, audit, parked
from hyperhive.store import generations as rows
from hyperhive.store.agents import Agent
from hyperhive.store.database import Database
from hyperhive.views import Views

log = logging.getLogger(__name__)


class Hive:
    """All agents. Methods raise NotFound, Conflict and BadInput; an `actor` is named in the audit log."""

    def __init__(
        self,
        *,
        database: Database,
        broker: Broker,
        hub: Hub,
        backend: Backend,
        generations: Generations,
        heartbeats: Heartbeats,
        activities: Activities,
        budgets: Budgets,
        sockets: AgentSockets,
    ) -> None:
        self._database = database
        self._broker = broker
        self._hub = hub
        self._backend = backend
        self._generations = generations
        self._heartbeats = heartbeats
        self._activities = activities
        self._views = Views(database, backend, heartbeats, activities, budgets)
        self._sockets = sockets
        self._purges = Purges(database, backend)
        self._locks: dict[str, asyncio.Lock] = {}

    def lock(self, agent: str) -> asyncio.Lock:
        """One change at a time per agent: applies and lifecycle actions take this lock."""
        return self._locks.setdefault(agent, asyncio.Lock())

    async def load(self, declared: tuple[DeclaredAgent, ...]) -> None:
        """Start what should run, and create what the configuration names and the hive has not yet."""
        self._generations.recover()
        await self._purges.finish_all()
        for agent in await self._agents():
            await _alone(agent.name, self._take_up(agent))
        known = {agent.name for agent in await self._agents()}
        for wanted in declared:
            if wanted.name not in known:
                creation = self.create(wanted.name, wanted.role, None, "system", start=wanted.auto_start)
                await _alone(wanted.name, self._or_tell(wanted.name, creation))

    async def _take_up(self, agent: Agent) -> None:
        """Let it run, or not, as it should: also one whose creation or stop ended with the last core."""
        await self._generations.repository(agent.name).recover()
        await self._sockets.open(agent.name)
        if not agent.generation:
            await self._or_tell(agent.name, self._create_wholly(agent))
        elif agent.desired == "stopped":
            await self._backend.stop(agent.name)
        else:
            applied = await self._generations.applied(await self._generations.current(agent.name))
            try:
                if not await self._backend.adopt(applied):
                    await self._backend.start(applied)
            except HyperhiveError as error:
                await self.crashed(Crash(agent.name, -1, 0, True, str(error)))

    async def _create_wholly(self, agent: Agent) -> None:
        async with self.lock(agent.name):
            try:
                await self._first_generation(agent.name, "system", start=agent.desired == "running")
            except HyperhiveError:
                await self._undo_create(agent.name, "system", made=False)
                raise

    async def _or_tell(self, name: str, creation: Coroutine[Any, Any, None]) -> None:
        """Create an agent, or tell the operator why that cannot be."""
        try:
            await creation
        except HyperhiveError as error:
            log.error("%s could not be created: %s", name, error)
            event = {"event": "create_failed", "agent": name, "reason": str(error)}
            await self._broker.tell("operator", json.dumps(event))

    async def create(self, name: str, role: Role, source: Path | None, actor: str, *, start: bool = True) -> None:
        """Create an agent from the directory `source` (with agent.nix; None: the default one) and start it.

        State and config that an earlier agent of that name left are used again, unless it was purged. Nothing stays
        behind on failure.
        """
        async with self.lock(check_name(name)):
            others = await self._agents()
            if any(agent.name == name for agent in others):
                raise Conflict(f"there is an agent {name} already; destroy it first or choose another name")
            if role is Role.MANAGER and any(agent.role is Role.MANAGER for agent in others):
                raise Conflict("this hive has a manager already; a hive has one")
            await self._purges.finish(name)
            made = await create_config(self._generations.config_of(name), role, source)
            await self._database.write(lambda c: agents.create(c, name, role))
            try:
                await self._sockets.open(name)
                await self._first_generation(name, actor, start=start)
            except BaseException:
                await asyncio.shield(self._undo_create(name, actor, made))
                raise
        await self._refresh_manager()
        self._publish(name, "created")

    async def _first_generation(self, name: str, actor: str, *, start: bool) -> None:
        repository = self._generations.repository(name)
        await repository.init()
        number = await self._database.read(lambda c: rows.next_number(c, name))
        commit = await repository.fetch_head(self._generations.config_of(name), f"created/{number}")
        if not start:
            await self._database.write(lambda c: agents.set_desired(c, name, "stopped"))
        reason = f"created by {actor}"
        built = await self._generations.build(name, commit, number, actor=actor, reason=reason, proposal=None)
        detail = {"generation": number, "commit": commit}
        await self._generations.activate(
            built, lambda c: audit.append(c, actor, "agent.created", f"agent/{name}", **detail)
        )

    async def _undo_create(self, name: str, actor: str, made: bool) -> None:
        await self._backend.stop(name)
        await self._sockets.close(name)

        def forget(connection: sqlite3.Connection) -> None:
            agents.delete(connection, name)
            audit.append(connection, actor, "agent.destroyed", f"agent/{name}", purge=made, reason="not created wholly")

        await self._database.write(forget)
        if made:  # what made the creation fail is what its caller must hear
            await self._purges.attempt(name)

    async def start(self, name: str, actor: str) -> None:
        """Start an agent and wait for its heartbeat. Raises NoHeartbeat if it does not come."""
        async with self.lock(name):
            generation = await self._generations.current(name)
            down = self._backend.state(name) in (ContainerState.STOPPED, ContainerState.FAILED)
            await self._set_desired(name, "running", actor, "agent.start", already=not down)
            if down:
                await self._generations.run(generation)
        self._publish(name, "started")

    async def stop(self, name: str, actor: str) -> None:
        """Let the running turn end, then stop the agent until it is started again. Its mail waits."""
        async with self.lock(name):
            already = self._backend.state(name) is ContainerState.STOPPED
            await self._set_desired(name, "stopped", actor, "agent.stop", already=already)
            await self._backend.stop(name)
        self._publish(name, "stopped")

    async def restart(self, name: str, actor: str) -> None:
        """Drain, stop and start an agent."""
        async with self.lock(name):
            generation = await self._generations.current(name)
            await self._set_desired(name, "running", actor, "agent.restart")
            await self._generations.run(generation)
        self._publish(name, "restarted")

    async def set_model(self, name: str, model: str | None, actor: str) -> None:
        """Override the agent's model (None: take the override away); it becomes a generation of its own."""
        await self._override(name, actor, "model", model)

    async def set_budget(self, name: str, budget: dict[str, float], actor: str) -> None:
        """Override the agent's budget, by the names of its settings (empty: take the override away)."""
        await self._override(name, actor, "budget", budget or None)

    async def _override(self, name: str, actor: str, setting: str, value: object) -> None:
        async with self.lock(name):
            before = await self._database.read(lambda c: agents.get(c, name))
            overrides = {key: held for key, held in before.overrides.items() if key != setting}
            if value is not None:
                overrides[setting] = value

            def record(connection: sqlite3.Connection) -> None:
                agents.set_overrides(connection, name, overrides)
                audit.append(connection, actor, f"agent.{setting}", f"agent/{name}", **{setting: value})

            reason = f"{setting} override by {actor}: {value or 'none'}"
            await self._generations.activate(await self._rebuilt(name, actor, reason, overrides), record)
        self._publish(name, "changed")

    async def _rebuilt(self, name: str, actor: str, reason: str, overrides: dict[str, object]) -> rows.Generation:
        """The same commit with these overrides, as a new generation."""
        current = await self._generations.current(name)
        number = await self._database.read(lambda c: rows.next_number(c, name))
        return await self._generations.build(
            name, current.commit, number, actor=actor, reason=reason, proposal=None, overrides=overrides
        )

    async def roll_back(self, name: str, number: int | None, actor: str) -> None:
        """Run an earlier generation again (None: the newest healthy one before the present).

        Raises Rejected if it is over a ceiling by now.
        """
        async with self.lock(name):
            current = await self._generations.current(name)
            earlier = await self._database.read(lambda c: rows.of_agent(c, name))
            fits = [g for g in earlier if (g.number == number if number else g.number < current.number and g.healthy)]
            if not fits:
                wanted = f"generation {number}" if number else "earlier generation"
                raise NotFound(f"{name} has no {wanted} to roll back to; `hyperhive agent show {name}` lists them")
            if fits[0].number == current.number:
                raise Conflict(f"{name} runs generation {current.number} already")
            self._generations.allow(fits[0].settings)
            overrides = await self._generations.overrides_of(fits[0])
            moved = {"generation": fits[0].number, "before": current.number}

            def record(connection: sqlite3.Connection) -> None:
                agents.set_overrides(connection, name, overrides)
                audit.append(connection, actor, "agent.rollback", f"agent/{name}", **moved)

            await self._generations.activate(fits[0], record)
        self._publish(name, "changed")

    async def destroy(self, name: str, actor: str, *, purge: bool) -> int:
        """Stop and forget an agent. Its state, config and applied flake stay, and its mail waits for an agent of that
        name, unless `purge`: then that mail is dead letters. Returns how many.
        """
        async with self.lock(name):
            await self._database.read(lambda c: agents.get(c, name))
            await self._backend.stop(name)

            def forget(connection: sqlite3.Connection) -> int:
                agents.delete(connection, name)
                letters = parked.park_all(connection, name) if purge else 0
                if purge:
                    rows.forget(connection, name)
                audit.append(connection, actor, "agent.destroyed", f"agent/{name}", purge=purge, dead_letters=letters)
                return letters

            letters = await self._database.write(forget)
            await self._sockets.close(name)  # not before: an agent that stays needs them
            self._broker.announce_parked()
            if purge:
                await self._purges.run(name)
        await self._refresh_manager()
        self._publish(name, "destroyed")
        return letters

    async def view(self, name: str) -> dict[str, Any]:
        """One agent at a glance. Raises NotFound."""
        return await self._views.one(name)

    async def views(self) -> list[dict[str, Any]]:
        """Every agent at a glance, by name."""
        return await self._views.every()

    async def details(self, name: str) -> dict[str, Any]:
        """Everything about one agent. Raises NotFound."""
        return await self._views.details(name)

    async def settings(self, name: str) -> Settings:
        """The applied settings of an agent. Raises NotFound."""
        return (await self._generations.current(name)).settings

    async def log(self, name: str, lines: int) -> str:
        """The last lines of the agent's log."""
        if not 1 <= lines <= 10000:
            raise BadInput("lines must be between 1 and 10000")
        await self._database.read(lambda c: agents.get(c, name))
        return await self._backend.log(name, lines)

    async def shell(self, name: str) -> list[str]:
        """The argv that opens a shell in the agent's container."""
        return self._backend.shell(await self._generations.applied(await self._generations.current(name)))

    async def crashed(self, crash: Crash) -> None:
        """A harness ended by itself: whoever waits for it learns it now, else the manager gets a helper event."""
        self._heartbeats.forget(crash.agent)
        self._activities.ended(crash.agent)
        last = crash.log.strip().splitlines()[-1:] or ["its log is empty"]
        log.warning("%s: the harness ended (exit %s): %s", crash.agent, crash.exit_code, last[0])
        self._publish(crash.agent, "crashed")
        if self._heartbeats.awaited(crash.agent):
            self._heartbeats.fail(crash.agent, f"the harness ended with exit {crash.exit_code}: {last[0]}")
            return
        what = {"exit": crash.exit_code, "ending": crash.ending, "given_up": crash.given_up, "count": crash.count}
        await self._database.write(lambda c: audit.append(c, "system", "agent.crashed", f"agent/{crash.agent}", **what))
        event = {"event": "container_crash", **crash.__dict__, **await self._applied(crash.agent)}
        managers = [agent.name for agent in await self._agents() if agent.role is Role.MANAGER]
        for receiver in [name for name in managers if name != crash.agent] + ["operator"] * crash.given_up:
            try:
                await self._broker.tell(receiver, json.dumps(event))
            except MailboxFull:
                log.warning("%s is not told of it: its mailbox is full", receiver)

    async def _applied(self, name: str) -> dict[str, int | None]:
        """The generation that an agent runs, and the proposal that it came from."""
        try:
            current = await self._generations.current(name)
        except NotFound:
            return {"generation": None, "proposal": None}
        return {"generation": current.number, "proposal": current.proposal}

    async def _agents(self) -> list[Agent]:
        return await self._database.read(agents.all_agents)

    async def _refresh_manager(self) -> None:
        """The manager sees every agent's config repo: tell its container about the present ones."""
        for agent in await self._agents():
            if agent.role is Role.MANAGER and agent.generation:
                applied = await self._generations.applied(await self._generations.current(agent.name))
                await self._backend.refresh(applied)

    async def _set_desired(self, name: str, desired: str, actor: str, action: str, *, already: bool = False) -> None:
        def store(connection: sqlite3.Connection) -> None:
            if agents.get(connection, name).desired != desired or not already:  # else there is nothing to record
                agents.set_desired(connection, name, desired)
                audit.append(connection, actor, action, f"agent/{name}")

        await self._database.write(store)

    def _publish(self, name: str, what: str) -> None:
        self._hub.publish("agent", {"name": name, "event": what, "state": str(self._backend.state(name))})


async def _alone(name: str, work: Coroutine[Any, Any, None]) -> None:
    """What keeps one agent from running, and even from being told of, must not keep the others from it."""
    try:
        await work
    except HyperhiveError as error:
        log.error("%s: %s", name, error)
