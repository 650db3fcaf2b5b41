"""The operator's terminal, from the WebSocket to a real shell in a real cage."""

from __future__ import annotations

import asyncio
import json
import os
import signal
from pathlib import Path
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON, until
from web_rig import PROMPT, Browser, Screen, Web, play, web
from websockets.exceptions import ConnectionClosed

from hyperhive import terminals
from hyperhive.config import Dashboard
from hyperhive.controls import Line
from hyperhive.store import audit as audit_log
from hyperhive.terminals import Page

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


async def info(browser: Browser) -> dict[str, Any] | None:
    found: dict[str, Any] | None = (await browser.ask("GET", "/v1/agents/worker/terminal")).json["terminal"]
    return found


async def gone(browser: Browser) -> bool:
    return await info(browser) is None


async def audit(made: Web) -> list[tuple[str, str, str]]:
    """(actor, action, why) of the terminals' entries."""
    rows = await made.hive.core.database.read(
        lambda c: c.execute(
            "SELECT actor, action, detail FROM audit WHERE action LIKE 'terminal.%' ORDER BY id"
        ).fetchall()
    )
    return [(actor, action, json.loads(detail).get("why", "")) for actor, action, detail in rows]


def test_it_is_a_shell_of_the_agents_user_in_a_cage_and_not_the_hosts(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker", "cols=97&rows=31") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            secret = tmp_path / "hive/hive.db"
            await screen.type(
                f"id -un; stty size; tty -s && echo is-a''-tty; cat {secret}; ls /run/hive; echo e''nd é\r"
            )
            said = (await screen.until("end é\r\n".encode())).decode()
            for line in ("agent\r\n", "31 97\r\n", "is-a-tty\r\n", "No such file", "mcp.sock", "end é"):
                assert line in said, said
            assert "harness.sock" not in said
            assert "control.sock" not in said

    play(tmp_path, scene)


def test_keys_and_sizes_reach_the_program(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            await screen.say({"resize": [120, 40]})
            await screen.type("stty size\r")
            await screen.until(b"40 120\r\n")
            await screen.type(
                "echo sle''eping >/tmp/x; cat /tmp/x -\r"
            )  # a shell may miss a Ctrl-C as it starts a program
            await screen.until(b"sleeping\r\n")
            await screen.type("\x03")
            await screen.until(PROMPT)
            await screen.type("cat\r")
            await screen.until(b"cat\r\n\x1b[?2004l\r")
            await screen.type("eins\rzwei\r\x04")
            assert (await screen.until(PROMPT)).count(b"zwei\r\n") == 2, "typed, and said by cat"

    play(tmp_path, scene)


def test_ten_megabytes_come_whole_and_ctrl_c_ends_an_endless_program(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            await screen.type("stty -opost; head -c 10000000 /dev/zero | tr '\\0' x; stty opost; echo e''nd\r")
            assert (await screen.until(b"end\r\n", 60)).count(b"x" * 1000) == 10_000
            await screen.type("yes\r")
            await screen.until(b"y\r\n" * 1000)
            await screen.type("\x03")
            await screen.type("echo stop''ped\r")
            await screen.until(b"stopped\r\n")

    play(tmp_path, scene)


def test_a_page_that_does_not_draw_holds_the_shell_and_not_the_core(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket, acks=False)
            await screen.until(PROMPT)
            await screen.type("yes\r")
            with pytest.raises(TimeoutError):
                await screen.until(b"never", 1.0)
            terminal = made.hive.core.terminals._open["worker"]
            assert len(screen.shown) <= terminals.WINDOW + terminals.MAX_FRAME
            assert len(terminal.kept) <= 2 * terminals.KEPT + terminals.MAX_FRAME
            screen.acks = True
            await screen.say({"ack": len(screen.shown)})
            await screen.type("\x03")
            await screen.type("echo stop''ped\r")
            await screen.until(b"stopped\r\n")

    play(tmp_path, scene)


def test_a_page_that_is_loaded_again_sees_what_was_printed_and_goes_on(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            await screen.type("here=42; seq 1 50\r")
            await screen.until(b"\r\n50\r\n")
            await screen.until(PROMPT)
            first = bytes(screen.shown)
        await until(lambda: _detached(browser))
        async with browser.terminal("worker") as socket:
            again = Screen(socket)
            await again.until(PROMPT)
            assert again.told[0] == {"replay": len(first)}
            assert again.shown == first
            await again.type("echo still-$here\r")
            await again.until(b"still-42\r\n")
        assert [action for _, action, _ in await audit(made)] == ["terminal.opened"]

    play(tmp_path, scene)


async def _detached(browser: Browser) -> bool:
    found = await info(browser)
    return found is not None and not found["attached"]


def test_nothing_is_lost_or_doubled_when_a_page_comes_back_in_the_middle(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            await screen.type("for i in $(seq 1 20000); do echo n$i; done; echo e''nd\r")
            await screen.until(b"n100\r\n")
        for _ in range(20):
            async with browser.terminal("worker") as socket:
                screen = Screen(socket)
                while not screen.shown:
                    await screen.take()
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(b"end\r\n")
            shown = bytes(screen.shown)
        numbers = [int(line[1:]) for line in shown.split(b"\r\n") if line[:1] == b"n" and line[1:].isdigit()]
        assert numbers == list(range(numbers[0], 20001)), "in order, each once, from where it is kept"

    play(tmp_path, scene)


def test_another_page_takes_it_over_and_the_first_is_told(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as one, browser.terminal("worker") as other:
            first, second = Screen(one), Screen(other)
            assert "another page" in await first.until_end()
            await second.until(PROMPT)
            await second.type("echo mi''ne\r")
            await second.until(b"mine\r\n")
            with pytest.raises(ConnectionClosed):
                await first.take()

    play(tmp_path, scene)


def test_its_end_is_told_with_the_reason_and_audited(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            await screen.type("exit 3\r")
            assert await screen.until_end() == "the shell ended (exit 3)"
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            assert (await browser.ask("DELETE", "/v1/agents/worker/terminal")).status == 200
            assert await screen.until_end() == "ended by operator:root"
        await until(lambda: gone(browser))
        assert await audit(made) == [
            ("operator:root", "terminal.opened", ""),
            ("system", "terminal.closed", "the shell ended (exit 3)"),
            ("operator:root", "terminal.opened", ""),
            ("system", "terminal.closed", "ended by operator:root"),
        ]

    play(tmp_path, scene)


def test_its_end_leaves_no_process_not_even_one_that_ignores_it(tmp_path: Path) -> None:
    mark = f"{os.getpid()}0099"

    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            await screen.type(f"trap '' HUP TERM INT; setsid sleep {mark} & sleep {mark} & echo be''gun\r")
            await screen.until(b"begun\r\n")
            await until(lambda: _both(mark))
            await screen.say({"end": True})
            await screen.until_end()
        await until(lambda: _none(mark))

    play(tmp_path, scene)


async def _both(mark: str) -> bool:
    return len(_sleepers(mark)) == 2


async def _none(mark: str) -> bool:
    return not _sleepers(mark)


def _sleepers(mark: str) -> list[str]:
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            if path.read_bytes() == f"sleep\0{mark}\0".encode():
                found.append(path.parent.name)
        except OSError:
            continue
    return found


def test_one_that_nobody_uses_is_ended(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            await Screen(socket).until(PROMPT)
        await until(lambda: gone(browser))
        assert [why for _, action, why in await audit(made) if action == "terminal.closed"] == [
            "nobody used it for 0.005 minutes"
        ]

    play(tmp_path, scene, dashboard=Dashboard(enable=True, port=0, terminal_idle=0.3))


def test_it_ends_with_its_agent(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            await made.hive.core.hive.stop("worker", "operator:test")
            assert await screen.until_end() == "the container ended"
        async with browser.terminal("worker") as socket:
            refused = Screen(socket)
            await refused.take()
            assert refused.told == [{"error": "worker does not run; start it first"}]

    play(tmp_path, scene)


def test_the_core_stops_while_one_is_open_and_says_so_in_the_audit_log(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            await made.hive.create("worker")
            await until(made.listens)
            browser = await made.browser()
            socket = await browser.terminal("worker")
            await Screen(socket).until(PROMPT)
            async with asyncio.timeout(15):
                await made.hive.core.stop()
            await socket.close()
        async with web(tmp_path) as made:
            assert [why for _, _, why in await audit(made)] == ["", "the core stopped"]

    asyncio.run(run())


def test_a_killed_core_leaves_its_terminals_end_to_the_next(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            await made.hive.create("worker")

            def opened(connection: Any) -> None:
                audit_log.append(connection, "operator:root", "terminal.opened", "agent/worker", terminal="beef")

            await made.hive.core.database.write(opened)
        async with web(tmp_path) as made:
            assert (await audit(made))[-1] == ("system", "terminal.closed", "the core ended")
        async with web(tmp_path) as made:
            assert len(await audit(made)) == 2, "once"

    asyncio.run(run())


def test_a_killed_harness_ends_its_terminal(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            backend: Any = made.hive.core.backend
            backend._running["worker"].child.send_signal(signal.SIGKILL)
            assert await screen.until_end() == "the container ended"

    play(tmp_path, scene)


def test_every_browser_that_comes_to_look_after_another_is_in_the_audit_log(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        other, ann = await made.browser(), Page(send=nothing, tell=nothing)
        for each in (browser, browser, other, browser):
            async with each.terminal("worker") as socket:
                await Screen(socket).until(PROMPT)
        for _ in range(2):  # by the proxy, which has no sessions
            await made.hive.core.terminals.attach("worker", "operator:ann", ann, 80, 24)
        assert [(actor, action) for actor, action, _ in await audit(made)] == [
            ("operator:root", "terminal.opened"),
            ("operator:root", "terminal.attached"),
            ("operator:root", "terminal.attached"),
            ("operator:ann", "terminal.attached"),
        ]

    play(tmp_path, scene)


async def nothing(what: Any) -> None:
    """Take it."""


def test_one_that_is_just_told_to_end_is_followed_by_a_new_one(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        opened = made.hive.core.terminals
        first = await opened.attach("worker", "operator:ann", Page(send=nothing, tell=nothing), 80, 24)
        await opened.end("worker", "operator:ann")
        second = await opened.attach("worker", "operator:ann", Page(send=nothing, tell=nothing), 80, 24)
        assert first.id != second.id
        actions = [action for _, action, _ in await audit(made)]
        assert actions == ["terminal.opened", "terminal.closed", "terminal.opened"]
        async with browser.terminal("worker") as socket:
            await Screen(socket).until(PROMPT)

    play(tmp_path, scene)


def test_one_whose_connection_broke_is_followed_by_a_new_one(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        opened = made.hive.core.terminals
        first = await opened.attach("worker", "operator:ann", Page(send=nothing, tell=nothing), 80, 24)
        first.line.writer.transport.abort()
        second = await opened.attach("worker", "operator:ann", Page(send=nothing, tell=nothing), 80, 24)
        assert first.id != second.id

    play(tmp_path, scene)


def test_what_programs_print_to_a_page_is_no_use_of_it(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            await screen.type("while sleep 0.05; do echo tick; done\r")
            assert "nobody used it" in await screen.until_end()

    play(tmp_path, scene, dashboard=Dashboard(enable=True, port=0, terminal_idle=1.0))


def test_what_is_typed_and_a_new_size_are_use_of_it(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            await Screen(socket).until(PROMPT)
            terminal = made.hive.core.terminals._open["worker"]
            for use in (terminal.type(b" "), terminal.resize(81, 24)):
                before = terminal.used
                await use
                assert terminal.used > before

    play(tmp_path, scene)


class Sent:
    """A connection with a page that counts the messages and acknowledges nothing."""

    def __init__(self) -> None:
        self.messages = 0
        self.page = Page(send=self.take, tell=nothing)

    async def take(self, data: bytes) -> None:
        """Count it."""
        self.messages += 1


def hostile(data: bytes, page: Page | None = None) -> terminals.Terminal:
    """A terminal whose harness has sent that, and then ends."""
    reader = asyncio.StreamReader(limit=2**20)
    reader.feed_data(data)
    reader.feed_eof()
    nowhere: Any = None
    return terminals.Terminal("worker", "operator:root", Line(reader, nowhere), ("operator:root", 1), page=page)


@pytest.mark.parametrize("frame", [b"d\0\0\0\0", b"d\0\0\0\1x"], ids=["empty", "a byte"])
def test_frames_of_next_to_nothing_wait_for_the_page_too(frame: bytes) -> None:
    async def run() -> None:
        sent = Sent()
        most = terminals.WINDOW // terminals.FRAME_COST
        running = asyncio.create_task(hostile(frame * (most + 100), sent.page).frames())

        async def waits(messages: int) -> None:
            async with asyncio.timeout(20):
                while sent.messages < messages:  # noqa: ASYNC110  (a page tells nobody)
                    await asyncio.sleep(0)
            for _ in range(50):
                await asyncio.sleep(0)
            assert sent.messages == messages

        await waits(most)
        sent.page.ack(len(frame) - 5)
        await waits(most + 1)
        for _ in range(most):
            sent.page.ack(len(frame) - 5)
        async with asyncio.timeout(20):
            assert await running == "the container ended"
        assert sent.messages == most + 100

    asyncio.run(run())


def test_a_page_that_acknowledges_what_it_never_got_gets_no_credit() -> None:
    async def run() -> None:
        sent, most = Sent(), terminals.WINDOW // 256
        sent.page.ack(10**30)
        running = asyncio.create_task(hostile((b"d\0\0\1\0" + b"x" * 256) * (most + 100), sent.page).frames())
        for acknowledged in range(3):
            for _ in range(20 * most):
                await asyncio.sleep(0)
            assert sent.messages == most + acknowledged
            sent.page.ack(256)
        sent.page.end("enough")
        await running

    asyncio.run(run())


@pytest.mark.parametrize("frame", [b"q\0\0\0\1x", b"\0\0\0\0\0", b"d\xff\xff\xff\xff", b"r\0\0\0\4abcd"])
def test_a_frame_that_no_harness_sends_ends_it_and_says_why(frame: bytes) -> None:
    async def run() -> None:
        why = await hostile(b"d\0\0\0\1x" + frame).frames()
        assert "the harness sent nonsense (a frame of kind " in why
        assert repr(frame[:1]) in why

    asyncio.run(run())
