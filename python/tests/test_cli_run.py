from __future__ import annotations

from pathlib import Path

import pytest

from hyperhive import run
from hyperhive.cli.main import main
from hyperhive.errors import Unavailable


@pytest.fixture
def asked(monkeypatch: pytest.MonkeyPatch) -> list[run.RunOptions]:
    """What `hyperhive run` hands on; nothing is started, and its exit code is 3."""
    options: list[run.RunOptions] = []

    def record(given: run.RunOptions) -> int:
        options.append(given)
        return 3

    monkeypatch.setattr(run, "main", record)
    return options


def test_options_are_handed_on_and_the_exit_code_comes_back(asked: list[run.RunOptions]) -> None:
    assert main(["run", "--state", "/s", "--yes", "--once", "--model-api", "http://x"]) == 3
    assert asked == [run.RunOptions(state=Path("/s"), yes=True, once=True, model_api="http://x")]


def test_the_state_is_kept_here_unless_told_otherwise(asked: list[run.RunOptions]) -> None:
    main(["run"])
    assert asked == [run.RunOptions(state=Path(".hive"))]


def test_what_keeps_it_from_running_is_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str]
) -> None:
    def fail(given: run.RunOptions) -> int:
        raise Unavailable("bwrap is not on PATH; install bubblewrap")

    monkeypatch.setattr(run, "main", fail)
    assert main(["run"]) == 1
    assert capsys.readouterr().err == "error: bwrap is not on PATH; install bubblewrap\n"
