"""A full disk under the applied repository: one clear line, and nothing half-done."""

from __future__ import annotations

import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path

import pytest
from flakes_rig import Config, needs_bwrap, wait

from hyperhive.errors import Unavailable
from hyperhive.flakes.repository import AppliedRepository


@pytest.fixture
def small_disk(tmp_path: Path) -> Iterator[Path]:
    """A file system of one MiB."""
    if os.geteuid() != 0 or shutil.which("mount") is None:
        pytest.skip("mounting a small file system needs root")
    place = tmp_path / "disk"
    place.mkdir()
    made = subprocess.run(
        ["mount", "-t", "tmpfs", "-o", "size=1m", "tmpfs", str(place)], capture_output=True, check=False
    )
    if made.returncode != 0:
        pytest.skip("this machine does not let root mount a tmpfs")
    yield place
    subprocess.run(["umount", str(place)], check=True)


@needs_bwrap
def test_a_proposal_that_does_not_fit_on_the_disk_is_one_line_and_leaves_nothing(
    tmp_path: Path, small_disk: Path
) -> None:
    config = Config(tmp_path / "config")
    commit = config.commit({"agent.nix": "{ }\n", "noise": os.urandom(2 * 1024 * 1024)})
    repository = AppliedRepository(small_disk / "applied")
    wait(repository.init())
    before = sorted(small_disk.rglob("*"))
    with pytest.raises(Unavailable, match="is full; free some space and ask again") as refused:
        wait(repository.fetch(config.path, commit, "proposal/1"))
    assert "\n" not in str(refused.value)
    assert sorted(small_disk.rglob("*")) == before
