"""hyperhive.api.server: clients that mean no good are bounded, and the others are served meanwhile."""

from __future__ import annotations

import asyncio
import json
import os
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from mail_rig import DEADLINE, Client, Mail, client, post, request, sockets, until
from server_rig import listening

from hyperhive.api import requests, server
from hyperhive.api.server import MAX_CONNECTIONS, MAX_PIPELINE

BEAT = {"generation": 1, "state": "idle", "pid": 1}


def beside_a_good_client(
    root: Path, attack: Callable[[Client], Awaitable[None]], *, clients: int = 1, rounds: int = 3
) -> None:
    """Run the attack on alice's socket while another client of that socket, and bob, are served."""

    async def good(path: Path, over: asyncio.Event) -> int:
        served = 0
        async with client(path) as made:
            while not over.is_set() or served < rounds:
                assert (await made.post("/v1/heartbeat", BEAT)).status == 200
                served += 1
        return served

    async def hostile(path: Path) -> None:
        async with client(path) as made:
            await attack(made)

    async def run() -> None:
        async with sockets(root) as (_, directory):
            over = asyncio.Event()
            paths = (directory / "alice.sock", directory / "bob.sock")
            others = [asyncio.ensure_future(good(path, over)) for path in paths]
            try:
                async with asyncio.timeout(DEADLINE):
                    await asyncio.gather(*(hostile(directory / "alice.sock") for _ in range(clients)))
            finally:
                over.set()
                served = await asyncio.gather(*others)
            assert min(served) >= rounds
            assert (await post(directory / "alice.sock", "/v1/heartbeat", BEAT)).status == 200

    asyncio.run(run())


async def send_until_closed(made: Client, head: bytes, chunk: bytes, most: int) -> int:
    """Send `head`, then `chunk` again and again until the server ends it; how many bytes it took."""
    sent = 0
    data = head
    while not made.ended:
        assert sent < most, "the server goes on taking it"
        made.writer.write(data)
        sent += len(data)
        data = chunk
        try:
            await made.writer.drain()
        except ConnectionError:
            break
    return sent


@pytest.mark.parametrize(
    "garbage",
    [os.urandom(4096), b"\0" * 100_000, b"GET\r\n\r\n", b"GET / HTTP/9.9\r\n\r\n", b"\x16\x03\x01\x02\0" + b"a" * 512],
    ids=["random", "zeros", "no version", "wrong version", "tls"],
)
def test_garbage_is_answered_and_ended(tmp_path: Path, garbage: bytes) -> None:
    async def attack(made: Client) -> None:
        made.writer.write(garbage)
        said = await made.closed()
        assert said == b"" or b'{"error": "the request is not HTTP/1.1", "code": "bad_input"}' in said

    beside_a_good_client(tmp_path, attack)


def test_an_unreadable_request_is_a_json_error(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(tmp_path / "s"), client(tmp_path / "s") as made:
            answer = await made.raw(b"NONSENSE / HTTP/1.1\r\n\r\n")
            assert (answer.status, answer.headers["connection"]) == (400, "close")
            assert answer.json == {"error": "the request is not HTTP/1.1", "code": "bad_input"}
            assert await made.closed() == b""

    asyncio.run(run())


def test_a_million_headers_are_stopped_early(tmp_path: Path) -> None:
    async def attack(made: Client) -> None:
        headers = b"".join(b"X-%d: y\r\n" % number for number in range(1000))
        await send_until_closed(made, b"GET /v1/recv HTTP/1.1\r\n", headers, 20_000_000)

    beside_a_good_client(tmp_path, attack)


@pytest.mark.parametrize(
    ("head", "chunk"),
    [
        (b"GET / HTTP/1.1\r\nX: ", b"y" * 10_000),
        (b"GET /", b"y" * 10_000),
        (b"GET / HTTP/1.1\r\n", b"y" * 10_000),
        (b"\r\n", b"\r\n" * 5000),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n0\r\nX: ", b"y" * 10_000),
        (b"POST / HTTP/1.1\r\nTransfer-Encoding: chunked\r\n\r\n1;", b"y" * 10_000),
    ],
    ids=["a value", "a path", "a name", "empty lines", "a trailer", "a chunk's extension"],
)
def test_a_head_without_end_is_stopped_early(tmp_path: Path, head: bytes, chunk: bytes) -> None:
    async def attack(made: Client) -> None:
        await send_until_closed(made, head, chunk, 20_000_000)

    beside_a_good_client(tmp_path, attack)


def test_headers_are_bounded_in_number_and_size_and_just_below_is_fine(tmp_path: Path) -> None:
    async def run() -> None:
        async with listening(tmp_path / "s"):
            for headers, status in (
                ([f"X-{number}: y" for number in range(62)], 200),  # and Host and Content-Length
                ([f"X-{number}: y" for number in range(63)], 431),
                (["X: " + "y" * 16_300], 200),
                (["X: " + "y" * 16_400], 431),
            ):
                async with client(tmp_path / "s") as made:
                    answer = await made.raw(request("/", b"", *headers))
                    assert answer.status == status
            assert answer.json["code"] == "bad_input"
            assert "at most 64 headers and 16384 bytes" in answer.json["error"]

    asyncio.run(run())


def test_half_a_head_is_given_up_in_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIME", 0.1)

    async def attack(made: Client) -> None:
        made.writer.write(b"POST /v1/send HTTP/1.1\r\nHost: ")
        assert await made.closed() == b""

    beside_a_good_client(tmp_path, attack)


def test_half_a_head_after_a_good_request_is_given_up_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIME", 0.1)

    async def attack(made: Client) -> None:
        assert (await made.post("/v1/heartbeat", BEAT)).status == 200
        made.writer.write(b"POST /v1/send HTTP/1.1\r\nHost: ")
        assert await made.closed() == b""

    beside_a_good_client(tmp_path, attack)


def test_dripping_a_head_byte_by_byte_wins_no_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "HEAD_TIME", 0.2)

    async def attack(made: Client) -> None:
        while not made.ended:
            made.writer.write(b"y")
            await asyncio.sleep(0.02)

    async def begin(made: Client) -> None:
        made.writer.write(b"GET / HTTP/1.1\r\nX: ")
        await attack(made)

    beside_a_good_client(tmp_path, begin)


def test_half_a_body_is_given_up_in_time_with_an_answer(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_TIME", 0.1)
    monkeypatch.setattr(server, "LINGER_TIME", 0.1)

    async def attack(made: Client) -> None:
        answer = await made.raw(b"POST /v1/send HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n{")
        assert (answer.status, answer.json["code"]) == (400, "bad_input")
        assert "the request was not complete within 0.1 s" in answer.json["error"]
        assert await made.closed() == b""

    beside_a_good_client(tmp_path, attack)


def test_a_body_that_no_application_bounds_is_given_up_too(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "REQUEST_TIME", 0.1)

    async def wait_for_ever(scope: Any, receive: Any, send: Any) -> None:
        while (await receive())["type"] != "http.disconnect":
            pass

    async def run() -> None:
        async with listening(tmp_path / "s", wait_for_ever), client(tmp_path / "s") as made:
            made.writer.write(b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 50\r\n\r\n{")
            assert await made.closed() == b""

    asyncio.run(run())


def test_a_connection_that_says_nothing_is_given_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "IDLE_TIME", 0.1)

    async def silent(made: Client) -> None:
        assert await made.closed() == b""

    async def silent_again(made: Client) -> None:
        await made.post("/v1/heartbeat", BEAT)
        assert await made.closed() == b""

    async def only_an_empty_line(made: Client) -> None:
        await made.post("/v1/heartbeat", BEAT)
        made.writer.write(b"\r\n")
        assert await made.closed() == b""

    for attack in (silent, silent_again, only_an_empty_line):
        beside_a_good_client(tmp_path / attack.__name__, _made(tmp_path / attack.__name__, attack), rounds=1)


def _made(root: Path, attack: Callable[[Client], Awaitable[None]]) -> Callable[[Client], Awaitable[None]]:
    root.mkdir()
    return attack


def test_a_huge_body_with_its_length_is_refused_before_it_comes(tmp_path: Path) -> None:
    async def attack(made: Client) -> None:
        answer = await made.raw(b"POST /v1/send HTTP/1.1\r\nHost: h\r\nContent-Length: 10000000000\r\n\r\n{")
        assert (answer.status, answer.json["code"]) == (413, "too_large")

    beside_a_good_client(tmp_path, attack)


def test_a_huge_body_without_length_is_refused_once_it_is_huge(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(server, "LINGER_TIME", 0.2)

    async def attack(made: Client) -> None:
        chunk = b"10000\r\n" + b"x" * 65536 + b"\r\n"
        made.writer.write(b"POST /v1/send HTTP/1.1\r\nHost: h\r\nTransfer-Encoding: chunked\r\n\r\n" + chunk * 20)
        answer = await made.answer()
        assert (answer.status, answer.json["error"]) == (413, "the request is larger than 1048576 bytes")
        await send_until_closed(made, b"", chunk, 2**40)

    beside_a_good_client(tmp_path, attack)


def test_pipelined_requests_are_answered_in_order_and_bounded(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (_, directory):
            async with client(directory / "alice.sock") as made:
                bodies = [json.dumps({"to": "bob", "body": str(number)}).encode() for number in range(MAX_PIPELINE)]
                made.writer.write(b"".join(request("/v1/send", body) for body in bodies))
                assert [(await made.answer()).json["id"] for _ in bodies] == list(range(1, MAX_PIPELINE + 1))
            async with client(directory / "alice.sock") as made:
                made.writer.write(request("/v1/recv", b'{"wait": 60}') * (MAX_PIPELINE + 2))
                assert b"HTTP/1.1 429 " in await made.closed()
            async with client(directory / "alice.sock") as made:
                await send_until_closed(made, b"", request("/v1/recv", b'{"wait": 60}') * 5000, 20_000_000)

    asyncio.run(run())


def test_each_of_pipelined_requests_learns_that_the_client_has_gone(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (mail, directory):
            async with client(directory / "bob.sock") as bob:
                bob.writer.write(request("/v1/recv", b'{"wait": 60}') * 2)
                await until(lambda: _listeners(mail, 1))
            await until(lambda: _listeners(mail, 0))

    asyncio.run(run())


async def _listeners(mail: Mail, number: int) -> bool:
    return len(mail.broker._listeners) == number


def test_of_more_connections_than_the_bound_those_go_that_were_silent_longest(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (_, directory), client(directory / "alice.sock") as early:
            assert (await early.post("/v1/heartbeat", BEAT)).status == 200
            pairs = [await asyncio.open_unix_connection(directory / "alice.sock") for _ in range(300)]
            crowd = [Client(*pair) for pair in pairs]
            gone = crowd[: 301 - MAX_CONNECTIONS]
            assert [await each.closed() for each in gone] == [b""] * len(gone)
            assert (await early.post("/v1/heartbeat", BEAT)).status == 200
            assert (await crowd[-1].post("/v1/heartbeat", BEAT)).status == 200
            assert (await post(directory / "bob.sock", "/v1/heartbeat", BEAT)).status == 200
            for each in crowd:
                each.writer.transport.abort()
            await until(lambda: _serves(directory / "alice.sock"))

    asyncio.run(run())


@pytest.mark.parametrize(
    "begun", [b"", b"POST / HTTP/1.1\r\n", b"POST / HTTP/1.1\r\nHost: h\r\nContent-Length: 9\r\n\r\nx"]
)
def test_connections_that_ask_nothing_keep_nobody_out(tmp_path: Path, begun: bytes) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (_, directory), client(directory / "alice.sock") as polling:
            polling.writer.write(request("/v1/recv", b'{"wait": 60}'))
            crowd = [Client(*await asyncio.open_unix_connection(directory / "alice.sock")) for _ in range(300)]
            for each in crowd:
                each.writer.write(begun)
            for _ in range(3):
                assert (await post(directory / "alice.sock", "/v1/heartbeat", BEAT)).status == 200
            assert not polling.reader.at_eof(), "what is being answered stays"
            for each in crowd:
                each.writer.transport.abort()

    asyncio.run(run())


def test_connections_that_asked_once_and_stay_keep_nobody_out(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (_, directory):
            crowd = [
                Client(*await asyncio.open_unix_connection(directory / "alice.sock")) for _ in range(MAX_CONNECTIONS)
            ]
            for each in crowd:
                assert (await each.post("/v1/heartbeat", BEAT)).status == 200
            assert (await post(directory / "alice.sock", "/v1/heartbeat", BEAT)).status == 200
            assert await crowd[0].closed() == b"", "the one that was silent longest"
            assert (await crowd[1].post("/v1/heartbeat", BEAT)).status == 200
            for each in crowd:
                each.writer.transport.abort()

    asyncio.run(run())


async def _serves(path: Path) -> bool:
    try:
        return (await post(path, "/v1/heartbeat", BEAT)).status == 200
    except (ConnectionError, asyncio.IncompleteReadError):
        return False


def test_many_hostile_clients_at_once_do_not_keep_the_good_ones_from_service(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    monkeypatch.setattr(server, "HEAD_TIME", 0.3)

    async def attack(made: Client) -> None:
        made.writer.write(b"POST /v1/send HTTP/1.1\r\nContent-Length: 5")
        await made.closed()

    beside_a_good_client(tmp_path, attack, clients=100)


def test_bad_requests_do_not_fill_the_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    async def run() -> None:
        async with listening(tmp_path / "s"):
            for data in (b"nonsense\r\n\r\n", b"GET / HTTP/1.1\r\nConnection: upgrade\r\nUpgrade: h2c\r\n\r\n"):
                async with client(tmp_path / "s") as made:
                    await made.raw(data)

    asyncio.run(run())
    assert caplog.records == []
