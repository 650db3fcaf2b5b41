"""Full disks under a harness: a real broker and cage, Claude Code played by a stand-in."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from collections.abc import Iterator
from pathlib import Path

import pytest
from e2e.turn_rig import Rig
from harness_rig import DONE, LACKING, SKIP_REASON, answers, config, prints, state_of, write
from test_harness_dead_ends import OVERFLOW, play
from test_harness_refused import hears

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def test_a_full_disk_under_the_log_does_not_end_the_harness(tmp_path: Path) -> None:
    path = write(tmp_path / "harness.json", config(tmp_path, answers(DONE)))
    argv = [sys.executable, "-c", "from hyperhive.harness.main import agent; agent()", "--config", str(path)]
    with (
        Path("/dev/full").open("w") as full,
        subprocess.Popen(argv, stderr=full, env={**os.environ, "PYTHONPATH": "python"}) as child,
    ):
        try:
            with pytest.raises(subprocess.TimeoutExpired):  # no core is there, which it says again and again
                child.wait(4)
            child.terminate()
            assert child.wait(10) == 0
        finally:
            child.kill()


@pytest.fixture
def few_files(tmp_path: Path) -> Iterator[Path]:
    """A hive whose worker's disk has room for few files."""
    home = state_of(tmp_path)
    home.mkdir(parents=True)
    mount = ["mount", "-t", "tmpfs", "-o", "size=4m,nr_inodes=60", "tmpfs", str(home)]
    if os.geteuid() != 0 or subprocess.run(mount, check=False).returncode:
        pytest.skip("mounting a small file system needs root")
    yield tmp_path
    subprocess.run(["umount", "--lazy", home], check=True)


def test_a_disk_with_no_room_for_another_file_is_full(few_files: Path) -> None:
    fills = "mkdir /state/fill; i=0; while : > /state/fill/$i; do i=$((i + 1)); done 2>/dev/null\n"

    async def scene(made: Rig) -> None:
        message = await made.broker.send("operator", "worker", "hi")
        await made.until(lambda c: c.execute("SELECT 1 FROM messages WHERE recipient = 'operator'").fetchone(), 90)
        assert "disk_full" in (await made.broker.inbox(all_=True, limit=1))[0].body
        shutil.rmtree(state_of(few_files) / "fill")
        await made.turn_done(message)

    play(few_files, scene, answers() + fills, answers(DONE))


def test_a_full_disk_costs_no_compactions_whose_notes_it_has_no_room_for(few_files: Path) -> None:
    fills = "cat /dev/zero > /state/fill 2>/dev/null\n"
    compactions = "SELECT count(*) FROM turns WHERE purpose = 'compaction'"

    async def scene(made: Rig) -> None:
        message = await made.broker.send("operator", "worker", "hi")
        await made.until(lambda c: c.execute("SELECT 1 FROM messages WHERE recipient = 'operator'").fetchone(), 90)
        assert "disk_full" in (await made.broker.inbox(all_=True, limit=1))[0].body
        assert await made.database.read(lambda c: c.execute(compactions).fetchone()) == (0,)
        (state_of(few_files) / "fill").unlink()
        await made.turn_done(message, 60)
        assert await made.database.read(lambda c: c.execute(compactions).fetchone()) == (1,)
        assert "two of the five files" in (state_of(few_files) / "notes.md").read_text()

    asked = f'case "$*" in *no-session*)\n{prints({**DONE, "result": "# two of the five files"})}exit ;;'
    turn = f"{asked} esac\n{hears()}if grep -q 'grew too long' /state/runs/$number/prompt; then\n{prints(DONE)}"
    full = f"if [ ! -e /state/full ]; then\n: > /state/full\n{fills}fi\n{prints(OVERFLOW)}"
    play(few_files, scene, f"{turn}else\n{full}fi\n")
