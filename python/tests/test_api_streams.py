"""Sockets that speak no HTTP: what a connection that is over may still cost."""

from __future__ import annotations

import asyncio
import contextlib
from collections.abc import Callable
from pathlib import Path

import pytest
import uvloop
from mail_rig import until

from hyperhive.api import streams
from hyperhive.api.streams import StreamListener

LOOPS = pytest.mark.parametrize("loop", [asyncio.new_event_loop, uvloop.new_event_loop], ids=["asyncio", "uvloop"])
MORE_THAN_FITS = b"x" * 4_000_000


async def say_and_close(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str) -> None:
    """A service that says a lot and ends the connection."""
    writer.write(MORE_THAN_FITS)
    writer.close()


@LOOPS
def test_a_client_that_does_not_take_the_rest_is_cut_off_and_counts_until_then(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, loop: Callable[[], asyncio.AbstractEventLoop]
) -> None:
    monkeypatch.setattr(streams, "LINGER_TIME", 0.2)

    async def check() -> None:
        listener = StreamListener(say_and_close, limit=1024, most=1, too_many=b"too many")
        await listener.listen(tmp_path / "s", "worker")
        deaf, writer = await asyncio.open_unix_connection(tmp_path / "s", limit=1)
        other, also = await asyncio.open_unix_connection(tmp_path / "s")
        assert await other.read() == b"too many"
        also.close()

        async def over() -> bool:
            return not listener._listening[tmp_path / "s"].connections

        await until(over)
        with contextlib.suppress(ConnectionError):
            assert len(await deaf.read()) < len(MORE_THAN_FITS)
        writer.close()
        await listener.close_all()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(check())


@LOOPS
def test_a_client_that_reads_gets_all_of_it(tmp_path: Path, loop: Callable[[], asyncio.AbstractEventLoop]) -> None:
    async def check() -> None:
        listener = StreamListener(say_and_close, limit=1024, most=1, too_many=b"")
        await listener.listen(tmp_path / "s", "worker")
        reader, writer = await asyncio.open_unix_connection(tmp_path / "s")
        assert await reader.read() == MORE_THAN_FITS
        writer.close()
        await listener.close_all()

    with asyncio.Runner(loop_factory=loop) as runner:
        runner.run(check())
