"""Reading the core's database: without writing, and suspicious of the file itself."""

from __future__ import annotations

import os
import sqlite3
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from root_rig import CORE, Host, needs_mounts, running_host

from hyperhive.errors import BadInput, Forbidden, HyperhiveError, NotFound, Unavailable
from hyperhive.root.record import is_operator, record
from hyperhive.settings import Role
from hyperhive.store.database import VERSION


@pytest.fixture
def host(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> Iterator[Host]:
    with running_host(tmp_path, monkeypatch) as made:
        yield made


def _names(state: Path) -> list[str]:
    with record(state, CORE.pw_uid) as hive:
        return hive.names()


def test_what_the_core_has_not_checkpointed_is_seen(host: Host) -> None:
    host.agent("worker")
    host.agent("boss", Role.MANAGER)
    with record(host.state, CORE.pw_uid) as hive:
        assert (hive.names(), hive.manager(), hive.exists("worker"), hive.exists("x")) == (
            ["boss", "worker"], "boss", True, False,
        )  # fmt: skip


def test_nothing_is_left_beside_the_database_of_a_core_that_stopped(host: Host) -> None:
    host.agent("worker")
    host.database.close()
    before = sorted(path.name for path in host.state.iterdir())
    assert "hive.db-wal" not in before
    assert _names(host.state) == ["worker"]
    assert sorted(path.name for path in host.state.iterdir()) == before


def test_what_a_killed_core_left_is_seen(host: Host, tmp_path: Path) -> None:
    host.agent("worker")
    copy = tmp_path / "copy"
    copy.mkdir()
    for name in ("hive.db", "hive.db-wal"):
        (copy / name).write_bytes((host.state / name).read_bytes())
    host.core_owns(copy)
    assert _names(copy) == ["worker"]


def test_it_cannot_be_written(host: Host) -> None:
    with pytest.raises(BadInput, match="readonly"), record(host.state, CORE.pw_uid) as hive:
        hive.connection.execute("DELETE FROM agents")


@needs_mounts
def test_it_is_read_where_the_file_system_is_read_only(host: Host) -> None:
    """As in hive-activate@.service."""
    host.agent("worker")
    script = f"from test_root_record import _names, Path; print(_names(Path({str(host.state)!r})))"
    mount = f"mount --bind {host.state} {host.state}; mount -o remount,bind,ro {host.state}"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{mount}; exec "$0" -c "$1"', sys.executable, script],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert (done.stdout, done.stderr) == ("['worker']\n", "")


def test_a_missing_database_is_one_line(host: Host) -> None:
    host.database.close()
    (host.state / "hive.db").unlink()
    with pytest.raises(NotFound, match=r"there is no .*/hive\.db; has the core run yet\?"):
        _names(host.state)
    with pytest.raises(NotFound, match="there is no /no/where"):
        _names(Path("/no/where"))


def test_a_newer_or_older_database_is_one_line(host: Host) -> None:
    host.database.execute("PRAGMA user_version = 99")
    with pytest.raises(
        BadInput, match=rf"of a newer hyperhive \(format 99, this one knows {VERSION}\); update hyperhive"
    ):
        _names(host.state)
    host.database.execute("PRAGMA user_version = 0")
    with pytest.raises(Unavailable, match=f"has format 0, not {VERSION}"):
        _names(host.state)


@pytest.mark.parametrize("content", [b"", b"no database", b"SQLite format 3\x00" + bytes(5000)])
def test_what_is_no_database_is_one_line(tmp_path: Path, content: bytes) -> None:
    (tmp_path / "hive.db").write_bytes(content)
    with pytest.raises(HyperhiveError, match=r"hive\.db (cannot be read|has format 0)"):
        _names(tmp_path)


def test_tables_that_are_not_the_hives_are_one_line(tmp_path: Path) -> None:
    with sqlite3.connect(tmp_path / "hive.db") as connection:
        connection.execute(f"PRAGMA user_version = {VERSION}")
    connection.close()
    with pytest.raises(BadInput, match=r"cannot be read as the hive's database: no such table: agents"):
        _names(tmp_path)


def test_a_link_a_fifo_or_a_hard_link_in_its_place_is_refused(host: Host, tmp_path: Path) -> None:
    real = host.state / "hive.db"
    for plant in (lambda path: path.symlink_to(real), lambda path: os.link(real, path), os.mkfifo):
        state = tmp_path / "other"
        state.mkdir(exist_ok=True)
        plant(state / "hive.db")
        with pytest.raises(Forbidden, match="is not the core's own file"):
            _names(state)
        (state / "hive.db").unlink()


def test_names_that_are_none_are_not_handed_on(host: Host) -> None:
    for number, name in enumerate(("../x", "A", "a/b", b"blob", 7)):
        role = "manager" if number == 0 else "agent"
        host.database.execute(
            "INSERT INTO agents (name, role, desired, created_at) VALUES (?, ?, 'running', ?)", (name, role, number)
        )
    with record(host.state, CORE.pw_uid) as hive:
        assert (hive.names(), hive.manager()) == ([], None)


def test_only_an_operator_is_an_operator() -> None:
    assert [is_operator(actor) for actor in ("operator:ann", "operator")] == [True, True]
    assert not any(
        is_operator(actor) for actor in ("operators", "operator-x", "system", "manager", "", None, 7, " operator:")
    )
