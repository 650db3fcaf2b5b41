from __future__ import annotations

import json
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Cli
from operator_rig import FakeCore, fake_core

from hyperhive.cli.audit import moment
from hyperhive.errors import BadInput

ENTRY = {
    "id": 1,
    "at": 1.0,
    "actor": "manager",
    "action": "proposal.requested",
    "subject": "proposal/3",
    "detail": {"agent": "worker", "commit": "01\n23", "generation": 2},
}


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def test_the_log_says_who_did_what_to_whom(cli: Cli) -> None:
    cli.core.answer("GET /v1/audit?limit=50", {"entries": [ENTRY]})
    row = cli("audit").out.splitlines()[1]
    assert row.endswith(r"manager  proposal.requested  proposal/3  agent=worker commit=01\n23 generation=2")


def test_the_log_as_json_keeps_the_detail_and_has_iso_times(cli: Cli) -> None:
    cli.core.answer("GET /v1/audit?agent=worker&since=86400&limit=2", {"entries": [ENTRY]})
    done = cli("audit", "--agent", "worker", "--since", "1970-01-02T00:00:00+00:00", "-n", "2", "--json")
    (entry,) = json.loads(done.out)
    assert entry == {**ENTRY, "at": "1970-01-01T00:00:01.000Z"}


@pytest.mark.parametrize(("text", "seconds"), [("90s", 90), ("5m", 300), ("2h", 7200), ("3d", 259200)])
def test_a_span_counts_back_from_now(text: str, seconds: int) -> None:
    assert abs(moment(text) - (time.time() - seconds)) < 5


@pytest.mark.parametrize("text", ["", "yesterday", "5w", "-1h", "2026-13-01"])
def test_what_is_no_time_is_refused(text: str) -> None:
    with pytest.raises(BadInput, match="is no time; use 90m"):
        moment(text)


def test_a_whole_log_is_said_to_be_whole_with_its_head(cli: Cli) -> None:
    cli.core.answer("GET /v1/audit/verify", {"entries": 12, "head": "5f2c", "broken": None})
    done = cli("audit", "--verify")
    assert (done.code, done.out) == (0, "12 entries, whole; head 5f2c\n")


def test_a_broken_log_exits_with_1_and_says_where_and_what_to_do(cli: Cli) -> None:
    chain = {"entries": 2, "head": "5f2c", "broken": {"id": 3, "what": "it, or the one before it, was changed"}}
    cli.core.answer("GET /v1/audit/verify", chain)
    done = cli("audit", "--verify")
    assert done.code == 1
    assert done.out.startswith("NOT whole: entry 3: it, or the one before it, was changed; 2 before it hold. Keep")
    assert done.out.count("\n") == 1
    as_json = cli("audit", "--verify", "--json")
    assert (as_json.code, json.loads(as_json.out)) == (1, chain)


def test_a_whole_log_as_json_has_the_head(cli: Cli) -> None:
    chain = {"entries": 12, "head": "5f2c", "broken": None}
    cli.core.answer("GET /v1/audit/verify", chain)
    done = cli("audit", "--verify", "--json")
    assert (done.code, json.loads(done.out)) == (0, chain)


@pytest.mark.parametrize("part", ["--agent=worker", "--since=2h", "--limit=50"])
def test_the_whole_log_is_verified_or_none(cli: Cli, part: str) -> None:
    done = cli("audit", "--verify", part)
    assert done.code == 1
    assert done.err == "error: --verify is about the whole log; leave --agent, --since and --limit out\n"
    assert cli.core.requests == []
