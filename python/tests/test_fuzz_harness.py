"""harness.sock under a harness that sends anything: a right answer or one clear error, and nothing changed by it."""

from __future__ import annotations

import json
from collections.abc import AsyncIterator, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from fuzz_rig import (
    BROKEN,
    Connection,
    Served,
    changes,
    connected,
    cuts,
    fuzz,
    given_values,
    hostile,
    in_pieces,
    objects,
    served,
)
from hypothesis import example, given
from hypothesis import strategies as st
from mail_rig import Mail, request, sockets

Harness = Served[tuple[Mail, Path]]


@asynccontextmanager
async def heard(root: Path) -> AsyncIterator[tuple[Mail, Path]]:
    """The sockets of alice and bob, while a page listens to what happens."""
    async with sockets(root, max_pending=200) as made, made[0].hub.subscribe():
        yield made


@pytest.fixture(scope="module")
def harness(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Harness]:
    """A running broker; alice has begun a turn."""
    with served(lambda: heard(tmp_path_factory.mktemp("hive"))) as made:
        with connected(made.rig[1] / "alice.sock") as alice:
            begin = {"message_ids": [], "session_id": "s", "model": "m", "generation": 1}
            alice.send(request("/v1/turns", json.dumps(begin).encode()))
            assert answer(alice) == (200, {"turn": 1})
        yield made


def answer(connection: Connection) -> tuple[int, Any] | None:
    """The next answer: its status, and its JSON. None if the server has ended the connection."""
    try:
        first = connection.file.readline()
    except ConnectionResetError:
        return None
    if not first:
        return None
    version, status, _ = first.split(b" ", 2)
    assert version == b"HTTP/1.1"
    headers = {}
    while line := connection.file.readline().rstrip(b"\r\n"):
        name, value = line.split(b": ", 1)
        headers[name.lower()] = value
    if status == b"100":
        return answer(connection)
    body = connection.file.read(int(headers[b"content-length"]))
    return int(status), json.loads(body)


def is_clear(said: tuple[int, Any]) -> None:
    """The answer is an object with 200, or an error that says one thing in one line."""
    status, body = said
    assert isinstance(body, dict), said
    if status == 200:
        assert "error" not in body
        return
    assert 400 <= status < 500, said
    assert set(body) == {"error", "code"} and body["error"] and "\n" not in body["error"], said
    assert len(body["error"]) < 300 and body["code"] != "internal", said


def ask(harness: Harness, data: bytes, pieces: list[int]) -> tuple[int, Any]:
    """Send a whole request in pieces; its answer, which is clear and has changed nothing unless it is 200."""
    before = changes(harness, harness.rig[0].database)
    with connected(harness.rig[1] / "alice.sock") as alice:
        alice.send(*in_pieces(data, pieces))
        said = answer(alice)
        assert said is not None, "the connection was ended"
    is_clear(said)
    assert said[0] == 200 or changes(harness, harness.rig[0].database) == before, "a refused request changed something"
    harness.check()
    return said


numbers = given_values(0, 1, 2, 7)
names = given_values("alice", "bob", "operator", "nobody")
texts = given_values("hello", "ä", "x" * 1000)
ids = given_values([], [1], [1, 2, 3])
tokens = given_values({}, {"input_tokens": 3}, None)
ASKED = {
    "/v1/send": objects({"to": names, "body": texts, "reply_to": given_values(None, 1, 2)}),
    "/v1/recv": objects(
        {"max": numbers, "wait": given_values(0, 0.001), "lease": given_values(1, 60), "restarted": st.just("true")}
    ),
    "/v1/ack": objects({"ids": ids}),
    "/v1/put-back": objects({"ids": ids}),
    "/v1/give-up": objects({"ids": ids, "reason": given_values("turn 1 ended badly", "", "x" * 9_000, "a\0b\nc")}),
    "/v1/heartbeat": objects({"state": given_values("idle", "turn"), "generation": numbers, "pid": numbers}),
    "/v1/turns": objects({"message_ids": ids, "session_id": texts, "model": texts, "generation": numbers}),
    "/v1/turns/1/end": objects(
        {"outcome": texts, "detail": texts, "usage": tokens, "cost_usd": given_values(None, 0.5)}
    ),
    "/v1/turns/7/end": objects({"outcome": texts}),
}


@given(st.sampled_from(sorted(ASKED)).flatmap(lambda path: st.tuples(st.just(path), ASKED[path])), cuts)
@fuzz(250)
def test_any_json_gets_a_right_answer_or_one_clear_error(
    harness: Harness, asked: tuple[str, str], cuts: list[int]
) -> None:
    path, body = asked
    ask(harness, request(path, body.encode()), cuts)


@given(st.sampled_from(sorted(ASKED)), hostile | st.sampled_from(BROKEN) | st.text(), cuts)
@fuzz(60)
def test_what_is_no_object_is_refused(harness: Harness, path: str, body: str, cuts: list[int]) -> None:
    status, _ = ask(harness, request(path, body.encode(errors="replace")), cuts)
    assert status < 500


call = objects({"type": given_values("tool_use"), "name": texts, "input": objects({"command": texts})})
content = st.lists(call, max_size=3).map(lambda each: f"[{','.join(each)}]")
event = objects({"type": given_values("assistant", "user", "system"), "message": objects({"content": content})})
events = st.lists(event | hostile | st.sampled_from(BROKEN), max_size=4)


@given(events, st.sampled_from(["\n", "\r\n", "\n\n", "\r"]))
@example(["1"] * 300_000, "\n")
@fuzz(150)
def test_any_events_are_stored_or_noted(harness: Harness, lines: list[str], end: str) -> None:
    status, said = ask(harness, request("/v1/turns/1/events", end.join(lines).encode(errors="replace")), [])
    assert (status, set(said)) == (200, {"stored"})


METHODS = ["GET", "POST", "POST", "PUT", "OPTIONS", "CONNECT", "DELETE", "PRI", "post", "", "A" * 100]
PATHS = ["/v1/send", "/v1/turns/", "/v1/turns/-1/end", "/v1/turns/٣/end", "/v1/turns/%31/end", "/v1/turns/9e9/end", "*"]
PATHS += ["//", "/%00", "/%ff", "http://x:99999999/v1/send", "/" + "a" * 16_000, "/v1/send?x=1#y", ""]
PATHS += [f"/v1/turns/{'9' * 400}/end"]
VERSIONS = ["HTTP/1.1"] * 4 + ["HTTP/1.0", "HTTP/0.9", "HTTP/2.0", "", "HTTP/1.1 x"]
HEADERS = {
    "Content-Length": ["0", "2", "3", "-1", "+2", "0x2", "2, 2", "", "9" * 30, "9" * 5000, "1048577", "٣", "²"],
    "Transfer-Encoding": ["chunked", "Chunked", "identity", "gzip, chunked", "chunked, gzip", "", "x"],
    "Connection": ["close", "keep-alive", "upgrade", "Upgrade, HTTP2-Settings", "", "x" * 9000],
    "Upgrade": ["websocket", "h2c", "", "\x00"],
    "Expect": ["100-continue", "x"],
}
LINES = [": x", "no colon", " folded", "X:\x00", "X: \xff", "a" * 17_000 + ": b", "\r"]
BODIES = [b"", b"{}", b"{}{", b"\x00" * 50, b"{" * 2_000_000, b"0\r\n\r\n", b"2\r\n{}\r\n0\r\n\r\n", b"2\r\n{}"]
BODIES += [b"-2\r\n{}\r\n", b"F" * 17 + b"\r\n{}", b"2;x=\r\n{}\r\n0\r\nX: y\r\n\r\n"]
headers = st.one_of(
    st.sampled_from([f"{name}: {value}" for name, values in HEADERS.items() for value in values]),
    st.sampled_from(LINES),
    st.text(st.characters(codec="utf-8"), max_size=10),
)


@st.composite
def heads(draw: st.DrawFn) -> bytes:
    """Something like a request."""
    first = [draw(st.sampled_from(each)) for each in (METHODS, PATHS, VERSIONS)]
    lines = [" ".join(filter(None, first)), *draw(st.lists(headers, max_size=5))]
    return "\r\n".join(lines).encode(errors="replace") + draw(st.sampled_from([b"\r\n\r\n", b"\n\n", b"\r\n", b""]))


def talk(harness: Harness, *pieces: bytes) -> list[tuple[int, Any]]:
    """Send it all, say that nothing more comes, and take every answer until the server ends the connection."""
    with connected(harness.rig[1] / "alice.sock") as alice:
        alice.send(*pieces)
        alice.finish()
        found = []
        while (said := answer(alice)) is not None:
            found.append(said)
    harness.check()
    return found


@given(heads(), st.sampled_from(BODIES) | st.binary(max_size=30), cuts)
@fuzz(250)
def test_any_request_line_headers_and_length_are_answered_or_ended(
    harness: Harness, head: bytes, body: bytes, cuts: list[int]
) -> None:
    for said in talk(harness, *in_pieces(head + body, cuts) or [b""]):
        is_clear(said)


@given(st.lists(st.binary(max_size=60), min_size=1, max_size=4))
@fuzz(60)
def test_any_bytes_are_answered_or_ended(harness: Harness, pieces: list[bytes]) -> None:
    for said in talk(harness, *pieces):
        is_clear(said)


@given(
    st.lists(
        st.sampled_from(sorted(ASKED)).flatmap(lambda path: ASKED[path].map(lambda body: (path, body))),
        min_size=2,
        max_size=10,
    ),
    cuts,
)
@fuzz(40)
def test_pipelined_requests_are_all_answered(harness: Harness, asked: list[tuple[str, str]], cuts: list[int]) -> None:
    with connected(harness.rig[1] / "alice.sock") as alice:
        alice.send(*in_pieces(b"".join(request(path, body.encode()) for path, body in asked), cuts))
        for _ in asked:
            said = answer(alice)
            assert said is not None
            is_clear(said)
    harness.check()
