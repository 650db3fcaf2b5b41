"""A client whose bytes are all here already does not keep the loop for itself."""

from __future__ import annotations

import asyncio
from collections.abc import Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
from mcp_rig import Hive, Letters

from hyperhive.api.mcp import serve_mcp
from hyperhive.api.mcp_tools import HiveTools
from hyperhive.controls import Line
from hyperhive.terminals import Terminal

NUMBER = 2000


async def turns_of_others(work: Coroutine[Any, Any, object]) -> int:
    """How many turns everybody else had until that was done."""
    working = asyncio.ensure_future(work)
    turns = 0
    while not working.done():
        await asyncio.sleep(0)
        turns += 1
    working.result()
    return turns


def holding(data: bytes) -> asyncio.StreamReader:
    """A connection on which all of it has come, and its end."""
    reader = asyncio.StreamReader()
    reader.feed_data(data)
    reader.feed_eof()
    return reader


class Nowhere:
    """A writer whose bytes nobody reads."""

    def write(self, data: bytes) -> None:
        """Forget them."""

    async def drain(self) -> None:
        """There is room."""

    def close(self) -> None:
        """Nothing is open."""


NOWHERE = cast(asyncio.StreamWriter, Nowhere())


@pytest.mark.parametrize(
    "line", [b"\n", b"x\n", b'{"jsonrpc":"2.0","id":1,"result":{}}\n', b'{"jsonrpc":"2.0","method":"x"}\n']
)
def test_between_the_lines_of_an_mcp_client_the_others_have_their_turn(tmp_path: Path, line: bytes) -> None:
    async def run() -> None:
        tools = HiveTools(Letters(), Hive(tmp_path))
        assert await turns_of_others(serve_mcp(holding(line * NUMBER), NOWHERE, "worker", tools)) >= NUMBER

    asyncio.run(run())


def test_between_the_frames_of_a_terminal_the_others_have_their_turn() -> None:
    async def run() -> None:
        terminal = Terminal(
            "worker", "operator:test", Line(holding(b"d\0\0\0\1x" * NUMBER), NOWHERE), ("operator:test", 1)
        )
        assert await turns_of_others(terminal.frames()) >= NUMBER
        assert terminal.printed == NUMBER

    asyncio.run(run())
