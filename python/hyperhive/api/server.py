"""HTTP on unix sockets: uvicorn's protocol with the bounds that a hostile client needs, and the caller's identity.

A listener belongs to one agent (or to the operator): its `identity` is set here, from the socket that was connected
to, and reaches the application in `scope["state"]`; no request can change it.
"""

from __future__ import annotations

import asyncio
import os
import socket
import struct
from asyncio import TimerHandle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import HttpToolsProtocol
from uvicorn.server import ServerState

from hyperhive.errors import Unavailable

MAX_HEADERS = 64
MAX_HEAD = 16 * 1024
HEAD_TIME = 10.0
IDLE_TIME = 120
MAX_CONNECTIONS = 256
_PEER = struct.Struct("3i")


@dataclass
class _Listener:
    """What the connections of one socket share."""

    config: Config
    identity: str | None
    connections: set[_Connection] = field(default_factory=set)
    server: asyncio.Server | None = None


class _Connection(HttpToolsProtocol):
    """One connection: bounded in headers and time, and sure of who is at the other end."""

    def __init__(self, listener: _Listener, state: ServerState) -> None:
        super().__init__(config=listener.config, server_state=state, app_state={"identity": listener.identity})
        self._listener = listener
        self._timer: TimerHandle | None = None
        self._unfinished = 0  # bytes of a head that is not complete yet
        self._head = 0  # bytes of headers in this request
        self._in_head = True

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        if len(self._listener.connections) >= MAX_CONNECTIONS:
            transport.abort()
            return
        self._listener.connections.add(self)
        peer: socket.socket = transport.get_extra_info("socket")
        _, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
        self.app_state["peer_uid"] = uid
        self._arm(IDLE_TIME)

    def connection_lost(self, exc: Exception | None) -> None:
        self._listener.connections.discard(self)
        self._disarm()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        if self._in_head and self._unfinished == 0:
            self._arm(HEAD_TIME)
        super().data_received(data)
        self._unfinished = self._unfinished + len(data) if self._in_head else 0
        if self._unfinished > MAX_HEAD * 4:
            self.transport.abort()

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._head = 0
        self._in_head = True

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head += len(name) + len(value)
        if len(self.headers) > MAX_HEADERS or self._head > MAX_HEAD:
            raise ValueError("too many headers")  # the parser turns it into a 400 and the connection ends

    def on_headers_complete(self) -> None:
        self._in_head = False
        self._unfinished = 0
        self._disarm()
        super().on_headers_complete()

    def on_message_complete(self) -> None:
        super().on_message_complete()
        self._in_head = True

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._expire)

    def _disarm(self) -> None:
        if self._timer is not None:
            self._timer.cancel()
            self._timer = None

    def _expire(self) -> None:
        if not self.transport.is_closing():
            self.transport.abort()


class Servers:
    """The listening sockets of the core."""

    def __init__(self) -> None:
        self._state = ServerState()
        self._listeners: dict[Path, _Listener] = {}

    async def listen(self, path: Path, app: Any, *, identity: str | None, mode: int) -> None:  # noqa: ANN401
        """Serve the ASGI application on a unix socket at `path` with that file mode; a stale socket is replaced.

        Raises Unavailable if the path is too long for a socket or cannot be bound.
        """
        config = Config(
            app, http="httptools", ws="none", lifespan="off", log_config=None, access_log=False,
            timeout_keep_alive=IDLE_TIME,
        )  # fmt: skip
        config.load()
        listener = _Listener(config, identity)
        server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Connection(listener, self._state), sock=bind(path, mode), backlog=128
        )
        listener.server = server
        self._listeners[path] = listener

    async def close(self, path: Path) -> None:
        """Stop serving there, end the connections and remove the socket."""
        listener = self._listeners.pop(path, None)
        if listener is None or listener.server is None:
            return
        listener.server.close()
        for connection in tuple(listener.connections):
            connection.transport.abort()
        path.unlink(missing_ok=True)

    async def close_all(self) -> None:
        """The same for every socket."""
        for path in tuple(self._listeners):
            await self.close(path)


def bind(path: Path, mode: int) -> socket.socket:
    """A bound unix socket with that file mode; replaces a stale one. Raises Unavailable."""
    if len(os.fsencode(path)) > 107:
        raise Unavailable(f"{path} is too long for a socket (107 bytes); use a shorter state or runtime directory")
    server = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    try:
        if path.is_socket():
            path.unlink()
        server.bind(str(path))
        path.chmod(mode)
    except OSError as error:
        server.close()
        raise Unavailable(f"{path} cannot be bound: {error.strerror}") from error
    return server
