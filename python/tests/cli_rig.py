"""Running the command line in tests: in this process, as a process of its own, and on a terminal."""

from __future__ import annotations

import os
import pty
import subprocess
from collections.abc import Iterator
from contextlib import contextmanager
from dataclasses import dataclass

import pytest
from operator_rig import COMMAND, DEADLINE, FakeCore, environment

from hyperhive.cli.main import main


@dataclass(frozen=True)
class Outcome:
    """How a command ended and what it printed."""

    code: int
    out: str
    err: str


@dataclass(frozen=True)
class Cli:
    """`hyperhive`, in this process, speaking with a fake core."""

    core: FakeCore
    capsys: pytest.CaptureFixture[str]

    def __call__(self, *arguments: str) -> Outcome:
        """Run one command line."""
        self.capsys.readouterr()
        code = main(["--socket", str(self.core.path), *arguments])
        printed = self.capsys.readouterr()
        return Outcome(code, printed.out, printed.err)


def run(*arguments: str, stdin: bytes = b"", cwd: str | None = None, **variables: str) -> Outcome:
    """Run `hyperhive` as a process of its own, without a terminal."""
    done = subprocess.run(
        [*COMMAND, *arguments],
        input=stdin,
        capture_output=True,
        timeout=DEADLINE,
        check=False,
        cwd=cwd,
        env=environment(**variables),
    )
    return Outcome(done.returncode, done.stdout.decode(), done.stderr.decode())


class Terminal:
    """A program on a terminal: what it shows is read until something is seen, keys are typed."""

    def __init__(self, process: subprocess.Popen[bytes], descriptor: int) -> None:
        self._process = process
        self._descriptor = descriptor
        self.shown = ""

    def see(self, text: str) -> str:
        """Read until `text` is shown. Raises AssertionError with what was shown if the program ends before."""
        while text not in self.shown:
            try:
                part = os.read(self._descriptor, 65536)
            except OSError:  # the program has ended and nobody has the terminal open any more
                part = b""
            assert part, f"{text!r} did not come: {self.shown!r}"
            self.shown += part.decode()
        return self.shown

    def type(self, keys: str) -> None:
        """Type keys, e.g. a line with its newline or \\x03 for Ctrl-C."""
        os.write(self._descriptor, keys.encode())

    def end(self) -> int:
        """Wait for the program's end and return its exit code."""
        try:
            while part := os.read(self._descriptor, 65536):
                self.shown += part.decode()
        except OSError:
            pass
        return self._process.wait(DEADLINE)


@contextmanager
def terminal(*arguments: str, **variables: str) -> Iterator[Terminal]:
    """`hyperhive` on a pseudo terminal of its own for the time of the block."""
    ours, theirs = pty.openpty()
    process = subprocess.Popen(
        ["setsid", "--ctty", *COMMAND, *arguments],
        stdin=theirs,
        stdout=theirs,
        stderr=theirs,
        env=environment(TERM="xterm", **variables),
    )
    os.close(theirs)
    try:
        yield Terminal(process, ours)
    finally:
        process.kill()
        process.wait()
        os.close(ours)
