from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Cli
from operator_rig import FakeCore, fake_core, message_view


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def letter(number: int = 4, **changes: object) -> dict[str, object]:
    return message_view(number, "x\x1b\ny", recipient="bob", dead_at=1.0, attempts=5, hops=2, **changes)


def test_dead_letters_are_for_those_who_look_for_them(cli: Cli) -> None:
    cli.core.answer("GET /v1/dead-letters", {"messages": [letter()]})
    assert cli("debug", "dead-letters").out.splitlines()[1].endswith("ago  x\\x1b\\ny")
    assert cli("debug", "dead-letters", "list").out == cli("debug", "dead-letters").out
    assert json.loads(cli("debug", "dead-letters", "--json").out)[0]["dead_at"] == "1970-01-01T00:00:01.000Z"


def test_a_dead_letter_is_shown_with_what_became_of_it(cli: Cli) -> None:
    cli.core.answer("GET /v1/dead-letters/4", letter())
    shown = cli("debug", "dead-letters", "show", "4").out
    assert "deliveries:       5\nanswers in a row: 2\n\n  x\\x1b\n  y\n" in shown
    assert json.loads(cli("debug", "dead-letters", "show", "4", "--json").out)["body"] == "x\x1b\ny"


def test_dead_letters_are_requeued_one_after_the_other_until_one_cannot_be(cli: Cli) -> None:
    cli.core.answer("POST /v1/dead-letters/4/requeue", letter())
    cli.core.fail("POST /v1/dead-letters/5/requeue", 404, "not_found", "there is no dead letter 5")
    done = cli("debug", "dead-letters", "requeue", "4", "5")
    assert (done.code, done.out) == (1, "message 4: waits for bob again\n")
    assert done.err == "error: there is no dead letter 5\n"


def test_a_dead_letter_is_dropped_only_when_that_is_sure(cli: Cli) -> None:
    cli.core.answer("DELETE /v1/dead-letters/4", {})
    unsure = cli("debug", "dead-letters", "drop", "4")
    assert (unsure.code, "give --yes" in unsure.err, cli.core.requests) == (1, True, [])
    assert cli("debug", "dead-letters", "drop", "4", "--yes").out == "message 4: deleted\n"


def test_events_are_one_json_object_a_line(cli: Cli) -> None:
    cli.core.stream = [("agent", {"name": "worker"})]
    cli.core.stream_may_end.set()
    assert json.loads(cli("debug", "events").out) == {"event": "agent", "data": {"name": "worker"}}


def test_the_socket_that_is_used_is_said(cli: Cli) -> None:
    assert cli("debug", "socket").out == f"{cli.core.path}\n"
