"""The one owner of the SQLite connection: a thread that commits whatever has queued up as one group.

A group commit is what makes durable writes cheap under load: the thread drains its queue, runs each work in a
savepoint of one transaction, commits once (one fsync), and only then resolves the callers.
"""

from __future__ import annotations

import asyncio
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from hyperhive.errors import BadInput, HyperhiveError, Unavailable

VERSION = 1
MAX_GROUP = 500

T = TypeVar("T")
Work = Callable[[sqlite3.Connection], Any]


@dataclass
class _Job:
    """One caller's work, and where its result goes. `write`: it changes something and must be durable."""

    work: Work
    write: bool
    future: asyncio.Future[Any]
    result: Any = None
    error: BaseException | None = None


class Database:
    """`read` and `write` run functions of the connection in the owning thread, in the order they came."""

    def __init__(self, connection: sqlite3.Connection) -> None:
        self._connection = connection
        self._loop = asyncio.get_running_loop()
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Open or create the database. Raises BadInput (newer version, no database), Unavailable (disk, rights)."""
        connection = await asyncio.to_thread(_connect, path)
        return cls(connection)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction; it is durable when this returns. What `work` raises undoes it alone."""
        return await self._submit(work, write=True)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which changes nothing, after every write that came before it."""
        return await self._submit(work, write=False)

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _submit(self, work: Callable[[sqlite3.Connection], T], *, write: bool) -> T:
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, write, future))
        return await future

    def _run(self) -> None:
        """The owning thread: take what has queued up, run it as one group, resolve it, until told to end."""
        ended = False
        while not ended:
            group = [self._jobs.get()]
            while len(group) < MAX_GROUP and not self._jobs.empty():
                group.append(self._jobs.get_nowait())
            jobs = [job for job in group if job is not None]
            ended = len(jobs) < len(group)
            self._run_group(jobs)
            self._loop.call_soon_threadsafe(_resolve, jobs)
        self._connection.close()

    def _run_group(self, jobs: list[_Job]) -> None:
        writes = any(job.write for job in jobs)
        try:
            if writes:
                self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._run_job(job)
            if writes:
                self._connection.execute("COMMIT")
        except sqlite3.Error as error:
            if self._connection.in_transaction:
                self._connection.execute("ROLLBACK")
            for job in jobs:
                job.error = job.error or _explain(error)

    def _run_job(self, job: _Job) -> None:
        """Run one work in its savepoint; a full disk ends the whole group, any other error only this one."""
        if not job.write:
            try:
                job.result = job.work(self._connection)
            except Exception as error:  # the caller's to handle
                job.error = error
            return
        self._connection.execute("SAVEPOINT work")
        try:
            job.result = job.work(self._connection)
        except Exception as error:  # the caller's to handle
            if not self._connection.in_transaction:  # SQLite gave the whole transaction up (disk full)
                raise
            self._connection.execute("ROLLBACK TO work")
            job.error = _explain(error) if isinstance(error, sqlite3.OperationalError) else error
        self._connection.execute("RELEASE work")


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # the caller was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _explain(error: BaseException) -> HyperhiveError:
    text = str(error)
    if "full" in text:
        return Unavailable("the disk is full: nothing was stored; free some space and try again")
    return Unavailable(f"the database could not be written: {text}")


def _connect(path: Path) -> sqlite3.Connection:
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
    except sqlite3.Error as error:
        raise Unavailable(f"{path} cannot be opened: {error}; is its directory there and writable?") from error
    try:
        _prepare(connection, path)
    except sqlite3.DatabaseError as error:
        connection.close()
        if "not a database" in str(error) or "malformed" in str(error):
            raise BadInput(f"{path} is not a hyperhive database ({error}); move it away or restore a backup") from error
        raise _explain(error) from error
    except BaseException:
        connection.close()
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Pragmas, and the schema for a new file. Raises BadInput for a newer one."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise BadInput(
            f"{path} was written by a newer hyperhive (format {version}, this one knows {VERSION}); update hyperhive"
        )
    if version == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only takes effect before the first table
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", "busy_timeout = 5000"):
        connection.execute(f"PRAGMA {pragma}")
    if version == 0:
        schema = resources.files("hyperhive").joinpath("store/schema-1.sql").read_text()
        connection.executescript(f"BEGIN;\n{schema}\nPRAGMA user_version = {VERSION};\nCOMMIT;")
