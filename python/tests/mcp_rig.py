"""A hive of two for the MCP tests: agents by name, mail that is kept in a list, a client of the socket."""

from __future__ import annotations

import asyncio
import json
from collections import Counter
from collections.abc import AsyncIterator, Sequence
from contextlib import asynccontextmanager
from dataclasses import dataclass, field, replace
from pathlib import Path
from typing import Any, Self

from hyperhive.api.mcp import mcp_listener
from hyperhive.api.mcp_tools import HiveTools, Waiting
from hyperhive.api.streams import StreamListener
from hyperhive.errors import Conflict, NotFound
from hyperhive.settings import AllowDeny, Budget, Git, Network, Notes, Role, Session, Settings
from hyperhive.store.messages import Question

FOR_ALL = ["ask_operator", "inbox", "notes_append", "send", "whoami"]
_MORE = "agent_status list_agents proposals request_apply_commit restart_agent start_agent stop_agent"
FOR_MANAGERS = sorted([*FOR_ALL, *_MORE.split()])


def settings(name: str, role: Role = Role.AGENT) -> Settings:
    """Settings as an agent's flake gives them."""
    return Settings(
        name=name,
        role=role,
        model="haiku",
        fallbackModel=None,
        bash=AllowDeny(("ls *",), ()),
        tools=AllowDeny(("Read", "Edit"), ()),
        prompt="",
        git=Git(name, f"{name}@hive.local"),
        packages=(),
        notes=Notes(True, 1024),
        session=Session(1800, 80, 150000),
        budget=Budget(),
        network=Network(()),
    )


@dataclass(frozen=True)
class Letter:
    """A message that was sent."""

    id: int
    sender: str
    to: str
    body: str
    reply_to: int | None
    kind: str
    cut: int = 0


class Letters:
    """Mail that only remembers."""

    def __init__(self) -> None:
        self.sent: list[Letter] = []
        self.questions: list[Question] = []

    async def send(self, sender: str, to: str, body: str, *, reply_to: int | None = None, kind: str = "mail") -> int:
        if to not in ("worker", "boss", "operator"):
            raise NotFound(f"there is no agent {to!r}")
        self.sent.append(Letter(len(self.sent) + 1, sender, to, body, reply_to, kind))
        return len(self.sent)

    async def ask(self, sender: str, body: str, question: Question) -> int:
        self.questions.append(question)
        return await self.send(sender, "operator", body, kind="question")

    async def waiting(self, recipient: str) -> Sequence[Waiting]:
        return [letter for letter in self.sent if letter.to == recipient]


@dataclass
class Hive:
    """The core's side; `asked` counts looks at a role, `done` is what managers had it do.

    A restart waits for `hold` or its cancellation.
    """

    directory: Path
    agents: dict[str, Settings] = field(
        default_factory=lambda: {"worker": settings("worker"), "boss": settings("boss", Role.MANAGER)}
    )
    done: list[tuple[str, ...]] = field(default_factory=list)
    asked: Counter[str] = field(default_factory=Counter)
    hold: asyncio.Event = field(default_factory=asyncio.Event)
    started: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))
    cancelled: asyncio.Semaphore = field(default_factory=lambda: asyncio.Semaphore(0))

    def promote(self, agent: str, role: Role) -> None:
        """Apply another role."""
        self.agents[agent] = replace(self.agents[agent], role=role)

    async def role(self, agent: str) -> Role:
        self.asked[agent] += 1
        return (await self.settings(agent)).role

    async def settings(self, agent: str) -> Settings:
        if agent not in self.agents:
            raise NotFound(f"there is no agent {agent!r}")
        return self.agents[agent]

    async def append_note(self, agent: str, text: str) -> int:
        file = self.directory / f"{agent}.md"
        if len(text) >= self.agents[agent].notes.maxBytes:
            raise Conflict("make the file shorter first")
        with file.open("a") as notes:
            notes.write(text)
        return file.stat().st_size

    async def notes_size(self, agent: str) -> int | None:
        file = self.directory / f"{agent}.md"
        return file.stat().st_size if file.exists() else 0

    async def list_agents(self) -> list[dict[str, Any]]:
        return [{"name": name} for name in self.agents]

    async def agent_status(self, name: str) -> dict[str, Any]:
        return (await self.settings(name)).to_json()

    async def request_apply(self, agent: str, commit: str, reason: str, requester: str) -> dict[str, Any]:
        self.done.append(("apply", agent, commit, reason, requester))
        return {"id": 7, "agent": agent, "commit": commit, "state": "requested", "diff": "+1", "error": None}

    async def proposals(self, agent: str | None) -> list[dict[str, Any]]:
        self.done.append(("proposals", str(agent)))
        return [{"id": 7, "state": "denied", "decision": "no", "delta": [], "settings": {}}]

    async def start(self, agent: str, actor: str) -> dict[str, Any]:
        return self._did("start", agent, actor)

    async def stop(self, agent: str, actor: str) -> dict[str, Any]:
        if agent == "broken":
            raise RuntimeError("a secret of the core's")
        return self._did("stop", agent, actor)

    async def restart(self, agent: str, actor: str) -> dict[str, Any]:
        self.started.release()
        try:
            await self.hold.wait()
        except asyncio.CancelledError:
            self.cancelled.release()
            raise
        return self._did("restart", agent, actor)

    def _did(self, *what: str) -> dict[str, Any]:
        self.done.append(what)
        return {"name": what[1], "state": "running"}


class Client:
    """Speaks JSON-RPC on a socket, line by line."""

    def __init__(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter) -> None:
        self.reader = reader
        self.writer = writer
        self._next = 0

    @classmethod
    async def connect(cls, path: Path) -> Self:
        """Connect, no more."""
        return cls(*await asyncio.open_unix_connection(str(path), limit=4 * 1024 * 1024))

    def ask(self, method: str, params: dict[str, Any] | None = None) -> int:
        """Send a request; its answer has the id that is returned."""
        self._next += 1
        request = {"jsonrpc": "2.0", "id": self._next, "method": method, "params": params or {}}
        self.writer.write(json.dumps(request).encode() + b"\n")
        return self._next

    async def answer(self) -> dict[str, Any]:
        """The next line from the server."""
        line = await self.reader.readuntil(b"\n")
        loaded: dict[str, Any] = json.loads(line)
        return loaded

    async def hello(self) -> dict[str, Any]:
        """The handshake; returns what the server says of itself."""
        client = {"name": "test", "version": "1"}
        self.ask("initialize", {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": client})
        said: dict[str, Any] = (await self.answer())["result"]
        self.writer.write(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')
        return said

    async def tools(self) -> dict[str, dict[str, Any]]:
        """The tools offered, by name."""
        self.ask("tools/list")
        return {tool["name"]: tool for tool in (await self.answer())["result"]["tools"]}

    async def call(self, name: str, /, **arguments: object) -> tuple[bool, Any]:
        """Call a tool: whether it went well, and its answer (the text of an error)."""
        self.ask("tools/call", {"name": name, "arguments": arguments})
        result = (await self.answer())["result"]
        text = result["content"][0]["text"]
        return (False, text) if result.get("isError") else (True, json.loads(text))


@dataclass(frozen=True)
class Rig:
    """What a test has."""

    hive: Hive
    letters: Letters
    tools: HiveTools
    listener: StreamListener
    directory: Path

    def path(self, agent: str) -> Path:
        """The agent's socket."""
        return self.directory / f"{agent}.sock"

    @asynccontextmanager
    async def client(self, agent: str, *, hello: bool = True) -> AsyncIterator[Client]:
        """A connection of `agent`."""
        client = await Client.connect(self.path(agent))
        if hello:
            await client.hello()
        try:
            yield client
        finally:
            client.writer.close()


@asynccontextmanager
async def rig(directory: Path, *, deadline: float = 20) -> AsyncIterator[Rig]:
    """Sockets of `worker`, an agent, and `boss`, a manager; a test has `deadline` seconds."""
    hive, letters = Hive(directory), Letters()
    tools = HiveTools(letters, hive)
    listener = mcp_listener(tools)
    made = Rig(hive, letters, tools, listener, directory)
    for agent in hive.agents:
        await listener.listen(made.path(agent), agent)
    try:
        async with asyncio.timeout(deadline):
            yield made
    finally:
        await listener.close_all()
