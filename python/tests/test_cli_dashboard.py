from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_rig import Cli
from operator_rig import fake_core


@pytest.fixture
def cli(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> Iterator[Cli]:
    with fake_core(tmp_path) as core:
        yield Cli(core, capsys)


def session(**changes: Any) -> dict[str, Any]:
    """One as the core sends it."""
    times = {"created_at": 1.0, "used_at": 2.0, "expires_at": 86400.0}
    return {"id": 3, "user": "ann", **times, "current": False, **changes}


def test_dashboard_alone_prints_a_link(cli: Cli) -> None:
    cli.core.answer("POST /v1/dashboard", {"url": "http://127.0.0.1:8420/#link=x.y"})
    assert cli("dashboard").out == "http://127.0.0.1:8420/#link=x.y\n"
    assert json.loads(cli("dashboard", "--json").out) == {"url": "http://127.0.0.1:8420/#link=x.y"}


def test_the_sessions_are_listed(cli: Cli) -> None:
    cli.core.answer("GET /v1/sessions", {"sessions": [session(), session(id=2, user="b\x1b[2J")]})
    header, ann, bob = cli("dashboard", "sessions").out.splitlines()
    assert header.split() == ["ID", "USER", "SINCE", "LAST", "USED", "EXPIRES"]
    assert ann.split()[:2] == ["3", "ann"]
    assert ann.endswith("1970-01-02T00:00Z")
    assert r"b\x1b[2J" in bob
    (first, _) = json.loads(cli("dashboard", "sessions", "--json").out)
    assert first["used_at"] == "1970-01-01T00:00:02.000Z"
    assert first["expires_at"] == "1970-01-02T00:00:00.000Z"


def test_no_link_is_made_when_something_else_is_asked(cli: Cli) -> None:
    cli.core.answer("GET /v1/sessions", {"sessions": []})
    assert "no browser is logged in" in cli("dashboard", "sessions").out
    assert [request for request, _ in cli.core.requests] == ["GET /v1/sessions"]


@pytest.mark.parametrize(
    ("words", "target"),
    [([], ""), (["ann"], "?user=ann"), (["--all"], "?all=1"), (["a b&all=1"], "?user=a+b%26all%3D1")],
)
def test_logout_ends_ones_own_a_users_or_all(cli: Cli, words: list[str], target: str) -> None:
    cli.core.answer(f"DELETE /v1/sessions{target}", {"sessions": [session()]})
    done = cli("dashboard", "logout", *words)
    assert (done.code, done.out.splitlines()[1].split()[:2]) == (0, ["3", "ann"])
    (ended,) = json.loads(cli("dashboard", "logout", *words, "--json").out)
    assert ended["user"] == "ann"


def test_logout_of_nobody_says_where_to_look(cli: Cli) -> None:
    cli.core.answer("DELETE /v1/sessions?user=nobody", {"sessions": []})
    assert "`hyperhive dashboard sessions` lists" in cli("dashboard", "logout", "nobody").out


def test_what_the_core_refuses_is_said(cli: Cli) -> None:
    refused = "user and all are given; all is everybody's, so leave one of them out"
    cli.core.fail("DELETE /v1/sessions?user=ann&all=1", 400, "bad_input", refused)
    done = cli("dashboard", "logout", "ann", "--all")
    assert (done.code, done.err) == (1, f"error: {refused}\n")
