from __future__ import annotations

import json
import socket
from collections.abc import Iterator
from pathlib import Path

import pytest
from operator_rig import FakeCore, fake_core

from hyperhive import core as core_module
from hyperhive.cli.hive_c0re import main
from hyperhive.config import BackendKind, CoreConfig
from hyperhive.errors import Conflict


@pytest.fixture
def ran(monkeypatch: pytest.MonkeyPatch) -> list[CoreConfig]:
    """The configurations that the core was run with; it ends at once with exit code 0."""
    configs: list[CoreConfig] = []

    async def record(config: CoreConfig) -> int:
        configs.append(config)
        return 0

    monkeypatch.setattr(core_module, "main", record)
    return configs


def test_the_options_are_a_configuration(ran: list[CoreConfig], tmp_path: Path) -> None:
    options = ["--state", str(tmp_path), "--runtime", str(tmp_path / "r"), "--backend", "nixos"]
    assert main([*options, "--model-api", "http://x", "--model-key-file", "/k"]) == 0
    (config,) = ran
    assert config == CoreConfig(
        state_dir=tmp_path,
        runtime_dir=tmp_path / "r",
        backend=BackendKind.NIXOS,
        model_url="http://x",
        key_file=Path("/k"),
    )


def test_the_state_directory_is_enough(ran: list[CoreConfig], tmp_path: Path) -> None:
    assert main(["--state", str(tmp_path)]) == 0
    (config,) = ran
    assert (config.runtime_dir, config.backend) == (tmp_path / "run", BackendKind.LOCAL)
    assert config.model_url == "https://api.anthropic.com"


def test_a_configuration_file_is_read(ran: list[CoreConfig], tmp_path: Path) -> None:
    file = tmp_path / "core.json"
    value = {"backend": "local", "stateDir": "/s", "runtimeDir": "/r", "modelApi": {"url": "http://x"}}
    file.write_text(json.dumps(value))
    assert main(["--config", str(file)]) == 0
    assert ran[0].state_dir == Path("/s")


@pytest.mark.parametrize(
    ("policy", "expected"),
    [({}, False), ({"policy": {"autoApprove": "never"}}, False), ({"policy": {"autoApprove": "narrowing"}}, True)],
)
def test_nothing_is_approved_by_itself_unless_the_configuration_says_so(
    ran: list[CoreConfig], tmp_path: Path, policy: dict[str, object], expected: bool
) -> None:
    file = tmp_path / "core.json"
    value = {"backend": "local", "stateDir": "/s", "runtimeDir": "/r", "modelApi": {"url": "http://x"}}
    file.write_text(json.dumps({**value, **policy}))
    assert main(["--config", str(file)]) == 0
    assert main(["--state", str(tmp_path)]) == 0
    assert [config.auto_approve for config in ran] == [expected, False]


def test_a_policy_that_is_not_known_is_refused(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    file = tmp_path / "core.json"
    value = {"backend": "local", "stateDir": "/s", "runtimeDir": "/r", "modelApi": {"url": "http://x"}}
    file.write_text(json.dumps({**value, "policy": {"autoApprove": "always"}}))
    assert main(["--config", str(file)]) == 1
    assert "'always' is not a valid AutoApprove" in capsys.readouterr().err


@pytest.mark.parametrize(
    ("arguments", "said"),
    [
        ([], "there is nothing to run; give --config FILE or --state DIR"),
        (["--config", "/x", "--state", "/y"], "not both"),
        (["--config", "/no/such.json"], "/no/such.json: No such file or directory"),
    ],
)
def test_what_cannot_be_run_is_one_line(
    arguments: list[str], said: str, ran: list[CoreConfig], capsys: pytest.CaptureFixture[str]
) -> None:
    assert main(arguments) == 1
    err = capsys.readouterr().err
    assert err.startswith("error: ")
    assert said in err
    assert err.count("\n") == 1
    assert ran == []


def test_a_wrong_option_is_a_usage_error(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--backend", "docker"]) == 2
    assert "usage: hive-c0re" in capsys.readouterr().err


def test_the_help_is_short_and_hides_the_debug_group(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--help"]) == 0
    out = capsys.readouterr().out
    assert "debug " not in out.replace("{debug", "")
    assert len(out.splitlines()) < 30


def test_an_error_inside_a_task_group_is_still_one_line(
    monkeypatch: pytest.MonkeyPatch, capsys: pytest.CaptureFixture[str], tmp_path: Path
) -> None:
    async def fail(config: CoreConfig) -> int:
        raise ExceptionGroup("unhandled errors in a TaskGroup", [Conflict("another core (pid 7) runs on /s")])

    monkeypatch.setattr(core_module, "main", fail)
    assert main(["--state", str(tmp_path)]) == 1
    assert capsys.readouterr().err == "error: another core (pid 7) runs on /s\n"


@pytest.fixture
def harness(tmp_path: Path) -> Iterator[FakeCore]:
    """The socket of the agent `worker`, as its harness sees it."""
    directory = tmp_path / "agents/worker"
    directory.mkdir(parents=True)
    with fake_core(directory) as running:
        running.path.rename(directory / "harness.sock")
        yield running


@pytest.mark.parametrize(
    ("arguments", "request_", "body"),
    [
        (["send", "worker", "manager", "hi"], "POST /v1/send", {"to": "manager", "body": "hi"}),
        (["recv", "worker", "--max", "2"], "POST /v1/recv", {"max": 2, "wait": 0.0, "lease": 10.0}),
        (["ack", "worker", "3", "4"], "POST /v1/ack", {"ids": [3, 4]}),
    ],
)
def test_the_debug_group_makes_the_harness_calls_by_hand(
    harness: FakeCore,
    tmp_path: Path,
    capsys: pytest.CaptureFixture[str],
    arguments: list[str],
    request_: str,
    body: object,
) -> None:
    harness.answer(request_, {"done": True})
    assert main(["debug", "--runtime", str(tmp_path), *arguments]) == 0
    assert json.loads(capsys.readouterr().out) == {"done": True}
    assert harness.requests == [(request_, body)]


def test_debug_on_an_agent_without_a_core_says_so(tmp_path: Path, capsys: pytest.CaptureFixture[str]) -> None:
    with socket.socket(socket.AF_UNIX) as listener:
        (tmp_path / "agents/worker").mkdir(parents=True)
        listener.bind(str(tmp_path / "agents/worker/harness.sock"))
    assert main(["debug", "--runtime", str(tmp_path), "recv", "worker"]) == 1
    assert capsys.readouterr().err.startswith("error: no core is running behind ")
