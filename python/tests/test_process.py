"""The only door to subprocess: what a process prints, how it is bounded, and that none is left."""

from __future__ import annotations

import asyncio
import gc
import os
import time
from pathlib import Path

import pytest
import uvloop

from hyperhive.errors import Unavailable
from hyperhive.process import ProcessFailed, ProcessTimeout, Result, run


@pytest.fixture(params=["asyncio", "uvloop"], autouse=True)
def loop(request: pytest.FixtureRequest, monkeypatch: pytest.MonkeyPatch) -> None:
    if request.param == "uvloop":
        monkeypatch.setattr(asyncio, "run", uvloop.run)


def sh(script: str, **options: object) -> Result:
    """What a shell script prints."""
    return asyncio.run(run(["sh", "-c", script], **{"timeout": 10, **options}))  # type: ignore[arg-type]  # passed on


def dies(pid_file: Path) -> bool:
    """Whether the process that the file names is gone within a moment (a kill takes effect by and by)."""
    pid, deadline = int(pid_file.read_text()), time.monotonic() + 5
    while time.monotonic() < deadline:
        try:
            if Path(f"/proc/{pid}/stat").read_text().rpartition(") ")[2][0] == "Z":
                return True
        except (FileNotFoundError, ProcessLookupError):
            return True
        time.sleep(0.005)
    return False


def test_both_streams_and_the_exit_code_are_returned() -> None:
    result = sh("echo out; echo err >&2; exit 3", check=False)
    assert (result.stdout, result.stderr, result.returncode) == (b"out\n", b"err\n", 3)


def test_standard_input_is_read_whole_or_not_at_all() -> None:
    data = os.urandom(3_000_000)
    assert sh("cat", stdin=data).stdout == data
    assert sh("exec <&-; echo ok", stdin=data).text == "ok"
    assert sh("cat").stdout == b""


def test_a_failure_says_the_last_line() -> None:
    with pytest.raises(ProcessFailed, match=r"sh failed \(exit 3\): why"):
        sh("echo first >&2; echo why >&2; exit 3")


def test_a_signal_is_a_negative_exit_code() -> None:
    assert sh("kill -TERM $$", check=False).returncode == -15


def test_a_missing_program_is_unavailable() -> None:
    with pytest.raises(Unavailable, match="/none/such cannot be run: No such file"):
        asyncio.run(run(["/none/such"], timeout=5))


def test_on_timeout_the_whole_group_is_killed(tmp_path: Path) -> None:
    with pytest.raises(ProcessTimeout, match=r"sh did not finish within 0\.3 s"):
        sh(f"sleep 100 & echo $! > {tmp_path}/pid; wait", timeout=0.3)
    assert dies(tmp_path / "pid")


def test_a_child_that_outlives_the_process_and_holds_its_output_is_killed_on_timeout(tmp_path: Path) -> None:
    with pytest.raises(ProcessTimeout):
        sh(f"sleep 100 & echo $! > {tmp_path}/pid", timeout=0.3)
    assert dies(tmp_path / "pid")


def test_too_much_output_kills_and_keeps_what_fitted() -> None:
    result = sh("exec yes", max_output=200_000, check=False)
    assert result.returncode == -9 and 0 < len(result.stdout) <= 200_000


def test_cancelling_kills(tmp_path: Path) -> None:
    async def cancelled() -> None:
        os.mkfifo(tmp_path / "ready")
        task = asyncio.create_task(
            run(["sh", "-c", f"echo $$ > {tmp_path}/pid; : > {tmp_path}/ready; exec sleep 100"], timeout=60)
        )
        await asyncio.to_thread((tmp_path / "ready").read_bytes)
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    asyncio.run(cancelled())
    assert dies(tmp_path / "pid")


def test_the_environment_is_only_what_is_given() -> None:
    assert sh("env", env={"PATH": os.environ["PATH"], "X": "1"}).text.count("X=1") == 1
    assert "HOME=" not in sh("env", env={"PATH": os.environ["PATH"]}).text


@pytest.mark.filterwarnings("error")
def test_cancelled_before_it_is_read_leaves_no_pipe_open() -> None:
    async def cancelled() -> None:
        task = asyncio.create_task(run(["sleep", "60"], timeout=60))
        await asyncio.sleep(0)  # it has been started, and nothing reads it yet
        task.cancel()
        with pytest.raises(asyncio.CancelledError):
            await task

    before = open_files()
    asyncio.run(cancelled())
    gc.collect()
    assert open_files() == before


def open_files() -> int:
    """How many descriptors this process has."""
    return len(list(Path("/proc/self/fd").iterdir()))
