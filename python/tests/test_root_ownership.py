"""Giving away a tree that strangers write to: what moves, what stays, whatever they planted."""

from __future__ import annotations

import os
import subprocess
import sys
from pathlib import Path

import pytest
from root_rig import BASE, CORE, needs_mounts, needs_root, owner, uid

from hyperhive.root.config import is_agents, same_range
from hyperhive.root.directories import Owner, opened
from hyperhive.root.ownership import MAX_DEPTH, give

pytestmark = needs_root

MANAGER = Owner(uid(0), CORE.pw_gid)
GIVEN = (MANAGER.uid, MANAGER.gid)


def _give(path: Path) -> None:
    with opened(path) as top:
        give(top, MANAGER, ours=lambda found: found == CORE.pw_uid or is_agents(found), related=same_range)


@pytest.fixture
def tree(tmp_path: Path) -> Path:
    """A directory of the core's with one file."""
    path = tmp_path / "tree"
    (path / "inner").mkdir(parents=True)
    (path / "inner/file").write_text("x")
    for found in (path, *path.rglob("*")):
        os.chown(found, CORE.pw_uid, CORE.pw_gid)
    return path


def _core(path: Path) -> Path:
    os.chown(path, CORE.pw_uid, CORE.pw_gid, follow_symlinks=False)
    return path


def test_files_directories_and_links_get_the_owner(tree: Path, tmp_path: Path) -> None:
    (tmp_path / "shadow").touch()
    (tree / "link").symlink_to(tmp_path / "shadow")
    _core(tree / "link")
    _give(tree)
    assert [owner(tree / name) for name in ("inner", "inner/file", "link")] == [GIVEN] * 3
    assert owner(tmp_path / "shadow") == (0, 0)


def test_a_link_to_a_directory_is_not_entered(tree: Path, tmp_path: Path) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    _core(outside)
    (outside / "file").touch()
    _core(outside / "file")
    (tree / "link").symlink_to(outside)
    _core(tree / "link")
    _give(tree)
    assert owner(outside) == owner(outside / "file") == (CORE.pw_uid, CORE.pw_gid)


def test_a_hard_link_to_somebody_elses_file_stays_his(
    tree: Path, tmp_path: Path, capsys: pytest.CaptureFixture[str]
) -> None:
    for name, whose in (("roots", 0), ("cores", CORE.pw_uid), ("agents", uid(7))):
        (tmp_path / name).touch()
        os.chown(tmp_path / name, whose, whose)
        os.link(tmp_path / name, tree / name)
    _give(tree)
    assert [owner(tmp_path / name)[0] for name in ("roots", "cores", "agents")] == [0, CORE.pw_uid, uid(7)]
    out = capsys.readouterr().out
    assert "roots belongs to uid 0, no part of the hive" in out
    assert f"cores has another name elsewhere, and belongs to uid {CORE.pw_uid}" in out
    assert f"agents has another name elsewhere, and belongs to uid {uid(7)}" in out


def test_hard_links_of_the_managers_own_are_its_own_affair(tree: Path, tmp_path: Path) -> None:
    (tree / "file").touch()
    os.chown(tree / "file", BASE, BASE)  # by root inside; `git clone` makes hard links
    os.link(tree / "file", tree / "other")
    _give(tree)
    assert owner(tree / "file") == GIVEN


def test_a_file_of_a_host_user_is_left_and_told(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    (tree / "roots").touch()
    _give(tree)
    assert owner(tree / "roots") == (0, 0)
    assert f"left as it is: {tree}/roots belongs to uid 0" in capsys.readouterr().out


def test_what_is_no_file_directory_or_link_is_left_and_told(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tree / "fifo")
    os.mknod(tree / "device", 0o600 | 0o020000, os.makedev(1, 3))
    for name in ("fifo", "device"):
        _core(tree / name)
    _give(tree)
    assert owner(tree / "fifo")[0] == owner(tree / "device")[0] == CORE.pw_uid
    out = capsys.readouterr().out
    assert f"{tree}/fifo is no file, directory or link" in out
    assert f"{tree}/device is no file, directory or link" in out


def test_a_name_that_would_pose_as_a_line_of_the_log_does_not(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    os.mkfifo(tree / "a\nworker is prepared\x1b[2J\udcff")
    _give(tree)
    assert r"a\nworker is prepared\x1b[2J\udcff is no file" in capsys.readouterr().out


def test_many_left_entries_are_counted_not_listed(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    for number in range(30):
        os.mkfifo(tree / str(number))
    _give(tree)
    lines = capsys.readouterr().out.splitlines()
    assert len(lines) == 7
    assert lines[-1] == f"left as they are: 25 more below {tree}"


def test_a_tree_that_is_too_deep_is_left_from_there_on(tree: Path, capsys: pytest.CaptureFixture[str]) -> None:
    path = tree
    for _ in range(MAX_DEPTH + 10):
        path /= "d"
        path.mkdir()
        _core(path)
    _give(tree)
    assert owner(tree / "d/d/d") == GIVEN
    assert owner(path) == (CORE.pw_uid, CORE.pw_gid)
    assert "is too deep" in capsys.readouterr().out


def test_a_setuid_bit_does_not_outlive_the_change(tree: Path) -> None:
    (tree / "inner/file").chmod(0o6755)
    _give(tree)
    assert (tree / "inner/file").stat().st_mode & 0o6000 == 0


@needs_mounts
@pytest.mark.parametrize("kind", ["tmpfs", "bind"])
def test_a_mount_is_not_entered(tree: Path, tmp_path: Path, kind: str) -> None:
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    for path in (outside, outside / "file"):
        _core(path)
    mount = f"mount -t tmpfs none {tree}/inner && touch {tree}/inner/file && chown 1:1 {tree}/inner {tree}/inner/file"
    if kind == "bind":
        mount = f"mount --bind {outside} {tree}/inner"
    script = f"from test_root_ownership import _give, Path; _give(Path({str(tree)!r}))"
    done = subprocess.run(
        ["unshare", "--mount", "sh", "-ec", f'{mount}; "$0" -c "$1"; stat -c %u {tree}/inner/file',
         sys.executable, script],
        capture_output=True, text=True, check=True, timeout=60,
        env={**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)},
    )  # fmt: skip
    assert f"left as it is: {tree}/inner is another mount" in done.stdout
    assert done.stdout.splitlines()[-1] == str(CORE.pw_uid)


def test_a_tree_that_is_swapped_under_the_walk_gives_nothing_away(tree: Path, tmp_path: Path) -> None:
    """Directories change places with links all the time while the walk is on; what is outside stays root's."""
    outside = tmp_path / "outside"
    outside.mkdir()
    (outside / "file").touch()
    _core(outside / "file")
    script = (
        "import os, sys\n"
        "tree, outside = sys.argv[1:]\n"
        "os.symlink(outside, tree + '/link')\n"
        "print('ready', flush=True)\n"
        "while True:\n"
        "    os.rename(tree + '/inner', tree + '/aside')\n"
        "    os.rename(tree + '/link', tree + '/inner')\n"
        "    os.rename(tree + '/inner', tree + '/link')\n"
        "    os.rename(tree + '/aside', tree + '/inner')\n"
    )
    with subprocess.Popen([sys.executable, "-c", script, str(tree), str(outside)], stdout=subprocess.PIPE) as swapper:
        assert swapper.stdout is not None
        swapper.stdout.readline()
        try:
            for _ in range(500):
                _give(tree)
        finally:
            swapper.kill()
    assert owner(outside) == (0, 0)
    assert owner(outside / "file") == (CORE.pw_uid, CORE.pw_gid)
