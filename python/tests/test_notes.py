"""The notes under many hands at once, in the real cage: agent, operator, notes_append, compaction; no line is lost."""

from __future__ import annotations

import random
import subprocess
import threading
import time
from collections.abc import Callable
from pathlib import Path

import pytest
from harness_rig import LACKING, SKIP_REASON, config, state_of

from hyperhive.harness import notes
from hyperhive.harness.compaction import replace_notes
from hyperhive.harness.config import HarnessConfig

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

SECONDS, MOST_SECONDS = 4.0, 60.0
"""How long they write, and at most until each has had its turn three times."""
Writer = Callable[[HarnessConfig, str], bool]
"""Adds a line to the notes; False: it was told that it could not."""


def agent(cage: HarnessConfig, line: str) -> bool:
    """As a Bash command of its turn does: it opens the file and writes a moment later, into whatever that is then."""
    script = f"{{ sleep 0.0{random.randrange(5)}; echo '{line}'; }} >> /state/notes.md"
    return subprocess.run([*cage.cage, "env", "sh", "-c", script], check=True).returncode == 0


def append(cage: HarnessConfig, line: str) -> bool:
    """As the tool notes_append does."""
    data = f"{line}\n".encode()
    return notes.run(cage, data, "append", str(len(data)), str(notes.MOST)).exit == 0


def operator(cage: HarnessConfig, line: str) -> bool:
    """As an editor does: look, think, write; and again if somebody else has written."""
    before = present(cage)
    time.sleep(random.uniform(0, 0.05))
    done = notes.write(cage, before + f"{line}\n".encode(), notes.version(before))
    assert done.exit in (0, notes.CHANGED), done
    return done.exit == 0


def compaction(cage: HarnessConfig, line: str) -> bool:
    """As a model does that merges all it knows."""
    before = present(cage)
    time.sleep(random.uniform(0, 0.2))
    merged = "\n".join(dict.fromkeys([*before.decode().splitlines(), line])) + "\n"
    return replace_notes(cage, before, merged.encode()).exit == 0


def present(cage: HarnessConfig) -> bytes:
    found = notes.read(cage.state, notes.NOTES, first=notes.MOST)
    return b"" if found is None else found.data


@pytest.mark.parametrize(
    "obstacle",
    ["mkfifo notes.md.new", "mkdir -p notes.md.new/x", "ln -s notes.md notes.md.new", "touch notes.backup"],
)
def test_nothing_in_the_way_keeps_the_notes_from_being_replaced(tmp_path: Path, obstacle: str) -> None:
    cage = config(tmp_path)
    (cage.state / "notes.md").write_text("old")
    subprocess.run(["sh", "-c", obstacle], check=True, cwd=cage.state)
    assert notes.write(cage, b"new", notes.version(b"old")) == notes.Changed(0, "", b"")
    assert (cage.state / "notes.md").read_text() == "new"
    assert (cage.state / "notes.backup/1.md").read_text() == "old"


def test_writers_at_once_lose_no_line(tmp_path: Path) -> None:
    cage, began = config(tmp_path), time.monotonic()
    writers = {"agent": agent, "append": append, "operator": operator, "compaction": compaction}
    kept: dict[str, list[str]] = {name: [] for name in writers}
    failures: list[BaseException] = []

    def goes_on() -> bool:
        took = time.monotonic() - began
        return took < SECONDS or (took < MOST_SECONDS and min(map(len, kept.values())) < 3)

    def write(name: str, writer: Writer) -> None:
        try:
            while goes_on() and not failures:
                line = f"- {name} {len(kept[name])} {random.getrandbits(48):012x}"
                if writer(cage, line):
                    kept[name].append(line)
                time.sleep(random.uniform(0, 0.3))
        except BaseException as error:
            failures.append(error)

    threads = [threading.Thread(target=write, args=each) for each in writers.items()]
    for thread in threads:
        thread.start()
    for thread in threads:
        thread.join()
    assert failures == []
    assert all(len(lines) >= 3 for lines in kept.values()), {name: len(lines) for name, lines in kept.items()}
    written = present(cage).decode()
    lost = [line for lines in kept.values() for line in lines if line not in written]
    assert lost == [], written
    assert sorted(path.name for path in (state_of(tmp_path) / "notes.backup").iterdir()) == [
        f"{n}.md" for n in range(1, 6)
    ]
    assert not (state_of(tmp_path) / "notes.md.new").exists()


def test_a_write_that_was_killed_half_way_leaves_notes_that_can_be_written(tmp_path: Path) -> None:
    cage = config(tmp_path)
    file, backup = state_of(tmp_path) / "notes.md", state_of(tmp_path) / "notes.backup"
    backup.mkdir()
    file.write_text("- old\n")
    (backup / "1.md").hardlink_to(file)  # killed before the new notes took the place of the old ones
    (backup / "3.md").write_text("- older\n")
    (backup / "4.md").hardlink_to(backup / "3.md")
    file.with_name("notes.md.new").write_text("- ne")
    for number in range(7):
        before = present(cage)
        assert notes.write(cage, f"- new {number}\n".encode(), notes.version(before)).exit == 0
        if number == 0:
            kept = {path.name: path.read_text() for path in backup.iterdir()}
            assert kept == {"1.md": "- old\n", "3.md": "- older\n", "4.md": "- older\n"}, "what was kept is kept once"
    kept = {path.name: path.read_text() for path in backup.iterdir()}
    assert kept == {f"{n}.md": f"- new {6 - n}\n" for n in range(1, 6)}
    assert not file.with_name("notes.md.new").exists()
