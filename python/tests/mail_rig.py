"""A broker with its database for tests, and its harness socket with clients that may send anything."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperhive.activity import Activities
from hyperhive.api.harness import create_harness_app
from hyperhive.api.server import Servers
from hyperhive.bounds import BrokerLimits
from hyperhive.broker import Broker
from hyperhive.dead_letters import DeadLetters
from hyperhive.gateway.pause import Pause
from hyperhive.hub import Hub
from hyperhive.loop_guard import Rate
from hyperhive.settings import Role
from hyperhive.store import agents
from hyperhive.store.database import Database, migrate

DEADLINE = 10.0
FREE: dict[str, Any] = {"edge": Rate(10**9, 60), "agent": Rate(10**9, 60)}
"""Limits under which any number of messages may come at once."""


def connection() -> sqlite3.Connection:
    """An empty database in memory, with the schema."""
    made = sqlite3.connect(":memory:", isolation_level=None)
    migrate(made, 0)
    return made


@dataclass
class Mail:
    """A broker whose hive has the agents `alice` and `bob`; also what api.harness needs of a core."""

    database: Database
    hub: Hub
    activities: Activities
    broker: Broker
    dead_letters: DeadLetters
    limits: BrokerLimits
    beats: list[tuple[str, int, str, int]] = field(default_factory=list)

    @property
    def pause(self) -> Pause:
        """Nothing pauses this hive."""
        return Pause(lambda *_: asyncio.sleep(0))

    async def heartbeat(self, agent: str, generation: int, state: str, pid: int, trouble: str | None) -> None:
        """Remember it."""
        self.beats.append((agent, generation, state, pid))

    async def rows(self) -> list[tuple[Any, ...]]:
        """(id, sender, recipient, body) of every message."""
        query = "SELECT id, sender, recipient, body FROM messages ORDER BY id"
        return await self.database.read(lambda c: c.execute(query).fetchall())

    async def told(self) -> list[dict[str, Any]]:
        """The events in the operator's inbox, oldest first."""
        inbox = await self.broker.inbox(all_=True, limit=1000)
        return [json.loads(message.body) for message in reversed(inbox) if message.kind == "event"]

    async def leased(self) -> list[int]:
        """The messages that are leased now."""
        query = "SELECT id FROM messages WHERE lease_until > ?"
        return await self.database.read(lambda c: [row[0] for row in c.execute(query, (time.time(),))])


@asynccontextmanager
async def mail(root: Path, *more: str, **limits: Any) -> AsyncIterator[Mail]:
    """A running broker with those BrokerLimits; on a database that is there already, its agents are."""
    database = await Database.open(root / "hive.db")
    try:
        known = {agent.name for agent in await database.read(agents.all_agents)}
        for name in {"alice", "bob", *more} - known:
            await database.write(lambda c, name=name: agents.create(c, name, Role.AGENT))  # type: ignore[misc]
        hub = Hub()
        bounds = BrokerLimits(**limits)
        broker = Broker(database, hub, bounds)
        yield Mail(database, hub, Activities(hub), broker, DeadLetters(database, broker), bounds)
    finally:
        await database.close()


@asynccontextmanager
async def sockets(root: Path, *, most: int | None = None, **limits: Any) -> AsyncIterator[tuple[Mail, Path]]:
    """The same with the harness sockets of alice and bob, of `most` connections each; the path is the directory of
    `<name>.sock`.
    """
    async with mail(root, **limits) as made:
        servers = Servers()
        for name in ("alice", "bob"):
            app = create_harness_app(made)
            await servers.listen(root / f"{name}.sock", app, identity=name, mode=0o600, most=most)
        try:
            yield made, root
        finally:
            await servers.close_all()


async def until(condition: Callable[[], Awaitable[object]]) -> None:
    """Wait until `condition()` gives something true."""
    deadline = time.monotonic() + DEADLINE
    while not await condition():
        assert time.monotonic() < deadline, "the condition did not come true"
        await asyncio.sleep(0.005)


@dataclass(frozen=True)
class Answer:
    """An HTTP answer."""

    status: int
    headers: dict[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        """The body as JSON."""
        return json.loads(self.body)


class Client:
    """One connection to a unix socket."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer

    async def post(self, path: str, value: object) -> Answer:
        """Send a request and wait for its answer."""
        return await self.raw(request(path, json.dumps(value).encode()))

    async def raw(self, data: bytes) -> Answer:
        """Send bytes and read one answer."""
        self.writer.write(data)
        return await self.answer()

    async def answer(self) -> Answer:
        """Read one answer."""
        async with asyncio.timeout(DEADLINE):
            head = (await self.reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
            headers = dict(line.lower().split(": ", 1) for line in head[1:] if line)
            body = await self.reader.readexactly(int(headers["content-length"]))
        return Answer(int(head[0].split()[1]), headers, body)

    @property
    def ended(self) -> bool:
        """Whether the server is known to have closed the connection."""
        return self.reader.at_eof() or self.reader.exception() is not None or self.writer.transport.is_closing()

    async def closed(self) -> bytes:
        """Wait until the server has closed the connection; what it still said."""
        async with asyncio.timeout(DEADLINE):
            try:
                return await self.reader.read()
            except ConnectionError:
                return b""


@asynccontextmanager
async def client(path: Path) -> AsyncIterator[Client]:
    """A client for the time of the block."""
    reader, writer = await asyncio.open_unix_connection(path)
    try:
        yield Client(reader, writer)
    finally:
        writer.transport.abort()


async def post(path: Path, target: str, value: object) -> Answer:
    """One request on a connection of its own."""
    async with client(path) as made:
        return await made.post(target, value)


def request(path: str, body: bytes, *headers: str) -> bytes:
    """The bytes of a POST."""
    head = [f"POST {path} HTTP/1.1", "Host: hive", f"Content-Length: {len(body)}", *headers]
    return "\r\n".join(head).encode() + b"\r\n\r\n" + body
