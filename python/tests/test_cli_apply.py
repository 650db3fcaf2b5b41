from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_rig import Cli, run, terminal
from operator_rig import FakeCore, agent_view, fake_core, proposal_view

APPROVE = "POST /v1/proposals/3/approve"


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def goes_through(core: FakeCore, *states: str, **last: Any) -> None:
    """GET of proposal 3 answers with those states one after the other; an event announces each change."""
    views = [proposal_view(state=state) for state in states[:-1]] + [proposal_view(state=states[-1], **last)]

    def get(body: object) -> tuple[int, object]:
        return 200, views.pop(0) if len(views) > 1 else views[0]

    core.answers["GET /v1/proposals/3"] = get
    core.stream = [("proposal", {"id": 8}), ("message", {"id": 3}), *[("proposal", {"id": 3})] * len(states)]


def test_a_request_is_sent_and_its_id_said(cli: Cli) -> None:
    cli.core.answer("POST /v1/proposals", proposal_view(state="requested"))
    done = cli("apply", "request", "worker", "0123456", "--reason", "gzip")
    assert (done.code, done.out) == (0, "proposal 3: requested\n")
    assert cli.core.asked("POST /v1/proposals") == [{"agent": "worker", "commit": "0123456", "reason": "gzip"}]


def test_a_request_without_a_reason_is_a_usage_error(cli: Cli) -> None:
    assert cli("apply", "request", "worker", "0123456").code == 2


def test_waiting_for_the_check_tells_its_end_and_what_to_do(cli: Cli) -> None:
    cli.core.answer("POST /v1/proposals", proposal_view(state="requested"))
    goes_through(cli.core, "requested", "requested", "checked")
    done = cli("apply", "request", "worker", "0123456", "--reason", "gzip", "--wait")
    assert done.code == 0
    assert done.err == "proposal 3: checked\n"
    assert "hyperhive apply approve 3" in done.out


def test_waiting_for_a_check_that_fails_gives_its_reason(cli: Cli) -> None:
    cli.core.answer("POST /v1/proposals", proposal_view(state="requested"))
    goes_through(cli.core, "requested", "rejected", error="agent.nix:3: syntax error")
    done = cli("apply", "request", "worker", "0123456", "-r", "gzip", "--wait", "--json")
    assert done.code == 1
    assert done.err.splitlines()[-1] == "error: proposal 3 is rejected: agent.nix:3: syntax error"
    assert json.loads(done.out)["state"] == "rejected"


def test_a_core_that_ends_while_one_waits_is_said(cli: Cli) -> None:
    cli.core.answer("POST /v1/proposals", proposal_view(state="requested"))
    cli.core.answer("GET /v1/proposals/3", proposal_view(state="requested"))
    cli.core.stream_may_end.set()
    done = cli("apply", "request", "worker", "0123456", "-r", "gzip", "--wait")
    assert done.code == 1
    assert "while proposal 3 was requested; it goes on when the core runs: `hyperhive apply show 3`" in done.err


def test_the_list_is_filtered_by_the_core(cli: Cli) -> None:
    cli.core.answer("GET /v1/proposals?agent=worker&state=checked&limit=5", {"proposals": [proposal_view()]})
    done = cli("apply", "list", "--agent", "worker", "--state", "checked", "-n", "5")
    header, row = done.out.splitlines()
    assert header.split() == ["ID", "AGENT", "COMMIT", "STATE", "WHEN", "BY", "REASON"]
    assert row.startswith("3   worker  0123456789ab  checked  ")
    assert row.endswith("it needs gzip for its report")


def test_the_list_as_json_and_empty(cli: Cli) -> None:
    cli.core.answer("GET /v1/proposals?limit=20", {"proposals": []})
    assert cli("apply", "list").out == "no proposals\n"
    assert cli("apply", "list", "--json").out == "[]\n"


def test_a_state_that_does_not_exist_is_a_usage_error(cli: Cli) -> None:
    done = cli("apply", "list", "--state", "pending")
    assert done.code == 2
    assert "requested, checked" in " ".join(done.err.split())


def test_show_prints_the_card_or_json(cli: Cli) -> None:
    cli.core.answer("GET /v1/proposals/3", proposal_view())
    assert "+ may now run: gzip *" in cli("apply", "show", "3").out
    assert json.loads(cli("apply", "show", "3", "--json").out)["fingerprint"] == "f" * 64


def test_approving_sends_the_fingerprint_of_what_was_shown(cli: Cli) -> None:
    cli.core.answer("GET /v1/proposals/3", proposal_view())
    cli.core.answer(APPROVE, proposal_view(state="approved"))
    done = cli("apply", "approve", "3", "--yes")
    assert done.code == 0
    assert done.out.index("+ may now run: gzip *") < done.out.index("--- a/agent.nix") < done.out.index("approved")
    assert cli.core.asked(APPROVE) == [{"fingerprint": "f" * 64}]


def test_without_a_terminal_nothing_is_approved_unless_yes_is_given(core: FakeCore) -> None:
    core.answer("GET /v1/proposals/3", proposal_view())
    core.answer(APPROVE, proposal_view(state="approved"))
    done = run("--socket", str(core.path), "apply", "approve", "3", stdin=b"y\n")
    assert done.code == 1
    assert done.err == "error: there is no terminal to ask at; give --yes to do it without a question\n"
    assert core.asked(APPROVE) == []


@pytest.mark.parametrize(
    ("keys", "approves"), [("y\n", True), ("YES\n", True), ("\n", False), ("n\n", False), ("\x04", False)]
)
def test_the_question_is_answered_with_no_unless_one_says_yes(core: FakeCore, keys: str, approves: bool) -> None:
    goes_through(core, "checked", "building", "applied", generation=2)
    core.answer(APPROVE, proposal_view(state="approved"))
    with terminal("--socket", str(core.path), "apply", "approve", "3") as screen:
        assert "may now run: gzip *" in screen.see("Apply this to worker? [y/N]")
        screen.type(keys)
        assert screen.end() == 0, screen.shown
    assert len(core.asked(APPROVE)) == int(approves)
    assert ("applied, generation 2" in screen.shown) == approves


def test_waiting_for_an_apply_that_fails_is_an_error_with_its_reason(cli: Cli) -> None:
    goes_through(cli.core, "checked", "building", "failed", error="no heartbeat within 30 s; generation 1 runs again")
    cli.core.answer(APPROVE, proposal_view(state="approved"))
    done = cli("apply", "approve", "3", "--yes", "--wait")
    assert done.code == 1
    assert done.err.splitlines() == [
        "proposal 3: building",
        "proposal 3: failed",
        "error: proposal 3 is failed: no heartbeat within 30 s; generation 1 runs again",
    ]


def test_what_changed_meanwhile_has_to_be_looked_at_again(cli: Cli) -> None:
    cli.core.answer("GET /v1/proposals/3", proposal_view())
    told = "worker changed since proposal 3 was checked; it is being checked again: look again"
    cli.core.fail(APPROVE, 409, "conflict", told)
    done = cli("apply", "approve", "3", "--yes")
    assert (done.code, done.err) == (1, f"error: {told} (`hyperhive apply show 3`)\n")


@pytest.mark.parametrize(
    ("state", "said"),
    [
        ("requested", "proposal 3 is still being checked; look again in a moment"),
        ("applied", "proposal 3 is applied; only a checked one can be approved"),
        ("rejected", "proposal 3 is rejected (too much); only a checked one can be approved"),
    ],
)
def test_only_a_checked_proposal_is_approved(cli: Cli, state: str, said: str) -> None:
    error = "too much" if state == "rejected" else None
    cli.core.answer("GET /v1/proposals/3", proposal_view(state=state, error=error))
    done = cli("apply", "approve", "3", "--yes")
    assert (done.code, done.out, done.err) == (1, "", f"error: {said}\n")
    assert cli.core.asked(APPROVE) == []


def test_a_denial_needs_a_reason(core: FakeCore, cli: Cli) -> None:
    core.answer("POST /v1/proposals/3/deny", proposal_view(state="denied"))
    assert cli("apply", "deny", "3", "--reason", "not today").out == "proposal 3: denied\n"
    assert cli("apply", "deny", "3", "--reason", " ").code == 1
    assert run("--socket", str(core.path), "apply", "deny", "3").err.endswith("give --reason\n")
    assert core.asked("POST /v1/proposals/3/deny") == [{"reason": "not today"}]


def test_a_request_can_be_withdrawn(cli: Cli) -> None:
    cli.core.answer("POST /v1/proposals/3/withdraw", proposal_view(state="withdrawn"))
    assert cli("apply", "withdraw", "3").out == "proposal 3: withdrawn\n"


def test_rollback_goes_to_the_named_generation_or_the_one_before(cli: Cli) -> None:
    cli.core.answer("POST /v1/agents/worker/rollback", agent_view())
    assert cli("apply", "rollback", "worker", "1").out == "worker: running, generation 1\n"
    assert cli("apply", "rollback", "worker").code == 0
    assert cli.core.asked("POST /v1/agents/worker/rollback") == [{"generation": 1}, {}]
    assert cli("apply", "rollback", "worker", "0").code == 2
