from __future__ import annotations

import json
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Cli
from operator_rig import FakeCore, agent_details, agent_view, fake_core
from settings_samples import sample_json

DOUBTFUL = {"allow": ["python3 *"], "deny": []}


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        running.answer("GET /v1/agents", {"agents": [agent_view("manager"), agent_view("worker")]})
        running.answer("GET /v1/agents/manager", agent_details("manager", settings=sample_json(name="manager")))
        running.answer("GET /v1/agents/worker", agent_details(settings=sample_json(bash=DOUBTFUL)))
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def test_all_agents_are_linted_and_findings_exit_with_1(cli: Cli) -> None:
    done = cli("policy", "lint")
    assert done.code == 1
    manager, worker = done.out.splitlines()
    assert manager == "manager: nothing found"
    assert worker.startswith("worker: ")
    assert "python3 *" in worker


def test_an_agent_without_findings_exits_with_0(cli: Cli) -> None:
    assert cli("policy", "lint", "manager").code == 0
    assert json.loads(cli("policy", "lint", "manager", "--json").out) == {"manager": []}


def test_an_agent_without_a_generation_has_nothing_to_judge(cli: Cli) -> None:
    cli.core.answer("GET /v1/agents/worker", agent_details(settings=None))
    assert cli("policy", "lint", "worker").err == "error: worker has no generation yet, so no settings\n"


def test_a_settings_file_is_judged_without_a_core(cli: Cli, tmp_path: Path) -> None:
    file = tmp_path / "settings.json"
    file.write_text(json.dumps(sample_json(bash=DOUBTFUL)))
    (found,) = json.loads(cli("policy", "lint", "--settings", str(file), "--json").out).values()
    assert len(found) == 1
    assert cli.core.requests == []


@pytest.mark.parametrize(
    ("content", "said"),
    [
        (None, "No such file"),
        ("{", "is not JSON"),
        ("[]", "is not a JSON object"),
        (json.dumps(sample_json(model=3)), "settings.model"),
    ],
)
def test_a_file_that_is_no_settings_object_says_why(cli: Cli, tmp_path: Path, content: str | None, said: str) -> None:
    file = tmp_path / "settings.json"
    if content is not None:
        file.write_text(content)
    done = cli("policy", "lint", "--settings", str(file))
    assert done.code == 1
    assert said in done.err


def test_agents_and_a_file_together_are_refused(cli: Cli) -> None:
    assert cli("policy", "lint", "worker", "--settings", "x").code == 1


VERDICTS = [
    {"command": "git status", "allowed": True, "rule": "git *", "why": 'bash.allow "git *"'},
    {"command": "rm -rf \x1b[2Jx", "allowed": False, "rule": None, "why": "no rule of bash.allow matches it"},
]


def test_a_command_is_explained_by_each_simple_command_in_it(cli: Cli) -> None:
    decision = {"allowed": False, "reason": "`rm -rf x`: no rule of bash.allow matches it", "verdicts": VERDICTS}
    cli.core.answer("POST /v1/agents/worker/explain", decision)
    done = cli("policy", "explain", "worker", "git status && rm -rf x")
    assert done.code == 1
    first, second, last = done.out.splitlines()
    assert first == 'allowed  git status  (bash.allow "git *")'
    assert second.startswith("denied   rm -rf") and "\x1b" not in second
    assert last == "denied: `rm -rf x`: no rule of bash.allow matches it"
    assert cli.core.asked("POST /v1/agents/worker/explain") == [{"command": "git status && rm -rf x"}]


def test_an_allowed_command_exits_with_0_and_json_is_the_whole_decision(cli: Cli) -> None:
    decision = {"allowed": True, "reason": "every command in it is allowed", "verdicts": VERDICTS[:1]}
    cli.core.answer("POST /v1/agents/worker/explain", decision)
    assert cli("policy", "explain", "worker", "git status", "--cwd", "/tmp").code == 0
    assert json.loads(cli("policy", "explain", "worker", "git status", "--json").out) == decision
    assert cli.core.asked("POST /v1/agents/worker/explain")[0] == {"command": "git status", "cwd": "/tmp"}
