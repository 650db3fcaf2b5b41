"""Purges: what an operator had destroyed for good goes, also if the core was killed over it or the disk failed."""

from __future__ import annotations

import logging

from hyperhive.containers import Backend
from hyperhive.errors import HyperhiveError
from hyperhive.store import agents, audit
from hyperhive.store.database import Database

log = logging.getLogger(__name__)


class Purges:
    """The audit log has their beginnings, `agent.destroyed`, and their ends, `agent.purged`."""

    def __init__(self, database: Database, backend: Backend) -> None:
        self._database = database
        self._backend = backend

    async def run(self, name: str) -> None:
        """Remove every file of an agent that is destroyed."""
        await self._backend.purge(name)
        await self._database.write(lambda c: audit.append(c, "system", "agent.purged", f"agent/{name}"))

    async def attempt(self, name: str) -> None:
        """The same; what fails is only logged."""
        try:
            await self.run(name)
        except HyperhiveError as error:
            log.warning("what there is of %s stays: %s", name, error)

    async def finish(self, name: str) -> None:
        """Go on with the purge of an agent of that name, if there is one that has not ended."""
        if name in await self._database.read(agents.half_purged):
            await self.run(name)

    async def finish_all(self) -> None:
        """Go on with all that have not ended; what fails is only logged."""
        for name in await self._database.read(agents.half_purged):
            await self.attempt(name)
