"""The browsers that are logged in: who they are, how they are ended, and what ends with them."""

from __future__ import annotations

import asyncio
from pathlib import Path
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON, until
from web_rig import PROMPT, Browser, Screen, Web, play, web

from hyperhive import logins

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


async def sessions(browser: Browser) -> list[dict[str, Any]]:
    found: list[dict[str, Any]] = (await browser.ask("GET", "/v1/sessions")).json["sessions"]
    return found


async def actions(made: Web) -> list[tuple[str, str, str]]:
    """(actor, action, detail) of the dashboard's entries."""
    return await made.hive.core.database.read(
        lambda c: c.execute(
            "SELECT actor, action, detail FROM audit WHERE subject = 'dashboard' ORDER BY id"
        ).fetchall()
    )


def test_the_browsers_are_listed_and_the_one_that_asks_is_marked(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            one, other = await made.browser(), await made.browser()
            for asking, current in ((one, 1), (other, 2)):
                found = await sessions(asking)
                assert [(each["id"], each["user"], each["current"]) for each in found] == [
                    (number, "root", number == current) for number in (2, 1)
                ]
                assert all(each["created_at"] <= each["used_at"] < each["expires_at"] for each in found)

    asyncio.run(run())


def test_a_browser_that_uses_its_session_is_seen_to_and_a_thief_of_the_cookie_is_not(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(logins, "USED_EVERY", 0.0)

    async def run() -> None:
        async with web(tmp_path) as made:
            one, other = await made.browser(), await made.browser()

            async def used() -> float:
                return next(float(each["used_at"]) for each in await sessions(one) if each["id"] == 2)

            before = await used()
            for key in (None, "guessed", one.key):
                assert (await Browser(made.port, cookie=other.cookie, key=key).ask("GET", "/v1/agents")).status == 401
            assert await used() == before
            assert (await other.ask("GET", "/v1/agents")).status == 200
            assert await used() > before
            assert [action for _, action, _ in await actions(made)] == ["dashboard.login"] * 2

    asyncio.run(run())


def test_a_browser_is_ended_by_its_number_and_by_nobody_twice(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            one, other = await made.browser(), await made.browser()
            assert (await one.ask("DELETE", "/v1/sessions/2")).status == 200
            assert (await other.ask("GET", "/v1/agents")).status == 401
            again = await one.ask("DELETE", "/v1/sessions/2")
            assert (again.status, again.json["code"]) == (404, "not_found")
            assert [each["id"] for each in await sessions(one)] == [1]
            assert (await actions(made))[2:] == [
                ("operator:root", "dashboard.logout", '{"session": 2, "user": "root"}')
            ]

    asyncio.run(run())


@pytest.mark.parametrize(
    ("query", "stay"), [("", []), ("?user=nobody", ["root"]), ("?all=1", []), ("?user=ann", ["root"])]
)
def test_browsers_are_ended_by_their_user_or_all_together(tmp_path: Path, query: str, stay: list[str]) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            one = await made.browser()
            await made.stranger().log_in(made.link("nobody"))
            ended = await one.ask("DELETE", f"/v1/sessions{query}")
            assert ended.status == 200
            left = [each.user for each in await made.hive.core.logins.every()]
            assert ("root" in left) == ("root" in stay)
            assert ("nobody" in left) == (query not in ("?all=1", "?user=nobody"))
            assert len(ended.json["sessions"]) == 2 - len(left)

    asyncio.run(run())


def test_a_user_and_everybody_cannot_be_meant_together(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            answer = await browser.ask("DELETE", "/v1/sessions?user=root&all=1")
            assert (answer.status, answer.json["code"]) == (400, "bad_input")
            assert len(await sessions(browser)) == 1

    asyncio.run(run())


def test_a_stream_of_events_ends_at_once_with_the_session_that_another_browser_ends(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            one, other = await made.browser(), await made.browser()
            streams = [await _stream(made, each) for each in (one, other)]
            assert (await one.ask("DELETE", "/v1/sessions/2")).status == 200
            async with asyncio.timeout(5):
                assert (await streams[1][0].read()).endswith(b"0\r\n\r\n")
                await streams[0][0].readuntil(b'{"event":"sessions"}')
            for _, writer in streams:
                writer.close()

    asyncio.run(run())


async def _stream(made: Web, browser: Browser) -> tuple[asyncio.StreamReader, asyncio.StreamWriter]:
    reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
    writer.write(
        f"GET /v1/events?key={browser.key} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
        f"Cookie: {browser.cookie}\r\n\r\n".encode()
    )
    async with asyncio.timeout(10):
        await reader.readuntil(b"event: hello")
    return reader, writer


def test_a_terminals_page_ends_at_once_with_the_session_and_the_shell_goes_on(tmp_path: Path) -> None:
    async def scene(made: Web, browser: Browser) -> None:
        other = await made.browser()
        async with other.terminal("worker") as socket, asyncio.timeout(10):
            screen = Screen(socket)
            await screen.until(PROMPT)
            assert (await browser.ask("DELETE", "/v1/sessions/2")).status == 200
            assert "log in first" in await screen.until_end()

        async def detached() -> bool:
            found = (await browser.ask("GET", "/v1/agents/worker/terminal")).json["terminal"]
            return found is not None and not found["attached"]

        await until(detached)

    play(tmp_path, scene)
