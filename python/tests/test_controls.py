"""Notes, read and written by the harness in the agent's cage; and harnesses that answer badly."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any

import pytest
from control_rig import listening
from core_rig import LACKING, SKIP_REASON, nix, until
from web_rig import Browser, Web, web

from hyperhive import controls
from hyperhive.controls import Controls
from hyperhive.errors import BadInput, Conflict, Unavailable
from hyperhive.settings import Notes
from hyperhive.store.database import Database
from hyperhive.terminals import Page, Terminals

PATH = "/v1/agents/worker/notes"
caged = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def play(root: Path, scene: Callable[[Web, Browser, Path], Coroutine[Any, Any, None]], settings: str = "") -> None:
    """A scene with the agent `worker`, a browser, and the file that its notes are in."""

    async def run() -> None:
        async with web(root) as made:
            await made.hive.create("worker", nix=nix(settings))
            await until(lambda: _listens(made))
            await scene(made, await made.browser(), root / "hive/agents/worker/state/notes.md")

    asyncio.run(run())


async def _listens(made: Web) -> bool:
    return await _connected(made.hive.core.controls)


async def _connected(made: Controls) -> bool:
    return "worker" in made._harnesses


@caged
def test_notes_are_shown_and_replaced(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser, file: Path) -> None:
        empty = (await browser.ask("GET", PATH)).json
        assert (empty["text"], empty["bytes"], empty["max_bytes"], empty["enabled"]) == ("", 0, 65536, True)
        text = "läßt sich\n\nmerken " + "x" * 60_000
        written = await browser.ask("PUT", PATH, {"text": text, "version": empty["version"]})
        assert (written.status, written.json["text"]) == (200, text)
        assert _read(file) == text
        assert (await browser.ask("GET", PATH)).json == written.json
        audit = (await browser.ask("GET", "/v1/audit?agent=worker")).json["entries"][-1]
        assert (audit["actor"], audit["action"], audit["detail"]) == (
            "operator:root",
            "notes.written",
            {"bytes": len(text.encode())},
        )

    play(tmp_path, scene)


@caged
def test_notes_that_the_agent_changed_meanwhile_are_not_written_over(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser, file: Path) -> None:
        version = (await browser.ask("GET", PATH)).json["version"]
        _write(file, "the agent's own\n")
        answer = await browser.ask("PUT", PATH, {"text": "mine", "version": version})
        assert (answer.status, "changed meanwhile" in answer.json["error"]) == (409, True)
        assert _read(file) == "the agent's own\n"
        assert _read(file.with_name("notes.md.new")) is None

    play(tmp_path, scene)


def _write(file: Path, text: str) -> None:
    file.write_text(text)


def _read(file: Path) -> str | None:
    return file.read_text() if file.exists() else None


def _link(file: Path) -> None:
    file.symlink_to("/etc/passwd")


def _pipe(file: Path) -> None:
    os.mkfifo(file)


def _directory(file: Path) -> None:
    file.mkdir()


@caged
@pytest.mark.parametrize("make", [_link, _pipe, _directory])
def test_notes_that_are_no_plain_file_are_refused_at_once(tmp_path: Path, make: Callable[[Path], None]) -> None:
    async def scene(made: Web, browser: Browser, file: Path) -> None:
        make(file)
        for answer in (
            await browser.ask("GET", PATH),
            await browser.ask("PUT", PATH, {"text": "x", "version": "0" * 64}),
        ):
            assert (answer.status, "not a plain file" in answer.json["error"]) == (400, True), answer.body

    play(tmp_path, scene)


@caged
def test_notes_have_their_bound(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser, file: Path) -> None:
        version = (await browser.ask("GET", PATH)).json["version"]
        answer = await browser.ask("PUT", PATH, {"text": "ä" * 513, "version": version})
        assert (answer.status, "1026 bytes" in answer.json["error"]) == (413, True)
        _write(file, "y" * (controls.MAX_NOTES + 1))
        assert (await browser.ask("GET", PATH)).status == 413

    play(tmp_path, scene, "notes.maxBytes = 1024;")


@caged
def test_the_notes_of_an_agent_that_does_not_run_wait_for_it(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser, file: Path) -> None:
        await made.hive.core.hive.stop("worker", "operator:test")
        answer = await browser.ask("GET", PATH)
        assert (answer.status, answer.json["error"]) == (409, "worker does not run; start it first")
        await made.hive.core.hive.start("worker", "operator:test")
        await until(lambda: _listens(made))
        assert (await browser.ask("GET", PATH)).status == 200
        assert (await browser.ask("GET", "/v1/agents/nobody/notes")).status == 404

    play(tmp_path, scene)


class Harness:
    """A harness that answers as it is told."""

    def __init__(self, root: Path) -> None:
        self.path = root / "control.sock"

    async def listen(self, answer: bytes | None) -> asyncio.Task[None]:
        """Hold the control connection and answer each request with these bytes (None: never)."""
        reader, writer = await asyncio.open_unix_connection(self.path)
        writer.write(b'{"control": true}\n')

        async def serve() -> None:
            try:
                while line := await reader.readline():
                    if answer is not None:
                        _, back = await asyncio.open_unix_connection(self.path)
                        back.write(json.dumps({"answer": json.loads(line)["id"]}).encode() + b"\n" + answer)
                        back.close()
            finally:
                writer.close()

        return asyncio.create_task(serve())


def asked(root: Path, answer: bytes | None) -> None:
    """Read the notes of an agent whose harness answers so; raises what the caller gets."""

    async def run() -> None:
        async with listening(root) as (made, _):
            harness = await Harness(root).listen(answer)
            try:
                await until(lambda: _connected(made))
                async with asyncio.timeout(10):
                    await made.read_notes("worker", Notes(True, 100))
            finally:
                harness.cancel()
                assert not made._answers, "nothing is left of the request"

    asyncio.run(run())


@pytest.mark.parametrize(
    "answer",
    [
        b"",
        b"\n",
        b"no json\n",
        b"{}\n",
        b'{"exit": null, "error": 1}\n',
        b'{"exit": 1e999, "error": ""}\n',
        b"[]\n",
        b"\xff\n",
        b"[" * 100_000 + b"\n",
        b"x" * 3 * controls.BUFFER,
    ],
    ids=lambda answer: repr(answer[:20]),
)
def test_a_harness_that_answers_nonsense_is_unavailable(tmp_path: Path, answer: bytes) -> None:
    with pytest.raises(Unavailable, match="does not answer"):
        asked(tmp_path, answer)


def test_a_harness_that_never_answers_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "ANSWER_TIME", 0.2)
    with pytest.raises(Unavailable, match="does not answer"):
        asked(tmp_path, None)


def test_what_waits_for_a_harness_that_never_reads_does_not_grow(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(controls, "ANSWER_TIME", 0.1)

    async def run() -> None:
        async with listening(tmp_path) as (made, _):
            _, deaf = await asyncio.open_unix_connection(tmp_path / "control.sock")
            deaf.write(b'{"control": true}\n')
            await until(lambda: _connected(made))
            deaf.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket's transport
            transport = made._harnesses["worker"].transport
            for _ in range(20):
                with pytest.raises((Unavailable, Conflict)):
                    async with made.ask("worker", "notes.read", filling="x" * 100_000):
                        pass
            assert transport.get_write_buffer_size() < 500_000
            deaf.close()

    asyncio.run(run())


def test_a_harness_that_takes_no_notes_is_unavailable(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "ANSWER_TIME", 0.3)

    async def run() -> None:
        async with listening(tmp_path) as (made, _):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
            writer.write(b'{"control": true}\n')
            await until(lambda: _connected(made))
            notes = Notes(True, 2**20)
            writing = asyncio.create_task(made.write_notes("worker", notes, "x" * 2**20, "0", "operator:test"))
            number = json.loads(await reader.readline())["id"]
            _, deaf = await asyncio.open_unix_connection(tmp_path / "control.sock")
            deaf.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket's transport
            deaf.write(json.dumps({"answer": number}).encode() + b"\n")
            async with asyncio.timeout(5):
                with pytest.raises(Unavailable, match="does not answer"):
                    await writing
            for each in (writer, deaf):
                each.close()

    asyncio.run(run())


def test_a_first_line_that_is_too_deep_is_for_nobodys_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with listening(tmp_path):
            reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
            writer.write(b"[" * 100_000 + b"\n")
            assert await reader.read() == b""
            writer.close()

    asyncio.run(run())
    assert not caplog.records


def test_what_the_cage_says_reaches_the_operator(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="the notes: disk full"):
        asked(tmp_path, b'{"exit": 1, "error": "disk full"}\n')
    with pytest.raises(Conflict, match="changed meanwhile"):
        asked(tmp_path, b'{"exit": 9, "error": ""}\n')


def test_no_other_agents_harness_can_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(controls, "ANSWER_TIME", 0.5)

    async def run() -> None:
        database = await Database.open(tmp_path / "hive.db")
        made = Controls(database)
        for name in ("worker", "other"):
            await made.listener.listen(tmp_path / f"{name}.sock", name)
        reader, writer = await asyncio.open_unix_connection(tmp_path / "worker.sock")
        writer.write(b'{"control": true}\n')
        await until(lambda: _connected(made))
        reading = asyncio.create_task(made.read_notes("worker", Notes(True, 100)))
        number = json.loads(await reader.readline())["id"]
        _, foreign = await asyncio.open_unix_connection(tmp_path / "other.sock")
        foreign.write(json.dumps({"answer": number}).encode() + b'\n{"exit": 0, "error": ""}\nlies')
        with pytest.raises(Unavailable):
            await reading
        for each in (writer, foreign):
            each.close()
        await made.listener.close_all()
        await database.close()

    asyncio.run(run())


async def _nothing(what: object) -> None:
    """A page that shows nothing."""


def test_a_terminal_whose_harness_reads_nothing_ends_at_once(tmp_path: Path) -> None:
    async def run() -> None:
        database = await Database.open(tmp_path / "hive.db")
        made = Controls(database)
        await made.listener.listen(tmp_path / "control.sock", "worker")
        reader, writer = await asyncio.open_unix_connection(tmp_path / "control.sock")
        writer.write(b'{"control": true}\n')
        await until(lambda: _connected(made))
        terminals = Terminals(database, made, idle=1000)
        page = Page(_nothing, _nothing)
        opening = asyncio.create_task(terminals.attach("worker", "operator:test", page, 80, 24))
        number = json.loads(await reader.readline())["id"]
        _, deaf = await asyncio.open_unix_connection(tmp_path / "control.sock")
        deaf.transport.pause_reading()  # type: ignore[attr-defined]  # of a socket's transport
        deaf.write(json.dumps({"answer": number}).encode() + b"\n")
        terminal = await opening
        typing = asyncio.create_task(terminal.type(b"x" * 2**20))

        async def stuck() -> bool:
            return terminal.line.writer.transport.get_write_buffer_size() > 0

        await until(stuck)
        async with asyncio.timeout(5):
            await terminals.close_all()
            with pytest.raises(ConnectionError):
                await typing
        assert (page.ended, terminals.view("worker")) == ("the core stopped", None)
        for each in (writer, deaf):
            each.close()
        await made.listener.close_all()
        await database.close()

    asyncio.run(run())
