from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Cli
from operator_rig import FakeCore, fake_core


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def test_dead_letters_are_for_those_who_look_for_them(cli: Cli) -> None:
    letter = {"id": 4, "sender": "a", "recipient": "b", "sent_at": 1.0, "body": "x\x1b"}
    cli.core.answer("GET /v1/dead-letters", {"messages": [letter]})
    assert cli("debug", "dead-letters").out.splitlines()[1].endswith("ago  x\\x1b")


def test_events_are_one_json_object_a_line(cli: Cli) -> None:
    cli.core.stream = [("agent", {"name": "worker"})]
    cli.core.stream_may_end.set()
    assert json.loads(cli("debug", "events").out) == {"event": "agent", "data": {"name": "worker"}}


def test_the_socket_that_is_used_is_said(cli: Cli) -> None:
    assert cli("debug", "socket").out == f"{cli.core.path}\n"
