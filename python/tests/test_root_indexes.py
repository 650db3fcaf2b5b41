"""Indexes: one for each name, for ever."""

from __future__ import annotations

import json
import os
import subprocess
import sys
from pathlib import Path

import pytest
from root_rig import mode, needs_root

from hyperhive.errors import BadInput, Conflict, Unavailable
from hyperhive.root.config import INDEXES
from hyperhive.root.indexes import FIRST, claim, known


@pytest.fixture
def own(tmp_path: Path) -> Path:
    return tmp_path / "own"


def _write(own: Path, text: str) -> None:
    own.mkdir(mode=0o700, exist_ok=True)
    (own / "indexes.json").write_text(text)


def test_run_time_agents_get_the_first_that_was_never_used(own: Path) -> None:
    assert [claim(own, name, {"d": FIRST + 1}) for name in ("a", "b", "a", "c")] == [FIRST, FIRST + 2, FIRST, FIRST + 3]
    assert known(own) == {"a": FIRST, "b": FIRST + 2, "c": FIRST + 3}
    assert (mode(own), mode(own / "indexes.json")) == ("0700", "0600")
    assert [path.name for path in own.iterdir()] == ["indexes.json"]


def test_a_declared_index_is_kept_and_must_not_change(own: Path) -> None:
    assert claim(own, "a", {"a": 5}) == 5
    with pytest.raises(Conflict, match=r"a has had index 5 since its first start.*declare index = 5"):
        claim(own, "a", {"a": 6})
    assert claim(own, "a", {}) == 5  # no longer declared, still its own


def test_a_run_time_agents_index_can_be_declared_later(own: Path) -> None:
    assert claim(own, "a", {}) == claim(own, "a", {"a": FIRST}) == FIRST


def test_an_index_is_never_accepted_for_another_name(own: Path) -> None:
    claim(own, "a", {"a": 0})
    with pytest.raises(Conflict, match=r"index 0 of b is, or was, a's, .* declare another, e\.g\. 1$"):
        claim(own, "b", {"b": 0})
    with pytest.raises(Conflict, match="index 7 of b is, or was, c's"):
        claim(own, "b", {"b": 7, "c": 7})
    assert known(own) == {"a": 0}


def test_when_all_are_given_that_is_said(own: Path) -> None:
    _write(own, json.dumps({f"a{index}": index for index in range(FIRST, INDEXES)}))
    with pytest.raises(Unavailable, match=f"all indexes from {FIRST} to {INDEXES - 1} have been given"):
        claim(own, "one-more", {})
    assert claim(own, "one-more", {"one-more": 1}) == 1


@pytest.mark.parametrize(
    "text",
    [
        "",
        "{",
        "[]",
        '{"a": "1"}',
        '{"a": true}',
        '{"a": 4094}',
        '{"A": 1}',
        '{"../a": 1}',
        '{"a": 1, "b": 1}',
        "\udcff",
    ],
)
def test_a_damaged_record_is_never_written_over(own: Path, text: str) -> None:
    own.mkdir(mode=0o700)
    (own / "indexes.json").write_bytes(text.encode(errors="surrogateescape"))
    with pytest.raises(BadInput, match=r"indexes\.json is damaged"):
        claim(own, "b", {})
    assert (own / "indexes.json").read_bytes() == text.encode(errors="surrogateescape")


def test_a_link_in_the_records_place_is_refused(own: Path, tmp_path: Path) -> None:
    own.mkdir(mode=0o700)
    (tmp_path / "elsewhere").write_text('{"a": 9}')
    (own / "indexes.json").symlink_to(tmp_path / "elsewhere")
    with pytest.raises(Conflict, match="is not root's own file"):
        known(own)
    with pytest.raises(Conflict, match="is not root's own file"):
        claim(own, "a", {})


@needs_root
def test_a_directory_of_somebody_elses_is_refused(own: Path) -> None:
    own.mkdir()
    os.chown(own, 65534, 65534)
    with pytest.raises(Conflict, match="own belongs to uid 65534, not 0"):
        claim(own, "a", {})


def test_without_a_record_nothing_is_known(own: Path) -> None:
    assert known(own) == {}
    own.mkdir()
    assert known(own) == {}


def test_many_at_once_get_one_each(own: Path) -> None:
    script = (
        "import sys; from pathlib import Path; from hyperhive.root.indexes import claim;"
        " claim(Path(sys.argv[1]), sys.argv[2], {})"
    )
    environment = {**os.environ, "PYTHONPATH": os.pathsep.join(sys.path)}
    running = [
        subprocess.Popen([sys.executable, "-c", script, str(own), f"a{n}"], env=environment, stdout=subprocess.DEVNULL)
        for n in range(8)
    ]
    assert [process.wait(60) for process in running] == [0] * 8
    assert sorted(known(own).values()) == list(range(FIRST, FIRST + 8))
