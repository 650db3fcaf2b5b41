"""A gateway between a scripted API on loopback and a client on a unix socket, for the gateway's tests."""

from __future__ import annotations

import asyncio
import json
from collections.abc import AsyncIterator, Awaitable, Callable, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path

import httpx
import uvicorn
from starlette.types import Receive, Scope, Send
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hyperhive.budgets import Over
from hyperhive.gateway.model import ModelGateway, create_model_app
from hyperhive.gateway.pause import Pause
from hyperhive.gateway.upstream import ModelApi
from hyperhive.store.usage import Use

KEY = "sk-ant-operators-own-key"
MESSAGES = "/v1/messages?beta=true"
MESSAGE = json.dumps(
    {"type": "message", "model": "claude-haiku-4-5", "usage": {"input_tokens": 3, "output_tokens": 4}}
).encode()


@dataclass(frozen=True)
class Seen:
    """A request as the API got it; header names in lower case."""

    method: str
    target: str
    headers: Mapping[str, str]
    body: bytes


@dataclass
class Upstream:
    """The API's side: `play` answers each request; `hung_up` is set when a client goes before its end."""

    play: Callable[[Seen, asyncio.StreamWriter], Awaitable[None]]
    url: str = ""
    seen: list[Seen] = field(default_factory=list)
    reached: asyncio.Event = field(default_factory=asyncio.Event)
    hung_up: asyncio.Event = field(default_factory=asyncio.Event)

    async def serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        """One connection, one request; then the connection is closed."""
        self.reached.set()
        try:
            self.seen.append(await read_request(reader))
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(self._watch(reader))
                await self.play(self.seen[-1], writer)
                watch.cancel()
        except* (ConnectionError, asyncio.IncompleteReadError):
            self.hung_up.set()
        finally:
            writer.close()

    async def _watch(self, reader: asyncio.StreamReader) -> None:
        if await reader.read(1) == b"":
            self.hung_up.set()


async def read_request(reader: asyncio.StreamReader) -> Seen:
    """Read a request with a Content-Length or a chunked body."""
    head = (await reader.readuntil(b"\r\n\r\n")).decode().split("\r\n")
    method, target, _ = head[0].split(" ")
    headers = {name.lower(): value for name, _, value in (line.partition(": ") for line in head[1:] if line)}
    if "content-length" in headers:
        return Seen(method, target, headers, await reader.readexactly(int(headers["content-length"])))
    body = b""
    while size := int(await reader.readuntil(b"\n"), 16):
        body += (await reader.readexactly(size + 2))[:-2]
    await reader.readline()
    return Seen(method, target, headers, body)


async def answer(
    writer: asyncio.StreamWriter, status: int, body: bytes, headers: Mapping[str, str] | None = None
) -> None:
    """A whole answer."""
    lines = [f"{name}: {value}" for name, value in (headers or {"content-type": "application/json"}).items()]
    head = "\r\n".join([f"HTTP/1.1 {status} X", f"content-length: {len(body)}", "connection: close", *lines])
    writer.write(head.encode() + b"\r\n\r\n" + body)
    await writer.drain()


async def plain(seen: Seen, writer: asyncio.StreamWriter) -> None:
    """Answer with MESSAGE, as a request without `stream` gets it."""
    await answer(writer, 200, MESSAGE)


async def start_stream(writer: asyncio.StreamWriter, headers: str = "") -> None:
    """The head of an event stream."""
    head = "HTTP/1.1 200 OK\r\ncontent-type: text/event-stream\r\ntransfer-encoding: chunked\r\n"
    writer.write((head + headers + "connection: close\r\n\r\n").encode())
    await writer.drain()


async def chunk(writer: asyncio.StreamWriter, data: bytes) -> None:
    """A chunk of a stream; an empty one ends it."""
    writer.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
    await writer.drain()


@dataclass
class Rig:
    """What a test has: the API's side, a client that talks to the gateway, and what was recorded."""

    upstream: Upstream
    client: httpx.AsyncClient
    socket: Path
    pause: Pause
    told: list[str]
    changes: list[float | None]
    records: list[tuple[str, str, int, int]]
    recorded: asyncio.Event

    async def post(self, body: object = None, path: str = MESSAGES, **headers: str) -> httpx.Response:
        """Send a Messages request."""
        names = {name.replace("_", "-"): value for name, value in headers.items()}
        return await self.client.post(path, content=json.dumps(body or {"model": "haiku"}), headers=names)


@asynccontextmanager
async def serve_gateway(gateway: ModelGateway, path: Path, agent: str = "worker") -> AsyncIterator[None]:
    """Serve `gateway` on a unix socket as `agent`'s."""

    async def identified(scope: Scope, receive: Receive, send: Send) -> None:
        scope["state"] = {"identity": agent}
        await gateway(scope, receive, send)

    config = uvicorn.Config(identified, log_config=None, access_log=False)
    config.load()
    state = ServerState()

    def protocol() -> asyncio.Protocol:
        return HttpToolsProtocol(config=config, server_state=state, app_state={})

    server = await asyncio.get_running_loop().create_unix_server(protocol, path=str(path))
    try:
        yield
    finally:
        server.close()
        for connection in list(state.connections):
            connection.shutdown()
        await asyncio.gather(*state.tasks, return_exceptions=True)
        await gateway.aclose()


@asynccontextmanager
async def rig(
    play: Callable[[Seen, asyncio.StreamWriter], Awaitable[None]],
    tmp_path: Path,
    *,
    key: Callable[[], str | None] = lambda: KEY,
    url: str | None = None,
    bearer: Callable[[], str | None] = lambda: None,
    over: Over | Exception | None = None,
) -> AsyncIterator[Rig]:
    """Everything started; `url` puts the API elsewhere, and with `over` the agent is over budget, or nobody knows."""
    upstream = Upstream(play)
    server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0)
    upstream.url = url or f"http://127.0.0.1:{server.sockets[0].getsockname()[1]}"
    records: list[tuple[str, str, int, int]] = []
    recorded = asyncio.Event()

    async def record(agent: str, use: Use) -> None:
        records.append((agent, use.model, use.input_tokens, use.output_tokens))
        recorded.set()

    async def spent(agent: str) -> Over | None:
        if isinstance(over, Exception):
            raise over
        return over

    path = tmp_path / "model.sock"
    told: list[str] = []

    async def tell(until: float, reason: str) -> None:
        told.append(reason)

    changes: list[float | None] = []
    pause = Pause(tell, lambda: changes.append(pause.held_until("worker")))
    gateway = create_model_app(ModelApi(upstream.url, key, bearer), record, pause, spent)
    transport = httpx.AsyncHTTPTransport(uds=str(path))
    async with (
        serve_gateway(gateway, path),
        httpx.AsyncClient(transport=transport, base_url="http://hive", timeout=20) as client,
    ):
        yield Rig(upstream, client, path, pause, told, changes, records, recorded)
    server.close()
    await server.wait_closed()
