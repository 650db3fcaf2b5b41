from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Cli
from operator_rig import FakeCore, fake_core

STATUS = {
    "version": "0.1.0",
    "backend": "local",
    "model_api": "http://127.0.0.1:1",
    "state_dir": "/s",
    "agents": 2,
    "running": 1,
    "proposals_waiting": 1,
    "inbox_unread": 0,
    "dead_letters": 0,
    "paused": None,
    "over_budget": 0,
    "trouble": [],
}


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def test_status_says_what_waits_and_how_to_see_it(cli: Cli) -> None:
    cli.core.answer("GET /v1/status", STATUS)
    shown = cli("status").out
    assert "agents:       2, 1 running\n" in shown
    assert "proposals:    1 to decide: hyperhive apply list --state checked\n" in shown
    assert "inbox:        0 unread\n" in shown
    assert json.loads(cli("status", "--json").out) == {**STATUS, "socket": str(cli.core.path)}


def test_a_paused_hive_says_until_when_and_why(cli: Cli) -> None:
    pause = {"until": 1.0, "reason": "the model API's"}
    cli.core.answer("GET /v1/status", {**STATUS, "paused": pause})
    assert (
        "until 1970-01-01T00:00:01.000Z, usage limit: the model API's; `hyperhive resume` tries now"
        in cli("status").out
    )


def test_what_keeps_agents_from_work_is_said_by_its_name(cli: Cli) -> None:
    trouble = [{"agent": "worker", "trouble": "not_logged_in: Invalid API key\x1b"}]
    cli.core.answer("GET /v1/status", {**STATUS, "trouble": trouble, "dead_letters": 2})
    shown = cli("status").out
    assert "worker: not_logged_in: Invalid API key\\x1b\n" in shown
    assert "2 given up: hyperhive debug dead-letters\n" in shown


def test_a_pause_is_ended(cli: Cli) -> None:
    cli.core.answer("POST /v1/resume", {"paused": True})
    assert cli("resume").out == "the hive goes on\n"
    cli.core.answer("POST /v1/resume", {"paused": False})
    assert cli("resume").out == "the hive was not paused\n"
