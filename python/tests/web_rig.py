"""A running core with its dashboard, and browsers that send what they are told; the WebSockets are real."""

from __future__ import annotations

import asyncio
import http.client
import json
from collections.abc import AsyncIterator, Callable, Coroutine, Mapping
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from core_rig import Hive, hive, until
from websockets.asyncio.client import ClientConnection, connect

from hyperhive.config import Dashboard


@dataclass(frozen=True)
class Answer:
    status: int
    headers: Mapping[str, str]
    body: bytes

    @property
    def json(self) -> Any:
        return json.loads(self.body)


@dataclass
class Browser:
    """One browser: keeps the session's cookie and sends what a page of the dashboard's own would, unless told else."""

    port: int
    cookie: str | None = None
    key: str | None = None
    headers: dict[str, str] = field(default_factory=dict)

    async def ask(self, method: str, path: str, body: object = None, **headers: str | None) -> Answer:
        """Send a request; a header of None is left out, `_` in its name stands for `-`."""
        return await asyncio.to_thread(self._ask, method, path, body, headers)

    def _ask(self, method: str, path: str, body: object, headers: Mapping[str, str | None]) -> Answer:
        sent: dict[str, str | None] = {"host": f"127.0.0.1:{self.port}", "origin": f"http://127.0.0.1:{self.port}"}
        sent |= {"content-type": "application/json"} if body is not None else {}
        sent |= {"cookie": self.cookie} if self.cookie else {}
        sent |= {"x-hyperhive-key": self.key} if self.key else {}
        sent |= {name.replace("_", "-"): value for name, value in headers.items()}
        data = body if isinstance(body, bytes) or body is None else json.dumps(body).encode()
        connection = http.client.HTTPConnection("127.0.0.1", self.port, timeout=20)
        try:
            connection.putrequest(method, path, skip_host=True, skip_accept_encoding=True)
            for name, value in sent.items():
                if value is not None:
                    connection.putheader(name, value)
            if data is not None:
                connection.putheader("content-length", str(len(data)))
            connection.endheaders(data)
            response = connection.getresponse()
            told = {name.lower(): value for name, value in response.getheaders()}
            return Answer(response.status, told, response.read())
        finally:
            connection.close()

    async def log_in(self, link: str) -> Answer:
        """Use a link up and keep the cookie."""
        answer = await self.ask("POST", "/v1/session", {"link": link})
        if "set-cookie" in answer.headers:
            self.cookie = answer.headers["set-cookie"].partition(";")[0]
            self.key = answer.json["key"]
        return answer

    def terminal(self, agent: str, size: str = "cols=80&rows=24", **headers: str) -> connect:
        """The terminal's WebSocket, as an async context manager."""
        given = {"Cookie": self.cookie or "", **headers}
        origin = given.pop("Origin", f"http://127.0.0.1:{self.port}")
        return connect(
            f"ws://127.0.0.1:{self.port}/v1/agents/{agent}/terminal?{size}&key={self.key}",
            additional_headers=given,
            origin=origin,  # type: ignore[arg-type]  # a NewType of str
            max_size=None,
            compression=None,
        )


@dataclass(frozen=True)
class Web:
    """A hive and its dashboard."""

    hive: Hive
    port: int

    def link(self, user: str = "root") -> str:
        """A fresh login link's text."""
        return self.hive.core.dashboard_link(f"operator:{user}").partition("#link=")[2]

    def stranger(self) -> Browser:
        """A browser without a session."""
        return Browser(self.port)

    async def listens(self) -> bool:
        """Whether the harness of the agent `worker` has its control connection."""
        return "worker" in self.hive.core.controls._harnesses

    async def browser(self) -> Browser:
        """A browser that root logged in."""
        made = Browser(self.port)
        assert (await made.log_in(self.link())).status == 200
        return made


@asynccontextmanager
async def web(root: Path, *, dashboard: Dashboard | None = None, **changes: Any) -> AsyncIterator[Web]:
    """A running core in `root` whose dashboard is on a free port."""
    async with hive(root, dashboard=dashboard or Dashboard(enable=True, port=0), **changes) as made:
        port = int(made.core.dashboard_link("operator:root").partition("127.0.0.1:")[2].partition("/")[0])
        yield Web(made, port)


PROMPT = b"worker:~/work$ "


def play(root: Path, scene: Callable[[Web, Browser], Coroutine[Any, Any, None]], **changes: Any) -> None:
    """Run a scene in a hive with the agent `worker` and a browser that is logged in."""

    async def run() -> None:
        async with web(root, **changes) as made:
            await made.hive.create("worker")
            await until(made.listens)
            await scene(made, await made.browser())

    asyncio.run(run())


@dataclass
class Screen:
    """What a page sees of a terminal: the bytes, how many of them a test has looked at, and what it was told."""

    socket: ClientConnection
    shown: bytearray = field(default_factory=bytearray)
    looked: int = 0
    told: list[dict[str, Any]] = field(default_factory=list)
    acks: bool = True

    async def until(self, text: bytes, deadline: float = 20) -> bytes:
        """Read until `text` was printed; all from what was looked at before up to it."""
        begin = self.looked
        async with asyncio.timeout(deadline):
            while (found := self.shown.find(text, self.looked)) < 0:
                self.looked = max(begin, len(self.shown) - len(text))
                await self.take()
        self.looked = found + len(text)
        return bytes(self.shown[begin : self.looked])

    async def until_end(self, deadline: float = 20) -> str:
        """Read until it is told why the terminal is over."""
        async with asyncio.timeout(deadline):
            while not (ends := [each["end"] for each in self.told if "end" in each]):
                await self.take()
        return str(ends[0])

    async def take(self) -> None:
        """Read one message, and say that it was drawn."""
        message = await self.socket.recv()
        if isinstance(message, str):
            self.told.append(json.loads(message))
            return
        self.shown += message
        if self.acks:
            await self.say({"ack": len(message)})

    async def type(self, text: str) -> None:
        """Type it."""
        await self.socket.send(text.encode())

    async def say(self, what: object) -> None:
        """Send words about the terminal."""
        await self.socket.send(json.dumps(what))
