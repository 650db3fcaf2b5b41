"""Retention: what is old or too much goes, a little at a time, and the file shrinks again. Waiting mail never goes."""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Awaitable, Callable

from hyperhive.bounds import BrokerLimits, HistoryLimits
from hyperhive.broker import Broker
from hyperhive.errors import HyperhiveError
from hyperhive.store import history, messages
from hyperhive.store.database import Database

log = logging.getLogger(__name__)

STEP = 500
"""Messages deleted, or pages given back, in one go: mail goes on in between."""
EVERY = 600.0
"""Seconds from one look at everything to the next."""
MANY = 5000
"""Delivered messages after which there is a look at the mail."""
GROWTH = 128 * 1024 * 1024
"""Bytes that the database grows by after which there is a look at everything; LOOK seconds from one measure to the
next."""
LOOK = 5.0
DAY = 86400.0


class Retention:
    """Prunes one hive's database."""

    def __init__(self, database: Database, broker: Broker, mail: BrokerLimits, past: HistoryLimits) -> None:
        self._database = database
        self._mail = mail
        self._past = past
        self._delivered = 0
        self._many = asyncio.Event()
        broker.on_delivered = self._count

    async def run(self) -> None:
        """Prune for as long as the core runs: everything now and then, and when the database has grown much, mail also
        when much was delivered.
        """
        while True:
            await self._tried(self.prune())
            most, until = await self._size() + GROWTH, time.monotonic() + EVERY
            while time.monotonic() < until and await self._size() < most:
                with contextlib.suppress(TimeoutError):
                    async with asyncio.timeout(LOOK):
                        await self._many.wait()
                if self._many.is_set():
                    await self._tried(self.prune_mail())

    async def _size(self) -> int:
        try:
            return await self._database.read(_size)
        except HyperhiveError as error:
            log.warning("the database's size: %s", error)
            return 0

    async def _tried(self, pruning: Awaitable[int]) -> None:
        self._many.clear()
        self._delivered = 0
        try:
            await pruning
        except Exception:  # a full disk: the next time
            log.exception("retention")

    def _count(self, delivered: int) -> None:
        self._delivered += delivered
        if self._delivered >= MANY:
            self._many.set()

    async def prune(self) -> int:
        """Delete what retention no longer keeps, give the space back, and return how many rows went."""
        return await self.prune_history() + await self.prune_mail()

    async def prune_mail(self) -> int:
        """The same of the mail alone."""
        now = time.time()
        gone = 0
        for recipient in await self._database.read(messages.recipients):
            gone += await self._all(self._of_mail(recipient, now))
        while await self._database.write(_vacuum_some):
            pass
        return gone

    async def prune_history(self) -> int:
        """The same of everything else; the space is given back with the mail's."""
        now = time.time()
        gone = 0
        for agent in await self._database.read(history.agents):
            for work in self._of_turns(agent, now):
                gone += await self._all(work)
        before = now - self._past.retention_days * DAY
        gone += await self._all(lambda c: history.prune_proposals(c, before=before, most=self._past.max_proposals))
        day = time.strftime("%Y-%m-%d", time.gmtime(now - self._past.usage_days * DAY))
        return gone + await self._all(lambda c: history.prune_usage(c, before=day))

    def _of_mail(self, recipient: str, now: float) -> Callable[[sqlite3.Connection], int]:
        before, most = now - self._mail.retention_days * DAY, self._mail.max_rows
        return lambda c: messages.prune(c, recipient, before=before, max_rows=most, limit=STEP)

    def _of_turns(self, agent: str, now: float) -> list[Callable[[sqlite3.Connection], int]]:
        past = self._past
        before = now - past.retention_days * DAY
        return [
            lambda c: history.prune_turns(c, agent, before=before, most=past.max_turns),
            lambda c: history.prune_events(c, agent, most=past.max_event_bytes),
        ]

    async def _all(self, work: Callable[[sqlite3.Connection], int]) -> int:
        """Do it until there is nothing left to do."""
        gone = 0
        while number := await self._database.write(work):
            gone += number
        return gone


def _size(connection: sqlite3.Connection) -> int:
    """Bytes of the database, what is still in its write-ahead log included."""
    (pages,) = connection.execute("PRAGMA page_count").fetchone()
    (each,) = connection.execute("PRAGMA page_size").fetchone()
    return int(pages * each)


def _vacuum_some(connection: sqlite3.Connection) -> int:
    """Give some free pages back to the disk; returns how many.

    The pragma gives back one page each time that the statement is stepped, and sqlite3 steps one without columns once.
    """
    (free,) = connection.execute("PRAGMA freelist_count").fetchone()
    for _ in range(min(free, STEP)):
        connection.execute("PRAGMA incremental_vacuum(1)")
    (left,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(free - left)
