"""A terminal's WebSocket: what a page sends amiss, and how long it may send at all."""

from __future__ import annotations

from pathlib import Path

import pytest
from core_rig import LACKING, SKIP_REASON
from web_rig import PROMPT, Browser, Screen, Web, play

from hyperhive.api import terminal

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


@pytest.mark.parametrize(
    "size", ["", "cols=80", "cols=0&rows=1", "cols=1001&rows=24", "cols=x&rows=24", "cols=-1&rows=2"]
)
def test_odd_sizes_open_nothing(tmp_path: Path, size: str) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker", size) as socket:
            screen = Screen(socket)
            await screen.take()
            assert "error" in screen.told[0]
        assert (await browser.ask("GET", "/v1/agents/worker/terminal")).json == {"terminal": None}

    play(tmp_path, scene)


def test_what_a_page_sends_amiss_changes_nothing(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            for text in ("", "{", "[]", '{"resize": [1]}', '{"ack": "x"}', '{"resize": [true, null]}', "[" * 5000):
                await socket.send(text)
            for size in ([0, 0], [-1, 24], [10**9, 24], [True, True]):
                await screen.say({"resize": size})
            await screen.say({"ack": -(10**30)})
            await screen.type("echo fi''ne\r")
            await screen.until(b"fine\r\n")

    play(tmp_path, scene)


def test_an_agent_that_is_not_there_has_no_terminal(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        assert (await browser.ask("GET", "/v1/agents/nobody/terminal")).status == 404
        assert (await browser.ask("DELETE", "/v1/agents/nobody/terminal")).status == 404
        async with browser.terminal("nobody") as socket:
            screen = Screen(socket)
            await screen.take()
            assert "no agent 'nobody'" in screen.told[0]["error"]

    play(tmp_path, scene)


def test_a_page_whose_user_logs_out_loses_the_terminal_and_the_shell_goes_on(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(terminal, "CHECK_EVERY", 0.1)

    async def scene(made: Web, browser: Browser) -> None:
        async with browser.terminal("worker") as socket:
            screen = Screen(socket)
            await screen.until(PROMPT)
            assert (await browser.ask("DELETE", "/v1/session")).status == 200
            assert "log in first" in await screen.until_end()
        again = await made.browser()
        assert (await again.ask("GET", "/v1/agents/worker/terminal")).json["terminal"]["attached"] is False

    play(tmp_path, scene)
