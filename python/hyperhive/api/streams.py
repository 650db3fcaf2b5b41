"""Sockets that speak no HTTP: each connection is one task; which socket it came through is who it is."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Awaitable, Callable
from dataclasses import dataclass, field
from pathlib import Path

from hyperhive.api.server import bind

LINGER_TIME = 2.0
"""Seconds in which a client may take what was said to it before the end; until then its connection counts."""

Serve = Callable[[asyncio.StreamReader, asyncio.StreamWriter, str], Awaitable[None]]


@dataclass
class _Listening:
    server: asyncio.Server
    connections: set[asyncio.Task[None]] = field(default_factory=set)


class StreamListener:
    """Listens on one socket per agent. `serve(reader, writer, agent)` ends a connection and closes it."""

    def __init__(self, serve: Serve, *, limit: int, most: int, too_many: bytes) -> None:
        """`limit`: bytes of the reader's buffer. `most`: connections of one agent; one more is told `too_many`."""
        self._serve = serve
        self._limit = limit
        self._most = most
        self._too_many = too_many
        self._listening: dict[Path, _Listening] = {}

    async def listen(self, path: Path, agent: str, *, mode: int = 0o600) -> None:
        """Serve `agent` on `path`, in place of a stale socket. Raises Unavailable when that cannot be."""
        server = await asyncio.start_unix_server(
            lambda reader, writer: self._connected(path, agent, reader, writer),
            sock=bind(path, mode),
            limit=self._limit,
        )
        self._listening[path] = _Listening(server)

    async def close(self, path: Path) -> None:
        """Stop listening on `path`, end its connections, remove it."""
        listening = self._listening.pop(path, None)
        if listening is None:
            return
        listening.server.close()
        for task in listening.connections:
            task.cancel()
        await asyncio.gather(*listening.connections, return_exceptions=True)
        await listening.server.wait_closed()
        path.unlink(missing_ok=True)  # noqa: ASYNC240  (a local directory of ours)

    async def close_all(self) -> None:
        """Close every socket."""
        for path in list(self._listening):
            await self.close(path)

    async def _connected(
        self, path: Path, agent: str, reader: asyncio.StreamReader, writer: asyncio.StreamWriter
    ) -> None:
        listening = self._listening.get(path)
        if listening is None or len(listening.connections) >= self._most:
            writer.write(self._too_many)
            writer.close()
            return
        task = asyncio.current_task()
        assert task is not None
        listening.connections.add(task)
        try:
            await self._serve(reader, writer, agent)
            await _taken(writer)
        except asyncio.CancelledError:
            pass  # by close; asyncio 3.11 takes a cancelled handler for a failed one
        finally:
            writer.transport.abort()
            listening.connections.discard(task)


async def _taken(writer: asyncio.StreamWriter) -> None:
    """Close, and wait until the client has what was said to it, or has had time enough for that."""
    writer.close()
    with contextlib.suppress(OSError, TimeoutError):
        async with asyncio.timeout(LINGER_TIME):
            await writer.wait_closed()
