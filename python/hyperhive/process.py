"""The only door to subprocess: argv lists, a deadline, bounded output, one kind of error.

Standard library only, since the harness uses it too.
"""

from __future__ import annotations

import asyncio
import contextlib
import os
import shutil
import signal
import subprocess
from collections.abc import Mapping, Sequence
from dataclasses import dataclass

from hyperhive.errors import HyperhiveError, Unavailable

Popen = subprocess.Popen
PIPE = subprocess.PIPE
DEVNULL = subprocess.DEVNULL


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


async def run(
    argv: Sequence[str],
    *,
    timeout: float,
    check: bool = True,
    stdin: bytes = b"",
    cwd: str | None = None,
    env: Mapping[str, str] | None = None,
    max_output: int = 16 * 1024 * 1024,
) -> Result:
    """Run `argv` to its end and return its output.

    `timeout` is in seconds; on timeout, on output over `max_output` bytes and on cancellation the whole process
    group is killed. Raises Unavailable (program missing), ProcessTimeout, ProcessFailed (only with `check`).
    """
    try:
        process = await asyncio.create_subprocess_exec(
            *argv,
            stdin=PIPE if stdin else DEVNULL,
            stdout=PIPE,
            stderr=PIPE,
            cwd=cwd,
            env=None if env is None else dict(env),
            start_new_session=True,
        )
    except FileNotFoundError as error:
        raise Unavailable(f"{argv[0]} cannot be run: {error.strerror}") from error
    try:
        async with asyncio.timeout(timeout):
            out, err = await _communicate(process, stdin, max_output)
    except TimeoutError as error:
        raise ProcessTimeout(f"{argv[0]} did not finish within {timeout:g} s") from error
    finally:
        if process.returncode is None:
            _kill_group(process.pid)
            await process.wait()
    result = Result(tuple(argv), process.returncode or 0, out, err)
    if check and result.returncode != 0:
        raise ProcessFailed(result)
    return result


async def start(
    argv: Sequence[str], *, env: Mapping[str, str], output: int, stdin: int = DEVNULL
) -> asyncio.subprocess.Process:
    """Start a process that lives on, in its own session; both its outputs go to the file descriptor `output`.

    Raises Unavailable if the program cannot be run.
    """
    try:
        return await asyncio.create_subprocess_exec(
            *argv, stdin=stdin, stdout=output, stderr=output, env=dict(env), start_new_session=True
        )
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be run: {error.strerror}") from error


async def _communicate(process: asyncio.subprocess.Process, stdin: bytes, limit: int) -> tuple[bytes, bytes]:
    assert process.stdout and process.stderr

    async def feed(pipe: asyncio.StreamWriter | None) -> None:
        if pipe is None:
            return
        try:
            pipe.write(stdin)
            await pipe.drain()
            pipe.close()
        except (BrokenPipeError, ConnectionResetError, RuntimeError):
            pass  # the process ended without reading (uvloop: RuntimeError): its exit code tells

    async def read(pipe: asyncio.StreamReader) -> bytes:
        chunks: list[bytes] = []
        size = 0
        while chunk := await pipe.read(65536):
            size += len(chunk)
            if size <= limit:
                chunks.append(chunk)
            else:  # read on to the end, or the pipe's transport would never be closed
                _kill_group(process.pid)
        return b"".join(chunks)

    async with asyncio.TaskGroup() as group:
        group.create_task(feed(process.stdin))
        out = group.create_task(read(process.stdout))
        err = group.create_task(read(process.stderr))
    await process.wait()
    return out.result(), err.result()


def _kill_group(pid: int) -> None:
    with contextlib.suppress(ProcessLookupError):
        os.killpg(pid, signal.SIGKILL)
