"""MCP on an agent's socket: one connection, relayed from stdio by socat, is JSON-RPC line by line.

The client is hostile by assumption. What one connection can hold is bounded: a line, the calls in flight (the
next line is read when one of them is answered), and nothing is written faster than the client reads.
"""

from __future__ import annotations

import asyncio
import logging
from collections.abc import Coroutine
from functools import partial
from typing import Any

import anyio

from hyperhive.api.mcp_sdk import ANSWERS_CANCELLED, Envelope, Handlers, Streams, dump, failure, parse, same_id
from hyperhive.api.mcp_tools import HiveTools
from hyperhive.api.requests import inside
from hyperhive.api.streams import StreamListener
from hyperhive.errors import HyperhiveError

MAX_LINE = 1024 * 1024
"""Bytes of one message; the reader given to `serve_mcp` must have this limit."""
MAX_VALUES = 1000
"""Lists, objects and their members in one message; very many take 24 times their text, as long as nobody reads."""
MAX_CALLS = 8
"""Requests of one connection in flight; Claude Code makes its calls one after the other."""
MAX_CONNECTIONS = 16
"""Connections of one agent; Claude Code has one in each process."""
DRAIN = 5.0
"""Seconds that calls in flight may go on when the client has closed its side."""

_PARSE_ERROR, _INVALID_REQUEST = -32700, -32600
_NOTIFICATIONS = ("notifications/initialized", "notifications/cancelled")

_log = logging.getLogger(__name__)


async def serve_mcp(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str, tools: HiveTools) -> None:
    """Serve one connection of `agent` until it ends, then close it. Raises nothing but CancelledError."""
    try:
        await _Connection(reader, writer, agent, tools).run()
    except* HyperhiveError as gone:
        _log.debug("%s: MCP connection ended: %s", agent, gone.exceptions[0])
    except* Exception:
        _log.exception("%s: MCP connection failed", agent)
    finally:
        writer.close()


class _Connection:
    """Carries messages between a socket and the SDK's server."""

    def __init__(
        self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str, tools: HiveTools
    ) -> None:
        self._reader = reader
        self._writer = writer
        self._agent = agent
        self._tools = tools
        self._streams = Streams()
        self._calls: set[str | int] = set()
        self._answered = asyncio.Event()
        self._tasks: list[asyncio.Task[None]] = []
        self._gone = False

    async def run(self) -> None:
        try:
            tools, agent = self._tools, self._agent  # the server is full of cycles: it must not hold what we read
            handlers = Handlers(
                await tools.instructions(agent), partial(tools.offered, agent), partial(tools.call, agent)
            )
            async with asyncio.TaskGroup() as group:
                works = (self._write_answers(), self._read_requests(), self._streams.serve(handlers))
                for work in works:
                    self._tasks.append(group.create_task(self._until_gone(work)))
        finally:
            self._streams.close()

    async def _until_gone(self, work: Coroutine[Any, Any, None]) -> None:
        """A client that goes away ends all of it. As an exception it would stay in memory with what was read from the
        client, in the cycles of a group of exceptions, until a garbage collection comes by.
        """
        try:
            await work
        except ConnectionError as gone:
            _log.debug("%s: MCP connection ended: %s", self._agent, gone)
            self._gone = True
            for task in self._tasks:
                task.cancel()
        except Exception:
            if not self._gone:  # the SDK's tasks stumble over each other when they are cancelled
                raise

    async def _read_requests(self) -> None:
        try:
            while (line := await self._line()) is not None:
                if line.strip():
                    await self._take(line)
                await asyncio.sleep(0)  # a buffer holds very many short lines: between them the others have their turn
            await self._drain()
        except (anyio.BrokenResourceError, anyio.ClosedResourceError):
            pass  # the server has ended
        finally:
            self._streams.inbound.close()

    async def _line(self) -> bytes | None:
        """The next whole line; None at the end, which half a line or one over the limit also is."""
        try:
            return await self._reader.readuntil(b"\n")
        except asyncio.IncompleteReadError:
            return None
        except asyncio.LimitOverrunError:
            await self._send(failure(_INVALID_REQUEST, f"a message may have at most {MAX_LINE} bytes"))
            return None

    async def _take(self, line: bytes) -> None:
        match _parsed(line):
            case None:
                await self._send(failure(_PARSE_ERROR, "not a JSON-RPC message"))
            case Envelope(method=str(), id=None) as message:
                await self._notified(message)
            case Envelope(method=str()) as message:
                await self._requested(message)
            case _:
                pass  # an answer: the server asks nothing

    async def _requested(self, message: Envelope) -> None:
        key = same_id(message.id)
        assert key is not None
        if key in self._calls:
            await self._send(failure(_INVALID_REQUEST, "this id is in use", message.id))
            return
        while len(self._calls) >= MAX_CALLS:
            self._answered.clear()
            await self._answered.wait()
        self._calls.add(key)
        await self._streams.inbound.send(message.message)

    async def _notified(self, message: Envelope) -> None:
        if message.method not in _NOTIFICATIONS:
            return
        await self._streams.inbound.send(message.message)
        if message.method == "notifications/cancelled" and not ANSWERS_CANCELLED:
            self._settle(message.params.get("requestId"))

    async def _drain(self) -> None:
        """Let what was asked be done, although the client only listens now or has gone."""
        try:
            async with asyncio.timeout(DRAIN):
                while self._calls:
                    self._answered.clear()
                    await self._answered.wait()
        except TimeoutError:
            pass

    async def _write_answers(self) -> None:
        async for message in self._streams.outbound:
            number = Envelope.of(message).id
            await self._send(dump(message))
            self._settle(number)

    def _settle(self, number: object) -> None:
        key = same_id(number)
        if key is not None:
            self._calls.discard(key)
            self._answered.set()

    async def _send(self, line: bytes) -> None:
        self._writer.write(line)
        await self._writer.drain()


def _parsed(line: bytes) -> Envelope | None:
    try:
        message = parse(line)
    except ValueError:
        return None
    return None if _is_wide(message.params) else message


def _is_wide(params: object) -> bool:
    """Whether there are more than MAX_VALUES in it."""
    left, count = [params], 0
    while left and count <= MAX_VALUES:
        inner = inside(left.pop())
        count += len(inner)
        left += inner if count <= MAX_VALUES else ()
    return count > MAX_VALUES


def mcp_listener(tools: HiveTools) -> StreamListener:
    """Listens on the agents' mcp.sock. Which socket a client came through is who it is."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str) -> None:
        await serve_mcp(reader, writer, agent, tools)

    too_many = failure(_INVALID_REQUEST, f"an agent may have {MAX_CONNECTIONS} MCP connections")
    return StreamListener(serve, limit=MAX_LINE, most=MAX_CONNECTIONS, too_many=too_many)
