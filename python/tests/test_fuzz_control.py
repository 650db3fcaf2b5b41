"""control.sock under a harness that answers anything: the operator gets a result or one clear error, always in time."""

from __future__ import annotations

import asyncio
import contextlib
import json
import struct
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

import pytest
from control_rig import listening
from fuzz_rig import (
    BROKEN,
    Connection,
    Served,
    changes,
    connected,
    cuts,
    fuzz,
    given_values,
    hostile,
    in_pieces,
    objects,
    served,
)
from hypothesis import given
from hypothesis import strategies as st
from mail_rig import until

from hyperhive.controls import Controls, Notes
from hyperhive.errors import HyperhiveError
from hyperhive.settings import Notes as NotesSettings
from hyperhive.store.database import Database
from hyperhive.terminals import KEPT, Page, Terminals

SETTINGS = NotesSettings(enable=True, maxBytes=4096)


@dataclass
class Core:
    """The parts of a core that ask harnesses; the operator's page has no end of room, and `shown` is what it got."""

    database: Database
    controls: Controls
    terminals: Terminals
    path: Path
    shown: bytearray = field(default_factory=bytearray)

    async def held(self) -> None:
        """Wait until the harness has its control connection."""

        async def connected() -> bool:
            return "worker" in self.controls._harnesses

        await until(connected)

    async def read(self) -> Notes | str:
        """Read the notes; the error if there is one."""
        try:
            return await self.controls.read_notes("worker", SETTINGS)
        except HyperhiveError as error:
            return str(error)

    async def watch(self) -> str:
        """Open a terminal, type and resize; why it ended."""
        self.shown.clear()
        page = Page(self._show, self._told)
        try:
            terminal = await self.terminals.attach("worker", "operator:test", page, 80, 24)
        except HyperhiveError as error:
            return str(error)
        with contextlib.suppress(ConnectionError):
            await terminal.type(b"exit\n")
            await terminal.resize(100, 30)
        return await page.wait()

    async def _show(self, data: bytes) -> None:
        self.shown += data
        if (page := next((each.page for each in self.terminals._open.values()), None)) is not None:
            page.ack(len(data))

    async def _told(self, what: dict[str, Any]) -> None:
        pass


@asynccontextmanager
async def running(root: Path) -> AsyncIterator[Core]:
    """A core without anything else."""
    async with listening(root) as (controls, database):
        yield Core(database, controls, Terminals(database, controls, idle=1000), root / "control.sock")


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served[Core]]:
    """One that runs."""
    with served(lambda: running(tmp_path_factory.mktemp("hive"))) as made:
        yield made


@contextlib.contextmanager
def harness(core: Served[Core]) -> Iterator[Connection]:
    """A harness with its control connection."""
    with connected(core.rig.path) as control:
        control.send(b'{"control": true}\n')
        core.call(core.rig.held())
        yield control


def answer_with(core: Served[Core], control: Connection, *pieces: bytes) -> None:
    """Take the next request, and answer it with these bytes and no more."""
    request = json.loads(control.file.readline())
    with connected(core.rig.path) as back:
        back.send(json.dumps({"answer": request["id"]}).encode() + b"\n", *pieces)
        back.finish()
        back.rest()


def settled(core: Served[Core]) -> None:
    """Nothing was logged, and nothing is left of what was asked."""
    core.check()
    assert not core.rig.controls._answers and not core.rig.terminals._open


results = objects({"exit": given_values(0, 0, 1, 9, 2**70), "error": given_values("", "disk full", "x" * 5000)})


@given(results | hostile | st.sampled_from(BROKEN), st.binary(max_size=200) | st.just(b"x" * 1_100_000), cuts)
@fuzz(150)
def test_any_answer_about_the_notes_is_a_result_or_one_clear_error(
    core: Served[Core], first: str, rest: bytes, cuts: list[int]
) -> None:
    before = changes(core, core.rig.database)
    with harness(core) as control:
        asked = asyncio.run_coroutine_threadsafe(core.rig.read(), core.loop)
        answer_with(core, control, *in_pieces(first.encode(errors="replace") + b"\n" + rest, cuts))
        said = asked.result(10)
    if isinstance(said, str):
        assert 0 < len(said) < 500, said
    else:
        json.dumps(said.view()).encode()
        assert said.bytes == len(rest)
    settled(core)
    assert changes(core, core.rig.database) == before


def frame(kind: bytes, data: bytes) -> bytes:
    """A frame of the terminal."""
    return kind + struct.pack(">I", len(data)) + data


frames = st.lists(
    st.builds(frame, st.sampled_from([b"d", b"d", b"x", b"r", b"\0"]), st.binary(max_size=30))
    | st.sampled_from([b"d" * 5, b"d\xff\xff\xff\xff", frame(b"d", b""), frame(b"d", b"x" * 200_000), b"x\0\0\0\4\xff"])
    | st.binary(max_size=20),
    max_size=6,
)


@given(frames, cuts)
@fuzz(120)
def test_any_frames_of_a_terminal_are_shown_or_end_it(core: Served[Core], frames: list[bytes], cuts: list[int]) -> None:
    with harness(core) as control:
        watching = asyncio.run_coroutine_threadsafe(core.rig.watch(), core.loop)
        answer_with(core, control, *in_pieces(b"".join(frames), cuts))
        why = watching.result(10)
    assert 0 < len(why) < 100, why
    assert len(core.rig.shown) <= max(KEPT, sum(map(len, frames)))
    core.call(asyncio.wait_for(_over(core.rig), 10))
    settled(core)


async def _over(core: Core) -> None:
    await asyncio.gather(*core.terminals._running)


claims = objects({"control": given_values(True, 1), "answer": given_values("0" * 16, "", 7)})


@given(st.lists(claims | hostile | st.sampled_from(BROKEN), max_size=3), st.binary(max_size=50), cuts)
@fuzz(150)
def test_any_first_line_is_held_or_ended(core: Served[Core], lines: list[str], more: bytes, cuts: list[int]) -> None:
    with connected(core.rig.path) as client:
        client.send(*in_pieces("\n".join(lines).encode(errors="replace") + more, cuts))
        client.finish()
        assert client.rest() == b""
    settled(core)
