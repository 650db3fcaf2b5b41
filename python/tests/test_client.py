from __future__ import annotations

import os
import socket
import threading
from collections.abc import Callable, Iterator
from pathlib import Path
from typing import Any

import pytest
from operator_rig import FakeCore, fake_core, until

from hyperhive import client as client_module
from hyperhive.client import Client, call, find_socket
from hyperhive.errors import BadInput, Conflict, Forbidden, HyperhiveError, NotFound, Rejected, TooLarge, Unavailable
from hyperhive.event_stream import Event, parse_events


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


CALLS: list[tuple[Callable[[Client], Any], str, Any, Any, Any]] = [
    (lambda c: c.status(), "GET /v1/status", None, {"agents": 2}, {"agents": 2}),
    (lambda c: c.agents(), "GET /v1/agents", None, {"agents": [{"name": "a"}]}, [{"name": "a"}]),
    (lambda c: c.agent("a"), "GET /v1/agents/a", None, {"name": "a"}, {"name": "a"}),
    (lambda c: c.create_agent("a"), "POST /v1/agents", {"name": "a", "role": "agent"}, {}, {}),
    (
        lambda c: c.create_agent("m", role="manager", source="/x"),
        "POST /v1/agents",
        {"name": "m", "role": "manager", "source": "/x"},
        {},
        {},
    ),
    (lambda c: c.start("a"), "POST /v1/agents/a/start", {}, {}, {}),
    (lambda c: c.stop("a"), "POST /v1/agents/a/stop", {}, {}, {}),
    (lambda c: c.restart("a"), "POST /v1/agents/a/restart", {}, {}, {}),
    (lambda c: c.destroy("a"), "DELETE /v1/agents/a?purge=0", None, {"dead_letters": 0}, 0),
    (lambda c: c.destroy("a", purge=True), "DELETE /v1/agents/a?purge=1", None, {"dead_letters": 3}, 3),
    (lambda c: c.logs("a", 5), "GET /v1/agents/a/logs?lines=5", None, {"log": "x\n"}, "x\n"),
    (lambda c: c.shell("a"), "GET /v1/agents/a/shell", None, {"argv": ["bwrap", "sh"]}, ["bwrap", "sh"]),
    (lambda c: c.set_model("a", "sonnet"), "PUT /v1/agents/a/model", {"model": "sonnet"}, {}, {}),
    (lambda c: c.set_model("a", None), "PUT /v1/agents/a/model", {"model": None}, {}, {}),
    (lambda c: c.roll_back("a"), "POST /v1/agents/a/rollback", {}, {}, {}),
    (lambda c: c.roll_back("a", 2), "POST /v1/agents/a/rollback", {"generation": 2}, {}, {}),
    (lambda c: c.proposals(), "GET /v1/proposals?limit=100", None, {"proposals": []}, []),
    (
        lambda c: c.proposals(agent="a", state="checked", limit=3),
        "GET /v1/proposals?agent=a&state=checked&limit=3",
        None,
        {"proposals": []},
        [],
    ),
    (lambda c: c.proposal(4), "GET /v1/proposals/4", None, {"id": 4}, {"id": 4}),
    (
        lambda c: c.request_apply("a", "abc", "why"),
        "POST /v1/proposals",
        {"agent": "a", "commit": "abc", "reason": "why"},
        {"id": 1},
        {"id": 1},
    ),
    (lambda c: c.approve(4, "ff"), "POST /v1/proposals/4/approve", {"fingerprint": "ff"}, {}, {}),
    (lambda c: c.deny(4, "no"), "POST /v1/proposals/4/deny", {"reason": "no"}, {}, {}),
    (lambda c: c.withdraw(4), "POST /v1/proposals/4/withdraw", {}, {}, {}),
    (lambda c: c.inbox(), "GET /v1/inbox?all=0&limit=100", None, {"messages": []}, []),
    (lambda c: c.inbox(all_=True, limit=2), "GET /v1/inbox?all=1&limit=2", None, {"messages": []}, []),
    (lambda c: c.mark_read(9), "POST /v1/inbox/9/read", {}, {}, None),
    (lambda c: c.reply(9, "hi"), "POST /v1/inbox/9/reply", {"body": "hi"}, {"id": 10}, 10),
    (lambda c: c.send("a", "hi"), "POST /v1/messages", {"to": "a", "body": "hi"}, {"id": 11}, 11),
    (lambda c: c.dead_letters(), "GET /v1/dead-letters", None, {"messages": []}, []),
    (
        lambda c: c.set_budget("a", 5, 0.5),
        "PUT /v1/agents/a/budget",
        {"tokens_per_day": 5, "cost_per_day": 0.5},
        {"name": "a"},
        {"name": "a"},
    ),
    (lambda c: c.dead_letter(4), "GET /v1/dead-letters/4", None, {"id": 4}, {"id": 4}),
    (lambda c: c.requeue(4), "POST /v1/dead-letters/4/requeue", {}, {"id": 4}, {"id": 4}),
    (lambda c: c.drop(4), "DELETE /v1/dead-letters/4", None, {}, None),
    (lambda c: c.audit(), "GET /v1/audit?limit=200", None, {"entries": []}, []),
    (
        lambda c: c.audit(agent="a", since=12.7, limit=1),
        "GET /v1/audit?agent=a&since=12&limit=1",
        None,
        {"entries": []},
        [],
    ),
    (lambda c: c.verify_audit(), "GET /v1/audit/verify", None, {"entries": 0}, {"entries": 0}),
]


@pytest.mark.parametrize(("use", "request_", "body", "answer", "result"), CALLS, ids=[c[1] for c in CALLS])
def test_each_method_is_one_request_and_returns_its_answer(
    core: FakeCore, use: Callable[[Client], Any], request_: str, body: Any, answer: Any, result: Any
) -> None:
    core.answer(request_, answer)
    assert use(Client(core.path)) == result
    assert core.requests == [(request_, body)]


@pytest.mark.parametrize(
    ("status", "code", "kind"),
    [
        (400, "bad_input", BadInput),
        (404, "not_found", NotFound),
        (403, "forbidden", Forbidden),
        (409, "conflict", Conflict),
        (413, "too_large", TooLarge),
        (422, "rejected", Rejected),
        (503, "unavailable", Unavailable),
        (422, "no_heartbeat", HyperhiveError),
    ],
)
def test_an_error_answer_is_raised_by_its_code(
    core: FakeCore, status: int, code: str, kind: type[HyperhiveError]
) -> None:
    core.fail("GET /v1/status", status, code, "what and what to do")
    with pytest.raises(HyperhiveError, match=r"^what and what to do$") as caught:
        Client(core.path).status()
    assert type(caught.value) is kind


@pytest.mark.parametrize("body", [b"<html>", b"[1]", b"", b"\xff\xfe"])
def test_an_answer_that_is_no_object_is_somebody_else(core: FakeCore, body: bytes) -> None:
    core.answer("GET /v1/status", body)
    with pytest.raises(Unavailable, match="is it a hyperhive core"):
        Client(core.path).status()


def test_a_missing_or_stale_socket_means_that_no_core_runs(tmp_path: Path) -> None:
    stale = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(stale))
    for path in (stale, tmp_path / "missing.sock", stale / "below"):
        with pytest.raises(Unavailable, match=r"no core is running behind .*; start one with `hyperhive run`"):
            Client(path).status()


def test_a_socket_that_may_not_be_used_says_who_may(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    def refuse(self: object) -> None:
        raise PermissionError(13, "Permission denied")

    monkeypatch.setattr(client_module._Connection, "connect", refuse)
    with pytest.raises(Forbidden, match=r"services\.hyperhive\.operators"):
        Client(tmp_path / "operator.sock").status()


def _speak(path: Path, words: bytes, *, hang: bool = False) -> threading.Thread:
    """A peer that reads a request, says `words` and hangs up (or, with `hang`, waits for the caller to)."""
    listener = socket.socket(socket.AF_UNIX)
    listener.bind(str(path))
    listener.listen()

    def serve() -> None:
        with listener, listener.accept()[0] as peer:
            peer.recv(65536)
            peer.sendall(words)
            if hang:
                peer.recv(1)

    thread = threading.Thread(target=serve)
    thread.start()
    return thread


@pytest.mark.parametrize("words", [b"", b"garbage\r\n", b"HTTP/1.1 200 OK\r\nContent-Length: 99\r\n\r\n{"])
def test_a_core_that_dies_while_it_answers_is_unavailable(tmp_path: Path, words: bytes) -> None:
    thread = _speak(tmp_path / "s", words)
    with pytest.raises(Unavailable, match="ended the connection"):
        Client(tmp_path / "s").status()
    thread.join()


def test_a_core_that_does_not_answer_is_given_up(tmp_path: Path) -> None:
    thread = _speak(tmp_path / "s", b"", hang=True)
    with pytest.raises(Unavailable, match=r"did not answer within 0\.05 s"):
        Client(tmp_path / "s", timeout=0.05).status()
    thread.join()


@pytest.mark.parametrize("name", ["", ".", "..", "a\nb", "\udcff"])
def test_a_name_that_is_no_path_segment_is_never_sent(core: FakeCore, name: str) -> None:
    with pytest.raises(BadInput, match="not an agent's name"):
        Client(core.path).stop(name)
    assert core.requests == []


def test_a_name_with_a_slash_stays_one_segment(core: FakeCore) -> None:
    with pytest.raises(NotFound):
        Client(core.path).stop("../inbox?x")
    assert [request for request, _ in core.requests] == ["POST /v1/agents/..%2Finbox%3Fx/stop"]


def test_the_named_socket_comes_before_the_environment(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERHIVE_SOCKET", "/from/environment")
    assert find_socket(tmp_path) == tmp_path
    assert find_socket() == Path("/from/environment")


@pytest.fixture
def hive(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Path:
    """A directory with .hive/run/operator.sock, the current one being below it; no hive of the system."""
    (tmp_path / ".hive/run").mkdir(parents=True)
    (tmp_path / ".hive/run/operator.sock").touch()
    (tmp_path / "deep/er").mkdir(parents=True)
    monkeypatch.chdir(tmp_path / "deep/er")
    monkeypatch.delenv("HYPERHIVE_SOCKET", raising=False)
    monkeypatch.setattr(client_module, "SYSTEM_SOCKET", tmp_path / "none/operator.sock")
    return tmp_path


def test_the_nearest_hive_above_is_found(hive: Path) -> None:
    assert find_socket() == hive / ".hive/run/operator.sock"


def test_a_hive_that_somebody_else_put_there_is_not_used(hive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    planted = hive / ".hive/run/operator.sock"
    if os.getuid() == 0:
        os.chown(planted, 65534, 65534)
    else:
        monkeypatch.setattr(os, "getuid", lambda: 4242)
    with pytest.raises(Unavailable, match=r"no core is running: .*hyperhive run.*--socket"):
        find_socket()


def test_the_systems_socket_is_the_last_choice(hive: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (hive / ".hive/run/operator.sock").unlink()
    (hive / "none").mkdir()
    assert find_socket() == hive / "none/operator.sock"


def test_a_long_path_is_followed_through_its_link(core: FakeCore, tmp_path: Path) -> None:
    deep = tmp_path / ("d" * 60) / ("e" * 60)
    deep.mkdir(parents=True)
    (deep / "run").symlink_to(core.path.parent)
    core.answer("GET /v1/status", {"agents": 0})
    assert Client(deep / "run/operator.sock").status() == {"agents": 0}


def test_a_path_too_long_for_a_socket_is_said_to_be(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match="too long for a socket"):
        call(tmp_path / ("d" * 120), "GET", "/v1/status")


def test_events_come_until_the_core_ends_the_stream(core: FakeCore) -> None:
    core.stream = [("message", {"body": "a\nb"}), ("agent", {"name": "worker"})]
    core.stream_may_end.set()
    with Client(core.path).events() as events:
        assert list(events) == [Event("message", {"body": "a\nb"}), Event("agent", {"name": "worker"})]


def test_a_tick_comes_when_nothing_happens(core: FakeCore) -> None:
    with Client(core.path).events(tick=0.01) as events:
        assert next(events) == Event("tick", {})


def test_leaving_the_block_ends_the_stream_at_once(core: FakeCore) -> None:
    with Client(core.path).events():
        until(core.stream_opened.is_set)
    assert not any(thread.name == "events" for thread in threading.enumerate())


def test_what_the_block_raises_is_not_taken_for_the_connections_failure(core: FakeCore) -> None:
    with pytest.raises(BrokenPipeError), Client(core.path).events():
        raise BrokenPipeError


def test_a_refused_stream_says_why(core: FakeCore) -> None:
    core.fail("GET /v1/events", 403, "forbidden", "uid 4242 is not an operator")
    with pytest.raises(Forbidden, match="uid 4242"), Client(core.path).events():
        pass


def test_a_core_killed_in_the_middle_of_an_event_ends_the_stream(tmp_path: Path) -> None:
    said = b"HTTP/1.1 200 OK\r\nTransfer-Encoding: chunked\r\n\r\n11\r\nevent: a\ndata: {}\r\n40\r\nevent"
    thread = _speak(tmp_path / "s", said)
    with Client(tmp_path / "s").events() as events:
        assert list(events) == []
    thread.join()


def test_comments_and_unknown_fields_of_a_stream_are_left_out() -> None:
    lines = [b": hello\n", b"\n", b"id: 1\n", b"event: turn\n", b'data: {"x": 1}\n', b"\n"]
    assert list(parse_events(iter(lines))) == [Event("turn", {"x": 1})]
