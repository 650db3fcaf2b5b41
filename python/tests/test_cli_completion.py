from __future__ import annotations

import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import run
from operator_rig import COMMAND, DEADLINE, FakeCore, agent_view, environment, fake_core, message_view, proposal_view


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        running.answer(
            "GET /v1/agents", {"agents": [agent_view("manager"), agent_view("worker"), agent_view("writer")]}
        )
        running.answer("GET /v1/proposals?limit=100", {"proposals": [proposal_view(31), proposal_view(4)]})
        running.answer("GET /v1/proposals?state=checked&limit=100", {"proposals": [proposal_view(31)]})
        running.answer("GET /v1/sessions", {"sessions": [{"user": "ann"}, {"user": "bob"}, {"user": "ann"}]})
        running.answer("GET /v1/dead-letters", {"messages": [message_view(54), message_view(4)]})
        running.answer("GET /v1/inbox?all=1&limit=100", {"messages": [message_view(7)]})
        yield running


def complete(core: FakeCore, typed: str) -> list[str]:
    """What bash would offer for the last word of `hyperhive …`."""
    line = f"hyperhive {typed}"
    number = str(len(line.split(" ")) - 1)
    done = run(
        _HYPERHIVE_COMPLETE="complete_bash",
        COMP_WORDS=line,
        COMP_CWORD=number,
        HYPERHIVE_SOCKET=str(core.path),
    )
    assert done.err == ""
    return done.out.split()


@pytest.mark.parametrize(
    ("typed", "offered"),
    [
        ("agent show ", ["manager", "worker", "writer"]),
        ("agent show w", ["worker", "writer"]),
        ("agent stop manager wo", ["worker"]),
        ("send ma", ["manager"]),
        ("apply request wo", ["worker"]),
        ("apply list --agent wr", ["writer"]),
        ("apply show ", ["31", "4"]),
        ("apply approve ", ["31"]),
        ("apply list --state wi", ["withdrawn"]),
        ("inbox reply ", ["7"]),
        ("debug dead-letters requeue 5", ["54"]),
        ("debug dead-letters dr", ["drop"]),
        ("policy lint w", ["worker", "writer"]),
        ("dashboard ", ["sessions", "logout"]),
        ("dashboard logout ", ["ann", "bob"]),
        ("dashboard logout --a", ["--all"]),
        ("ag", ["agent"]),
        ("agent st", ["start", "stop"]),
        ("apply show 3 --j", ["--json"]),
    ],
)
def test_words_are_completed_from_the_running_core(core: FakeCore, typed: str, offered: list[str]) -> None:
    assert complete(core, typed) == offered


def test_the_socket_on_the_command_line_is_asked(core: FakeCore, tmp_path: Path) -> None:
    line = f"hyperhive --socket {core.path} agent show wo"
    done = run(_HYPERHIVE_COMPLETE="complete_bash", COMP_WORDS=line, COMP_CWORD="5", HYPERHIVE_SOCKET="/no/such")
    assert done.out.split() == ["worker"]


@pytest.mark.parametrize("broken", ["missing", "garbage", "forbidden"])
def test_completion_without_a_useful_core_is_silent(core: FakeCore, broken: str) -> None:
    if broken == "missing":
        core.path.unlink()
    elif broken == "garbage":
        core.answer("GET /v1/agents", b"<html>")
    else:
        core.fail("GET /v1/agents", 403, "forbidden", "no")
    assert complete(core, "agent show ") == []


@pytest.mark.parametrize("shell", ["bash", "zsh", "fish"])
def test_the_completion_script_is_shown(shell: str) -> None:
    shown = run("--show-completion", SHELL=f"/bin/{shell}", _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert shown.code == 2  # without detection the option wants the shell's name
    shown = run("--show-completion", shell, _TYPER_COMPLETE_TEST_DISABLE_SHELL_DETECTION="1")
    assert shown.code == 0
    assert "_HYPERHIVE_COMPLETE" in shown.out


def test_bash_itself_completes_with_the_installed_script(core: FakeCore, tmp_path: Path) -> None:
    program = tmp_path / "bin/hyperhive"
    program.parent.mkdir()
    program.write_text(f"#!/bin/sh\nexec {COMMAND[0]} -c '{COMMAND[2]}' \"$@\"\n")
    program.chmod(0o755)
    variables = environment(HOME=str(tmp_path), HYPERHIVE_SOCKET=str(core.path))
    variables["PATH"] = f"{program.parent}:{variables['PATH']}"
    script = """
        hyperhive --install-completion >/dev/null || exit 1
        source "$HOME/.bash_completions/hyperhive.sh"
        COMP_WORDS=(hyperhive agent show w) COMP_CWORD=3
        _hyperhive_completion hyperhive
        echo "${COMPREPLY[@]}"
    """
    done = subprocess.run(["bash", "-c", script], capture_output=True, timeout=DEADLINE, check=False, env=variables)
    assert (done.stdout.decode(), done.stderr.decode()) == ("worker writer\n", "")
