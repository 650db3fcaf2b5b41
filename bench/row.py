"""One line of what a benchmark found."""

from __future__ import annotations

from dataclasses import dataclass


@dataclass(frozen=True)
class Row:
    """A measured `value` in `unit`, the `target` in words (empty: none), and whether it was met."""

    name: str
    value: float
    unit: str
    target: str
    ok: bool
