"""hyperhive.api.server: who is at the other end, and the life of a listener."""

from __future__ import annotations

import asyncio
import os
import socket
import stat
from pathlib import Path
from typing import Any

import pytest
from mail_rig import client, post, request, sockets, until
from server_rig import listening, say_who

from hyperhive.api import server
from hyperhive.errors import Unavailable


def test_the_identity_is_the_sockets_and_the_uid_is_the_peers(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(tmp_path / "s", identity="bob"):
            answer = await post(tmp_path / "s", "/", {"identity": "operator", "state": {"identity": "operator"}})
            assert answer.json == {"identity": "bob", "peer_uid": os.getuid()}

    asyncio.run(run())


def test_what_one_request_leaves_in_the_state_does_not_reach_the_next(tmp_path: Path) -> None:
    async def forget_me(scope: Any, receive: Any, send: Any) -> None:
        await say_who({**scope, "state": dict(scope["state"])}, receive, send)
        scope["state"]["identity"] = "operator"

    async def run() -> None:
        async with listening(tmp_path / "s", forget_me), client(tmp_path / "s") as made:
            assert [(await made.post("/", {})).json["identity"] for _ in range(2)] == ["alice", "alice"]

    asyncio.run(run())


def test_a_socket_has_the_mode_it_was_given_and_replaces_a_stale_one(tmp_path: Path) -> None:
    async def run() -> None:
        with socket.socket(socket.AF_UNIX) as stale:
            stale.bind(str(tmp_path / "s"))
        async with listening(tmp_path / "s", mode=0o660):
            assert stat.S_IMODE((tmp_path / "s").stat().st_mode) == 0o660
            assert (await post(tmp_path / "s", "/", {})).status == 200

    asyncio.run(run())


def test_a_file_that_is_no_socket_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "s").write_text("precious")
    with pytest.raises(Unavailable, match="cannot be bound: Address already in use"):
        server.bind(tmp_path / "s", 0o600)
    assert (tmp_path / "s").read_text() == "precious"


def test_a_missing_directory_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="cannot be bound: No such file or directory"):
        server.bind(tmp_path / "missing" / "s", 0o600)


def test_a_path_too_long_for_a_socket_is_a_clear_error(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"is too long for a socket \(107 bytes\); use a shorter"):
        server.bind(tmp_path / ("x" * 108), 0o600)


def test_a_closed_listener_ends_its_connections_and_requests_and_no_others(tmp_path: Path) -> None:
    ended = asyncio.Event()

    async def hang(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass
        await asyncio.sleep(0)
        ended.set()

    async def run() -> None:
        async with listening(tmp_path / "a", hang) as servers:
            await servers.listen(tmp_path / "b", say_who, identity="bob", mode=0o600)
            async with client(tmp_path / "a") as first, client(tmp_path / "b") as second:
                first.writer.write(request("/", b""))
                assert (await second.post("/", {})).status == 200
                await servers.close(tmp_path / "a")
                assert ended.is_set(), "close waits for the request"
                assert await first.closed() == b""
                assert not (tmp_path / "a").exists()
                assert (await second.post("/", {})).status == 200
            await servers.close(tmp_path / "a")  # a second time is no error

    asyncio.run(run())


def test_a_request_that_does_not_notice_the_end_is_cancelled(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "CLOSE_TIME", 0.05)
    fate: list[str] = []
    began = asyncio.Event()

    async def stubborn(scope: Any, receive: Any, send: Any) -> None:
        fate.append("began")
        began.set()
        try:
            await asyncio.Event().wait()
        finally:
            fate.append("ended")

    async def run() -> None:
        async with listening(tmp_path / "s", stubborn), client(tmp_path / "s") as made:
            made.writer.write(request("/", b""))
            await began.wait()
        assert fate == ["began", "ended"]

    asyncio.run(run())


def test_a_long_poll_may_last_longer_than_any_of_the_bounds(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    for name in ("HEAD_TIME", "REQUEST_TIME", "IDLE_TIME", "LINGER_TIME"):
        monkeypatch.setattr(server, name, 0.1)

    async def run() -> None:
        async with sockets(tmp_path) as (_, directory), client(directory / "bob.sock") as bob:
            assert (await bob.post("/v1/recv", {"wait": 0.5})).json == {"messages": []}

    asyncio.run(run())


def test_a_large_body_within_the_limit_is_taken(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (mail, directory), client(directory / "alice.sock") as alice:
            for _ in range(3):
                answer = await alice.post("/v1/send", {"to": "bob", "body": "x" * 65_536, "padding": "y" * 800_000})
                assert answer.status == 200
            assert len(await mail.rows()) == 3

    asyncio.run(run())


def test_a_body_that_was_answered_early_may_still_end_and_the_connection_lives_on(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(tmp_path / "s"), client(tmp_path / "s") as made:
            assert (await made.raw(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 4\r\n\r\n")).status == 200
            made.writer.write(b"late")
            assert (await made.post("/", {})).status == 200

    asyncio.run(run())


def test_a_large_body_is_not_counted_against_the_head_that_follows_it(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(tmp_path / "s"), client(tmp_path / "s") as made:
            second = request("/", b"")
            assert (await made.raw(request("/", b"x" * 100_000) + second[:20])).status == 200
            assert (await made.raw(second[20:])).status == 200

    asyncio.run(run())


UPGRADE = (
    b"GET / HTTP/1.1\r\nHost: x\r\nConnection: Upgrade\r\nUpgrade: websocket\r\n"
    b"Sec-WebSocket-Version: 13\r\nSec-WebSocket-Key: dGhlIHNhbXBsZSBub25jZQ==\r\n"
)


@pytest.mark.parametrize("more", [b"X: " + b"a" * 9000, b"Content-Length: 5", b"Transfer-Encoding: chunked"])
def test_what_is_no_websockets_handshake_is_refused_and_keeps_no_connection(tmp_path: Path, more: bytes) -> None:
    async def run() -> None:
        async with listening(tmp_path / "s", websockets=True) as servers, client(tmp_path / "s") as made:
            made.writer.write(UPGRADE + more + b"\r\n\r\n")
            assert b"400 Bad Request" in await made.closed()
            await until(lambda: _connections(servers, 0))

    asyncio.run(run())


async def _connections(servers: server.Servers, number: int) -> bool:
    return sum(len(each.state.connections) + len(each.state.tasks) for each in servers._listeners.values()) == number


def test_an_upgrade_while_an_answer_is_on_its_way_ends_both(tmp_path: Path) -> None:
    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive())["type"] != "http.disconnect":
            pass

    async def run() -> None:
        async with listening(tmp_path / "s", endless, websockets=True) as servers, client(tmp_path / "s") as made:
            made.writer.write(request("/", b""))
            await made.reader.readuntil(b"\r\n\r\n")
            made.writer.write(UPGRADE + b"\r\n")
            assert await made.closed() == b""
            await until(lambda: _connections(servers, 0))

    asyncio.run(run())


def test_a_client_on_tcp_that_takes_nothing_of_its_answer_is_given_up(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "STALL_TIME", 0.3)

    async def endless(scope: Any, receive: Any, send: Any) -> None:
        await send({"type": "http.response.start", "status": 200, "headers": []})
        while (await receive_now(receive)) != "http.disconnect":
            await send({"type": "http.response.body", "body": b"x" * 65536, "more_body": True})

    async def receive_now(receive: Any) -> str:
        try:
            async with asyncio.timeout(0):
                return str((await receive())["type"])
        except TimeoutError:
            return "nothing"

    async def run() -> None:
        servers, bound = server.Servers(), server.bind_loopback(0)
        await servers.listen_on_loopback(bound, endless)
        with socket.create_connection(bound.getsockname()) as stuck:
            stuck.sendall(request("/", b""))
            await until(lambda: _connections(servers, 2))  # and its task
            await until(lambda: _connections(servers, 0))
        await servers.close_all()

    asyncio.run(run())
