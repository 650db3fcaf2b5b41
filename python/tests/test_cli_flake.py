from __future__ import annotations

import json
import subprocess
import tomllib
from pathlib import Path

import pytest

from hyperhive.cli.flake import overrides
from hyperhive.cli.main import main
from hyperhive.errors import BadInput


@pytest.fixture
def source(tmp_path: Path) -> Path:
    directory = tmp_path / "source"
    directory.mkdir()
    (directory / "agent.nix").write_text('{ hyperhive.agent.bash.allow = [ "gzip *" ]; }\n')
    return directory


def test_generate_writes_an_applied_flake_with_its_tag(source: Path, tmp_path: Path) -> None:
    into = tmp_path / "applied"
    assert (
        main(["flake", "generate", "worker", "--from", str(source), "--into", str(into), "--set", "model=sonnet"]) == 0
    )
    assert tomllib.loads((into / "hive.toml").read_text()) == {
        "name": "worker",
        "role": "agent",
        "overrides": {"model": "sonnet"},
    }
    assert (into / "agent/agent.nix").read_text() == (source / "agent.nix").read_text()
    tags = subprocess.run(["git", "-C", into, "tag"], capture_output=True, check=True).stdout
    assert tags == b"generation/1\n"


def test_generate_leaves_what_is_there_alone(source: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flake", "generate", "worker", "--into", str(source)]) == 1
    assert capsys.readouterr().err == f"error: {source} is not empty; name a new directory\n"
    assert [path.name for path in source.iterdir()] == ["agent.nix"]


def test_generate_refuses_a_name_that_is_none(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flake", "generate", "Worker", "--into", str(tmp_path / "x")]) == 1
    assert "is not an agent name" in capsys.readouterr().err
    assert not (tmp_path / "x").exists()


def test_check_prints_the_settings_or_the_errors_as_json(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flake", "check", str(source), "--json"]) == 0
    found = json.loads(capsys.readouterr().out)
    assert found.keys() == {"ok", "settings", "errors", "warnings"}
    assert (found["ok"], found["settings"]["bash"]["allow"], found["errors"]) == (True, ["gzip *"], [])
    (source / "agent.nix").write_text("{ hyperhive.agent.nonsense = 1; }\n")
    assert main(["flake", "check", str(source), "--json"]) == 1
    found = json.loads(capsys.readouterr().out)
    assert (found["ok"], found["settings"]) == (False, None)
    assert "nonsense" in found["errors"][0]


def test_check_says_ok_or_each_error_on_a_line(source: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flake", "check", str(source)]) == 0
    assert capsys.readouterr().out == f"{source}: ok, model haiku\n"
    (source / "agent.nix").write_text("{ hyperhive.agent.model = ")
    assert main(["flake", "check", str(source)]) == 1
    printed = capsys.readouterr()
    assert printed.out == ""
    assert printed.err.startswith("error: ")
    assert printed.err.count("\n") == 1


def test_check_of_something_else_says_what_is_missing(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["flake", "check", str(tmp_path)]) == 1
    assert "holds neither agent.nix nor an applied flake" in capsys.readouterr().err
    assert main(["flake", "check", str(tmp_path / "none")]) == 1
    assert "is not a directory" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("assignments", "value"),
    [
        (["model=sonnet"], {"model": "sonnet"}),
        (["session.maxTurns=5", "session.turnTimeout=60"], {"session": {"maxTurns": 5, "turnTimeout": 60}}),
        (["notes.enable=false"], {"notes": {"enable": False}}),
        (['bash.allow=["ls *", "cat *"]'], {"bash": {"allow": ["ls *", "cat *"]}}),
        (['prompt=say "hi"\n= twice'], {"prompt": 'say "hi"\n= twice'}),
        (["prompt="], {"prompt": ""}),
    ],
)
def test_overrides_are_toml_values_or_else_strings(assignments: list[str], value: dict[str, object]) -> None:
    assert overrides(assignments) == value


@pytest.mark.parametrize("assignments", [["model"], ["a b=1"], ["model=a", "model=b"], ["=x"]])
def test_overrides_that_cannot_be_meant_are_refused(assignments: list[str]) -> None:
    with pytest.raises(BadInput, match="--set"):
        overrides(assignments)
