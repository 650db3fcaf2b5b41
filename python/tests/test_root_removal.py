"""Removing trees that strangers filled: everything of them, and nothing else."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from root_rig import needs_mounts, needs_root

from hyperhive.errors import HyperhiveError
from hyperhive.root.directories import opened
from hyperhive.root.mounts import mounts_below
from hyperhive.root.removal import bury, remove_buried


def _remove(parent: Path, name: str) -> None:
    with opened(parent) as directory:
        bury(directory, name)
        remove_buried(directory, name)


@pytest.fixture
def outside(tmp_path: Path) -> Path:
    """A directory that must still be there afterwards."""
    path = tmp_path / "outside"
    path.mkdir()
    (path / "file").write_text("kept")
    return path


def test_a_tree_is_removed_and_nothing_beside_it(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "tree/a/b/c").mkdir(parents=True)
    (tmp_path / "tree/a/file").write_text("x")
    (tmp_path / "tree/link").symlink_to(outside)
    (tmp_path / "tree/a/b/link").symlink_to(outside / "file")
    os.mkfifo(tmp_path / "tree/a/fifo")
    os.link(outside / "file", tmp_path / "tree/hard")
    _remove(tmp_path, "tree")
    assert list(tmp_path.iterdir()) == [outside]
    assert (outside / "file").read_text() == "kept"


def test_a_link_in_the_trees_place_is_removed_not_followed(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "tree").symlink_to(outside)
    _remove(tmp_path, "tree")
    assert list(tmp_path.iterdir()) == [outside]
    assert (outside / "file").read_text() == "kept"


def test_a_link_in_the_tombstones_place_is_removed_not_followed(tmp_path: Path, outside: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / ".purged-tree").symlink_to(outside)
    _remove(tmp_path, "tree")
    assert list(tmp_path.iterdir()) == [outside]
    assert (outside / "file").read_text() == "kept"


def test_any_depth_is_removed(tmp_path: Path) -> None:
    """Deeper than a path may be long, and than there are descriptors."""
    (tmp_path / "tree").mkdir()
    fd = os.open(tmp_path / "tree", os.O_RDONLY)
    for _ in range(6000):
        os.mkdir("d" * 8, dir_fd=fd)
        inner = os.open("d" * 8, os.O_RDONLY, dir_fd=fd)
        os.close(fd)
        fd = inner
    os.close(fd)
    _remove(tmp_path, "tree")
    assert list(tmp_path.iterdir()) == []


def test_a_half_removed_tree_is_finished_and_the_new_one_goes_too(tmp_path: Path) -> None:
    (tmp_path / ".purged-tree/old").mkdir(parents=True)
    (tmp_path / "tree/new").mkdir(parents=True)
    _remove(tmp_path, "tree")
    assert list(tmp_path.iterdir()) == []


def test_what_is_not_there_is_no_error(tmp_path: Path) -> None:
    _remove(tmp_path, "tree")
    assert list(tmp_path.iterdir()) == []


@needs_root
def test_an_immutable_file_is_one_line_that_says_what_to_do(tmp_path: Path) -> None:
    (tmp_path / "tree").mkdir()
    (tmp_path / "tree/file").touch()
    made = subprocess.run(["chattr", "+i", str(tmp_path / "tree/file")], capture_output=True, check=False)
    if made.returncode != 0:
        pytest.skip("chattr +i does not work on this file system")
    try:
        with pytest.raises(HyperhiveError, match=r"tree/file: not permitted even to root; .*chattr -R -i"):
            _remove(tmp_path, "tree")
    finally:
        subprocess.run(["chattr", "-R", "-i", str(tmp_path / ".purged-tree")], check=True)
    _remove(tmp_path, "tree")
    assert list(tmp_path.iterdir()) == []


@needs_mounts
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
@pytest.mark.parametrize("where", ["tree", "tree/a", "tree/a/b", "tree/a/file"])
def test_a_mount_stops_it_and_keeps_its_files(tmp_path: Path, outside: Path, kind: str, where: str) -> None:
    (tmp_path / "tree/a/b").mkdir(parents=True)
    (tmp_path / "tree/a/file").touch()
    source = outside / "file" if where.endswith("file") else outside
    mount = f"mount --bind {source} {tmp_path}/{where}"
    if kind == "tmpfs" and not where.endswith("file"):
        mount = f"mount -t tmpfs none {tmp_path}/{where}"
    script = f"from test_root_removal import _remove, Path; _remove(Path({str(tmp_path)!r}), 'tree')"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{mount}; exec "$0" -c "$1"', sys.executable, script],
        capture_output=True, text=True, check=False, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.returncode == 1
    assert "mount point" in done.stderr.splitlines()[-1]
    assert (outside / "file").read_text() == "kept"
    _remove(tmp_path, "tree")  # unmounted: it is finished
    assert list(tmp_path.iterdir()) == [outside]


@needs_mounts
def test_mounts_are_found_by_name_whatever_the_name(tmp_path: Path) -> None:
    path = tmp_path / "a b\\c"
    path.mkdir()
    script = f"from test_root_removal import mounts_below, Path; print(mounts_below(Path({str(tmp_path)!r})))"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", 'mount -t tmpfs none "$2"; exec "$0" -c "$1"', sys.executable, script,
         str(path)],
        capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert done.stdout.strip() == str([path])
    assert mounts_below(tmp_path) == []
