"""hyperhive.store.database: files that are not ours, not whole or not writable, and a disk that is full."""

from __future__ import annotations

import asyncio
import contextlib
import hashlib
import os
import sqlite3
import subprocess
import sys
import tempfile
from importlib import resources
from pathlib import Path

import pytest
from database_rig import within

from hyperhive.errors import BadInput, Unavailable
from hyperhive.settings import Role
from hyperhive.store import agents, audit, sessions
from hyperhive.store.database import VERSION, Database


async def create(path: Path) -> None:
    """A database with a row."""
    database = await Database.open(path)
    await database.write(lambda c: agents.create(c, "worker", Role.AGENT))
    await database.close()


def refused(path: Path, kind: type[Exception]) -> str:
    with pytest.raises(kind) as caught:
        within(Database.open(path))
    assert str(path) in str(caught.value)
    assert "\n" not in str(caught.value)
    return str(caught.value)


def test_a_newer_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    with sqlite3.connect(path) as connection:
        connection.execute(f"PRAGMA user_version = {VERSION + 1}")
    connection.close()
    before = path.read_bytes()
    assert f"written by a newer hyperhive (format {VERSION + 1}, this one knows {VERSION})" in refused(path, BadInput)
    assert path.read_bytes() == before


def test_another_programs_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    with sqlite3.connect(path) as connection:
        connection.execute("CREATE TABLE bookmarks (url)")
    connection.close()
    before = path.read_bytes()
    assert "some other program's" in refused(path, BadInput)
    assert path.read_bytes() == before


def test_a_file_that_is_no_database_is_refused_and_left_as_it_is(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    path.write_bytes(b"this was never a database, but it is as long as one: " * 100)
    before = path.read_bytes()
    assert "not a hyperhive database" in refused(path, BadInput)
    assert path.read_bytes() == before


def test_a_damaged_database_is_refused(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    within(create(path))
    with path.open("r+b") as file:
        file.seek(4096)
        file.truncate()
    assert "damaged (database disk image is malformed)" in refused(path, BadInput)


@pytest.mark.parametrize("name", ["missing/hive.db", "."], ids=["no directory", "a directory"])
def test_a_path_that_cannot_be_opened_is_explained(tmp_path: Path, name: str) -> None:
    assert "cannot be opened" in refused(tmp_path / name, Unavailable)


FILLING = """
import asyncio, sys
from pathlib import Path
from hyperhive.errors import Unavailable
from hyperhive.store import messages
from hyperhive.store.database import Database

def store(connection):
    return messages.insert(connection, sender="a", recipient="b", kind="mail", body="x" * 3000).id

async def main(root):
    (root / "ballast").write_bytes(b"x" * 500_000)
    database = await Database.open(root / "hive.db")
    stored = []
    try:
        while True:
            stored.append(await database.write(store))
    except Unavailable as error:
        print(error)
    (root / "ballast").unlink()
    stored.append(await database.write(store))
    found = await database.read(lambda c: [number for (number,) in c.execute("SELECT id FROM messages")])
    print(len(stored) > 10 and found == stored)
    await database.close()
    try:
        (root / "ballast").write_bytes(b"x" * 2_000_000)
    except OSError:
        print("nothing left")
    try:
        await Database.open(root / "other.db")
    except Unavailable as error:
        print(error)

asyncio.run(main(Path(sys.argv[1])))
"""


def test_a_disk_that_is_really_full_refuses_in_words_and_loses_nothing(tmp_path: Path) -> None:
    mounted = ["unshare", "--user", "--map-root-user", "--mount", "sh", "-ec"]
    script = 'mount -t tmpfs -o size=1m tmpfs "$1"; exec "$2" -c "$3" "$1"'
    if subprocess.run([*mounted, 'mount -t tmpfs tmpfs "$1"', "sh", str(tmp_path)], check=False).returncode:
        pytest.skip("no mount in a user namespace here")
    done = subprocess.run(
        [*mounted, script, "sh", str(tmp_path), sys.executable, FILLING],
        capture_output=True,
        text=True,
        timeout=60,
        check=False,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )
    assert done.stderr == ""
    refused_write, nothing_lost, nothing_left, refused_open = done.stdout.splitlines()
    assert refused_write == "the disk is full: nothing was stored; free some space and try again"
    assert (nothing_lost, nothing_left) == ("True", "nothing left")
    assert "is full" in refused_open, refused_open


AS_NOBODY = """
import asyncio, concurrent.futures.thread, os, sys
from pathlib import Path
from hyperhive.errors import Unavailable
from hyperhive.store.database import Database

if os.getuid() == 0:
    os.setuid(65534)
try:
    asyncio.run(Database.open(Path(sys.argv[1])))
except Unavailable as error:
    print(error)
"""


def test_a_file_without_the_right_to_write_is_explained_when_it_is_opened() -> None:
    with tempfile.TemporaryDirectory() as name:  # pytest's own directories are for their user alone
        within(create(Path(name) / "hive.db"))
        Path(name).chmod(0o555)
        (Path(name) / "hive.db").chmod(0o444)
        done = subprocess.run(
            [sys.executable, "-c", AS_NOBODY, f"{name}/hive.db"],
            capture_output=True,
            text=True,
            timeout=60,
            check=False,
            env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
        )
    assert done.stderr == ""
    assert "read-only for this user" in done.stdout or "cannot be opened" in done.stdout, done.stdout
    assert name in done.stdout


def test_a_file_of_the_first_format_is_brought_up_to_date_with_its_audit_log(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(resources.files("hyperhive").joinpath("store/schema-1.sql").read_text())
        connection.execute("PRAGMA user_version = 1")
        for number in range(300):
            row = (float(number), "operator:ann", "agent.stop", "agent/worker", "{}")
            connection.execute("INSERT INTO audit (at, actor, action, subject, detail) VALUES (?, ?, ?, ?, ?)", row)

    async def go() -> None:
        database = await Database.open(path)
        await database.write(lambda c: audit.append(c, "system", "new", "hive"))
        found = await database.read_apart(audit.verify)
        assert (found.entries, found.broken) == (301, None)
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            await database.write(lambda c: c.execute("UPDATE audit SET actor = 'x'"))
        with pytest.raises(sqlite3.IntegrityError, match="append-only"):
            await database.write(lambda c: c.execute("DELETE FROM audit"))
        await database.close()

    asyncio.run(go())


def test_who_was_logged_in_before_sessions_had_keys_logs_in_again(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.create_function("audit_hash", 6, audit.chained())
        for number in range(1, 5):
            connection.executescript(resources.files("hyperhive").joinpath(f"store/schema-{number}.sql").read_text())
        connection.execute("PRAGMA user_version = 4")
        secret = hashlib.sha256(b"secret").hexdigest()
        connection.execute("INSERT INTO sessions VALUES (?, 'ann', 1, 9e9)", (secret,))

    async def go() -> None:
        database = await Database.open(path)
        assert await database.read(lambda c: sessions.find(c, "secret", "")) == (None, False)
        assert await database.read(sessions.every) == []
        first = await database.write(lambda c: sessions.create(c, "secret", "key", "ann", 60.0))
        await database.write(lambda c: sessions.end(c, first))
        assert await database.write(lambda c: sessions.create(c, "other", "key", "ann", 60.0)) > first, "never again"
        await database.close()

    asyncio.run(go())
