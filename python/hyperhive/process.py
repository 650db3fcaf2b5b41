"""The only door to subprocess: argv lists, a deadline, bounded output, one kind of error.

Standard library only, since the harness uses it too; that one takes Popen alone, so asyncio (5 MB) is imported where
it is used.
"""

from __future__ import annotations

import contextlib
import os
import shutil
import signal
import subprocess
import sys
from collections.abc import Callable, Mapping, Sequence
from dataclasses import dataclass
from pathlib import Path
from typing import IO, TYPE_CHECKING

from hyperhive.errors import HyperhiveError, Unavailable

if TYPE_CHECKING:
    import asyncio

Popen = subprocess.Popen
PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL
TimeoutExpired = subprocess.TimeoutExpired


@dataclass(frozen=True)
class Result:
    """A finished process: its argv, exit code (negative: the signal) and output as bytes."""

    argv: tuple[str, ...]
    returncode: int
    stdout: bytes
    stderr: bytes

    @property
    def text(self) -> str:
        """Standard output as text, stripped."""
        return self.stdout.decode(errors="replace").strip()

    @property
    def error(self) -> str:
        """Standard error as text, stripped."""
        return self.stderr.decode(errors="replace").strip()


class ProcessFailed(HyperhiveError):
    """A process ended with an exit code that its caller did not expect."""

    code = "process_failed"

    def __init__(self, result: Result) -> None:
        self.result = result
        last = result.error.splitlines()[-1:] or ["no message"]
        super().__init__(f"{result.argv[0]} failed (exit {result.returncode}): {last[0]}")


class ProcessTimeout(HyperhiveError):
    """A process did not end within its time and was killed with its process group."""

    code = "process_timeout"


def find(program: str, hint: str) -> str:
    """Absolute path of `program` on PATH. Raises Unavailable with `hint`, which says what to do."""
    path = shutil.which(program)
    if path is None:
        raise Unavailable(f"{program} is not on PATH; {hint}")
    return path


def find_own(program: str) -> str:
    """One of hyperhive's own programs: beside this interpreter (a venv), else on PATH. Raises Unavailable."""
    beside = Path(sys.executable).with_name(program)
    return str(beside) if beside.exists() else find(program, "install the hyperhive package")


async def run(
    argv: Sequence[str],
    *,
    timeout: float,
    check: bool = True,
    stdin: bytes = b"",
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    max_output: int = 16 * 1024 * 1024,
    on_error: Callable[[bytes], object] | None = None,
) -> Result:
    """Run `argv` to its end and return its output; `on_error` also gets standard error as it comes.

    `timeout` is in seconds; on timeout, on output over `max_output` bytes and on cancellation the whole process
    group is killed. Raises Unavailable (program missing), ProcessTimeout, ProcessFailed (only with `check`).
    """
    import asyncio  # noqa: PLC0415

    process = _spawn(argv, stdin, cwd, env)
    try:
        async with asyncio.timeout(timeout):
            out, err = await _output(process, max_output, on_error)
    except TimeoutError as error:
        raise ProcessTimeout(f"{argv[0]} did not finish within {timeout:g} s") from error
    finally:  # its pid stays its own until it is waited for, so this cannot hit another group
        _kill_group(process.pid)
        process.wait()
        for pipe in (process.stdout, process.stderr):
            assert pipe
            pipe.close()
    result = Result(tuple(argv), process.returncode, out, err)
    if check and result.returncode != 0:
        raise ProcessFailed(result)
    return result


def _spawn(
    argv: Sequence[str], stdin: bytes, cwd: str | None, env: Mapping[str, str] | None
) -> subprocess.Popen[bytes]:
    """Start a process that reads `stdin` from a file in memory.

    Popen forks without copying (vfork): 1 ms, where uvloop's own way takes 5 ms in a core of usual size.
    """
    with os.fdopen(os.memfd_create("stdin"), "w+b") as file:
        file.write(stdin)
        file.seek(0)
        try:
            return subprocess.Popen(
                argv,
                stdin=file,
                stdout=PIPE,
                stderr=PIPE,
                cwd=cwd,
                env=None if env is None else dict(env),
                start_new_session=True,
            )
        except OSError as error:
            raise Unavailable(f"{argv[0]} cannot be run: {error.strerror}") from error


async def start(
    argv: Sequence[str], *, env: Mapping[str, str], output: int, stdin: int = DEVNULL
) -> asyncio.subprocess.Process:
    """Start a process that lives on, in its own session; both its outputs go to the file descriptor `output`.

    Raises Unavailable if the program cannot be run.
    """
    import asyncio  # noqa: PLC0415

    try:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=stdin, stdout=output, stderr=output, env=dict(env), start_new_session=True
        )
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be run: {error.strerror}") from error


async def _output(
    process: subprocess.Popen[bytes], limit: int, on_error: Callable[[bytes], object] | None
) -> tuple[bytes, bytes]:
    """What a process prints until it has ended; it is killed when one stream is over `limit` bytes."""
    import asyncio  # noqa: PLC0415

    assert process.stdout and process.stderr
    async with asyncio.TaskGroup() as group:
        out = group.create_task(_read(process.stdout, limit, process.pid))
        err = group.create_task(_read(process.stderr, limit, process.pid, on_error))
        group.create_task(_ended(process.pid))
    return out.result(), err.result()


async def _read(pipe: IO[bytes], limit: int, pid: int, seen: Callable[[bytes], object] | None = None) -> bytes:
    chunks: list[bytes] = []
    size = 0
    descriptor = pipe.fileno()
    while True:
        await _readable(descriptor)
        chunk = os.read(descriptor, 65536)
        size += len(chunk)
        if size > limit:
            _kill_group(pid)
            break
        if not chunk:
            break
        chunks.append(chunk)
        if seen is not None:
            seen(chunk)
    return b"".join(chunks)


async def _ended(pid: int) -> None:
    """Wait until a child has ended, without reaping it."""
    descriptor = os.pidfd_open(pid)
    try:
        await _readable(descriptor)
    finally:
        os.close(descriptor)


async def _readable(descriptor: int) -> None:
    import asyncio  # noqa: PLC0415

    loop = asyncio.get_running_loop()
    ready: asyncio.Future[None] = loop.create_future()
    loop.add_reader(descriptor, _resolve, ready)
    try:
        await ready
    finally:
        loop.remove_reader(descriptor)


def _resolve(future: asyncio.Future[None]) -> None:
    if not future.done():
        future.set_result(None)


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
