"""The harness's calls as a client that costs next to nothing makes them."""

from __future__ import annotations

import asyncio
import json
from typing import Any


class Client(asyncio.Protocol):
    """One connection of one agent's harness; one request at a time, as lean as a client can be."""

    def __init__(self) -> None:
        self.transport: asyncio.Transport
        self._answer: asyncio.Future[bytes] | None = None
        self._received = b""
        self._needed = 0

    def connection_made(self, transport: asyncio.Transport) -> None:  # type: ignore[override]  # what a stream has
        self.transport = transport

    def data_received(self, data: bytes) -> None:
        self._received += data
        if not self._needed and (end := self._received.find(b"\r\n\r\n")) >= 0:
            length = self._received[:end].lower().split(b"content-length: ")[1].split(b"\r\n")[0]
            self._needed = end + 4 + int(length)
        if self._needed and len(self._received) >= self._needed and self._answer:
            answer, self._received, self._needed = self._received, b"", 0
            if not self._answer.done():  # who asked may be gone
                self._answer.set_result(answer)

    def connection_lost(self, exc: Exception | None) -> None:
        if self._answer and not self._answer.done():
            self._answer.set_exception(ConnectionError("the core closed the connection"))

    def ask(self, request: bytes) -> asyncio.Future[bytes]:
        """Send a request; the future is its answer, head and body."""
        self._answer = asyncio.get_running_loop().create_future()
        self.transport.write(request)
        return self._answer


def request(path: str, value: dict[str, Any]) -> bytes:
    """The bytes of a POST to /v1/`path`."""
    body = json.dumps(value).encode()
    return f"POST /v1/{path} HTTP/1.1\r\nHost: hive\r\nContent-Length: {len(body)}\r\n\r\n".encode() + body


def body_of(answer: bytes) -> Any:  # noqa: ANN401  (JSON)
    """The JSON of an answer. Raises RuntimeError if it is an error."""
    head, _, body = answer.partition(b"\r\n\r\n")
    if not head.startswith(b"HTTP/1.1 200"):
        raise RuntimeError(f"the core answered {head[:40]!r} {body!r}")
    return json.loads(body)
