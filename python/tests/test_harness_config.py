"""harness.json: read whole, refused with one clear line, and its cage read again for each turn."""

from __future__ import annotations

import json
from pathlib import Path

import pytest
from harness_rig import DONE, answers, config, write

from hyperhive.errors import BadInput
from hyperhive.harness.config import HarnessConfig


def test_what_was_written_is_read(tmp_path: Path) -> None:
    made = config(tmp_path, answers(DONE))
    assert HarnessConfig.load(write(tmp_path / "harness.json", made)) == made


def test_a_missing_file_says_which_and_who_writes_it(tmp_path: Path) -> None:
    with pytest.raises(BadInput, match=r"nowhere\.json: No such file or directory; the backend writes it"):
        HarnessConfig.load(tmp_path / "nowhere.json")


@pytest.mark.parametrize("text", ["", "[]", "{}", '{"settings": 7}', '"x"', "[" * 100_000])
def test_a_file_that_is_something_else_is_refused(tmp_path: Path, text: str) -> None:
    path = tmp_path / "harness.json"
    path.write_text(text)
    with pytest.raises(BadInput, match=r"harness\.json is not a harness configuration"):
        HarnessConfig.load(path)


def test_settings_that_are_something_else_are_refused(tmp_path: Path) -> None:
    path = write(tmp_path / "harness.json", config(tmp_path, answers(DONE)))
    (tmp_path / "settings.json").write_text('{"name": "worker"}')
    with pytest.raises(BadInput, match="is not a harness configuration"):
        HarnessConfig.load(path)


def test_only_the_cage_is_taken_from_a_newer_file(tmp_path: Path) -> None:
    made = config(tmp_path, answers(DONE))
    path = write(tmp_path / "harness.json", made)
    value = json.loads(path.read_text())
    path.write_text(json.dumps({**value, "generation": 9, "cage": {"argv": ["other", "--"]}}))
    newer = made.refreshed(path)
    assert (newer.cage, newer.generation) == (("other", "--"), 1)


@pytest.mark.parametrize("text", ["", "{}", '{"cage": 1}', '{"cage": {"argv": null}}', "[" * 100_000])
def test_a_newer_file_that_is_broken_changes_nothing(tmp_path: Path, text: str) -> None:
    made = config(tmp_path, answers(DONE))
    path = tmp_path / "harness.json"
    path.write_text(text)
    assert made.refreshed(path) == made
