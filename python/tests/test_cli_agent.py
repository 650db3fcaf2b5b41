from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from cli_rig import Cli, run, terminal
from operator_rig import FakeCore, agent_details, agent_view, fake_core


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def test_the_list_shows_each_agent_at_a_glance(cli: Cli) -> None:
    turn = {"id": 1, "started_at": 1.0, "ended_at": None, "outcome": None, "model": "haiku", "cost_usd": None}
    agents = [agent_view("manager", role="manager", activity="turn", last_turn=turn), agent_view(unread=3)]
    cli.core.answer("GET /v1/agents", {"agents": agents})
    header, manager, worker = cli("agent", "list").out.splitlines()
    assert header.split() == ["NAME", "ROLE", "STATE", "GENERATION", "MODEL", "UNREAD", "LAST", "TURN"]
    assert "running (in a turn)" in manager
    waits = agent_view(activity="waiting", trouble="model_overloaded: 529")
    cli.core.answer("GET /v1/agents", {"agents": [waits]})
    assert "running (waiting: model_overloaded)" in cli("agent", "list").out
    cli.core.answer("GET /v1/agents", {"agents": agents})
    assert "began " in manager
    assert worker.split() == ["worker", "agent", "running", "1", "haiku", "3", "-"]


def test_the_list_as_json_is_what_the_core_says_with_iso_times(cli: Cli) -> None:
    turn = {"id": 1, "started_at": 1.0, "ended_at": 2.0, "outcome": "completed", "model": "haiku", "cost_usd": 0.1}
    cli.core.answer("GET /v1/agents", {"agents": [agent_view(last_turn=turn)]})
    (agent,) = json.loads(cli("agent", "list", "--json").out)
    assert agent["last_turn"]["ended_at"] == "1970-01-01T00:00:02.000Z"
    assert agent["name"] == "worker"


def test_an_empty_hive_says_how_to_create_an_agent(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents", {"agents": []})
    assert "hyperhive agent create NAME" in cli("agent", "list").out
    assert cli("agent", "list", "--json").out == "[]\n"


def test_show_lists_rights_generations_and_tokens(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents/worker", agent_details(overrides={"model": "sonnet"}))
    shown = cli("agent", "show", "worker").out
    for part in ("bash:       ls *", "overrides:  model = sonnet", "1 *", "cccccccccccc", "2026-11-23"):
        assert part in shown, shown
    told = json.loads(cli("agent", "show", "worker", "--json").out)
    assert (told["settings"]["bash"]["allow"], told["sources"]["bash.allow"]) == (["ls *"], "agent.nix")


def test_show_says_where_a_setting_comes_from_if_that_is_known(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents/worker", agent_details())
    shown = cli("agent", "show", "worker").out.splitlines()
    for part in ("model:      haiku (default)", "bash:       ls * (agent.nix)", "tools:      Read", "network:    none"):
        assert part in shown, shown


def test_show_of_an_agent_without_a_generation_works(cli: Cli) -> None:
    nothing = agent_details(settings=None, sources={}, generations=[], usage=[], generation=0, model=None)
    cli.core.answer("GET /v1/agents/worker", nothing)
    shown = cli("agent", "show", "worker")
    assert shown.code == 0
    assert "no generation yet" in shown.out


def test_create_sends_the_absolute_source(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    (tmp_path / "source").mkdir()
    monkeypatch.chdir(tmp_path)
    cli.core.answer("POST /v1/agents", agent_view())
    done = cli("agent", "create", "worker", "--role", "agent", "--from", "source")
    assert done.out == "worker: running, generation 1, model haiku\n"
    assert cli.core.asked("POST /v1/agents") == [
        {"name": "worker", "role": "agent", "source": str(tmp_path / "source")}
    ]


def test_create_from_a_missing_directory_asks_nothing_of_the_core(cli: Cli, tmp_path: Path) -> None:
    done = cli("agent", "create", "worker", "--from", str(tmp_path / "none"))
    assert (done.code, done.err) == (1, f"error: {tmp_path}/none is not a directory\n")
    assert cli.core.requests == []


@pytest.mark.parametrize("action", ["start", "stop", "restart"])
def test_several_agents_are_started_and_stopped_in_order(cli: Cli, action: str) -> None:
    for name in ("a", "b"):
        cli.core.answer(f"POST /v1/agents/{name}/{action}", agent_view(name))
    assert [text.split(":")[0] for text in cli("agent", action, "a", "b").out.splitlines()] == ["a", "b"]


def test_destroy_keeps_the_files_and_does_not_ask(cli: Cli) -> None:
    cli.core.answer("DELETE /v1/agents/worker?purge=0", {"dead_letters": 0})
    assert cli("agent", "destroy", "worker").out == "worker: destroyed; its files stay\n"


def test_purge_without_a_terminal_needs_yes(core: FakeCore) -> None:
    core.answer("GET /v1/agents/worker", agent_details())
    done = run("--socket", str(core.path), "agent", "destroy", "worker", "--purge", stdin=b"worker\n")
    assert (done.code, done.out) == (1, "")
    assert done.err == "error: there is no terminal to ask at; give --yes to purge\n"
    assert core.asked("DELETE /v1/agents/worker?purge=1") == []


def test_purge_says_what_became_of_the_mail_that_waited(cli: Cli) -> None:
    cli.core.answer("DELETE /v1/agents/worker?purge=1", {"dead_letters": 2})
    out = cli("agent", "destroy", "worker", "--purge", "--yes").out
    assert (
        out.splitlines()[1]
        == "worker: mail that waited is among the dead letters now (2); see `hyperhive debug dead-letters`"
    )


def test_purge_with_yes_does_not_ask(cli: Cli) -> None:
    cli.core.answer("DELETE /v1/agents/worker?purge=1", {"dead_letters": 0})
    assert cli("agent", "destroy", "worker", "--purge", "--yes").out == "worker: destroyed with its files\n"


@pytest.mark.parametrize(("typed", "code"), [("worker\n", 0), ("worke\n", 1), ("y\n", 1), ("\x04", 1)])
def test_purge_on_a_terminal_wants_the_name_typed(core: FakeCore, typed: str, code: int) -> None:
    core.answer("GET /v1/agents/worker", agent_details())
    core.answer("DELETE /v1/agents/worker?purge=1", {"dead_letters": 0})
    with terminal("--socket", str(core.path), "agent", "destroy", "worker", "--purge") as screen:
        screen.see("Type its name")
        screen.type(typed)
        assert screen.end() == code, screen.shown
    assert len(core.asked("DELETE /v1/agents/worker?purge=1")) == (1 if code == 0 else 0)


def test_logs_cannot_drive_the_terminal(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents/worker/logs?lines=2", {"log": "one\n\x1b[2Jtwo\n"})
    assert cli("agent", "logs", "worker", "-n", "2").out == "one\n\\x1b[2Jtwo\n"


def test_an_empty_log_prints_nothing(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents/worker/logs?lines=100", {"log": ""})
    assert cli("agent", "logs", "worker").out == ""


def test_shell_becomes_the_cores_command(core: FakeCore) -> None:
    core.answer("GET /v1/agents/worker/shell", {"argv": ["sh", "-c", "echo in the cage; exit 7"]})
    done = run("--socket", str(core.path), "agent", "shell", "worker")
    assert (done.code, done.out) == (7, "in the cage\n")


def test_a_shell_that_cannot_be_run_says_so(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents/worker/shell", {"argv": ["/no/such/bwrap"]})
    assert cli("agent", "shell", "worker").err == "error: /no/such/bwrap cannot be run: No such file or directory\n"


def test_model_shows_overrides_and_resets(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents/worker", agent_details(overrides={"model": "haiku"}))
    cli.core.answer("PUT /v1/agents/worker/model", agent_view(model="sonnet"))
    assert cli("agent", "model", "worker").out == "haiku (override)\n"
    assert cli("agent", "model", "worker", "sonnet").code == 0
    assert cli("agent", "model", "worker", "--reset").code == 0
    assert cli.core.asked("PUT /v1/agents/worker/model") == [{"model": "sonnet"}, {"model": None}]
    assert cli("agent", "model", "worker", "sonnet", "--reset").code == 1


def a_turn() -> dict[str, Any]:
    return {
        "id": 7, "agent": "worker", "generation": 3, "model": "haiku", "session_id": "0123456789abcdef",
        "outcome": None, "message_ids": [4, 5], "started_at": 1.0, "ended_at": None, "detail": None,
        "usage": None, "cost_usd": None, "purpose": "mail",
        "commit": "c" * 40, "proposal": 9, "notes": "ab" * 32, "cpu_seconds": 1.25,
        "memory_peak": 300 * 2**20,
    }  # fmt: skip


def test_show_says_what_the_last_turn_was_made_of(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents/worker", agent_details(last_turn=a_turn()))
    expected = "turn 7: generation 3, commit cccccccccccc, proposal 9, session 01234567, notes abababab, messages 4, 5"
    assert expected in cli("agent", "show", "worker").out


def test_turns_say_what_each_was_made_of_and_what_it_used(cli: Cli) -> None:
    whole = a_turn()
    bare = {**whole, "id": 6, "message_ids": [], "purpose": "compaction", "outcome": "completed", "proposal": None}
    bare |= {"notes": None, "cpu_seconds": None, "memory_peak": None, "commit": None}
    cli.core.answer("GET /v1/agents/worker/turns?limit=2", {"turns": [whole, bare]})
    _, first, second = cli("agent", "turns", "worker", "-n", "2").out.splitlines()
    for part in (
        "7",
        "runs",
        "4, 5",
        "3 (proposal 9)",
        "cccccccccccc",
        "haiku",
        "01234567",
        "abababab",
        "1.2 s",
        "300 MiB",
    ):
        assert part in first, first
    assert "compaction" in second and second.split()[-3:] == ["-", "-", "-"]
    assert json.loads(cli("agent", "turns", "worker", "-n", "2", "--json").out)[0]["notes"] == "ab" * 32


def test_an_agent_that_waits_says_why(cli: Cli) -> None:
    trouble = "usage_limit: it resets at 2026-11-24T16:00:00Z"
    cli.core.answer("GET /v1/agents/worker", agent_details(activity="waiting", trouble=trouble))
    shown = cli("agent", "show", "worker").out
    assert "running (waiting: usage_limit)" in shown and trouble in shown


def test_a_budget_is_shown_overridden_and_reset(cli: Cli) -> None:
    bounded = {**agent_details()["settings"], "budget": {"tokensPerDay": 1_000_000, "costPerDay": 2.5}}
    cli.core.answer("GET /v1/agents/worker", agent_details(settings=bounded, overrides={"budget": {}}))
    cli.core.answer("PUT /v1/agents/worker/budget", agent_view())
    shown = "worker: 1,000,000 tokens and $2.50 a day (override)\n"
    assert cli("agent", "budget", "worker").out == shown
    assert cli("agent", "budget", "worker", "--tokens", "1000000").out == shown
    assert cli("agent", "budget", "worker", "--reset").out == shown
    assert cli.core.asked("PUT /v1/agents/worker/budget") == [
        {"tokens_per_day": 1_000_000, "cost_per_day": None},
        {"tokens_per_day": None, "cost_per_day": None},
    ]
    assert (
        cli("agent", "budget", "worker", "--cost", "2", "--reset").err == "error: give a bound or --reset, not both\n"
    )


def test_an_agent_over_its_budget_is_shown_as_such(cli: Cli) -> None:
    over = {"until": 1_800_000_000.0, "reason": "it used $3.00 of $2.50 today"}
    cli.core.answer("GET /v1/agents", {"agents": [agent_view(over_budget=over)]})
    cli.core.answer("GET /v1/agents/worker", agent_details(over_budget=over))
    assert "running (over budget until 2027-01-15T08:00Z)" in cli("agent", "list").out
    assert "budget:     no bound of its own; it used $3.00 of $2.50 today" in cli("agent", "show", "worker").out
    assert json.loads(cli("agent", "list", "--json").out)[0]["over_budget"]["until"] == "2027-01-15T08:00:00.000Z"
