from __future__ import annotations

import json
import time
import unicodedata

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.cli.output import ago, block, clean, fields, iso, line, print_json, shorten, table, width

HOSTILE = {
    "\x1b[2J": r"\x1b[2J",
    "\x1b]0;title\x07": r"\x1b]0;title\x07",
    "\r": r"\r",
    "\x08": r"\x08",
    "\x7f": r"\x7f",
    "\x9b31m": r"\x9b31m",
    "\u202e": r"\u202e",
    "\u2066": r"\u2066",
    "\u200b": r"\u200b",
    "\u200f": r"\u200f",
    "\u2028": r"\u2028",
    "\ufeff": r"\ufeff",
    "\U000e0041": r"\U000e0041",
    "\ud800": r"\ud800",
}


@pytest.mark.parametrize(("hostile", "shown"), HOSTILE.items())
def test_what_could_drive_the_terminal_is_written_out(hostile: str, shown: str) -> None:
    assert clean(f"a{hostile}b") == f"a{shown}b"
    assert line(f"a{hostile}b") == f"a{shown}b"


@given(st.text())
def test_nothing_but_newlines_and_tabs_is_left_of_the_control_characters(text: str) -> None:
    left = {unicodedata.category(char) for char in clean(text) if char not in "\n\t"}
    assert not left & {"Cc", "Cf", "Cs", "Co", "Zl", "Zp"}
    assert "\n" not in line(text)
    assert "\t" not in line(text)


def test_ordinary_text_is_left_alone() -> None:
    text = "Größe → 日本\n\t- [x] `gzip *` é 🐝"
    assert clean(text) == text


def test_no_line_of_a_block_poses_as_a_line_of_ours() -> None:
    assert block("ok\nstate: applied", "  | ") == "  | ok\n  | state: applied"


def test_a_table_aligns_wide_characters_and_escapes_cells(capsys: pytest.CaptureFixture[str]) -> None:
    table(["A", "B"], [["日本", "x"], ["b", "\x1b[1m\nforged"], [None, ""]], empty="none")
    assert capsys.readouterr().out.splitlines() == ["A     B", "日本  x", r"b     \x1b[1m\nforged", "-     -"]


def test_an_empty_table_says_so(capsys: pytest.CaptureFixture[str]) -> None:
    table(["A"], [], empty="no agents")
    assert capsys.readouterr().out == "no agents\n"


def test_fields_stand_under_each_other(capsys: pytest.CaptureFixture[str]) -> None:
    fields([("a", 1), ("long", None), ("b", "x\x1b")])
    assert capsys.readouterr().out == "a:    1\nlong: -\nb:    x\\x1b\n"


@given(st.text(alphabet="ab日é́", max_size=30), st.integers(1, 20))
def test_shortened_text_fits(text: str, columns: int) -> None:
    short = shorten(text, columns)
    assert width(short) <= columns
    assert short == text or short.endswith("…")


@pytest.mark.parametrize(
    ("seconds", "said"),
    [
        (0, "now"),
        (5, "5 s ago"),
        (61, "1 min ago"),
        (7300, "2 h ago"),
        (90000, "25 h ago"),
        (180000, "2 d ago"),
        (-9, "now"),
    ],
)
def test_times_are_told_as_seen_from_now(seconds: float, said: str) -> None:
    assert ago(time.time() - seconds) == said


def test_no_time_is_a_dash() -> None:
    assert ago(None) == "-"


def test_json_has_iso_times_where_times_are_and_nowhere_else(capsys: pytest.CaptureFixture[str]) -> None:
    assert iso(0.5) == "1970-01-01T00:00:00.500Z"
    value = {
        "created_at": 0.5,
        "read_at": None,
        "n": 0.5,
        "list": [{"at": 1}],
        "settings": {"at": 2},
        "detail": {"at": 3},
    }
    print_json(value)
    printed = capsys.readouterr().out
    assert json.loads(printed) == {
        "created_at": "1970-01-01T00:00:00.500Z",
        "read_at": None,
        "n": 0.5,
        "list": [{"at": "1970-01-01T00:00:01.000Z"}],
        "settings": {"at": 2},
        "detail": {"at": 3},
    }


def test_json_is_ascii_so_that_it_cannot_drive_a_terminal_either(capsys: pytest.CaptureFixture[str]) -> None:
    print_json({"body": "\x1b[2J\u202eé"})
    printed = capsys.readouterr().out
    assert printed.isascii()
    assert "\x1b" not in printed
    assert json.loads(printed)["body"] == "\x1b[2J\u202eé"
