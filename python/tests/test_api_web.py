"""The dashboard's door: who gets in, from which page, and what every answer carries."""

from __future__ import annotations

import asyncio
import http.client
import os
import re
import socket
from pathlib import Path

import pytest
from core_rig import LACKING, SKIP_REASON
from web_rig import Answer, Browser, web
from websockets.exceptions import InvalidStatus

from hyperhive.api.web import CSP
from hyperhive.config import Dashboard

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def test_a_link_logs_in_with_a_cookie_that_no_script_and_no_other_site_gets(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = made.stranger()
            answer = await browser.log_in(made.link())
            assert (answer.status, answer.json["user"], answer.json["by"]) == (200, "root", "link")
            cookie = answer.headers["set-cookie"]
            assert cookie.startswith(f"hyperhive-{made.port}=")
            assert {"HttpOnly", "SameSite=strict", "Path=/"} <= {part.strip() for part in cookie.split(";")}
            assert (await browser.ask("GET", "/v1/agents")).json == {"agents": []}
            assert (await browser.ask("DELETE", "/v1/session")).status == 200
            assert (await browser.ask("GET", "/v1/agents")).status == 401
            audit = (await (await made.browser()).ask("GET", "/v1/audit")).json["entries"]
            acts = [(each["actor"], each["action"]) for each in reversed(audit)]
            assert acts == [("operator:root", f"dashboard.{what}") for what in ("login", "logout", "login")]

    asyncio.run(run())


GUARDED = [
    ("GET", "/v1/session"),
    ("GET", "/v1/status"),
    ("GET", "/v1/agents"),
    ("GET", "/v1/events"),
    ("GET", "/v1/proposals/1"),
    ("POST", "/v1/proposals/1/approve"),
    ("POST", "/v1/agents/worker/stop"),
    ("PUT", "/v1/agents/worker/notes"),
    ("DELETE", "/v1/agents/worker?purge=1"),
]


def test_nothing_is_shown_or_done_without_a_session(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            known = await made.browser()
            for cookie, key in (
                (None, None),
                ("hyperhive=x", None),
                (f"hyperhive-{made.port}=guessed", known.key),
                (None, known.key),
                (known.cookie, None),  # all that a page on another port of this host can get hold of
                (known.cookie, "guessed"),
            ):
                stranger = Browser(made.port, cookie=cookie, key=key)
                answers = {each: await stranger.ask(*each, {} if each[0] != "GET" else None) for each in GUARDED}
                assert {each: answer.status for each, answer in answers.items()} == dict.fromkeys(GUARDED, 401)
                assert all(answer.json["code"] == "not_logged_in" for answer in answers.values())
                said = {answer.json["error"].partition(":")[0] for answer in answers.values()}
                without = "missing" if key is None else "wrong"
                right = cookie == known.cookie
                assert said == {f"the session's key is {without}" if right else "log in first"}
            for stranger in (made.stranger(), Browser(made.port, cookie=known.cookie, key="guessed")):
                with pytest.raises(InvalidStatus) as refused:
                    async with stranger.terminal("worker"):
                        pass
                assert refused.value.response.status_code == 403

    asyncio.run(run())


def test_the_key_is_taken_from_an_address_only_where_a_browser_can_send_no_header(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            known = await made.browser()
            without = Browser(made.port, cookie=known.cookie)
            for method, path in (("GET", "/v1/agents"), ("GET", "/v1/session"), ("DELETE", "/v1/session")):
                assert (await without.ask(method, f"{path}?key={known.key}")).status == 401
            assert (await known.ask("GET", f"/v1/agents?key={known.key}")).status == 400
            assert (await known.ask("GET", "/v1/agents")).status == 200

    asyncio.run(run())


def test_a_user_who_is_no_operator_any_more_is_logged_out(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = made.stranger()
            assert (await browser.log_in(made.link("nobody"))).status == 200
            assert (await browser.ask("GET", "/v1/agents")).status == 401

    asyncio.run(run())


def test_a_stream_of_events_ends_with_the_session(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.api.operator.events.QUIET", 0.1)

    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            reader, writer = await asyncio.open_connection("127.0.0.1", made.port)
            writer.write(
                f"GET /v1/events?turns=&key={browser.key} HTTP/1.1\r\nHost: 127.0.0.1\r\nConnection: close\r\n"
                f"Cookie: {browser.cookie}\r\n\r\n".encode()
            )
            async with asyncio.timeout(10):
                await reader.readuntil(b"event: hello")
                await browser.ask("DELETE", "/v1/session")
                assert (await reader.read()).endswith(b"0\r\n\r\n")
            writer.close()

    asyncio.run(run())


async def heard(browser: Browser, turns: str, until: bytes) -> bytes:
    """What a stream of events says, from its greeting up to `until`."""
    reader, writer = await asyncio.open_connection("127.0.0.1", browser.port)
    session = f"Cookie: {browser.cookie}\r\nX-Hyperhive-Key: {browser.key}"
    writer.write(f"GET /v1/events{turns} HTTP/1.1\r\nHost: 127.0.0.1\r\n{session}\r\n\r\n".encode())
    async with asyncio.timeout(10):
        await reader.readuntil(b"event: hello")
        said = await reader.readuntil(until)
    writer.close()
    return said


@pytest.mark.parametrize(
    ("turns", "told"),
    [("", "abcc"), ("?turns=", ""), ("?turns=a", "a"), ("?turns=a,c", "acc"), ("?turns=a%2Cnobody", "a")],
)
def test_a_stream_tells_of_the_turns_that_it_is_asked_for(tmp_path: Path, turns: str, told: str) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            hub = made.hive.core.hub
            listening = asyncio.create_task(heard(browser, turns, b'{"id":1}'))
            async with asyncio.timeout(10):
                while not hub.heard:  # noqa: ASYNC110  # the hub tells nobody who comes
                    await asyncio.sleep(0.01)
            for agent in "abc":
                hub.publish("turn_event", {"agent": agent})
            hub.pass_on("turn_text", {"agent": "c"})
            hub.publish("read", {"id": 1})
            said = await listening
            assert "".join(re.findall(r'"agent":"(.)"', said.decode())) == told

    asyncio.run(run())


@pytest.mark.parametrize("turns", [",", "a,", "A", "../x", "a b", "x" * 32, ",".join(["a"] * 51), "%00", "%ff"])
def test_a_stream_is_asked_for_the_turns_of_agents_only(tmp_path: Path, turns: str) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            answer = await (await made.browser()).ask("GET", f"/v1/events?turns={turns.replace(' ', '%20')}")
            assert (answer.status, answer.json["code"]) == (400, "bad_input")
            assert "turns m" in answer.json["error"]
            assert not made.hive.core.hub.heard

    asyncio.run(run())


OTHER_PAGES: list[dict[str, str | None]] = [
    {"host": "evil.example"},
    {"host": "127.0.0.1.evil.example"},
    {"host": None},
    {"host": "[broken"},
    {"origin": "http://evil.example"},
    {"origin": "null"},
    {"origin": None},
    {"origin": "http://127.0.0.1:1"},
    {"origin": "http://[broken"},
    {"sec_fetch_site": "cross-site"},
    {"sec_fetch_site": "same-site"},
]


@pytest.mark.parametrize("headers", OTHER_PAGES, ids=str)
def test_another_page_can_change_nothing_with_the_operators_cookie(
    tmp_path: Path, headers: dict[str, str | None]
) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            answer = await browser.ask("POST", "/v1/agents", {"name": "worker"}, **headers)
            assert answer.status == 403, answer.body
            assert (await browser.ask("GET", "/v1/agents")).json == {"agents": []}

    asyncio.run(run())


def test_a_form_cannot_post(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            for kind in ("text/plain", "application/x-www-form-urlencoded", "multipart/form-data; boundary=x"):
                answer = await browser.ask("POST", "/v1/agents", b'{"name": "worker"}', content_type=kind)
                assert (answer.status, answer.json["code"]) == (400, "bad_input")

    asyncio.run(run())


def test_another_page_opens_no_terminal(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            for headers in ({"Origin": "http://evil.example"}, {"Sec-Fetch-Site": "cross-site"}):
                with pytest.raises(InvalidStatus) as refused:
                    async with browser.terminal("worker", **headers):
                        pass
                assert refused.value.response.status_code == 403

    asyncio.run(run())


def test_there_is_no_websocket_but_the_terminals(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            for agent in ("", "x/y", "../../session"):
                with pytest.raises(InvalidStatus) as refused:
                    async with browser.terminal(agent):
                        pass
                assert refused.value.response.status_code == 403
        assert not caplog.records

    asyncio.run(run())


def test_other_names_of_the_address_are_let_in_only_if_the_host_says_so(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path, dashboard=Dashboard(enable=True, port=0, hosts=("Hive.Example.org",))) as made:
            browser = await made.browser()
            for host in ("localhost", "localhost:9000", "127.0.0.1:1", "[::1]:8420", "hive.example.org"):
                origin = f"http://{host}"
                assert (await browser.ask("GET", "/v1/agents", host=host, origin=origin)).status == 200, host
                assert (await browser.ask("POST", "/v1/agents", {}, host=host, origin=origin)).status == 400, host

    asyncio.run(run())


def test_every_answer_carries_the_pages_headers(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            answers = [
                await browser.ask("GET", "/"),
                await browser.ask("GET", "/v1/agents"),
                await browser.ask("GET", "/v1/agents/nobody"),
                await browser.ask("GET", "/nothing"),
                await browser.ask("POST", "/v1/agents", {}),
                await made.stranger().ask("GET", "/v1/agents"),
            ]
            for answer in answers:
                assert answer.headers["content-security-policy"] == CSP
                assert answer.headers["x-content-type-options"] == "nosniff"
                assert "server" not in answer.headers
        assert "unsafe-eval" not in CSP
        assert "script-src 'self'; worker-src 'self';" in CSP

    asyncio.run(run())


PATHS = [
    "/../pyproject.toml",
    "/assets/../../api/web.py",
    "/assets/%2e%2e/%2e%2e/__init__.py",
    "//etc/passwd",
    "/assets/",
]


@pytest.mark.parametrize("path", PATHS)
def test_nothing_but_the_pages_files_is_served(tmp_path: Path, path: str) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            answer = await made.stranger().ask("GET", path)
            assert (answer.status, set(answer.json)) == (404, {"error", "code"})

    asyncio.run(run())


def test_the_host_may_name_the_page(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    page = tmp_path / "page"
    (page / "assets").mkdir(parents=True)
    (page / "index.html").write_text("<title>mine</title>")
    (page / "assets/x-1.js").write_text("1")
    monkeypatch.setenv("HYPERHIVE_PAGE", str(page))

    async def run() -> None:
        async with web(tmp_path) as made:
            index = await made.stranger().ask("GET", "/")
            assert (index.body, index.headers["cache-control"]) == (b"<title>mine</title>", "no-cache")
            script = await made.stranger().ask("GET", "/assets/x-1.js")
            assert script.headers["content-type"] == "text/javascript; charset=utf-8"
            assert "immutable" in script.headers["cache-control"]

    asyncio.run(run())


def test_a_page_that_was_not_built_is_said_to_be(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr("hyperhive.api.web._root", lambda: tmp_path / "nowhere")

    async def run() -> None:
        async with web(tmp_path) as made:
            answer = await made.stranger().ask("GET", "/")
            assert (answer.status, "make setup" in answer.json["error"]) == (404, True)

    asyncio.run(run())


def test_looking_approves_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            browser = await made.browser()
            for verb in ("approve", "deny", "withdraw"):
                assert (await browser.ask("GET", f"/v1/proposals/1/{verb}")).status == 405

    asyncio.run(run())


def test_too_many_guesses_are_told_to_wait(tmp_path: Path) -> None:
    async def run() -> None:
        async with web(tmp_path) as made:
            stranger = made.stranger()
            statuses = [(await stranger.log_in("guessed.guessed")).status for _ in range(12)]
            assert statuses == [401] * 10 + [429] * 2
            assert (await stranger.log_in(made.link())).status == 200

    asyncio.run(run())


class _Unix(http.client.HTTPConnection):
    def __init__(self, path: Path) -> None:
        super().__init__("127.0.0.1:8420", timeout=20)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.connect(str(self._path))


def _by_proxy(path: Path, *headers: tuple[str, str]) -> Answer:
    connection = _Unix(path)
    try:
        connection.putrequest("GET", "/v1/session")
        for header in headers:
            connection.putheader(*header)
        connection.endheaders()
        response = connection.getresponse()
        return Answer(response.status, {}, response.read())
    finally:
        connection.close()


def test_a_trusted_proxy_names_the_user_in_its_header(tmp_path: Path) -> None:
    async def run() -> None:
        dashboard = Dashboard(enable=True, port=0, proxy_user="root", proxy_header="X-User")
        async with web(tmp_path, dashboard=dashboard):
            path = tmp_path / "run/dashboard.sock"
            ann = await asyncio.to_thread(_by_proxy, path, ("X-User", "ann@example.org"))
            assert (ann.status, ann.json["user"], ann.json["by"]) == (200, "ann@example.org", "proxy")
            for wrong in ([], [("X-User", "")], [("X-User", "a b")], [("X-User", "ann"), ("X-User", "bob")]):
                assert (await asyncio.to_thread(_by_proxy, path, *wrong)).status == 401, wrong

    asyncio.run(run())


@pytest.mark.skipif(os.getuid() != 0, reason="only root can be somebody who is not the proxy")
def test_who_is_not_the_proxy_is_refused_whatever_the_header(tmp_path: Path) -> None:
    async def run() -> None:
        dashboard = Dashboard(enable=True, port=0, proxy_user="nobody")
        async with web(tmp_path, dashboard=dashboard) as made:
            answer = await asyncio.to_thread(_by_proxy, tmp_path / "run/dashboard.sock", ("X-Remote-User", "ann"))
            assert answer.status == 403
            # and the header means nothing where the proxy is not
            assert (await made.stranger().ask("GET", "/v1/session", x_remote_user="ann")).status == 401

    asyncio.run(run())
