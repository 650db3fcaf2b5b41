"""`hyperhive flake check` and `hyperhive flake generate`."""

from __future__ import annotations

from pathlib import Path

import pytest
from flakes_rig import HIVE, PLAIN, candidate, needs_nix, stand_in_evaluator, wait

from hyperhive.errors import BadInput, Conflict
from hyperhive.flakes.applied import HiveFile, render
from hyperhive.flakes.check import Check, check_directory, generate
from hyperhive.flakes.evaluate import Evaluator
from hyperhive.process import run

pytestmark = needs_nix


@pytest.fixture
def evaluator(monkeypatch: pytest.MonkeyPatch) -> Evaluator:
    return stand_in_evaluator(monkeypatch)


def bare(directory: Path, agent_nix: str) -> Path:
    """A config directory with that agent.nix."""
    directory.mkdir()
    (directory / "agent.nix").write_text(agent_nix)
    return directory


def test_a_config_directory_is_checked_as_the_agent_of_its_name(evaluator: Evaluator, tmp_path: Path) -> None:
    found = wait(check_directory(bare(tmp_path / "scribe", PLAIN), evaluator))
    assert found.ok and found.settings and (found.settings["name"], found.settings["role"]) == ("scribe", "agent")
    assert (found.errors, found.warnings) == ((), ())


def test_a_config_directory_whose_name_is_no_agent_s_is_checked_too(evaluator: Evaluator, tmp_path: Path) -> None:
    found = wait(check_directory(bare(tmp_path / "My Config", PLAIN), evaluator))
    assert found.settings and found.settings["name"] == "agent"


def test_an_applied_flake_is_checked_as_it_stands(evaluator: Evaluator, tmp_path: Path) -> None:
    hive = HiveFile("boss", "manager", {}, {"model": "opus"})
    found = wait(check_directory(candidate(tmp_path, PLAIN, hive), evaluator))
    assert found.settings and (found.settings["role"], found.settings["model"]) == ("manager", "opus")


def test_doubtful_bash_patterns_are_warnings(evaluator: Evaluator, tmp_path: Path) -> None:
    directory = bare(tmp_path / "worker", '{ hyperhive.agent.bash.allow = [ "bash *" ]; }')
    found = wait(check_directory(directory, evaluator))
    assert found.ok and len(found.warnings) == 1 and '"bash *"' in found.warnings[0]


def test_a_wrong_agent_nix_is_an_error_and_no_exception(evaluator: Evaluator, tmp_path: Path) -> None:
    found = wait(check_directory(bare(tmp_path / "worker", "3\n}"), evaluator))
    assert found.to_json() == {
        "ok": False,
        "settings": None,
        "errors": ["agent.nix:2:1: syntax error, unexpected '}', expecting end of file"],
        "warnings": [],
    }


def test_settings_that_the_schema_refuses_are_an_error(evaluator: Evaluator, tmp_path: Path) -> None:
    prompt = "x" * 65537
    found = wait(check_directory(bare(tmp_path / "worker", f'{{ hyperhive.agent.prompt = "{prompt}"; }}'), evaluator))
    assert not found.ok and len(found.errors) == 1 and "settings.prompt" in found.errors[0]


def test_the_directory_s_git_repository_is_not_evaluated(evaluator: Evaluator, tmp_path: Path) -> None:
    directory = bare(tmp_path / "worker", "{ hyperhive.agent.prompt = toString (builtins.pathExists ./.git); }")
    (directory / ".git").mkdir()
    found = wait(check_directory(directory, evaluator))
    assert found.settings and found.settings["prompt"] == ""


def test_a_directory_that_is_neither_is_bad_input(evaluator: Evaluator, tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"holds neither agent.nix nor an applied flake"):
        wait(check_directory(tmp_path, evaluator))


def test_what_is_generated_passes_the_check_and_is_generation_1(evaluator: Evaluator, tmp_path: Path) -> None:
    directory = tmp_path / "out"
    commit = wait(generate(directory, HIVE, bare(tmp_path / "source", PLAIN)))
    git = ["git", "-C", str(directory)]
    assert wait(run([*git, "rev-parse", "generation/1"], timeout=10)).text == commit
    assert wait(run([*git, "status", "--porcelain"], timeout=10)).text == ""
    assert wait(run([*git, "ls-tree", "-r", "--name-only", "HEAD"], timeout=10)).text.split() == [
        "agent/agent.nix",
        "flake.nix",
        "hive.toml",
    ]
    assert {name: (directory / name).read_bytes() for name in render(HIVE)} == render(HIVE)
    assert wait(check_directory(directory, evaluator)) == Check(
        ok=True, settings=wait(evaluator.evaluate(directory)).settings, errors=(), warnings=()
    )


def test_an_applied_flake_is_generated_without_a_source_too(evaluator: Evaluator, tmp_path: Path) -> None:
    wait(generate(tmp_path / "out", HiveFile("boss", "manager"), None))
    found = wait(check_directory(tmp_path / "out", evaluator))
    assert found.settings and found.settings["role"] == "manager"


def test_nothing_is_generated_over_other_files(tmp_path: Path) -> None:
    (tmp_path / "mine").touch()
    with pytest.raises(Conflict, match="is not empty; name a new directory"):
        wait(generate(tmp_path, HIVE, None))
    assert [path.name for path in tmp_path.iterdir()] == ["mine"]


def test_a_source_without_agent_nix_leaves_nothing_behind(tmp_path: Path) -> None:
    (tmp_path / "source").mkdir()
    with pytest.raises(BadInput, match=r"has no agent.nix"):
        wait(generate(tmp_path / "out", HIVE, tmp_path / "source"))
    assert [path.name for path in tmp_path.iterdir()] == ["source"]
