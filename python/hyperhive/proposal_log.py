"""What the host did for a proposal, line by line: its check, its build, its activation. Stored, and told live."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager

from hyperhive.errors import Unavailable
from hyperhive.hub import Hub
from hyperhive.store import proposals as rows
from hyperhive.store.database import Database

log = logging.getLogger(__name__)

FLUSH = 0.2
"""Seconds in which lines that come together are stored together."""

Log = Callable[[str], None]


class ProposalLogs:
    """Writes the logs of all proposals."""

    def __init__(self, database: Database, hub: Hub) -> None:
        self._database = database
        self._hub = hub

    async def add(self, proposal: int, step: str, *texts: str) -> None:
        """Store lines and tell of them. `step`: check, build or activate. What cannot be stored is left out."""
        try:
            stored = await self._database.write(lambda c: rows.add_log(c, proposal, step, texts))
        except Unavailable as error:
            log.warning("proposal %s: a line of its log is lost (%s)", proposal, error)
            return
        for line in stored:
            self._hub.publish("proposal_log", {"proposal": proposal, **line.__dict__})

    @asynccontextmanager
    async def collect(self, proposal: int, step: str) -> AsyncIterator[Log]:
        """A function that takes lines of that step for the time of the block; they are stored as they come."""
        lines: list[str] = []
        writing = asyncio.create_task(self._flush_often(proposal, step, lines))
        try:
            yield lines.append
        finally:
            writing.cancel()
            with contextlib.suppress(asyncio.CancelledError):
                await writing
            await self._flush(proposal, step, lines)

    async def _flush_often(self, proposal: int, step: str, lines: list[str]) -> None:
        while True:
            await asyncio.sleep(FLUSH)
            await asyncio.shield(self._flush(proposal, step, lines))

    async def _flush(self, proposal: int, step: str, lines: list[str]) -> None:
        if lines:
            texts, lines[:] = tuple(lines), []
            await self.add(proposal, step, *texts)

    async def of(self, proposal: int, *, after: int) -> list[rows.LogLine]:
        """The log in order; `after`: only lines with a larger number."""
        return await self._database.read(lambda c: rows.log_of(c, proposal, after=after))
