"""HTTP on unix sockets and loopback: uvicorn's protocol, bounded against hostile clients, and who the caller is.

A listener belongs to one agent (or to the operator): its `identity` is set here, from the socket that was connected
to, and reaches the application in `scope["state"]`; no request can change it.
"""

from __future__ import annotations

import asyncio
import json
import logging
import os
import socket
import struct
from asyncio import TimerHandle
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from uvicorn import Config
from uvicorn.protocols.http.httptools_impl import STATUS_LINE, HttpToolsProtocol, RequestResponseCycle
from uvicorn.protocols.websockets.websockets_sansio_impl import WebSocketsSansIOProtocol
from uvicorn.server import ServerState

from hyperhive.errors import Unavailable

MAX_HEADERS = 64
MAX_HEAD = 16 * 1024
MAX_PIPELINE = 16
"""Requests of one connection that wait for their turn."""
HEAD_TIME = 10.0
REQUEST_TIME = 75.0
"""Seconds for a whole request, whatever the application does; the applications have tighter bounds of their own."""
LINGER_TIME = 2.0
"""Seconds that a client may go on sending after it has been answered already."""
IDLE_TIME = 120
CLOSE_TIME = 5.0
"""Seconds that requests may take to notice that their listener is closed."""
STALL_TIME = 60.0
"""Seconds for which a client on TCP may take nothing of what it is sent, or be gone without a word."""
MAX_CONNECTIONS = 256
"""Of one socket. One more, and the one goes that has said nothing for longest: nobody can keep the others out."""
MAX_WEBSOCKET = 1024 * 1024
"""Bytes of one message on a WebSocket."""
_PEER = struct.Struct("3i")


@dataclass
class _Listener:
    """What the connections of one socket share."""

    config: Config
    identity: str | None
    most: int
    state: ServerState = field(default_factory=ServerState)
    server: asyncio.Server | None = None


class _Connection(HttpToolsProtocol):
    """One connection: bounded in headers, time and overhead, and sure of who is at the other end.

    A request that comes whole in one read, as nearly all do, costs no timer. `_stage` is where the parser is: between
    requests, in a head, or in a body.
    """

    def __init__(self, listener: _Listener) -> None:
        super().__init__(listener.config, listener.state, {"identity": listener.identity})
        self._listener = listener
        self._upgraded = False
        self._timer: TimerHandle | None = None
        self._timer_for: tuple[int, str] | None = None
        self._requests = 0
        self._stage = "idle"
        self._head = 0
        self._body = 0  # bytes of this request's body
        self._read = 0  # bytes of bodies in this read
        self._overhead = 0  # bytes of this request that were no body
        self._running: RequestResponseCycle | None = None
        self._refusal = (400, "the request is not HTTP/1.1")
        self._heard_at = 0.0  # when something came last
        self._served = False  # whether a request was ever answered
        self._whole = False  # whether the last request has come whole

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # as uvicorn's own
        super().connection_made(transport)
        self._heard_at = self.loop.time()
        if len(self.connections) > self._listener.most:
            self._make_room()
        peer: socket.socket = transport.get_extra_info("socket")
        if peer.family == socket.AF_UNIX:
            _, uid, _ = _PEER.unpack(peer.getsockopt(socket.SOL_SOCKET, socket.SO_PEERCRED, _PEER.size))
            self.app_state["peer_uid"] = uid
        else:  # the kernel ends it then, whatever waits to be sent: an event stream, a terminal, a page
            peer.setsockopt(socket.IPPROTO_TCP, socket.TCP_USER_TIMEOUT, int(STALL_TIME * 1000))
        self._arm(IDLE_TIME)

    def _make_room(self) -> None:
        """End the connection that can be spared most: one that never got an answer before one that did, the one that
        was silent longest first; then one that takes nothing of its answer. If there is none, this one goes.
        """
        others = [each for each in self.connections if each is not self and not each.transport.is_closing()]
        if len(others) < self._listener.most:
            return  # those that were ended already go in a moment
        spare = [each for each in others if isinstance(each, _Connection) and each._can_be_spared()]
        least = min(spare, key=lambda each: (each._is_answering(), each._served, each._heard_at), default=self)
        least.transport.abort()

    def _can_be_spared(self) -> bool:
        return not self._is_answering() or self.flow.write_paused

    def _is_answering(self) -> bool:
        return self._whole and self._running is not None and not self._running.response_complete

    def connection_lost(self, exc: Exception | None) -> None:
        self._disarm()
        self._unset_keepalive_if_required()
        if self._running is not None and not self._running.response_complete:
            self._running.disconnected = True  # uvicorn tells only the last of pipelined requests
            self._running.message_event.set()
        super().connection_lost(exc)

    def data_received(self, data: bytes) -> None:
        self._read = 0
        self._heard_at = self.loop.time()
        super().data_received(data)
        if not self._upgraded and not self.transport.is_closing():
            self._watch(len(data) - self._read)

    def handle_websocket_upgrade(self) -> None:
        """Hand the connection over to the WebSocket's protocol."""
        if self._running is not None and not self._running.response_complete:
            self.transport.abort()  # its answer has no end any more, and nobody would tell it that the client went away
            return
        self._upgraded = True
        self._disarm()
        super().handle_websocket_upgrade()
        protocol = self.transport.get_protocol()
        assert isinstance(protocol, WebSocketsSansIOProtocol)
        if not protocol.handshake_initiated:  # it waits for more, with no bound of time; all of the head is here
            self._refuse(400, "this is no WebSocket's handshake")

    def _watch(self, overhead: int) -> None:
        """After each read: bound what a request that is not complete yet may still cost."""
        if self._stage == "idle" and self.cycle is not None:
            self._disarm()
            if self.cycle.response_complete and self.timeout_keep_alive_task is None:
                self._arm(IDLE_TIME)  # uvicorn has stopped its own timer for bytes that began no request
            return
        self._overhead += overhead
        if self._overhead > 2 * MAX_HEAD + 8 * self._body:
            self._refuse(431, "the request's head is too large")
        elif self._timer is None or self._timer_for != (self._requests, self._stage):
            self._arm({"idle": IDLE_TIME, "head": HEAD_TIME, "body": REQUEST_TIME}[self._stage])

    def on_message_begin(self) -> None:
        super().on_message_begin()
        self._requests += 1
        self._stage = "head"
        self._whole = False
        self._head = self._body = self._overhead = 0

    def on_header(self, name: bytes, value: bytes) -> None:
        super().on_header(name, value)
        self._head += len(name) + len(value)
        if len(self.headers) > MAX_HEADERS or self._head > MAX_HEAD:
            self._refusal = (431, f"a request has at most {MAX_HEADERS} headers and {MAX_HEAD} bytes of them")
            raise ValueError  # the parser passes it on as its own error, and the refusal is sent

    def on_headers_complete(self) -> None:
        if len(self.pipeline) >= MAX_PIPELINE:
            self._refusal = (429, f"at most {MAX_PIPELINE} requests may wait on one connection")
            raise ValueError
        self._stage = "body"
        super().on_headers_complete()

    def on_body(self, body: bytes) -> None:
        self._body += len(body)
        self._read += len(body)
        super().on_body(body)

    def on_message_complete(self) -> None:
        self._stage = "idle"
        self._whole = True
        self.scope["state"]["complete"] = True  # no need to wait for the body
        super().on_message_complete()

    def _start_asgi_task(self, cycle: RequestResponseCycle, app: Any) -> None:  # noqa: ANN401  (ASGI)
        self._running = cycle
        super()._start_asgi_task(cycle, app)

    def on_response_complete(self) -> None:
        super().on_response_complete()
        self._served = True
        if self._stage == "body" and self.cycle.response_complete and not self.transport.is_closing():
            self._arm(LINGER_TIME)

    def send_400_response(self, msg: str) -> None:
        """Answer what cannot be parsed; uvicorn's words are not ours."""
        self._refuse(*self._refusal)

    def _refuse(self, status: int, error: str) -> None:
        body = json.dumps({"error": error, "code": "bad_input"}).encode()
        head = f"content-type: application/json\r\ncontent-length: {len(body)}\r\nconnection: close\r\n\r\n"
        self.transport.write(STATUS_LINE[status] + head.encode() + body)
        self.transport.close()

    def _arm(self, seconds: float) -> None:
        self._disarm()
        self._timer = self.loop.call_later(seconds, self._expire)
        self._timer_for = (self._requests, self._stage)

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
        self._listeners: dict[Path | int, _Listener] = {}  # by path or port
        logging.getLogger("uvicorn.error").setLevel(logging.ERROR)  # what clients send must not fill the core's log

    async def listen(
        self,
        path: Path,
        app: Any,  # noqa: ANN401  (ASGI)
        *,
        identity: str | None,
        mode: int,
        websockets: bool = False,
        most: int | None = None,
    ) -> None:
        """Serve the ASGI application on a unix socket at `path` with that file mode, to `most` connections at a time;
        a stale socket is replaced.

        Raises Unavailable if the path is too long for a socket or cannot be bound.
        """
        listener = _Listener(_config(app, websockets=websockets), identity, most or MAX_CONNECTIONS)
        listener.server = await asyncio.get_running_loop().create_unix_server(
            lambda: _Connection(listener), sock=bind(path, mode), backlog=128
        )
        self._listeners[path] = listener

    async def listen_on_loopback(self, bound: socket.socket, app: Any) -> None:  # noqa: ANN401  (ASGI)
        """Serve the ASGI application, with WebSockets, on a socket of `bind_loopback`."""
        listener = _Listener(_config(app, websockets=True), None, MAX_CONNECTIONS)
        port: int = bound.getsockname()[1]
        listener.server = await asyncio.get_running_loop().create_server(
            lambda: _Connection(listener), sock=bound, backlog=128
        )
        self._listeners[port] = listener

    async def close(self, address: Path | int) -> None:
        """Stop serving there, end the connections and their requests, and remove the socket."""
        listener = self._listeners.pop(address, None)
        if listener is None or listener.server is None:
            return
        listener.server.close()
        if isinstance(address, Path):
            _unlink(address)
        for connection in tuple(listener.state.connections):
            connection.transport.abort()
        await _end(listener.state.tasks)

    async def close_all(self) -> None:
        """The same for every socket."""
        for address in tuple(self._listeners):
            await self.close(address)


def _config(app: Any, *, websockets: bool) -> Config:  # noqa: ANN401  (ASGI)
    config = Config(
        app,
        http="httptools",
        ws="websockets-sansio" if websockets else "none",
        ws_max_size=MAX_WEBSOCKET,
        ws_per_message_deflate=False,  # on loopback it costs more than it saves
        lifespan="off",
        log_config=None,
        access_log=False,
        proxy_headers=False,
        server_header=False,
        timeout_keep_alive=IDLE_TIME,
    )
    config.load()
    return config


async def _end(tasks: set[asyncio.Task[None]]) -> None:
    """Let the requests of a closed listener end by themselves, or end them; never the one that asks for it."""
    others = tasks - {asyncio.current_task()}
    if not others:
        return
    _, late = await asyncio.wait(others, timeout=CLOSE_TIME)
    for task in late:
        task.cancel()
    await asyncio.gather(*late, return_exceptions=True)


def _unlink(path: Path) -> None:
    path.unlink(missing_ok=True)


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


def bind_loopback(port: int) -> socket.socket:
    """A TCP socket on that port of 127.0.0.1 (0: any that is free). Raises Unavailable if it is taken."""
    server = socket.socket(socket.AF_INET, socket.SOCK_STREAM | socket.SOCK_NONBLOCK)
    server.setsockopt(socket.SOL_SOCKET, socket.SO_REUSEADDR, 1)
    try:
        server.bind(("127.0.0.1", port))
    except OSError as error:
        server.close()
        raise Unavailable(
            f"port {port} of 127.0.0.1 cannot be had ({error.strerror}); choose another for the dashboard"
        ) from error
    return server
