"""The one owner of the SQLite connection: a thread that commits whatever has queued up as one group.

A group commit is what makes durable writes cheap under load: the thread drains its queue, runs each work in a
savepoint of one transaction, commits once (one fsync), and only then resolves the callers, all in one call to the loop.
"""

from __future__ import annotations

import asyncio
import contextlib
import queue
import sqlite3
import threading
from collections.abc import Callable
from dataclasses import dataclass
from importlib import resources
from pathlib import Path
from typing import Any, TypeVar

from hyperhive.errors import BadInput, HyperhiveError, Unavailable
from hyperhive.store import audit

VERSION = 5
"""Of the file's format: schema-N.sql brings it from N - 1 to N."""
MAX_GROUP = 500
WAL_KEPT = 16 * 1024 * 1024
"""Bytes that the write-ahead log's file keeps after a checkpoint; it is larger only while it must be."""

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

    def __init__(self, connection: sqlite3.Connection, path: Path) -> None:
        self._connection = connection
        self._path = path
        self._loop = asyncio.get_running_loop()
        self._closed = False
        self._jobs: queue.SimpleQueue[_Job | None] = queue.SimpleQueue()
        self._thread = threading.Thread(target=self._run, name="database", daemon=True)
        self._thread.start()

    @classmethod
    async def open(cls, path: Path) -> Database:
        """Open or create the database.

        Raises BadInput (of a newer version, or no database of ours), Unavailable (no directory, no rights, disk full).
        """
        connection = await asyncio.to_thread(_connect, path)
        return cls(connection, path)

    async def write(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work` in a transaction; it is durable when this returns. What `work` raises undoes it alone.

        Raises Unavailable if it could not be stored (disk full, read-only), and then nothing of it was.
        """
        return await self._submit(work, write=True)

    async def read(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run `work`, which changes nothing, after every write that came before it."""
        return await self._submit(work, write=False)

    async def read_apart(self, work: Callable[[sqlite3.Connection], T]) -> T:
        """Run long `work`, which changes nothing, on a connection of its own, so that nobody waits for it."""

        def run() -> T:
            with contextlib.closing(sqlite3.connect(f"{self._path.absolute().as_uri()}?mode=ro", uri=True)) as apart:
                return work(apart)

        try:
            return await asyncio.to_thread(run)
        except sqlite3.Error as error:
            raise _caller_error(error) from error

    async def close(self) -> None:
        """Finish what is queued and close the file."""
        if not self._closed:
            self._closed = True
            self._jobs.put(None)
        await asyncio.to_thread(self._thread.join)

    async def _submit(self, work: Callable[[sqlite3.Connection], T], *, write: bool) -> T:
        if self._closed:
            raise Unavailable("the core is stopping: the database is closed")
        future: asyncio.Future[T] = self._loop.create_future()
        self._jobs.put(_Job(work, write, future))
        try:
            return await future
        finally:
            del future  # or it holds its error, whose traceback holds this frame, and all that the caller was sent

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
        """One transaction for all of them; if it fails as a whole, the writes are refused and the reads done again."""
        writes = any(job.write for job in jobs)
        try:
            if writes:
                self._connection.execute("BEGIN IMMEDIATE")
            for job in jobs:
                self._run_job(job)
            if writes:
                self._connection.execute("COMMIT")
        except BaseException as error:  # the thread serves everyone: it must outlive whatever this is
            self._abandon(jobs, error)

    def _run_job(self, job: _Job) -> None:
        """Run one work, a write in its savepoint: what it raises is its caller's and undoes it alone."""
        if not job.write:
            _attempt(job, self._connection)
            return
        self._connection.execute("SAVEPOINT work")
        _attempt(job, self._connection)
        if job.error is not None:
            if not self._connection.in_transaction:  # SQLite gave the whole transaction up
                raise job.error
            self._connection.execute("ROLLBACK TO work")
        self._connection.execute("RELEASE work")

    def _abandon(self, jobs: list[_Job], error: BaseException) -> None:
        if self._connection.in_transaction:
            self._connection.rollback()
        for job in jobs:
            if job.write:
                job.error = job.error or _caller_error(error)
            else:
                _attempt(job, self._connection)


def _attempt(job: _Job, connection: sqlite3.Connection) -> None:
    job.result = job.error = None
    try:
        job.result = job.work(connection)
    except BaseException as error:  # the caller's to handle, whatever it is
        job.error = _caller_error(error)


def _resolve(jobs: list[_Job]) -> None:
    for job in jobs:
        if job.future.done():  # the caller was cancelled
            continue
        if job.error is not None:
            job.future.set_exception(job.error)
        else:
            job.future.set_result(job.result)


def _caller_error(error: BaseException) -> BaseException:
    """What the caller gets for it: the environment's failures in words, everything else as it is."""
    if isinstance(error, HyperhiveError):
        return error.with_traceback(None)  # the frames hold the job, and that the error: see _submit
    if isinstance(error, sqlite3.Error):
        return _explain(error, "the database") or error
    if isinstance(error, StopIteration):  # a future refuses to carry it
        return RuntimeError("the work raised StopIteration")
    return error


_FAILURES: dict[int, tuple[type[HyperhiveError], str]] = {
    sqlite3.SQLITE_FULL: (Unavailable, "the disk is full: nothing was stored; free some space and try again"),
    sqlite3.SQLITE_IOERR: (Unavailable, "the disk of {name} fails or is full: nothing was stored ({error})"),
    sqlite3.SQLITE_READONLY: (Unavailable, "{name} is read-only for this user: nothing was stored; make it writable"),
    sqlite3.SQLITE_CANTOPEN: (Unavailable, "{name} cannot be opened; is its directory there and writable?"),
    sqlite3.SQLITE_BUSY: (Unavailable, "{name} is held by another program: nothing was stored; end that program"),
    sqlite3.SQLITE_NOTADB: (BadInput, "{name} is not a hyperhive database; move it away or restore a backup"),
    sqlite3.SQLITE_CORRUPT: (BadInput, "{name} is damaged ({error}); move it away and restore a backup"),
}


def _explain(error: sqlite3.Error, name: str) -> HyperhiveError | None:
    """What went wrong around the database, in words; None if the fault is in the statement."""
    code = getattr(error, "sqlite_errorcode", sqlite3.SQLITE_ERROR)
    failure = _FAILURES.get(code & 0xFF)  # the primary code of an extended one
    return failure[0](failure[1].format(name=name, error=error)) if failure else None


def _connect(path: Path) -> sqlite3.Connection:
    connection: sqlite3.Connection | None = None
    try:
        connection = sqlite3.connect(path, isolation_level=None, check_same_thread=False, timeout=5)
        _prepare(connection, path)
    except BaseException as error:
        if connection is not None:
            connection.close()
        if isinstance(error, sqlite3.Error):
            raise _explain(error, str(path)) or Unavailable(f"{path} could not be used: {error}") from error
        raise
    return connection


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    """Pragmas, and the schema for a new file. Raises BadInput for one that is newer or somebody else's."""
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise BadInput(
            f"{path} was written by a newer hyperhive (format {version}, this one knows {VERSION}); update hyperhive"
        )
    if version == 0 and connection.execute("SELECT count(*) FROM sqlite_master").fetchone() != (0,):
        raise BadInput(f"{path} is not a hyperhive database but some other program's; move it away")
    if version == 0:
        connection.execute("PRAGMA auto_vacuum = INCREMENTAL")  # only takes effect before the first table
    for pragma in ("journal_mode = WAL", "synchronous = FULL", "foreign_keys = ON", f"journal_size_limit = {WAL_KEPT}"):
        connection.execute(f"PRAGMA {pragma}")
    migrate(connection, version)
    connection.execute("BEGIN IMMEDIATE")  # a file that cannot be written is found now, not at the first message
    connection.execute("ROLLBACK")


def migrate(connection: sqlite3.Connection, version: int) -> None:
    """Bring a file from that format to the present one, each step whole or not at all."""
    connection.create_function("audit_hash", 6, audit.chained())
    for number in range(version + 1, VERSION + 1):
        schema = resources.files("hyperhive").joinpath(f"store/schema-{number}.sql").read_text()
        connection.executescript(f"BEGIN IMMEDIATE;\n{schema}\nPRAGMA user_version = {number};\nCOMMIT;")
