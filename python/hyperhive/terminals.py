"""The operator's terminals: one shell an agent, in its container, as its user; the harness opened it on a PTY.

What it prints goes to the page that is attached; the end of it is kept, so that a page that is loaded again sees where
it was. Frames to and from the harness: a letter, the length (4 bytes, big-endian), the bytes. `d` is data, `r` the size
as two 16-bit numbers (columns, rows), `x` the exit code as text.
"""

from __future__ import annotations

import asyncio
import logging
import secrets
import sqlite3
import struct
import time
from collections import deque
from collections.abc import Awaitable, Callable
from contextlib import AsyncExitStack
from dataclasses import dataclass, field
from typing import Any

from hyperhive.controls import Controls, Line
from hyperhive.errors import BadInput
from hyperhive.store import audit
from hyperhive.store.database import Database

log = logging.getLogger(__name__)

KEPT = 512 * 1024
"""Bytes of output that a page gets when it comes back."""
WINDOW = 512 * 1024
"""Bytes that a page may be behind; then the shell waits, rather than the page freezes."""
FRAME_COST = 256
"""Bytes that a message to the page counts for at least: one of no bytes is work too."""
MAX_FRAME = 256 * 1024
SIZES = range(2, 1001)


@dataclass(eq=False)
class Page:
    """A page that shows a terminal. `send` hands it bytes, `tell` words; it says with `ack` how many it has drawn."""

    send: Callable[[bytes], Awaitable[None]]
    tell: Callable[[dict[str, Any]], Awaitable[None]]
    ended: str | None = None
    _sent: deque[int] = field(default_factory=deque)  # the sizes of the messages that it has not drawn yet
    _behind: int = 0  # what these count for
    _drawn: int = 0  # of the first of them
    _moved: asyncio.Event = field(default_factory=asyncio.Event)

    def ack(self, number: int) -> None:
        """The page has drawn so many bytes more."""
        self._drawn += max(0, number)
        while self._sent and self._sent[0] <= self._drawn:
            size = self._sent.popleft()
            self._drawn -= size
            self._behind -= max(size, FRAME_COST)
            if size == 0:  # it is told of alone, too
                break
        if not self._sent:
            self._drawn = 0  # it cannot have drawn what was not sent
        self._moved.set()

    def _count(self, data: bytes) -> None:
        self._sent.append(len(data))
        self._behind += max(len(data), FRAME_COST)

    def end(self, why: str) -> None:
        """The page gets nothing more."""
        self.ended = self.ended or why
        self._moved.set()

    async def replay(self, data: bytes) -> None:
        """Hand it what was printed before."""
        self._count(data)
        await self.tell({"replay": len(data)})
        await self.send(data)

    async def show(self, data: bytes) -> None:
        """Hand it bytes once it has caught up."""
        while self._behind >= WINDOW and self.ended is None:
            self._moved.clear()
            await self._moved.wait()
        if self.ended is None:
            self._count(data)
            await self._send_unless_ended(data)

    async def _send_unless_ended(self, data: bytes) -> None:
        """A page whose connection is stuck must not keep the terminal from its end."""
        sending = asyncio.ensure_future(self.send(data))
        ending = asyncio.ensure_future(self.wait())
        try:
            await asyncio.wait({sending, ending}, return_when=asyncio.FIRST_COMPLETED)
            if sending.done():
                sending.result()
        finally:
            for each in (sending, ending):
                each.cancel()
            await asyncio.gather(sending, ending, return_exceptions=True)

    async def wait(self) -> str:
        """Until the page is to go; why."""
        while self.ended is None:
            self._moved.clear()
            await self._moved.wait()
        return self.ended


@dataclass(eq=False)
class Terminal:
    """One open terminal. `used` is when the operator last typed or gave it a size, as a page does that comes (monotonic
    seconds). `shown_to` is who looked last: the actor, and the browser's session.
    """

    agent: str
    opened_by: str
    line: Line
    shown_to: tuple[str, int | None]
    id: str = field(default_factory=lambda: secrets.token_hex(4))
    opened_at: float = field(default_factory=time.time)
    used: float = field(default_factory=time.monotonic)
    page: Page | None = None
    kept: bytearray = field(default_factory=bytearray)
    printed: int = 0
    told_to_end: str | None = None
    ended: str | None = None
    closed: asyncio.Event = field(default_factory=asyncio.Event)

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        attached = self.page is not None
        return {"id": self.id, "opened_at": self.opened_at, "opened_by": self.opened_by, "attached": attached}

    async def type(self, data: bytes) -> None:
        """What the operator types."""
        self.used = time.monotonic()
        for start in range(0, len(data), MAX_FRAME):
            await self._send(b"d", data[start : start + MAX_FRAME])

    async def resize(self, columns: int, rows: int) -> None:
        """The page's size. Raises BadInput."""
        if columns not in SIZES or rows not in SIZES:
            raise BadInput(f"a terminal has 2 to 1000 columns and rows, not {columns} x {rows}")
        self.used = time.monotonic()
        await self._send(b"r", struct.pack(">HH", columns, rows))

    async def _send(self, kind: bytes, data: bytes) -> None:
        self.line.writer.write(kind + struct.pack(">I", len(data)) + data)
        await self.line.writer.drain()

    async def show_on(self, page: Page) -> None:
        """Give a page what was printed, then all that is."""
        shown = max(0, self.printed - KEPT)
        while shown < self.printed:  # more may come while this is sent
            missing = bytes(self.kept[-min(self.printed - shown, KEPT) :])
            shown = self.printed
            await page.replay(missing)
        self.page = page
        if self.ended is not None:  # meanwhile
            page.end(self.ended)

    async def frames(self) -> str:
        """Pass on what the shell prints until it ends; how it ended."""
        reader = self.line.reader
        while True:
            try:
                head = await reader.readexactly(5)
                kind, size = head[:1], struct.unpack(">I", head[1:])[0]
                if kind not in (b"d", b"x") or size > MAX_FRAME:
                    return f"the harness sent nonsense (a frame of kind {kind!r} with {size} bytes)"
                data = await reader.readexactly(size)
            except (asyncio.IncompleteReadError, ConnectionError):
                return "the container ended"
            if kind == b"x":
                return f"the shell ended (exit {_exit_code(data)})"
            await self._print(data)
            await asyncio.sleep(0)  # a buffer holds very many short frames: between them the others have their turn

    async def _print(self, data: bytes) -> None:
        self.printed += len(data)
        self.kept += data
        if len(self.kept) > 2 * KEPT:
            del self.kept[:-KEPT]
        if self.page is not None:
            try:
                await self.page.show(data)
            except Exception as gone:  # whatever a broken WebSocket raises: the shell goes on without it
                log.debug("%s: a page of its terminal went away: %r", self.agent, gone)
                self.page = None


def _exit_code(data: bytes) -> str:
    text = data.decode(errors="replace")
    return text if text.removeprefix("-").isdecimal() and text.isascii() and len(text) < 5 else "unknown"


class Terminals:
    """All open terminals, one an agent. Opening, closing, and who else comes to look are in the audit log."""

    def __init__(self, database: Database, controls: Controls, *, idle: float) -> None:
        """`idle`: seconds without anybody who types or comes to look, after which a terminal is ended."""
        self._database = database
        self._controls = controls
        self._idle = idle
        self._open: dict[str, Terminal] = {}
        self._running: set[asyncio.Task[None]] = set()
        self._locks: dict[str, asyncio.Lock] = {}

    def view(self, agent: str) -> dict[str, Any] | None:
        """The agent's open terminal."""
        found = self._open.get(agent)
        return found.view() if found else None

    async def attach(
        self, agent: str, actor: str, page: Page, columns: int, rows: int, *, session: int | None = None
    ) -> Terminal:
        """Show the agent's terminal on that page, instead of any other; it is opened if there is none.

        `session` is the number of the browser's session. Raises Conflict (the agent does not run), BadInput.
        """
        who = (actor, session)
        async with self._locks.setdefault(agent, asyncio.Lock()):
            terminal = self._open.get(agent)
            if terminal is not None and not await self._rejoin(terminal, who, columns, rows):
                await terminal.closed.wait()
                terminal = None
            if terminal is None:
                terminal = await self._begin(agent, who, columns, rows)
            if terminal.page is not None:
                terminal.page.end("another page has taken this terminal over")
            terminal.page = None
            await terminal.show_on(page)
            return terminal

    async def _rejoin(self, terminal: Terminal, who: tuple[str, int | None], columns: int, rows: int) -> bool:
        """Let a browser have an open terminal; whether it is still there. Another one than the last is written down."""
        try:
            await terminal.resize(columns, rows)
        except ConnectionError:  # it is just ending
            self._tell(terminal, "the container ended")
        if terminal.told_to_end is not None:
            return False
        if who != terminal.shown_to:
            subject, detail = f"agent/{terminal.agent}", {"terminal": terminal.id, "before": terminal.shown_to[0]}
            await self._database.write(lambda c: audit.append(c, who[0], "terminal.attached", subject, **detail))
            terminal.shown_to = who
        return True

    def detach(self, terminal: Terminal, page: Page) -> None:
        """The page went away; the shell goes on."""
        page.end("the page went away")
        if terminal.page is page:
            terminal.page = None

    async def end(self, agent: str, actor: str) -> None:
        """End the agent's terminal; nothing happens if there is none."""
        terminal = self._open.get(agent)
        if terminal is not None:
            self._tell(terminal, f"ended by {actor}")

    async def recover(self) -> None:
        """Write down the end of the terminals that ended with the last core."""
        await self._database.write(_close_forgotten)

    async def close_all(self) -> None:
        """The core stops: so do the shells."""
        for terminal in list(self._open.values()):
            self._tell(terminal, "the core stopped")
        await asyncio.gather(*self._running, return_exceptions=True)

    def _tell(self, terminal: Terminal, why: str) -> None:
        terminal.told_to_end = terminal.told_to_end or why
        if terminal.page is not None:
            terminal.page.end(why)
        terminal.line.writer.transport.abort()  # a close would wait for a harness that does not read

    async def _begin(self, agent: str, who: tuple[str, int | None], columns: int, rows: int) -> Terminal:
        if columns not in SIZES or rows not in SIZES:
            raise BadInput(f"a terminal has 2 to 1000 columns and rows, not {columns} x {rows}")
        async with AsyncExitStack() as stack:
            line = await stack.enter_async_context(self._controls.ask(agent, "terminal", columns=columns, rows=rows))
            terminal = Terminal(agent, who[0], line, shown_to=who)
            detail = {"terminal": terminal.id}
            await self._database.write(lambda c: audit.append(c, who[0], "terminal.opened", f"agent/{agent}", **detail))
            self._open[agent] = terminal
            running = asyncio.create_task(self._run(terminal, stack.pop_all()), name=f"terminal of {agent}")
            self._running.add(running)
            running.add_done_callback(self._running.discard)
        return terminal

    async def _run(self, terminal: Terminal, stack: AsyncExitStack) -> None:
        why = "the core stopped"
        idle = asyncio.create_task(self._watch_idle(terminal))
        try:
            async with stack:
                why = await terminal.frames()
        finally:
            idle.cancel()
            why = terminal.ended = terminal.told_to_end or why
            if self._open.get(terminal.agent) is terminal:
                del self._open[terminal.agent]
            if terminal.page is not None:
                terminal.page.end(why)
            try:
                await asyncio.shield(self._closed(terminal, why))
            finally:
                terminal.closed.set()

    async def _closed(self, terminal: Terminal, why: str) -> None:
        detail = {"terminal": terminal.id, "why": why, "seconds": round(time.time() - terminal.opened_at)}
        await self._database.write(
            lambda c: audit.append(c, "system", "terminal.closed", f"agent/{terminal.agent}", **detail)
        )

    async def _watch_idle(self, terminal: Terminal) -> None:
        while True:
            left = terminal.used + self._idle - time.monotonic()
            if left <= 0:
                self._tell(terminal, f"nobody used it for {self._idle / 60:g} minutes")
                return
            await asyncio.sleep(left)


def _close_forgotten(connection: sqlite3.Connection) -> None:
    query = (
        "SELECT subject, action, json_extract(detail, '$.terminal') FROM audit WHERE id IN"
        " (SELECT max(id) FROM audit WHERE action IN ('terminal.opened', 'terminal.closed') GROUP BY subject)"
    )
    for subject, action, terminal in connection.execute(query).fetchall():
        if action == "terminal.opened":
            audit.append(connection, "system", "terminal.closed", subject, terminal=terminal, why="the core ended")
