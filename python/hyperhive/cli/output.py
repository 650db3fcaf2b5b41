"""How things are printed: tables, times, JSON; and agents' text so that it cannot drive the terminal.

Whatever an agent wrote (mail, reasons, diffs, logs) goes through `clean` or `line`. What they escape stands
there visibly, as `\\x1b` or `\\u202e`.
"""

from __future__ import annotations

import json
import shutil
import sys
import time
import unicodedata
from collections.abc import Iterable, Mapping, Sequence
from datetime import UTC, datetime
from typing import Any

# Control, format (bidi, zero width), surrogate, private use, line and paragraph separators (UAX #44).
_UNSAFE = frozenset({"Cc", "Cf", "Cs", "Co", "Zl", "Zp"})
_TIMES = frozenset(
    {
        *("at", "created_at", "updated_at", "sent_at", "read_at", "used_at", "started_at", "ended_at", "dead_at"),
        *("expires_at", "until", "modified"),
    }
)
_OPAQUE = frozenset({"settings", "overrides", "detail", "before", "after", "body"})
_GAP = "  "


def clean(text: str) -> str:
    """`text` with every character that could move the cursor, hide or reorder something written out.

    Newlines and tabs stay; use `line` where a newline could pose as a line of ours.
    """
    return "".join(char if char in "\n\t" else _written_out(char) for char in text)


def line(text: str) -> str:
    """`text` on one line: as `clean`, newlines and tabs written out too."""
    return "".join(map(_written_out, text))


def block(text: str, indent: str = "  ") -> str:
    """`text` as `clean` gives it, each of its lines behind `indent`, so that none poses as a line of ours."""
    return "\n".join(indent + part for part in clean(text).split("\n"))


def _written_out(char: str) -> str:
    if unicodedata.category(char) in _UNSAFE:
        return char.encode("unicode_escape").decode()
    return char


def width(text: str) -> int:
    """How many columns `text` (cleaned) takes on a terminal (UAX #11; combining marks take none)."""
    return sum(_columns(char) for char in text)


def _columns(char: str) -> int:
    if unicodedata.combining(char):
        return 0
    return 2 if unicodedata.east_asian_width(char) in "WF" else 1


def shorten(text: str, columns: int) -> str:
    """`text` (cleaned) cut to `columns`, with `…` at its end if something is missing."""
    if width(text) <= columns:
        return text
    kept, used = [], 1
    for char in text:
        used += _columns(char)
        if used > columns:
            break
        kept.append(char)
    return "".join(kept) + "…"


def table(headers: Sequence[str], rows: Iterable[Sequence[object]], *, empty: str) -> None:
    """Print rows under headers, `empty` if there are none. On a terminal the last column is cut to fit."""
    cells = [["-" if cell in (None, "") else line(str(cell)) for cell in row] for row in rows]
    if not cells:
        print(empty)
        return
    lines = [list(headers), *cells]
    widths = [max(width(row[column]) for row in lines) for column in range(len(headers) - 1)]
    room = max(20, _room() - sum(widths) - len(_GAP) * len(widths))
    for row in lines:
        padded = [cell + " " * (columns - width(cell)) for cell, columns in zip(row, widths, strict=False)]
        print(_GAP.join([*padded, shorten(row[-1], room)]).rstrip())


def fields(pairs: Iterable[tuple[str, object]]) -> None:
    """Print `name: value` lines, the values under each other; None is shown as `-`."""
    shown = [(name, "-" if value in (None, "") else line(str(value))) for name, value in pairs]
    longest = max(len(name) for name, _ in shown)
    for name, value in shown:
        print(f"{name + ':':<{longest + 1}} {value}")


def _room() -> int:
    return shutil.get_terminal_size().columns if sys.stdout.isatty() else sys.maxsize


def ago(at: float | None) -> str:
    """A Unix time as seen from now: `12 s ago`, `3 min ago`; `-` for None."""
    if at is None:
        return "-"
    seconds = max(0.0, time.time() - at)
    for name, size in (("d", 86400), ("h", 3600), ("min", 60)):
        if seconds >= size * (2 if name == "d" else 1):
            return f"{int(seconds // size)} {name} ago"
    return f"{int(seconds)} s ago" if seconds >= 1 else "now"


def iso(at: float) -> str:
    """A Unix time as ISO 8601 in UTC, to the millisecond."""
    return datetime.fromtimestamp(at, UTC).isoformat(timespec="milliseconds").replace("+00:00", "Z")


def print_json(value: object) -> None:
    """Print JSON (ASCII only, so nothing in it can drive a terminal); Unix times become ISO 8601."""
    print(json.dumps(_with_iso_times(value), indent=2))


def _with_iso_times(value: Any) -> Any:  # noqa: ANN401  (any JSON value)
    match value:
        case dict():
            return {name: _json_member(name, held) for name, held in value.items()}
        case list() | tuple():
            return [_with_iso_times(held) for held in value]
        case _:
            return value


def _json_member(name: str, value: Any) -> Any:  # noqa: ANN401
    if name in _OPAQUE:
        return value
    if name in _TIMES and isinstance(value, int | float):
        return iso(value)
    return _with_iso_times(value)


def event_of(message: Mapping[str, Any]) -> dict[str, Any] | None:
    """The helper event that a message carries, None for mail."""
    if message["kind"] != "event":
        return None
    try:
        event = json.loads(message["body"])
    except ValueError:
        return None
    return event if isinstance(event, dict) else None


def said(message: Mapping[str, Any]) -> str:
    """The text of a message; a helper event in words, without what only programs read."""
    event = event_of(message)
    if event is None:
        return str(message["body"])
    told = ", ".join(f"{name} {value}" for name, value in event.items() if name not in ("event", "commit", "log"))
    return f"{event.get('event')}: {told}"
