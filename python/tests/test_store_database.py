"""hyperhive.store.database: durable groups, failures that stay with their cause, files that are not ours."""

from __future__ import annotations

import asyncio
import os
import sqlite3
import subprocess
import sys
from collections.abc import AsyncIterator, Callable
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from database_rig import held, queued, within

from hyperhive.errors import Unavailable
from hyperhive.store import messages
from hyperhive.store.database import MAX_GROUP, VERSION, Database

WRITERS = 8
WRITING = f"""
import asyncio, sys
from pathlib import Path
from hyperhive.store import messages
from hyperhive.store.database import Database

def store(connection):
    return messages.insert(connection, sender="a", recipient="b", kind="mail", body="x" * 300).id

async def write(database):
    while True:
        print(await database.write(store), flush=True)

async def main():
    database = await Database.open(Path(sys.argv[1]))
    await asyncio.gather(*(write(database) for _ in range({WRITERS})))

asyncio.run(main())
"""


@asynccontextmanager
async def opened(root: Path) -> AsyncIterator[Database]:
    database = await Database.open(root / "hive.db")
    try:
        yield database
    finally:
        await database.close()


def insert(body: str) -> Callable[[sqlite3.Connection], int]:
    return lambda c: messages.insert(c, sender="a", recipient="b", kind="mail", body=body).id


def bodies(connection: sqlite3.Connection) -> list[str]:
    return [body for (body,) in connection.execute("SELECT body FROM messages ORDER BY id")]


def pragma(statement: str) -> Callable[[sqlite3.Connection], object]:
    return lambda c: c.execute(f"PRAGMA {statement}").fetchone()


def test_what_queues_up_is_committed_once(tmp_path: Path) -> None:
    async def run() -> None:
        statements: list[str] = []
        async with opened(tmp_path) as database:
            await database.read(lambda c: c.set_trace_callback(statements.append))
            async with held(database):
                tasks = await queued(database, *(insert(f"m{number}") for number in range(100)))
            assert await asyncio.gather(*tasks) == list(range(1, 101))
            assert await database.read(bodies) == [f"m{number}" for number in range(100)]
        assert statements.count("COMMIT") == 1

    within(run())


def test_a_group_is_bounded(tmp_path: Path) -> None:
    async def run() -> None:
        statements: list[str] = []
        async with opened(tmp_path) as database:
            await database.read(lambda c: c.set_trace_callback(statements.append))
            async with held(database):
                tasks = await queued(database, *(insert("x") for _ in range(MAX_GROUP + 1)))
            await asyncio.gather(*tasks)
        assert statements.count("COMMIT") == 2

    within(run())


def test_a_work_that_fails_undoes_only_itself(tmp_path: Path) -> None:
    def breaks(connection: sqlite3.Connection) -> None:
        insert("never")(connection)
        raise ZeroDivisionError("my own fault")

    def forbidden(connection: sqlite3.Connection) -> None:
        insert("never either")(connection)
        connection.execute("UPDATE messages SET kind = 'nonsense'")

    async def run() -> None:
        async with opened(tmp_path) as database:
            async with held(database):
                tasks = await queued(database, insert("before"), breaks, insert("between"), forbidden, insert("after"))
            found = await asyncio.gather(*tasks, return_exceptions=True)
            assert isinstance(found[1], ZeroDivisionError), found
            assert isinstance(found[3], sqlite3.IntegrityError), found
            assert await database.read(bodies) == ["before", "between", "after"]

    within(run())


def test_a_work_that_raises_what_no_future_can_carry_still_answers(tmp_path: Path) -> None:
    def stops(connection: sqlite3.Connection) -> None:
        raise StopIteration

    async def run() -> None:
        async with opened(tmp_path) as database:
            with pytest.raises(RuntimeError, match="StopIteration"):
                await database.write(stops)
            assert await database.write(insert("still here")) == 1

    within(run())


def test_reads_see_the_writes_before_them(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as database:
            async with held(database):
                (first,) = await queued(database, insert("one"))
                seen = asyncio.create_task(database.read(bodies))
                await asyncio.sleep(0)
                (second,) = await queued(database, insert("two"))
            assert await seen == ["one"]
            await asyncio.gather(first, second)

    within(run())


def test_a_full_disk_refuses_in_words_and_loses_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as database:
            stored = [f"kept {number}" for number in range(20)]
            for body in stored:
                await database.write(insert(body))
            await database.write(pragma("max_page_count = 1"))  # SQLite makes that: no page more than now
            async with held(database):
                tasks = await queued(database, *(insert("x" * 60_000) for _ in range(5)))
                reading = asyncio.create_task(database.read(bodies))
                await asyncio.sleep(0)
            for error in await asyncio.gather(*tasks, return_exceptions=True):
                assert isinstance(error, Unavailable), error
                assert str(error) == "the disk is full: nothing was stored; free some space and try again"
            assert await reading == stored
            await database.read(pragma("max_page_count = 1000000"))
            assert await database.write(insert("room again")) == 21
            assert await database.read(bodies) == [*stored, "room again"]

    within(run())


def test_a_read_only_database_refuses_in_words(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as database:
            await database.read(pragma("query_only = ON"))
            with pytest.raises(Unavailable, match="read-only for this user: nothing was stored"):
                await database.write(insert("no"))
            assert await database.read(bodies) == []

    within(run())


def test_a_database_that_another_program_holds_refuses_in_words(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as database:
            await database.read(pragma("busy_timeout = 0"))
            other = sqlite3.connect(tmp_path / "hive.db", isolation_level=None)
            other.execute("BEGIN IMMEDIATE")
            with pytest.raises(Unavailable, match="held by another program: nothing was stored"):
                await database.write(insert("no"))
            other.rollback()
            other.close()
            assert await database.write(insert("yes")) == 1

    within(run())


def test_a_cancelled_caller_harms_nobody(tmp_path: Path) -> None:
    async def run() -> None:
        faults: list[object] = []
        asyncio.get_running_loop().set_exception_handler(lambda loop, context: faults.append(context))
        async with opened(tmp_path) as database:
            async with held(database):
                gone, stays = await queued(database, insert("gone"), insert("stays"))
                gone.cancel()
                await asyncio.gather(gone, return_exceptions=True)
            assert await stays == 2
            assert "stays" in await database.read(bodies)
        assert faults == []

    within(run())


def test_closing_finishes_what_is_queued_and_refuses_the_rest(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as database:
            async with held(database):
                tasks = await queued(database, *(insert(f"m{number}") for number in range(3)))
                closing = asyncio.create_task(database.close())
                await asyncio.sleep(0)
                with pytest.raises(Unavailable, match="stopping"):
                    await database.write(insert("too late"))
            await closing
            assert await asyncio.gather(*tasks) == [1, 2, 3]
        async with opened(tmp_path) as database:
            assert await database.read(bodies) == ["m0", "m1", "m2"]

    within(run())


def test_what_was_acknowledged_survives_a_kill(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    with subprocess.Popen(
        [sys.executable, "-c", WRITING, str(path)], stdout=subprocess.PIPE, env=environment
    ) as writing:
        assert writing.stdout
        first = [writing.stdout.readline() for _ in range(200)]
        writing.kill()
        rest = writing.stdout.read().splitlines(keepends=True)
    printed = {int(line) for line in [*first, *rest] if line.endswith(b"\n")}
    assert len(printed) >= 200

    async def run() -> set[int]:
        async with opened(tmp_path) as database:
            return await database.read(lambda c: {number for (number,) in c.execute("SELECT id FROM messages")})

    stored = within(run())
    assert printed - stored == set()
    assert len(stored - printed) <= WRITERS, "more was stored than was under way"


def test_the_file_is_as_durable_as_promised(tmp_path: Path) -> None:
    async def run() -> None:
        async with opened(tmp_path) as database:
            assert await database.read(pragma("journal_mode")) == ("wal",)
            assert await database.read(pragma("synchronous")) == (2,)  # FULL
            assert await database.read(pragma("foreign_keys")) == (1,)
            assert await database.read(pragma("auto_vacuum")) == (2,)  # incremental
            assert await database.read(pragma("user_version")) == (VERSION,)

    within(run())
