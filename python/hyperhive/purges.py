"""Purges: what an operator had destroyed for good goes, also if the core was killed over it or the disk failed."""

from __future__ import annotations

import logging
from collections.abc import Coroutine
from typing import Any

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
        await _logged(name, self.run(name))

    async def finish(self, name: str) -> None:
        """Go on with the purge of an agent of that name, if there is one that has not ended."""
        for half, actor in await self._database.read(agents.half_purged):
            if half == name:
                await self._run_again(name, actor)

    async def finish_all(self) -> None:
        """Go on with all that have not ended; what fails is only logged."""
        for name, actor in await self._database.read(agents.half_purged):
            await _logged(name, self._run_again(name, actor))

    async def _run_again(self, name: str, actor: str) -> None:
        """On NixOS root purges only whom the newest entry about it says so of; a terminal may have ended since."""
        detail = {"purge": True, "reason": "its purge had not ended"}
        await self._database.write(lambda c: audit.append(c, actor, "agent.destroyed", f"agent/{name}", **detail))
        await self.run(name)


async def _logged(name: str, purge: Coroutine[Any, Any, None]) -> None:
    try:
        await purge
    except HyperhiveError as error:
        log.warning("what there is of %s stays: %s", name, error)
