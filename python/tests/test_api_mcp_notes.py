"""Notes are appended to the agent's own file, whatever the agent has put in its place."""

from __future__ import annotations

import os
import re
from pathlib import Path

import pytest

from hyperhive.api import mcp_notes
from hyperhive.errors import BadInput, Conflict


def test_an_entry_is_dated_and_the_size_is_returned(tmp_path: Path) -> None:
    first = mcp_notes.append(tmp_path, "  the build needs two cores\nsee Makefile\n", 1000)
    second = mcp_notes.append(tmp_path, "é", 1000)
    text = (tmp_path / "notes.md").read_text()
    assert re.fullmatch(
        r"- \d{4}-\d\d-\d\d \d\d:\d\d the build needs two cores\nsee Makefile\n- [0-9: -]{16} é\n", text
    )
    assert 0 < first < second == len(text.encode()) == mcp_notes.size(tmp_path)


def test_an_entry_over_the_bound_is_refused_whole(tmp_path: Path) -> None:
    mcp_notes.append(tmp_path, "x" * 50, 100)
    before = (tmp_path / "notes.md").read_bytes()
    with pytest.raises(Conflict, match=r"notes.md holds 70 of 100 bytes and the entry has 70"):
        mcp_notes.append(tmp_path, "x" * 50, 100)
    assert (tmp_path / "notes.md").read_bytes() == before


@pytest.mark.parametrize("text", ["", " \n ", "a\0b", "\ud800"])
def test_text_that_is_none_is_refused(text: str, tmp_path: Path) -> None:
    with pytest.raises(BadInput):
        mcp_notes.append(tmp_path, text, 100)
    assert list(tmp_path.iterdir()) in ([], [tmp_path / "notes.md"])


def test_a_link_is_not_followed_and_its_target_is_untouched(tmp_path: Path) -> None:
    state, secret = tmp_path / "state", tmp_path / "secret"
    state.mkdir()
    secret.write_text("the host's")
    for link in (os.symlink, os.link):
        link(secret, state / "notes.md")
        with pytest.raises(BadInput, match="not a plain file"):
            mcp_notes.append(state, "x", 100)
        assert mcp_notes.size(state) == 0
        (state / "notes.md").unlink()
    assert secret.read_text() == "the host's"


def test_a_link_in_place_of_the_state_directory_is_not_followed(tmp_path: Path) -> None:
    (tmp_path / "elsewhere").mkdir()
    (tmp_path / "state").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(BadInput, match="not a plain file"):
        mcp_notes.append(tmp_path / "state", "x", 100)
    assert list((tmp_path / "elsewhere").iterdir()) == []


def test_a_pipe_or_a_directory_is_refused_without_waiting(tmp_path: Path) -> None:
    os.mkfifo(tmp_path / "notes.md")
    with pytest.raises(BadInput, match="not a plain file"):
        mcp_notes.append(tmp_path, "x", 100)
    reader = os.open(tmp_path / "notes.md", os.O_RDONLY | os.O_NONBLOCK)
    with pytest.raises(BadInput, match="not a plain file"):
        mcp_notes.append(tmp_path, "x", 100)
    os.close(reader)
    (tmp_path / "notes.md").unlink()
    (tmp_path / "notes.md").mkdir()
    with pytest.raises(BadInput, match="not a plain file"):
        mcp_notes.append(tmp_path, "x", 100)
    assert mcp_notes.size(tmp_path) == 0


@pytest.mark.skipif(os.geteuid() != 0, reason="only root makes a file that is another's")
def test_a_file_that_root_makes_is_the_directorys_owners(tmp_path: Path) -> None:
    os.chown(tmp_path, 1234, 1235)
    mcp_notes.append(tmp_path, "x", 100)
    made = (tmp_path / "notes.md").stat()
    assert (made.st_uid, made.st_gid, made.st_mode & 0o777) == (1234, 1235, 0o600)
