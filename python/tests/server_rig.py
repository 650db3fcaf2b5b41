"""A listener for tests of api.server, with an application that says what it was told of its caller."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hyperhive.api.server import Servers


async def say_who(scope: Any, receive: Any, send: Any) -> None:
    """An application that answers with what it was told of the caller, without reading the request's body."""
    body = json.dumps({key: scope["state"].get(key) for key in ("identity", "peer_uid")}).encode()
    await send({"type": "http.response.start", "status": 200, "headers": [(b"content-length", b"%d" % len(body))]})
    await send({"type": "http.response.body", "body": body})


@asynccontextmanager
async def listening(path: Path, app: Any = say_who, **how: Any) -> AsyncIterator[Servers]:
    """A socket with that application for the time of the block."""
    servers = Servers()
    await servers.listen(path, app, **{"identity": "alice", "mode": 0o600, **how})
    try:
        yield servers
    finally:
        await servers.close_all()
