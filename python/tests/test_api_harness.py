from __future__ import annotations

import asyncio
import contextlib
import json
import tracemalloc
from pathlib import Path
from typing import Any, cast

import pytest
from mail_rig import FREE, Answer, Mail, client, post, request, sockets, until
from starlette.requests import ClientDisconnect

from hyperhive.api import harness
from hyperhive.broker import Broker
from hyperhive.store import turns
from hyperhive.store.messages import Message

TURN = {"message_ids": [1, 2], "session_id": "s", "model": "haiku", "generation": 3}


def ask(root: Path, *asked: tuple[str, str, object], **limits: Any) -> list[Answer]:
    """The answers to requests (agent, path, body), one after the other."""

    async def run() -> list[Answer]:
        async with sockets(root, **limits) as (_, directory):
            return [await post(directory / f"{agent}.sock", path, body) for agent, path, body in asked]

    return asyncio.run(run())


def test_mail_goes_from_socket_to_socket_and_is_done_after_its_ack(tmp_path: Path) -> None:
    sent, received, acked, again = ask(
        tmp_path,
        ("alice", "/v1/send", {"to": "bob", "body": "grüße\n"}),
        ("bob", "/v1/recv", {"lease": 1}),
        ("bob", "/v1/ack", {"ids": [1, 2]}),
        ("bob", "/v1/recv", {"wait": 0}),
    )
    assert (sent.status, sent.json) == (200, {"id": 1})
    (message,) = received.json["messages"]
    assert {name: message[name] for name in ("id", "sender", "kind", "body", "reply_to", "attempts", "hops")} == {
        "id": 1,
        "sender": "alice",
        "kind": "mail",
        "body": "grüße\n",
        "reply_to": None,
        "attempts": 1,
        "hops": 0,
    }
    assert {"chain", "sent_at"} <= set(message)
    assert (acked.json, again.json) == ({"acked": 1}, {"messages": []})


def test_the_sender_is_the_socket_whatever_the_request_says(tmp_path: Path) -> None:
    claim = {"to": "bob", "body": "pay me", "sender": "operator", "from": "operator", "identity": "operator"}
    _, received = ask(tmp_path, ("alice", "/v1/send", claim), ("bob", "/v1/recv", {}))
    assert [message["sender"] for message in received.json["messages"]] == ["alice"]


def test_no_agent_receives_or_acknowledges_anothers_mail(tmp_path: Path) -> None:
    _, mine, acked, its = ask(
        tmp_path,
        ("alice", "/v1/send", {"to": "bob", "body": "x"}),
        ("alice", "/v1/recv", {"agent": "bob", "recipient": "bob"}),
        ("alice", "/v1/ack", {"ids": [1]}),
        ("bob", "/v1/recv", {}),
    )
    assert (mine.json, acked.json) == ({"messages": []}, {"acked": 0})
    assert [message["id"] for message in its.json["messages"]] == [1]


@pytest.mark.parametrize(
    ("path", "body", "status", "code", "words"),
    [
        ("send", {"to": "nobody", "body": "x"}, 404, "not_found", "there is nobody called 'nobody'"),
        ("send", {"to": "bob\ud800", "body": "x"}, 400, "bad_input", "to is not valid Unicode text"),
        ("send", {"to": "bob", "body": "x\ud800"}, 400, "bad_input", "body is not valid Unicode text"),
        ("send", {"to": "bob", "body": "a\0b"}, 400, "bad_input", "NUL"),
        ("send", {"to": "bob", "body": "x" * 65 * 1024}, 413, "too_large", "66560 bytes"),
        ("send", {"to": "bob"}, 400, "bad_input", "body is missing"),
        ("send", {"to": ["bob"], "body": "x"}, 400, "bad_input", "to must be a string"),
        ("send", {"to": "bob", "body": "x", "reply_to": 7}, 404, "not_found", "there is no message 7"),
        ("send", {"to": "bob", "body": "x", "reply_to": "7"}, 400, "bad_input", "reply_to must be a whole number"),
        ("recv", {"max": 0}, 400, "bad_input", "max must be a whole number from 1 to 100"),
        ("recv", {"max": 101}, 400, "bad_input", "max must be a whole number from 1 to 100"),
        ("recv", {"wait": 61}, 400, "bad_input", "wait must be a number from 0 to 60"),
        ("recv", {"lease": 0}, 400, "bad_input", "lease must be a number from 1 to 172800"),
        ("ack", {}, 400, "bad_input", "ids must be a list"),
        ("ack", {"ids": ["1"]}, 400, "bad_input", "ids must be a whole number"),
        (
            "heartbeat",
            {"generation": 1, "state": "asleep", "pid": 1},
            400,
            "bad_input",
            "state must be one of idle",
        ),
        ("heartbeat", {"generation": "1", "state": "idle", "pid": 1}, 400, "bad_input", "generation must be"),
        ("turns", {**TURN, "session_id": None}, 400, "bad_input", "session_id is missing"),
        ("turns", {**TURN, "model": "\udc00"}, 400, "bad_input", "model is not valid Unicode"),
        ("turns/1/end", {"outcome": "completed"}, 404, "not_found", "alice has no turn 1"),
        ("turns/one/end", {"outcome": "completed"}, 400, "bad_input", "'one' is not a turn's number"),
        ("turns/%D9%A3/end", {"outcome": "completed"}, 400, "bad_input", "is not a turn's number"),
        (f"turns/{'9' * 30}/end", {"outcome": "completed"}, 400, "bad_input", "is not a turn's number"),
        ("turns/1/other", {}, 404, "not_found", "there is no POST"),
        ("proposals/1/approve", {}, 404, "not_found", "there is no POST"),
        ("nothing", {}, 404, "not_found", "there is no POST '/v1/nothing' here"),
    ],
)
def test_bad_input_is_one_clear_line_and_changes_nothing(
    tmp_path: Path, path: str, body: object, status: int, code: str, words: str
) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (mail, directory):
            async with client(directory / "alice.sock") as caller:
                answer = await caller.post(f"/v1/{path}", body)
                assert (answer.status, answer.json["code"]) == (status, code), answer.body
                assert words in answer.json["error"]
                assert "\n" not in answer.json["error"]
                assert (await caller.post("/v1/ack", {"ids": []})).status == 200, "the connection lives on"
            assert await mail.rows() == []
            assert mail.beats == []

    asyncio.run(run())


def test_a_body_of_invalid_utf8_is_refused(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (mail, directory), client(directory / "alice.sock") as caller:
            answer = await caller.raw(request("/v1/send", b'{"to": "bob", "body": "\xff\xfe"}'))
            assert (answer.status, answer.json["error"]) == (400, "the request is not valid UTF-8")
            assert await mail.rows() == []

    asyncio.run(run())


def test_a_full_mailbox_is_the_senders_to_hear(tmp_path: Path) -> None:
    answers = ask(tmp_path, *[("alice", "/v1/send", {"to": "bob", "body": "x"})] * 3, max_pending=2)
    assert [answer.status for answer in answers] == [200, 200, 429]
    assert answers[2].json == {
        "error": "bob's mailbox is full (2 messages); try again later",
        "code": "mailbox_full",
    }


@pytest.mark.parametrize("method", ["GET", "PUT", "DELETE", "HEAD"])
def test_only_post_is_served(tmp_path: Path, method: str) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (_, directory), client(directory / "alice.sock") as caller:
            caller.writer.write(f"{method} /v1/recv HTTP/1.1\r\nHost: h\r\nConnection: close\r\n\r\n".encode())
            assert (await caller.closed()).startswith(b"HTTP/1.1 404 ")

    asyncio.run(run())


def test_a_long_poll_is_woken_by_mail(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (_, directory), client(directory / "bob.sock") as bob:
            polling = asyncio.ensure_future(bob.post("/v1/recv", {"wait": 60}))
            async with client(directory / "alice.sock") as alice:
                assert (await alice.post("/v1/recv", {"wait": 0.01})).json == {"messages": []}
                assert not polling.done()
                await alice.post("/v1/send", {"to": "bob", "body": "wake up"})
            assert [message["body"] for message in (await polling).json["messages"]] == ["wake up"]

    asyncio.run(run())


def test_a_harness_that_goes_away_in_a_long_poll_has_leased_nothing(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (mail, directory):
            async with client(directory / "bob.sock") as bob:
                bob.writer.write(request("/v1/recv", b'{"wait": 60}'))
                await until(lambda: _listens(mail.broker, "bob"))
            await until(lambda: _nobody_listens(mail.broker))
            await mail.broker.send("alice", "bob", "still here")
            assert await mail.leased() == []
            (message,) = await mail.broker.recv("bob")
            assert message.attempts == 1

    asyncio.run(run())


async def _listens(broker: Broker, name: str) -> bool:
    return name in broker._listeners


async def _nobody_listens(broker: Broker) -> bool:
    return broker._listeners == {}


def test_mail_that_is_leased_in_the_moment_in_which_the_harness_goes_is_given_back(tmp_path: Path) -> None:
    async def gone() -> dict[str, Any]:
        return {"type": "http.disconnect"}

    async def run() -> None:
        async with sockets(tmp_path) as (mail, _):
            await mail.broker.send("alice", "bob", "still here")
            leased = await mail.broker.recv("bob")

            async def done() -> list[Message]:
                return leased

            with pytest.raises(ClientDisconnect):
                await harness._unless_gone(harness._Call(mail, "bob", b"", gone), done())
            (message,) = await mail.broker.recv("bob")
            assert message.attempts == 1

    asyncio.run(run())


def test_a_harness_that_started_anew_gets_its_mail_again_at_once(tmp_path: Path) -> None:
    _, first, none, again = ask(
        tmp_path,
        ("alice", "/v1/send", {"to": "bob", "body": "x"}),
        ("bob", "/v1/recv", {}),
        ("bob", "/v1/recv", {}),
        ("bob", "/v1/recv", {"restarted": True}),
    )
    assert none.json == {"messages": []}
    assert [m["attempts"] for answer in (first, again) for m in answer.json["messages"]] == [1, 2]


def test_a_heartbeat_reaches_the_core_under_the_sockets_name(tmp_path: Path) -> None:
    async def run() -> None:
        async with sockets(tmp_path) as (mail, directory):
            beat = {"generation": 4, "state": "turn", "pid": 77, "agent": "alice"}
            assert (await post(directory / "bob.sock", "/v1/heartbeat", beat)).json == {"paused": 0}
            assert mail.beats == [("bob", 4, "turn", 77)]

    asyncio.run(run())


def test_a_turn_is_recorded_with_its_events_and_told_live(tmp_path: Path) -> None:
    end = {"outcome": "completed", "detail": "ok", "usage": {"output_tokens": 3}, "cost_usd": 0.5}

    async def run() -> None:
        async with sockets(tmp_path) as (mail, directory), client(directory / "bob.sock") as bob:
            async with mail.hub.subscribe() as live:
                number = (await bob.post("/v1/turns", TURN)).json["turn"]
                lines = b'{"type": "assistant"}\n\n{"type": "result"}\nnot json\n'
                assert (await bob.raw(request(f"/v1/turns/{number}/events", lines))).json == {"stored": 3}
                assert (await bob.post(f"/v1/turns/{number}/end", end)).json == {}
                heard = [event for _ in range(7) if (event := await anext(live)).kind != "agent"]
            turn = await mail.database.read(lambda c: turns.get(c, "bob", number))
            assert (turn.message_ids, turn.generation) == ([1, 2], 3)
            assert (turn.outcome, turn.usage, turn.cost_usd) == ("completed", {"output_tokens": 3}, 0.5)
            stored = [json.loads(each.event) for each in await mail.database.read(lambda c: turns.events_of(c, number))]
            assert [each["type"] for each in stored] == ["assistant", "result", "malformed"]
            assert [event.kind for event in heard] == ["turn", "turn_event", "turn_event", "turn_event", "turn"]
            assert {event.data["agent"] for event in heard} == {"bob"}
            assert (heard[0].data["outcome"], heard[4].data["outcome"]) == (None, "completed")
            assert [event.data["seq"] for event in heard[1:4]] == [1, 2, 3]

    asyncio.run(run())


def test_no_agent_adds_to_or_ends_anothers_turn(tmp_path: Path) -> None:
    begun, events, ended = ask(
        tmp_path,
        ("bob", "/v1/turns", TURN),
        ("alice", "/v1/turns/1/events", {"type": "forged"}),
        ("alice", "/v1/turns/1/end", {"outcome": "completed"}),
    )
    assert begun.json == {"turn": 1}
    assert [answer.status for answer in (events, ended)] == [404, 404]


def test_an_oversized_event_is_kept_as_a_note_of_its_size(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(harness, "MAX_EVENT", 100)

    async def run() -> None:
        async with sockets(tmp_path) as (mail, directory), client(directory / "bob.sock") as bob:
            await bob.post("/v1/turns", TURN)
            await bob.raw(request("/v1/turns/1/events", b'{"type": "user", "text": "' + b"x" * 100 + b'"}'))
            (event,) = await mail.database.read(lambda c: turns.events_of(c, 1))
            assert json.loads(event.event) == {"type": "oversized", "bytes": 128}

    asyncio.run(run())


def test_more_events_than_a_turn_keeps_are_not_even_read(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    read: list[bytes] = []

    def event(line: bytes) -> dict[str, Any]:
        read.append(line)
        return {}

    monkeypatch.setattr(harness, "_event", event)

    async def run() -> None:
        async with sockets(tmp_path) as (_, directory), client(directory / "bob.sock") as bob:
            await bob.post("/v1/turns", TURN)
            answer = await bob.raw(request("/v1/turns/1/events", b"{}\n" * 100_000))
            assert (answer.json, len(read)) == ({"stored": turns.MAX_EVENTS}, turns.MAX_EVENTS)

    asyncio.run(run())


@pytest.mark.parametrize("name", ["session_id", "model"])
def test_a_turn_has_no_endless_names(tmp_path: Path, name: str) -> None:
    (answer,) = ask(tmp_path, ("bob", "/v1/turns", {**TURN, name: "x" * 201}))
    assert (answer.status, answer.json["error"]) == (413, f"{name} has 201 characters; it may have 200")


@pytest.mark.parametrize("change", [{"usage": []}, {"cost_usd": -1}, {"cost_usd": "1"}, {"outcome": 1}])
def test_a_turns_end_must_make_sense(tmp_path: Path, change: dict[str, object]) -> None:
    begun, ended = ask(
        tmp_path, ("bob", "/v1/turns", TURN), ("bob", "/v1/turns/1/end", {"outcome": "completed", **change})
    )
    assert (begun.status, ended.status, ended.json["code"]) == (200, 400, "bad_input")


def test_a_turns_use_has_a_bound(tmp_path: Path) -> None:
    end = {"outcome": "completed", "usage": {"x": "y" * 10_000}}
    _, ended = ask(tmp_path, ("bob", "/v1/turns", TURN), ("bob", "/v1/turns/1/end", end))
    assert (ended.status, ended.json["error"]) == (413, "usage has 10009 characters; it may have 10000")


def test_a_harness_that_reads_no_answer_holds_little_memory(tmp_path: Path) -> None:
    async def run() -> int:
        most = harness.MAX_CONNECTIONS
        async with sockets(tmp_path, most=most, **FREE) as (mail, directory), contextlib.AsyncExitStack() as unread:
            await asyncio.gather(*(mail.broker.send("alice", "bob", "\x01" * 65_536) for _ in range(400)))
            tracemalloc.start()
            try:
                for number in range(40):
                    greedy = await unread.enter_async_context(client(directory / "bob.sock"))
                    cast(asyncio.Transport, greedy.writer.transport).pause_reading()
                    greedy.writer.write(request("/v1/recv", json.dumps({"max": 100, "restarted": True}).encode()))
                    await until(lambda number=number: leased_again(mail, number))  # type: ignore[misc]
                return tracemalloc.get_traced_memory()[0]
            finally:
                tracemalloc.stop()

    held = asyncio.run(run())
    assert held < 150_000_000, f"{held} bytes"


async def leased_again(mail: Mail, number: int) -> bool:
    query = "SELECT sum(attempts) FROM messages"
    (attempts,) = await mail.database.read(lambda c: c.execute(query).fetchone())
    return bool(attempts > number)


def test_an_unexpected_error_is_answered_without_its_details(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    async def breaks(*_: object) -> int:
        raise ZeroDivisionError("secret")

    monkeypatch.setattr(Broker, "ack", breaks)
    (answer,) = ask(tmp_path, ("bob", "/v1/ack", {"ids": []}))
    assert (answer.status, answer.json["code"]) == (500, "internal")
    assert "secret" not in answer.body.decode() and "Traceback" not in answer.body.decode()
    assert "ZeroDivisionError" in caplog.text
