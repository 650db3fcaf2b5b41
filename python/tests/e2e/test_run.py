"""`hyperhive run`: the whole loop, with the real Claude Code CLI, from the wish to the report."""

from __future__ import annotations

import os
import pty
import shutil
import signal
import subprocess
import sys
import time
from pathlib import Path

import pytest

LACKING = next((p for p in ("nix", "bwrap", "socat", "git", "claude") if shutil.which(p) is None), None)

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not on PATH"),
]


def run(state: Path, *arguments: str, environment: dict[str, str] | None = None) -> subprocess.CompletedProcess[str]:
    """`hyperhive run --once` without a terminal and without credentials."""
    return subprocess.run(
        command(state, *arguments), capture_output=True, text=True, timeout=120, check=False, stdin=subprocess.DEVNULL,
        env=environment or clean_environment(),
    )  # fmt: skip


def command(state: Path, *arguments: str) -> list[str]:
    main = "import sys; from hyperhive.cli.main import main; sys.exit(main())"
    return [sys.executable, "-c", main, "run", "--state", str(state), "--once", *arguments]


def clean_environment() -> dict[str, str]:
    return {name: value for name, value in os.environ.items() if not name.startswith("ANTHROPIC_")}


def test_the_loop_is_shown_from_wish_to_report_and_a_second_start_goes_on_where_it_was(tmp_path: Path) -> None:
    first = run(tmp_path / "hive", "--yes")
    assert first.returncode == 0, first.stdout + first.stderr
    order = [
        "rehearsal",
        "operator → manager",
        "DENIED",
        "worker → manager",
        "agent.nix",
        "request_apply_commit",
        "may now run: gzip *; model haiku → sonnet",
        "approved by --yes",
        "applied: worker runs generation 2",
        "worker reports to the operator",
    ]
    places = [first.stdout.find(words) for words in order]
    assert -1 not in places, (order, places, first.stdout)
    assert places == sorted(places), list(zip(places, order, strict=True))
    assert "rehearsal" in "".join(first.stdout.splitlines(keepends=True)[:2])
    assert (tmp_path / "hive/agents/worker/state/work/report.txt.gz").is_file()

    second = run(tmp_path / "hive", "--yes")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "the loop was shown by an earlier start: worker runs generation 2" in second.stdout
    assert "DENIED" not in second.stdout


def test_without_a_terminal_the_proposal_waits_and_a_later_start_decides_it(tmp_path: Path) -> None:
    first = run(tmp_path / "hive")
    assert first.returncode == 1
    assert first.stderr.splitlines()[-1].startswith("error: there is no terminal to ask at")
    second = run(tmp_path / "hive", "--yes")
    assert second.returncode == 0, second.stdout + second.stderr
    assert "an earlier start began the loop" in second.stdout
    assert "applied: worker runs generation 2" in second.stdout


def test_a_denial_at_the_prompt_applies_nothing_and_exits_1(tmp_path: Path) -> None:
    status, output = _answer_prompt(command(tmp_path / "hive"), b"n\n")
    assert status == 1, output
    assert "what it means:" in output
    assert "denied" in output or "Apply this to worker?" in output
    assert not (tmp_path / "hive/agents/worker/state/work/report.txt.gz").exists()


def _answer_prompt(argv: list[str], answer: bytes) -> tuple[int, str]:
    """Run on a terminal, answer the question when it comes, and give exit code and output."""
    master, slave = pty.openpty()
    child = subprocess.Popen(argv, stdin=slave, stdout=slave, stderr=slave, env=clean_environment(), close_fds=True)
    os.close(slave)
    output = b""
    deadline = time.monotonic() + 60
    try:
        while time.monotonic() < deadline:
            try:
                data = os.read(master, 65536)
            except OSError:
                break
            output += data
            if b"[y/N]" in data:
                os.write(master, answer)
        return child.wait(timeout=30), output.decode(errors="replace")
    finally:
        child.kill()
        child.wait()
        os.close(master)


@pytest.mark.parametrize(("missing", "advice"), [("bwrap", "install"), ("claude", "install"), ("nix", "install")])
def test_a_missing_program_is_one_clear_line(tmp_path: Path, missing: str, advice: str) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("nix", "bwrap", "socat", "git", "claude", "setpriv", "prlimit", "sh", "env", "nix-instantiate"):
        if name != missing and (found := shutil.which(name)):
            (programs / name).symlink_to(found)
    done = run(tmp_path / "hive", "--yes", environment={**clean_environment(), "PATH": str(programs)})
    assert done.returncode == 1, done.stdout
    lines = done.stderr.strip().splitlines()
    assert len(lines) == 1, lines
    assert lines[0].startswith("error: ") and missing in lines[0] and advice in lines[0], lines


def test_a_second_hive_on_the_same_state_is_refused_and_the_first_goes_on(tmp_path: Path) -> None:
    first = subprocess.Popen(
        [word for word in command(tmp_path / "hive", "--yes") if word != "--once"],
        stdin=subprocess.DEVNULL, stdout=subprocess.PIPE, env=clean_environment(),
    )  # fmt: skip
    assert first.stdout
    try:
        for line in first.stdout:
            if b"worker is created" in line:
                break
        second = run(tmp_path / "hive", "--yes")
        assert second.returncode == 1
        assert second.stderr.startswith(f"error: a hive runs on {tmp_path / 'hive'} already")
        first.send_signal(signal.SIGINT)
        assert first.wait(timeout=30) == 130
    finally:
        first.kill()
        first.wait()
        first.stdout.close()


def test_a_state_directory_that_cannot_be_is_one_line(tmp_path: Path) -> None:
    (tmp_path / "file").write_text("x")
    done = run(tmp_path / "file" / "hive")
    assert done.returncode == 1
    wanted = tmp_path / "file" / "hive"
    assert done.stderr == f"error: {wanted}: Not a directory; choose another directory with --state\n"
