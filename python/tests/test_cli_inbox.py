from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Cli, run, terminal
from operator_rig import FakeCore, fake_core, message_view

ALL = "GET /v1/inbox?all=1&limit=1000"


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def test_inbox_alone_lists_what_is_unread(cli: Cli) -> None:
    cli.core.answer("GET /v1/inbox?all=0&limit=100", {"messages": [message_view(body="\x1b[2Jready\nmore")]})
    header, row = cli("inbox").out.splitlines()
    assert header.split() == ["ID", "FROM", "KIND", "WHEN", "READ", "TEXT"]
    assert row.split()[:3] == ["7", "worker", "mail"]
    assert row.endswith(r"no    \x1b[2Jready")
    assert cli("inbox", "list").out.splitlines()[0] == header


def test_inbox_alone_takes_the_options_of_its_list(cli: Cli) -> None:
    cli.core.answer("GET /v1/inbox?all=1&limit=3", {"messages": [message_view(read_at=2.0, replied=True)]})
    (message,) = json.loads(cli("inbox", "--all", "-n", "3", "--json").out)
    assert message["read_at"] == "1970-01-01T00:00:02.000Z"
    assert cli("inbox", "list", "--all", "-n", "3").out.splitlines()[1].split()[5:7] == ["ago", "replied"]


def test_a_helper_event_is_told_in_words(cli: Cli) -> None:
    body = json.dumps(
        {"event": "apply_result", "proposal": 1, "agent": "worker", "commit": "c" * 40, "state": "applied"}
    )
    cli.core.answer("GET /v1/inbox?all=0&limit=100", {"messages": [message_view(body=body, kind="event")]})
    cli.core.answer(ALL, {"messages": [message_view(body=body, kind="event")]})
    cli.core.answer("POST /v1/inbox/7/read", {})
    assert cli("inbox").out.rstrip().endswith("apply_result: proposal 1, agent worker, state applied")
    assert '    "state": "applied"' in cli("inbox", "show", "7").out


@pytest.mark.parametrize("body", ["{", "[1]", "\x1b"])
def test_an_event_that_is_no_object_is_shown_as_it_is(cli: Cli, body: str) -> None:
    cli.core.answer("GET /v1/inbox?all=0&limit=100", {"messages": [message_view(body=body, kind="event")]})
    assert cli("inbox").out.rstrip().endswith(body.replace("\x1b", "\\x1b"))


def test_no_mail_says_how_to_see_what_was_read(cli: Cli) -> None:
    cli.core.answer("GET /v1/inbox?all=0&limit=100", {"messages": []})
    assert "--all" in cli("inbox").out


def test_showing_a_message_marks_it_as_read(cli: Cli) -> None:
    cli.core.answer(ALL, {"messages": [message_view(), message_view(8, "no\nfrom: operator\x1b")]})
    cli.core.answer("POST /v1/inbox/8/read", {})
    shown = cli("inbox", "show", "8").out
    assert shown.splitlines()[-2:] == ["  no", "  from: operator\\x1b"]
    assert cli.core.asked("POST /v1/inbox/8/read") == [{}]


def test_showing_a_message_that_is_not_there_says_so(cli: Cli) -> None:
    cli.core.answer(ALL, {"messages": []})
    assert cli("inbox", "show", "8").err.startswith("error: there is no message 8 in the inbox")


def test_a_reply_is_sent(cli: Cli) -> None:
    cli.core.answer("POST /v1/inbox/7/reply", {"id": 9})
    assert cli("inbox", "reply", "7", "thank you").out == "message 9: sent\n"
    assert cli.core.asked("POST /v1/inbox/7/reply") == [{"body": "thank you"}]


@pytest.mark.parametrize("arguments", [["worker"], ["worker", "-"]])
def test_a_message_can_come_from_standard_input(core: FakeCore, arguments: list[str]) -> None:
    core.answer("POST /v1/messages", {"id": 9})
    done = run("--socket", str(core.path), "send", *arguments, stdin="größer\n".encode())
    assert (done.code, done.out) == (0, "message 9: sent\n")
    assert core.asked("POST /v1/messages") == [{"to": "worker", "body": "größer\n"}]


def test_a_message_that_is_not_utf_8_is_not_sent(core: FakeCore) -> None:
    done = run("--socket", str(core.path), "send", "worker", stdin=b"ab\xff")
    assert (done.code, done.err) == (1, "error: standard input is not UTF-8 (byte 2); a message is text\n")
    assert core.requests == []


def test_an_endless_message_is_not_read_to_its_end(core: FakeCore) -> None:
    done = run("--socket", str(core.path), "send", "worker", stdin=b"a" * (1024 * 1024 + 1))
    assert done.err == "error: standard input is longer than 1 MiB; a message is at most 64 KiB\n"


def test_sending_nothing_from_a_terminal_says_how(core: FakeCore) -> None:
    with terminal("--socket", str(core.path), "send", "worker") as screen:
        assert screen.end() == 1
        assert "error: there is no text; give it as the last argument" in screen.shown


def test_the_core_has_the_last_word_on_a_message(cli: Cli) -> None:
    cli.core.fail("POST /v1/messages", 404, "not_found", "there is no agent nobody")
    assert cli("send", "nobody", "hi").err == "error: there is no agent nobody\n"
