"""A database that tests can hold still, and a bound on tests that would hang."""

from __future__ import annotations

import asyncio
import sqlite3
import threading
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from typing import TypeVar

from hyperhive.store.database import Database

DEADLINE = 30.0

T = TypeVar("T")


def within(test: Awaitable[T]) -> T:
    """Run a test's coroutine; one that hangs fails."""

    async def bounded() -> T:
        async with asyncio.timeout(DEADLINE):
            return await test

    return asyncio.run(bounded())


@asynccontextmanager
async def held(database: Database) -> AsyncIterator[None]:
    """While the block runs, what is asked of the database only queues up; at its end it is one group."""
    busy, go = threading.Event(), threading.Event()

    def wait(connection: sqlite3.Connection) -> None:
        busy.set()
        assert go.wait(DEADLINE)

    waiting = asyncio.ensure_future(database.read(wait))
    assert await asyncio.to_thread(busy.wait, DEADLINE)
    try:
        yield
    finally:
        go.set()
        await waiting


async def queued(database: Database, *works: Callable[[sqlite3.Connection], object]) -> list[asyncio.Task[object]]:
    """Tasks that have handed their work to the database."""
    tasks = [asyncio.create_task(database.write(work)) for work in works]
    await asyncio.sleep(0)  # each runs up to its wait for the result
    return tasks
