"""What the core asks of a running harness: it says so on the harness's control connection, and the harness calls back.

An agent's control.sock is its harness's alone (no turn sees it). The first line of a connection says what it is: the
control connection, on which requests go out, or the answer to one of them, which then has the connection for itself.
"""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import json
import logging
import secrets
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from typing import Any

from hyperhive.api.streams import StreamListener
from hyperhive.errors import BadInput, Conflict, TooLarge, Unavailable
from hyperhive.settings import Notes as NotesSettings
from hyperhive.store import audit
from hyperhive.store.database import Database

log = logging.getLogger(__name__)

BUFFER = 256 * 1024
MAX_CONNECTIONS = 16
"""Of one harness."""
ANSWER_TIME = 15.0
"""Seconds until a harness has called back, or has done with the notes."""
MAX_NOTES = 1024 * 1024
"""Bytes of notes that are shown; an agent may write more into its file than it ever gets to read."""
CONNECT_TIME = 5.0
CHANGED, FULL = 9, 8
"""Exit codes of harness/notes.sh: the notes are not of the version that is to be replaced; they would be too long."""


@dataclass(frozen=True)
class Line:
    """The connection on which a harness answers one request."""

    reader: asyncio.StreamReader
    writer: asyncio.StreamWriter


@dataclass(frozen=True)
class Notes:
    """An agent's notes. `version` is of the whole file, SHA-256; `modified` when it was changed (epoch seconds)."""

    text: str
    bytes: int
    max_bytes: int
    enabled: bool
    version: str
    modified: float | None

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        return dict(self.__dict__)


@dataclass
class _Answer:
    """A request that waits for its answer's connection; `over` lets that connection end."""

    agent: str
    line: asyncio.Future[Line]
    over: asyncio.Event = field(default_factory=asyncio.Event)


class Controls:
    """The control connections of all harnesses."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._harnesses: dict[str, asyncio.StreamWriter] = {}
        self._answers: dict[str, _Answer] = {}
        self._arrival = asyncio.Event()  # of the next harness
        self.listener = StreamListener(self._serve, limit=BUFFER, most=MAX_CONNECTIONS, too_many=b"")

    async def _serve(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str) -> None:
        try:
            async with asyncio.timeout(ANSWER_TIME):
                said = json.loads(await reader.readline())
            answer = self._answers.get(str(said.get("answer")))
            if said.get("control") is True:
                await self._hold(reader, writer, agent)
            elif answer is not None and answer.agent == agent and not answer.line.done():
                answer.line.set_result(Line(reader, writer))
                await answer.over.wait()
        except (ConnectionError, TimeoutError, ValueError, AttributeError, RecursionError) as gone:
            log.debug("%s: a control connection ended: %r", agent, gone)
        finally:
            writer.transport.abort()  # a close would wait for a harness that does not read

    async def _hold(self, reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str) -> None:
        """Keep the control connection until the harness ends it; the newest one counts."""
        self._harnesses[agent] = writer
        self._arrival.set()
        self._arrival = asyncio.Event()
        try:
            while await reader.read(1024):
                pass
        finally:
            if self._harnesses.get(agent) is writer:
                del self._harnesses[agent]

    @asynccontextmanager
    async def ask(self, agent: str, do: str, **more: object) -> AsyncIterator[Line]:
        """Ask the agent's harness; the block has the connection on which it answers.

        Raises Conflict if no harness of the agent is connected, Unavailable if it does not answer.
        """
        writer = self._harnesses.get(agent)
        if writer is None:
            raise Conflict(f"{agent} does not run; start it first")
        number = secrets.token_hex(8)
        answer = self._answers[number] = _Answer(agent, asyncio.get_running_loop().create_future())
        try:
            writer.write(json.dumps({"id": number, "do": do, **more}).encode() + b"\n")
            async with asyncio.timeout(ANSWER_TIME):
                await writer.drain()
                line = await answer.line
            yield line
        except (ConnectionError, TimeoutError) as error:
            if writer.transport.get_write_buffer_size():  # it does not even read: what waits for it would grow
                writer.transport.abort()
            raise Unavailable(f"{agent}'s harness does not answer; see `hyperhive agent logs {agent}`") from error
        finally:
            del self._answers[number]
            answer.over.set()

    async def read_notes(self, agent: str, settings: NotesSettings) -> Notes:
        """The agent's notes.md. Raises Conflict (it does not run), BadInput (it is no plain file)."""
        async with self.ask(agent, "notes.read", limit=MAX_NOTES + 1) as line:
            data, modified = await _result(line)
        if len(data) > MAX_NOTES:
            raise TooLarge(f"{agent}'s notes are larger than {MAX_NOTES} bytes; let it shorten them")
        text = data.decode(errors="replace")
        return Notes(text, len(data), settings.maxBytes, settings.enable, hashlib.sha256(data).hexdigest(), modified)

    async def write_notes(self, agent: str, settings: NotesSettings, text: str, version: str, actor: str) -> Notes:
        """Replace the notes if they are still of that version. Raises Conflict if not, TooLarge."""
        data = text.encode()
        if len(data) > settings.maxBytes:
            raise TooLarge(f"the notes have {len(data)} bytes; notes.maxBytes of {agent} is {settings.maxBytes}")
        async with self.ask(agent, "notes.write", size=len(data), version=version) as line:
            async with asyncio.timeout(ANSWER_TIME):
                line.writer.write(data)
                await line.writer.drain()
            await _result(line)
        await self._database.write(lambda c: audit.append(c, actor, "notes.written", f"agent/{agent}", bytes=len(data)))
        return await self.read_notes(agent, settings)

    async def append_notes(self, agent: str, settings: NotesSettings, text: str, turn: int | None) -> int:
        """Append an entry with date and turn; returns the notes' size in bytes.

        Raises BadInput (no text), Conflict (they would be over notes.maxBytes), Unavailable.
        """
        data = _entry(text, turn)
        await self._connected(agent)
        async with self.ask(agent, "notes.append", size=len(data), most=settings.maxBytes) as line:
            async with asyncio.timeout(ANSWER_TIME):
                line.writer.write(data)
                await line.writer.drain()
            size, _ = await _result(line)
        try:
            return int(size)
        except ValueError as broken:
            raise Unavailable(f"{agent}'s harness does not say how large its notes are") from broken

    async def _connected(self, agent: str) -> None:
        """Wait a moment for a harness that has lost its core: an agent in a turn has one."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(CONNECT_TIME):
                while agent not in self._harnesses:
                    await self._arrival.wait()


def _entry(text: str, turn: int | None) -> bytes:
    """A note with its date and turn, further lines as they are. Raises BadInput."""
    when = time.strftime("%Y-%m-%d %H:%M") + ("" if turn is None else f" (turn {turn})")
    lines = text.strip().splitlines()
    if not lines or "\0" in text:
        raise BadInput("a note must have text, and no NUL characters")
    try:
        return ("\n".join([f"- {when} {lines[0]}", *lines[1:]]) + "\n").encode()
    except UnicodeEncodeError as error:
        raise BadInput("a note must be text that can be stored as UTF-8") from error


async def _result(line: Line) -> tuple[bytes, float | None]:
    """What the harness answers: a line that says how it went and when the notes were changed, then the rest.

    Raises Conflict, BadInput.
    """
    async with asyncio.timeout(ANSWER_TIME):
        try:
            first = await line.reader.readline()
        except ValueError as broken:
            raise ConnectionError("the harness's line does not end") from broken
        rest = await line.reader.read(MAX_NOTES + 2) if first else b""
        while not line.reader.at_eof() and len(rest) <= MAX_NOTES:
            rest += await line.reader.read(65536)
    try:
        said = json.loads(first)
        code, error, modified = int(said["exit"]), str(said["error"]), said.get("modified")
        if modified is not None and not (isinstance(modified, int | float) and 0 <= modified < 2**40):
            raise ValueError(modified)
    except (ValueError, KeyError, TypeError, OverflowError, RecursionError) as broken:
        raise ConnectionError("the harness answers nonsense") from broken
    if code == CHANGED:
        raise Conflict("the notes changed meanwhile; look at them again")
    if code == FULL:
        raise Conflict(error[:300])
    if code != 0:
        raise BadInput(f"the notes: {error[:300] or f'exit {code}'}")
    return rest, modified
