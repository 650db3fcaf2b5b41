"""What the fuzz tests share: hostile JSON, sockets in a thread of their own, and how many examples are tried.

HYPERHIVE_FUZZ_EXAMPLES=5000 tries so many, other ones each time; without it a few, always the same.
"""

from __future__ import annotations

import asyncio
import contextlib
import itertools
import json
import logging
import os
import socket
import sqlite3
import threading
from collections.abc import AsyncIterator, Callable, Coroutine, Iterator, Mapping
from contextlib import AbstractAsyncContextManager, asynccontextmanager, contextmanager
from dataclasses import dataclass, field
from functools import partial
from pathlib import Path
from typing import Any, Generic, TypeVar

from core_rig import config
from hypothesis import HealthCheck, settings
from hypothesis import strategies as st
from settings_samples import sample

from hyperhive.core import Core, running_core
from hyperhive.settings import Role
from hyperhive.store import agents, generations
from hyperhive.store.database import Database

T = TypeVar("T")
R = TypeVar("R")
Text = st.SearchStrategy[str]

DEADLINE = 10.0
"""Seconds; what takes longer hangs."""
_WANTED = int(os.environ.get("HYPERHIVE_FUZZ_EXAMPLES") or 0)


def fuzz(examples: int) -> settings:
    """The settings of a fuzz test that usually tries so many examples."""
    return settings(
        max_examples=_WANTED or examples,
        derandomize=not _WANTED,
        database=None,
        deadline=None,
        suppress_health_check=list(HealthCheck),
    )


def deep(levels: int, bracket: str = "[") -> str:
    """JSON that is nested so deep."""
    opening, closing = ("[", "]") if bracket == "[" else ('{"a":', "}")
    return opening * levels + "1" + closing * levels


NUMBERS = ["0", "-0", "-1", "1.0", "1e0", "0.5", "1e308", "1e999", "-1e999", "NaN", "-Infinity"]
NUMBERS += [str(sign * 2**power + more) for power in (31, 53, 63, 64) for sign in (1, -1) for more in (-1, 0, 1)]
NUMBERS += ["9" * 400, "9" * 4300, "9" * 5000, "0." + "3" * 5000]
STRINGS = [
    "",
    " ",
    "\0",
    "a\0b",
    "\ud800",
    "a\udfffb",
    "alice",
    "bob",
    "bob\n",
    "operator",
    "system",
    "../bob",
    "ä",
    "%s",
]
STRINGS += ["\u202e", "\x1b[2J", "x" * 40, "x" * 65_536, "x" * 65_537, "💥" * 20_000, "true", "1", "\ufeff"]
OTHERS = ["null", "true", "false", "[]", "{}", "[null]", '{"a":1,"a":2}', '[{"a":[]}]', deep(100_000), deep(20, "{")]
BROKEN = ["", "[", "{", '"', "nul", "'x'", '"\\x"', "01", "+1", "[1,]", '"\\ud8"', "\x00", "1 2"]
"""What is no JSON."""

json_values = st.recursive(
    st.none() | st.booleans() | st.integers() | st.floats() | st.text(st.characters(codec=None), max_size=20),
    lambda inner: st.lists(inner, max_size=4) | st.dictionaries(st.text(max_size=8), inner, max_size=4),
    max_leaves=8,
)
hostile: Text = st.one_of(
    st.sampled_from(NUMBERS),
    st.sampled_from(STRINGS).map(json.dumps),
    st.sampled_from(OTHERS),
    json_values.map(json.dumps),
    st.builds(deep, st.integers(300, 1100), st.sampled_from("[{")),
)
"""JSON texts that mean no good."""


@st.composite
def objects(draw: st.DrawFn, fields: Mapping[str, Text]) -> str:
    """A JSON object: of each field what is right for it, often; nothing or something else, sometimes."""
    parts = []
    for name, right in fields.items():
        match draw(st.sampled_from(["right", "right", "right", "hostile", "absent"])):
            case "right":
                parts.append((name, draw(right)))
            case "hostile":
                parts.append((name, draw(hostile)))
    if draw(st.integers(0, 9)) == 0:
        parts.append((draw(st.sampled_from(["extra", "", "\ud800", "a" * 70_000])), draw(hostile)))
    return "{" + ",".join(f"{json.dumps(name)}:{value}" for name, value in parts) + "}"


def given_values(*values: object) -> Text:
    """One of these, as JSON."""
    return st.sampled_from([json.dumps(value) for value in values])


def in_pieces(data: bytes, cuts: list[int]) -> list[bytes]:
    """The bytes, cut at these places."""
    places = sorted({0, len(data), *(cut % (len(data) + 1) for cut in cuts)})
    return [data[begin:end] for begin, end in itertools.pairwise(places)]


cuts = st.lists(st.integers(0, 5000), max_size=4)


class _Complaints(logging.Handler):
    def __init__(self) -> None:
        super().__init__(logging.WARNING)
        self.texts: list[str] = []

    def emit(self, record: logging.LogRecord) -> None:
        self.texts.append(self.format(record))


@dataclass
class Served(Generic[T]):
    """A rig that runs in a thread of its own; `complaints` are what was logged, and exceptions that nobody took."""

    rig: T
    loop: asyncio.AbstractEventLoop
    complaints: list[str] = field(default_factory=list)

    def call(self, work: Coroutine[Any, Any, R]) -> R:
        """Run a coroutine there."""
        return asyncio.run_coroutine_threadsafe(work, self.loop).result(DEADLINE)

    def check(self) -> None:
        """Nothing was logged."""
        assert not self.complaints, self.complaints


@contextmanager
def served(make: Callable[[], AbstractAsyncContextManager[T]]) -> Iterator[Served[T]]:
    """Run `make()` in a thread for the time of the block; at its end nothing may have been logged."""
    ready, over = threading.Event(), threading.Event()
    made: list[Served[T]] = []
    complaints = _Complaints()

    async def run() -> None:
        loop = asyncio.get_running_loop()
        loop.set_exception_handler(lambda _, context: complaints.texts.append(repr(context)))
        async with make() as rig:
            made.append(Served(rig, loop, complaints.texts))
            ready.set()
            await asyncio.to_thread(over.wait)

    thread = threading.Thread(target=lambda: asyncio.run(run()))
    logging.getLogger().addHandler(complaints)
    thread.start()
    try:
        assert ready.wait(DEADLINE) and made, "it did not start"
        yield made[0]
    finally:
        over.set()
        thread.join()
        logging.getLogger().removeHandler(complaints)
    made[0].check()


class Connection:
    """A plain client of a unix socket; each wait has the deadline."""

    def __init__(self, path: Path) -> None:
        self.socket = socket.socket(socket.AF_UNIX)
        self.socket.settimeout(DEADLINE)
        self.socket.connect(str(path))
        self.file = self.socket.makefile("rb")

    def send(self, *pieces: bytes) -> None:
        """Send each; a server that has ended the connection meanwhile hears no more."""
        with contextlib.suppress(BrokenPipeError, ConnectionResetError):
            for piece in pieces:
                self.socket.sendall(piece)

    def finish(self) -> None:
        """Say that nothing more comes."""
        with contextlib.suppress(OSError):
            self.socket.shutdown(socket.SHUT_WR)

    def rest(self) -> bytes:
        """All until the server ends the connection."""
        said = b""
        with contextlib.suppress(ConnectionResetError):  # it has not read all that was sent
            while part := self.file.read1():
                said += part
        return said

    def close(self) -> None:
        """End it."""
        self.file.close()
        self.socket.close()


@contextmanager
def connected(path: Path) -> Iterator[Connection]:
    """A connection for the time of the block."""
    made = Connection(path)
    try:
        yield made
    finally:
        made.close()


@asynccontextmanager
async def hive(root: Path, **changes: Any) -> AsyncIterator[Core]:
    """A running core with the sockets of `alice`, an agent, and `boss`, a manager; nothing runs behind them."""
    async with running_core(config(root, **changes)) as core:
        for name, role in (("alice", Role.AGENT), ("boss", Role.MANAGER)):
            await core.database.write(partial(_insert, name, role))
            (core.config.state_dir / "agents" / name / "state").mkdir(parents=True)
            await core.hive._generations.repository(name).init()
            await core.open(name)
        yield core


def _insert(name: str, role: Role, connection: sqlite3.Connection) -> None:
    bash = {"allow": ["ls *", "git log *"], "deny": ["ls /root *"]}
    made = sample(name=name, role=role, bash=bash, notes={"enable": True, "maxBytes": 4096})
    agents.create(connection, name, role)
    generations.insert(
        connection, agent=name, number=1, commit="0" * 40, tree="0" * 40, settings=made, proposal=None, reason="fuzz"
    )
    agents.set_generation(connection, name, 1)


def path_of(core: Core, agent: str, name: str) -> Path:
    """One of an agent's sockets."""
    return core.config.runtime_dir / "agents" / agent / name


def changes(served: Served[Any], database: Database) -> int:
    """How many rows were changed since the database was opened, undone or not."""

    def total(connection: sqlite3.Connection) -> int:
        return connection.total_changes

    return served.call(database.read(total))
