from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Cli, Outcome, run, terminal
from operator_rig import COMMAND, DEADLINE, FakeCore, environment, fake_core, until

from hyperhive.cli import app, guard, help_text
from hyperhive.cli.main import main
from hyperhive.errors import BadInput


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def test_the_kept_help_is_what_typer_makes_of_the_commands() -> None:
    kept = Path(help_text.__file__).read_text()
    assert kept == app.help_source(), "write it anew: hyperhive debug help-text > python/hyperhive/cli/help_text.py"


def test_help_is_printed_without_typer() -> None:
    program = "import sys; from hyperhive.cli.main import main; main(['--help']); print([*sys.modules])"
    done = subprocess.run(
        [COMMAND[0], "-c", program], capture_output=True, timeout=DEADLINE, check=True, env=environment()
    )
    text, modules = done.stdout.decode().rsplit("[", 1)
    assert text == help_text.TEXT
    assert not {"typer", "typing", "http.client", "re"} & set(modules.replace("'", "").replace("]", "").split(", "))


def test_help_on_a_narrow_terminal_is_laid_out_for_it() -> None:
    shown = run("--help", COLUMNS="60")
    assert shown.code == 0
    assert max(map(len, shown.out.splitlines())) <= 60
    assert "agent" in shown.out


@pytest.mark.parametrize("name", [*app.COMMANDS, *app.HIDDEN])
def test_every_command_has_a_help_of_a_few_lines(name: str, capsys: pytest.CaptureFixture[str]) -> None:
    assert main([name, "--help"]) == 0
    out = capsys.readouterr().out
    assert out.startswith(f"Usage: hyperhive {name} ")
    assert len(out.splitlines()) < 40


def test_the_debug_group_is_hidden() -> None:
    assert "debug" not in help_text.TEXT


def test_the_version_is_shown(capsys: pytest.CaptureFixture[str]) -> None:
    assert main(["--version"]) == 0
    assert capsys.readouterr().out.startswith("hyperhive 0.")


@pytest.mark.parametrize(
    "arguments",
    [
        ["bogus"],
        ["agent", "bogus"],
        ["agent", "show"],
        ["apply", "show", "x"],
        ["status", "--bogus"],
        ["inbox", "-n", "0"],
    ],
)
def test_usage_errors_exit_with_2(arguments: list[str], capsys: pytest.CaptureFixture[str]) -> None:
    assert main(arguments) == 2
    printed = capsys.readouterr()
    assert printed.out == ""
    assert "Error: " in printed.err
    assert "Traceback" not in printed.err


def test_an_error_of_the_core_is_one_line_and_exit_1(cli: Cli) -> None:
    cli.core.fail("GET /v1/status", 503, "unavailable", "the disk is full\x1b[2J\nfree some")
    assert cli("status") == Outcome(1, "", "error: the disk is full\\x1b[2J\\nfree some\n")


def test_without_a_core_every_command_says_what_to_do(tmp_path: Path) -> None:
    missing = str(tmp_path / "no.sock")
    for arguments in (["status"], ["agent", "list"], ["inbox"], ["send", "worker", "hi"], ["apply", "list"]):
        done = run("--socket", missing, *arguments)
        assert (done.code, done.out) == (1, ""), arguments
        assert done.err.startswith(f"error: no core is running behind {missing}; start one with `hyperhive run`")
        assert done.err.count("\n") == 1


def test_what_nobody_foresaw_is_an_internal_error_without_a_traceback(cli: Cli) -> None:
    cli.core.answer("GET /v1/status", {"version": "?"})
    done = cli("status")
    assert done.code == 1
    assert done.err == "error: internal: KeyError: 'backend'; run with HYPERHIVE_DEBUG=1 to see where\n"


def test_the_traceback_is_there_for_who_asks(cli: Cli, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("HYPERHIVE_DEBUG", "1")
    cli.core.answer("GET /v1/status", {"version": "?"})
    assert "Traceback (most recent call last)" in cli("status").err


def test_a_failed_task_group_shows_the_error_that_is_meant_for_people() -> None:
    group = ExceptionGroup("x", [ValueError("y"), ExceptionGroup("z", [BadInput("say this")])])
    assert str(guard.meant_for_people(group)) == "say this"
    assert guard.meant_for_people(ExceptionGroup("x", [ValueError("y")])) is None


def test_ctrl_c_ends_quietly_with_130(core: FakeCore) -> None:
    with terminal("--socket", str(core.path), "debug", "events") as screen:
        until(core.stream_opened.is_set)
        screen.type("\x03")
        assert screen.end() == 130
        assert screen.shown.replace("^C", "").strip() == ""


def test_ctrl_c_at_a_question_ends_quietly_with_130(core: FakeCore) -> None:
    with terminal("--socket", str(core.path), "apply", "deny", "3") as screen:
        screen.see("Why?")
        screen.type("\x03")
        assert screen.end() == 130
    assert core.asked("POST /v1/proposals/3/deny") == []


@pytest.mark.parametrize("lines", [1, 100_000])
def test_a_reader_that_goes_away_is_no_error(core: FakeCore, lines: int) -> None:
    core.answer("GET /v1/agents/worker/logs?lines=100", {"log": "x\n" * lines})
    argv = [*COMMAND, "--socket", str(core.path), "agent", "logs", "worker"]
    with subprocess.Popen(argv, stdout=subprocess.PIPE, stderr=subprocess.PIPE, env=environment()) as process:
        assert process.stdout is not None
        assert process.stderr is not None
        process.stdout.close()
        assert process.stderr.read() == b""


def test_text_that_the_terminals_encoding_lacks_is_no_error(core: FakeCore) -> None:
    core.answer("GET /v1/agents/worker/logs?lines=100", {"log": "日本\n"})
    done = run("--socket", str(core.path), "agent", "logs", "worker", PYTHONIOENCODING="ascii")
    assert (done.code, done.out, done.err) == (0, "\\u65e5\\u672c\n", "")
