"""What passes the gateway, what does not, and that it passes as it comes."""

from __future__ import annotations

import asyncio
import gzip
import json
import os
from pathlib import Path

import pytest
from gateway_rig import MESSAGES, Seen, answer, chunk, plain, rig, start_stream
from test_gateway_usage import DELTA, START, event

from hyperhive.budgets import Over
from hyperhive.errors import Unavailable
from hyperhive.gateway import model


def test_only_known_headers_pass_both_ways(tmp_path: Path) -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answer(
            writer,
            429,
            b'{"type":"error"}',
            {
                "content-type": "application/json",
                "request-id": "req_1",
                "retry-after": "7",
                "anthropic-ratelimit-requests-remaining": "0",
                "x-should-retry": "true",
                "set-cookie": "__cf=1",
                "server": "cloudflare",
                "anthropic-organization-id": "org",
            },
        )

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            sent = {"anthropic_beta": "a,b", "anthropic_version": "2023-06-01", "x_stainless_os": "Linux"}
            got = await hive.post(**sent, x_forwarded_for="10.0.0.1", x_secret="s", referer="r")
            await hive.post()
            first, second = (seen.headers for seen in hive.upstream.seen)
            assert {k.replace("_", "-"): v for k, v in sent.items()}.items() <= first.items()
            assert not {"x-forwarded-for", "x-secret", "referer"} & set(first), first
            assert first["accept-encoding"] == "identity"
            assert "cookie" not in second, "the gateway keeps no cookies between agents"
            assert (got.status_code, got.content) == (429, b'{"type":"error"}')
            assert got.headers["retry-after"] == "7"
            assert got.headers["anthropic-ratelimit-requests-remaining"] == "0"
            assert not {"set-cookie", "server", "anthropic-organization-id"} & set(got.headers), got.headers

    asyncio.run(check())


@pytest.mark.parametrize(
    ("method", "target", "status"),
    [
        ("GET", "/v1/messages", 405),
        ("DELETE", "/v1/messages", 405),
        ("POST", "/v1/messages/batches", 404),
        ("POST", "/v1/complete", 404),
        ("POST", "/v1/files", 404),
        ("POST", "/v1/messages/", 404),
        ("POST", "/v1/messages/../files", 404),
        ("POST", "/v1/messages%2f..%2ffiles", 404),
        ("POST", "//v1/messages", 404),
        ("POST", "/v1/messages?beta=true&x=1", 404),
        ("GET", "/", 404),
    ],
)
def test_everything_else_is_refused_here(method: str, target: str, status: int, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path) as hive:
            reader, writer = await asyncio.open_unix_connection(str(hive.socket))
            writer.write(f"{method} {target} HTTP/1.1\r\nhost: x\r\ncontent-length: 0\r\n\r\n".encode())
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            length = int(head.lower().split("content-length: ")[1].split("\r\n")[0])
            error = json.loads(await reader.readexactly(length))
            writer.close()
            assert head.startswith(f"HTTP/1.1 {status} "), head
            assert error["type"] == "error" and error["error"]["message"].startswith("hyperhive: ")
            assert hive.upstream.seen == []

    asyncio.run(check())


def test_the_start_up_probe_is_answered_without_the_api(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path) as hive:
            assert (await hive.client.head("/")).status_code == 200
            assert hive.upstream.seen == []

    asyncio.run(check())


def test_counting_tokens_passes_and_is_no_use(tmp_path: Path) -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answer(writer, 200, b'{"input_tokens": 10}')

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            got = await hive.post(path="/v1/messages/count_tokens?beta=true")
            assert got.json() == {"input_tokens": 10}
            assert hive.upstream.seen[0].target == "/v1/messages/count_tokens?beta=true"
            assert hive.records == []

    asyncio.run(check())


def test_a_whole_answer_is_recorded_once(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path) as hive:
            await hive.post()
            await hive.recorded.wait()
            assert hive.records == [("worker", "claude-haiku-4-5", 3, 4)]

    asyncio.run(check())


def test_a_model_that_the_api_asked_for_advice_is_recorded_too(tmp_path: Path) -> None:
    advice = {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 800, "output_tokens": 60}
    usage = {"input_tokens": 3, "output_tokens": 4, "iterations": [advice]}

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answer(writer, 200, json.dumps({"type": "message", "model": "claude-haiku-4-5", "usage": usage}).encode())

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            await hive.post()
            await hive.recorded.wait()
            assert hive.records == [("worker", "claude-haiku-4-5", 3, 4), ("worker", "claude-opus-4-8", 800, 60)]

    asyncio.run(check())


def test_a_stream_passes_as_it_comes_and_is_recorded_at_its_end(tmp_path: Path) -> None:
    first_seen = asyncio.Event()

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await start_stream(writer)
        await chunk(writer, event(START))
        await first_seen.wait()  # only the client, having read the first event, lets the second go
        await chunk(writer, event(DELTA))
        await chunk(writer, b"")

    async def check() -> None:
        async with rig(play, tmp_path) as hive, asyncio.timeout(10):
            async with hive.client.stream("POST", MESSAGES, content=b"{}") as got:
                assert got.headers["content-type"] == "text/event-stream"
                parts = got.aiter_raw()
                assert await anext(parts) == event(START)
                assert hive.records == []
                first_seen.set()
                assert b"".join([part async for part in parts]) == event(DELTA)
            await hive.recorded.wait()
            assert hive.records == [("worker", "claude-haiku-4-5-20251001", 325, 42)]

    asyncio.run(check())


def test_a_client_that_hangs_up_ends_the_call_and_what_it_used_is_recorded(tmp_path: Path) -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await start_stream(writer)
        await chunk(writer, event(START))
        await asyncio.Event().wait()

    async def check() -> None:
        async with rig(play, tmp_path) as hive, asyncio.timeout(10):
            async with hive.client.stream("POST", MESSAGES, content=b"{}") as got:
                parts = got.aiter_raw()
                assert await anext(parts) == event(START)
            await hive.upstream.hung_up.wait()
            await hive.recorded.wait()
            assert hive.records == [("worker", "claude-haiku-4-5-20251001", 325, 1)]

    asyncio.run(check())


@pytest.mark.parametrize(
    ("path", "size", "used"),
    [
        ("/v1/messages", 4000, [("worker", "", 1000, 0)]),
        ("/v1/messages", 4_000_000, [("worker", "", 200_000, 0)]),
        ("/v1/messages/count_tokens", 4000, []),
    ],
)
def test_a_client_that_hangs_up_before_the_answer_has_used_what_it_sent(
    tmp_path: Path, path: str, size: int, used: list[object]
) -> None:
    asked = asyncio.Event()

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        asked.set()
        await asyncio.Event().wait()

    async def check() -> None:
        async with rig(play, tmp_path) as hive, asyncio.timeout(10):
            _, writer = await asyncio.open_unix_connection(str(hive.socket))
            writer.write(f"POST {path} HTTP/1.1\r\nhost: x\r\ncontent-length: {size}\r\n\r\n".encode() + b" " * size)
            await asked.wait()
            writer.close()
            await hive.upstream.hung_up.wait()
            if used:
                await hive.recorded.wait()
        assert hive.records == used

    asyncio.run(check())


def test_a_request_that_is_cut_is_not_taken_for_a_whole_one(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path) as hive, asyncio.timeout(10):
            _, writer = await asyncio.open_unix_connection(str(hive.socket))
            writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ntransfer-encoding: chunked\r\n\r\n1\r\n{\r\n")
            await hive.upstream.reached.wait()
            writer.close()
            await hive.upstream.hung_up.wait()
            assert hive.upstream.seen == []

    asyncio.run(check())


def test_a_client_that_reads_slowly_slows_the_api_down(tmp_path: Path) -> None:
    stalled = asyncio.Event()
    sent = 0

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        nonlocal sent
        await start_stream(writer)
        try:
            while sent < 64 * 1024 * 1024:
                async with asyncio.timeout(0.5):
                    await chunk(writer, b": ping\n" * 9362)
                sent += 65534
        except TimeoutError:
            stalled.set()

    async def check() -> None:
        async with (
            rig(play, tmp_path) as hive,
            asyncio.timeout(20),
            hive.client.stream("POST", MESSAGES, content=b"{}") as got,
        ):
            parts = got.aiter_raw()
            await anext(parts)
            await stalled.wait()
            assert sent < 16 * 1024 * 1024, f"{sent} bytes were taken for a client that read one chunk"

    asyncio.run(check())


def test_a_stream_that_breaks_ends_with_an_error_event(tmp_path: Path) -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await start_stream(writer)
        await chunk(writer, event(START) + b'data: {"half')
        writer.transport.abort()

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            got = await hive.post()
            last = got.text.rstrip().rsplit("\n\n", 1)[1]
            assert last.startswith("event: error\ndata: "), got.text
            assert json.loads(last.split("data: ")[1])["error"]["type"] == "api_error"
            await hive.recorded.wait()
            assert hive.records == [("worker", "claude-haiku-4-5-20251001", 325, 1)]

    asyncio.run(check())


def test_a_compressed_answer_is_counted_and_passed_plain(tmp_path: Path) -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await start_stream(writer, "content-encoding: gzip\r\n")
        await chunk(writer, gzip.compress(event(START) + event(DELTA)))
        await chunk(writer, b"")

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            got = await hive.post()
            assert got.content == event(START) + event(DELTA)
            await hive.recorded.wait()
            assert hive.records == [("worker", "claude-haiku-4-5-20251001", 325, 42)]

    asyncio.run(check())


def test_a_body_over_the_bound_is_refused_announced_or_not(tmp_path: Path) -> None:
    async def endless(path: Path, head: str, piece: bytes) -> bytes:
        reader, writer = await asyncio.open_unix_connection(str(path))
        writer.write(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\n{head}\r\n\r\n".encode())
        async with asyncio.TaskGroup() as group:
            early = group.create_task(reader.readuntil(b"\r\n"))
            for _ in range(model.MAX_BODY // len(piece) + 16):
                writer.write(b"%x\r\n%b\r\n" % (len(piece), piece))
                await asyncio.wait([early], timeout=0)
                if early.done():
                    break
        writer.close()
        return early.result()

    async def check() -> None:
        async with rig(plain, tmp_path) as hive, asyncio.timeout(30):
            announced = await endless(hive.socket, f"content-length: {model.MAX_BODY + 1}", b"x" * (1 << 20))
            assert announced.startswith(b"HTTP/1.1 413 "), announced
            chunked = await endless(hive.socket, "transfer-encoding: chunked", b"x" * (1 << 20))
            assert chunked.startswith(b"HTTP/1.1 413 "), chunked
            assert (await hive.post()).status_code == 200

    asyncio.run(check())


def test_a_client_that_never_finishes_its_request_is_ended(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(model, "BODY_TIME", 0.2)

    async def check() -> None:
        async with rig(plain, tmp_path) as hive, asyncio.timeout(10):
            reader, writer = await asyncio.open_unix_connection(str(hive.socket))
            writer.write(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: 100\r\n\r\n{")
            assert (await reader.readuntil(b"\r\n")).startswith(b"HTTP/1.1 408 ")
            writer.close()

    asyncio.run(check())


def test_garbage_instead_of_http_hurts_nobody_else(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path) as hive, asyncio.timeout(10):
            for garbage in (os.urandom(4096), b"POST /v1/messages", b"\r\n" * 1000):
                _, writer = await asyncio.open_unix_connection(str(hive.socket))
                writer.write(garbage)
                writer.close()
            assert (await hive.post()).status_code == 200

    asyncio.run(check())


def test_one_agent_has_a_bounded_number_of_requests_at_a_time(tmp_path: Path) -> None:
    go_on = asyncio.Event()

    full = asyncio.Barrier(model.MAX_IN_FLIGHT + 1)

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if not go_on.is_set():
            await full.wait()
        await go_on.wait()
        await plain(seen, writer)

    async def check() -> None:
        async with rig(play, tmp_path) as hive, asyncio.timeout(10), asyncio.TaskGroup() as group:
            running = [group.create_task(hive.post()) for _ in range(model.MAX_IN_FLIGHT)]
            await full.wait()
            over = await hive.post()
            assert (over.status_code, over.json()["error"]["type"]) == (429, "rate_limit_error")
            go_on.set()
            assert {(await task).status_code for task in running} == {200}
            assert (await hive.post()).status_code == 200

    asyncio.run(check())


def test_an_agent_over_its_budget_is_refused_until_it_ends_and_the_api_is_not_asked(tmp_path: Path) -> None:
    async def check() -> None:
        over = Over(1_800_000_000.0, "it used 1,200 of 1,000 tokens today")
        async with rig(plain, tmp_path, over=over) as hive:
            got = await hive.post()
            assert (got.status_code, got.json()["type"]) == (429, "error")
            assert got.json()["error"] == {
                "type": "rate_limit_error",
                "message": "hyperhive: worker is over budget until 2027-01-15T08:00:00Z: it used 1,200 of 1,000 tokens"
                " today; the operator can raise it",
            }
            assert got.headers["x-hyperhive-budget"] == "2027-01-15T08:00:00Z"
            assert got.headers["x-should-retry"] == "false"
            assert (hive.upstream.seen, hive.records) == ([], [])

    asyncio.run(check())


def test_an_agent_whose_use_cannot_be_counted_is_refused_and_the_api_is_not_asked(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path, over=Unavailable("the disk is full")) as hive:
            got = await hive.post()
            assert (got.status_code, got.json()["error"]["message"]) == (503, "hyperhive: the disk is full")
            assert (hive.upstream.seen, hive.records) == ([], [])

    asyncio.run(check())
