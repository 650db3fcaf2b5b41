"""What an agent really runs: build a generation from an approved commit, activate it, or put the old one back."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import shutil
import sqlite3
import tempfile
import tomllib
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from dataclasses import replace
from pathlib import Path
from typing import TypeVar

from hyperhive.containers import Applied, Backend, Log
from hyperhive.errors import HyperhiveError, Rejected, Unavailable
from hyperhive.flakes.applied import HiveFile
from hyperhive.flakes.evaluate import Evaluator
from hyperhive.flakes.repository import AppliedRepository
from hyperhive.heartbeats import Heartbeats, NoHeartbeat
from hyperhive.orphans import end_orphans
from hyperhive.policy.ceilings import Ceilings, violations
from hyperhive.settings import Role, Settings, validate
from hyperhive.sources import Sources
from hyperhive.store import agents, audit
from hyperhive.store import generations as rows
from hyperhive.store.database import Database
from hyperhive.store.generations import Generation

log = logging.getLogger(__name__)

RETRY = 2.0

T = TypeVar("T")


class Generations:
    """Builds and activates generations. Callers hold the agent's lock: one change at a time per agent."""

    def __init__(
        self,
        *,
        state_dir: Path,
        configs: Path,
        database: Database,
        backend: Backend,
        evaluator: Evaluator,
        heartbeats: Heartbeats,
        health: float,
        defaults: dict[str, dict[str, object]],
        ceilings: Ceilings,
    ) -> None:
        self._state_dir = state_dir
        self._scratch = state_dir / "scratch"
        self._configs = configs
        self._database = database
        self._backend = backend
        self._evaluator = evaluator
        self._heartbeats = heartbeats
        self._health = health
        self._defaults = defaults
        self._ceilings = ceilings

    def recover(self) -> None:
        """Clear away what a killed core was evaluating: its sandboxes and its files. Raises Unavailable."""
        end_orphans(self._state_dir)
        try:
            shutil.rmtree(self._scratch, ignore_errors=True)
            self._scratch.mkdir(mode=0o700, exist_ok=True)
        except OSError as error:
            raise Unavailable(f"{self._scratch} cannot be made: {error.strerror}") from error

    def repository(self, agent: str) -> AppliedRepository:
        """The agent's applied flake, owned by the host."""
        return AppliedRepository(self._state_dir / "applied" / agent)

    def config_of(self, agent: str) -> Path:
        """The agent's proposed flake repo, written by the manager: hostile."""
        return self._configs / agent / "config"

    async def hive_file(self, agent: str) -> HiveFile:
        """The host's say about that agent: name, role, defaults and the operator's overrides."""
        row = await self._database.read(lambda c: agents.get(c, agent))
        return HiveFile(row.name, row.role, self._defaults.get(agent, {}), row.overrides)

    async def evaluate(self, agent: str, commit: str) -> Settings:
        """Evaluate that commit as the agent's flake would be. Raises Rejected with the reason, also over a ceiling."""
        settings, _ = await self._evaluate(await self.hive_file(agent), commit)
        return settings

    async def _evaluate(self, hive: HiveFile, commit: str) -> tuple[Settings, Sources]:
        """The settings, and where each comes from."""
        async with self._checked_out(hive, commit) as candidate:
            evaluated = await self._evaluator.evaluate(candidate)
        settings = validate(evaluated.settings)
        if (settings.name, settings.role) != (hive.name, hive.role):
            raise Rejected(f"the flake evaluates to {settings.role} {settings.name!r}, not {hive.role} {hive.name!r}")
        self.allow(settings)
        return settings, evaluated.sources

    def allow(self, settings: Settings) -> None:
        """Raises Rejected for what is over a ceiling of this host at this moment, whoever asked for it."""
        if broken := violations(settings, self._ceilings):
            raise Rejected("; ".join(broken))

    @asynccontextmanager
    async def _checked_out(self, hive: HiveFile, commit: str) -> AsyncIterator[Path]:
        """A directory with the applied flake of that commit."""
        with tempfile.TemporaryDirectory(prefix=f"{hive.name}-", dir=self._scratch) as directory:
            await self.repository(hive.name).checkout(commit, hive, Path(directory))
            yield Path(directory)

    async def build(
        self,
        agent: str,
        commit: str,
        number: int,
        *,
        actor: str,
        reason: str,
        proposal: int | None,
        overrides: dict[str, object] | None = None,
        log: Log = lambda _: None,
    ) -> Generation:
        """Evaluate the applied flake as generation `number`, build what its container runs, and commit it.

        `overrides` are the operator's, instead of the present ones; `log` takes lines of what is done. Safe to repeat
        after a crash. `actor` is who agreed to it; the audit log keeps that with the generation, and on NixOS root
        looks there before anything runs. Raises Rejected.
        """
        hive = await self.hive_file(agent)
        if overrides is not None:
            hive = replace(hive, overrides=overrides)
        settings, sources = await self._evaluate(hive, commit)
        hive = replace(hive, generation=number)
        async with self._checked_out(hive, commit) as flake:
            await self._backend.build(agent, number, flake, log)
        tree = await self.repository(agent).commit_generation(commit, hive, number, reason)

        def store(connection: sqlite3.Connection) -> Generation:
            audit.append(connection, actor, "generation.built", f"agent/{agent}", generation=number, commit=commit)
            return rows.insert(
                connection,
                agent=agent,
                number=number,
                commit=commit,
                tree=tree,
                settings=settings,
                sources=sources,
                proposal=proposal,
                reason=reason,
            )

        return await self._database.write(store)

    async def activate(self, new: Generation, record: Callable[[sqlite3.Connection], T]) -> T:
        """Let the agent run `new` and wait for its heartbeat; `record` is stored with it, all or nothing.

        Raises NoHeartbeat when it did not come, or could not be stored; then the generation that ran before runs
        again. Raises Unavailable when nothing could be started, and that one runs on. An agent that is stopped on
        purpose stays so and proves its health at its next start.
        """
        before = await self._database.read(lambda c: agents.get(c, new.agent))

        def store(connection: sqlite3.Connection) -> T:
            if before.desired != "stopped":
                rows.mark_healthy(connection, new.agent, new.number)
            agents.set_generation(connection, new.agent, new.number)
            return record(connection)

        if before.desired == "stopped":
            return await self._database.write(store)
        expected = await self._start(new)
        try:
            await self._heartbeats.wait(new.agent, expected, self._health)
            return await self._database.write(store)
        except Exception as error:
            now = await self._restore(new.agent, before.generation)
            if not isinstance(error, HyperhiveError):
                raise
            raise NoHeartbeat(f"generation {new.number}: {error}; {now}") from error

    async def run(self, generation: Generation) -> None:
        """Start that generation and wait for its first heartbeat. Raises NoHeartbeat."""
        await self._heartbeats.wait(generation.agent, await self._start(generation), self._health)

    async def _start(self, generation: Generation) -> asyncio.Future[None]:
        """Start that generation; what comes is what its first heartbeat is waited for with. Raises Unavailable."""
        applied = await self.applied(generation)
        expected = self._heartbeats.expect(generation.agent, generation.number)
        try:
            await self._backend.start(applied)
        except BaseException:
            self._heartbeats.give_up(generation.agent)
            raise
        return expected

    async def applied(self, generation: Generation) -> Applied:
        """What the backend needs to run that generation."""
        names = [generation.agent]
        if generation.settings.role is Role.MANAGER:
            names = [agent.name for agent in await self._database.read(agents.all_agents)]
        configs = {name: self.config_of(name) for name in names}
        return Applied(generation.agent, generation.number, generation.settings, configs)

    async def overrides_of(self, generation: Generation) -> dict[str, object]:
        """The operator's overrides that the generation was built with, from its applied flake."""
        hive = await self.repository(generation.agent).file(generation.tree, "hive.toml")
        return dict(tomllib.loads((hive or b"").decode()).get("overrides", {}))

    async def current(self, agent: str) -> Generation:
        """The generation that the agent runs. Raises NotFound if it has none."""

        def load(connection: sqlite3.Connection) -> Generation:
            return rows.get(connection, agent, agents.get(connection, agent).generation)

        return await self._database.read(load)

    async def _restore(self, agent: str, number: int) -> str:
        """Put the generation that ran before back; says in words what runs now."""
        if number == 0:
            await self._backend.stop(agent)
            return "there was none before, so the agent is stopped"
        before = await self._database.read(lambda c: rows.get(c, agent, number))
        while True:
            try:
                await self.run(before)
            except NoHeartbeat as error:
                return f"generation {number} was put back but does not answer either ({error})"
            except Unavailable as error:  # a full disk: rather none than the one that failed
                log.warning("%s: generation %s waits: %s", agent, number, error)
                with contextlib.suppress(HyperhiveError):
                    await self._backend.stop(agent)
                await asyncio.sleep(RETRY)
            else:
                return f"generation {number} runs again"
