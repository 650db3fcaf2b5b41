"""hive-c0re as a process: how it starts, refuses to start, and ends. Real programs, real files."""

from __future__ import annotations

import asyncio
import os
import shutil
import signal
import sqlite3
import subprocess
import sys
import time
import tracemalloc
from contextlib import closing
from pathlib import Path
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON, config, write_json

from hyperhive.client import Client
from hyperhive.core import running_core
from hyperhive.errors import Unavailable
from hyperhive.store import messages

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

MAIN = "import sys; from hyperhive.cli.hive_c0re import main; sys.exit(main())"


def start(root: Path, *, path: str | None = None) -> subprocess.Popen[str]:
    """hive-c0re on `root`, with that PATH."""
    core_json = write_json(root / "core.json", config(root))
    environment = {**os.environ, **({"PATH": path} if path else {})}
    return subprocess.Popen(
        [sys.executable, "-c", MAIN, "--config", str(core_json)],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env=environment,
    )  # fmt: skip


def refused(root: Path, *, path: str | None = None) -> str:
    """The one line that a core says which does not start."""
    with start(root, path=path) as core:
        _, err = core.communicate(timeout=30)
    assert core.returncode == 1, err
    lines = err.strip().splitlines()
    assert len(lines) == 1, err
    assert lines[0].startswith("error: "), err
    return lines[0]


def wait_until_up(root: Path) -> Client:
    client = Client(root / "run/operator.sock")
    deadline = time.monotonic() + 20
    while time.monotonic() < deadline:
        try:
            client.status()
        except Unavailable:
            time.sleep(0.02)
        else:
            return client
    raise AssertionError("the core did not come up")


def test_sigterm_ends_the_core_and_its_agents_and_removes_its_sockets(tmp_path: Path) -> None:
    with start(tmp_path) as core:
        client = wait_until_up(tmp_path)
        client.create_agent("worker")
        core.send_signal(signal.SIGTERM)
        assert core.wait(timeout=20) == 0
        core.communicate()
    assert list((tmp_path / "run").rglob("*.sock")) == []
    assert [line for line in _commands() if str(tmp_path) in line] == []


def test_a_killed_core_takes_its_harnesses_with_it_and_the_next_one_starts_them(tmp_path: Path) -> None:
    with start(tmp_path) as core:
        wait_until_up(tmp_path).create_agent("worker")
        core.kill()
        core.communicate()
    deadline = time.monotonic() + 10
    while [line for line in _commands() if str(tmp_path) in line]:
        assert time.monotonic() < deadline, _commands()
        time.sleep(0.02)
    with start(tmp_path) as core:
        client = wait_until_up(tmp_path)
        while client.agent("worker")["activity"] != "idle":
            assert time.monotonic() < deadline + 20
            time.sleep(0.02)
        core.terminate()
        core.communicate()


def test_each_start_logs_the_audit_logs_head_and_a_changed_entry_is_found(tmp_path: Path) -> None:
    with start(tmp_path) as core:
        client = wait_until_up(tmp_path)
        client.create_agent("worker")
        whole = client.verify_audit()
        core.terminate()
        _, err = core.communicate()
    assert "audit: 0 entries, head none" in err
    assert whole["entries"] >= 2 and whole["broken"] is None
    with closing(sqlite3.connect(tmp_path / "hive/hive.db")) as attacker:
        attacker.executescript("DROP TRIGGER audit_no_update; UPDATE audit SET actor = 'nobody' WHERE id = 2")
    with start(tmp_path) as core:
        broken = wait_until_up(tmp_path).verify_audit()
        core.terminate()
        _, err = core.communicate()
    assert f"audit: {whole['entries']} entries, head {whole['head']}" in err
    assert (broken["entries"], broken["broken"]["id"]) == (1, 2)


def test_a_second_core_on_one_state_directory_says_who_runs(tmp_path: Path) -> None:
    with start(tmp_path) as core:
        client = wait_until_up(tmp_path)
        assert f"another core (pid {core.pid})" in refused(tmp_path)
        assert client.status()["agents"] == 0
        core.terminate()
        core.communicate()


def test_the_status_counts_mail_without_reading_it(tmp_path: Path) -> None:
    def fill(connection: sqlite3.Connection) -> None:
        for number in range(400):
            messages.insert(
                connection,
                sender="worker",
                recipient="operator",
                kind="mail",
                body="x" * 64 * 1024,
                dead=number % 4 == 0,
            )

    async def check() -> tuple[Any, int]:
        async with running_core(config(tmp_path)) as core:
            await core.database.write(fill)
            tracemalloc.start()
            try:
                return await core.status(), tracemalloc.get_traced_memory()[1]
            finally:
                tracemalloc.stop()

    status, most = asyncio.run(check())
    assert (status["inbox_unread"], status["dead_letters"]) == (300, 100)
    assert most < 5_000_000, f"{most} bytes"


def test_a_database_of_a_newer_version_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hive").mkdir()
    path = tmp_path / "hive/hive.db"
    connection = sqlite3.connect(path)
    connection.execute("PRAGMA user_version = 99")
    connection.execute("CREATE TABLE precious (x)")
    connection.commit()
    connection.close()
    before = path.read_bytes()
    said = refused(tmp_path)
    assert "newer hyperhive" in said and "update" in said
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_left_alone(tmp_path: Path) -> None:
    (tmp_path / "hive").mkdir()
    (tmp_path / "hive/hive.db").write_text("my notes " * 1000)
    assert "not a hyperhive database" in refused(tmp_path)
    assert (tmp_path / "hive/hive.db").read_text().startswith("my notes")


@pytest.mark.parametrize("missing", ["bwrap", "socat", "nix", "setpriv"])
def test_a_missing_program_is_named_with_what_to_do(tmp_path: Path, missing: str) -> None:
    programs = tmp_path / "bin"
    programs.mkdir()
    for name in ("bwrap", "socat", "nix", "setpriv", "git", "prlimit"):
        if name != missing:
            (programs / name).symlink_to(shutil.which(name) or "/nonexistent")
    said = refused(tmp_path, path=str(programs))
    assert f"{missing} is not on PATH" in said and "install" in said


def test_a_missing_claude_is_named_with_what_to_do(tmp_path: Path) -> None:
    made = config(tmp_path)
    Path(made.claude).unlink()
    core_json = write_json(tmp_path / "core.json", made)
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "--config", str(core_json)],
        capture_output=True,
        text=True,
        timeout=30,
        check=False,
    )
    assert done.returncode == 1
    assert done.stderr.startswith("error: ") and "Claude Code" in done.stderr


@pytest.mark.parametrize("text", ["", "{", "[]", "{}", '{"backend": "moon"}'])
def test_a_broken_configuration_is_one_line(tmp_path: Path, text: str) -> None:
    (tmp_path / "core.json").write_text(text)
    done = subprocess.run(
        [sys.executable, "-c", MAIN, "--config", str(tmp_path / "core.json")],
        capture_output=True, text=True, timeout=30, check=False,
    )  # fmt: skip
    assert done.returncode == 1, done.stderr
    assert len(done.stderr.strip().splitlines()) == 1
    assert done.stderr.startswith(f"error: {tmp_path / 'core.json'} is not a core configuration")


def _commands() -> list[str]:
    found = []
    for entry in Path("/proc").iterdir():
        if entry.name.isdigit():
            try:
                found.append((entry / "cmdline").read_text(errors="replace").replace("\0", " "))
            except OSError:
                continue
    return [line for line in found if "hive-ag3nt" in line or "hive_c0re" in line]
