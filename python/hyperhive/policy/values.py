"""What a command's own assignments give to its variables: whether one can be an option, or anything but a number."""

from __future__ import annotations

import re
from collections.abc import Callable

from hyperhive.policy.words import GLOB, Word

_NUMBER = re.compile(r"-?[0-9]+\Z")


class Values:
    """What the command's own assignments give to its variables; None: a value that nobody knows.

    A variable's use may stand before its assignment (in a loop), so they are collected in a walk of their own.
    """

    def __init__(self) -> None:
        self.settled = False
        self._known: dict[str, list[Word | None]] = {}

    def add(self, name: str, value: Word | None) -> None:
        if not self.settled:
            self._known.setdefault(name, []).append(value)

    def settle(self) -> None:
        self.settled = True

    def assigned(self, name: str) -> bool:
        return name in self._known

    def tame(self, name: str, *, quoted: bool) -> bool:
        """Whether the variable is never an option, and one word also without quotes."""
        return self._all(name, _is_plain if quoted else _is_steady)

    def of(self, name: str) -> tuple[Word, ...]:
        """All that a tame variable may hold."""
        return tuple(value for value in self._known.get(name, ()) if value is not None)

    def numeric(self, name: str) -> bool:
        """Whether the variable holds numbers only, so that arithmetic cannot take it for code."""
        return self._all(name, _is_number)

    def _all(self, name: str, good: Callable[[Word], bool]) -> bool:
        values = self._known.get(name) if self.settled else None
        return values is not None and all(value is not None and good(value) for value in values)


def _is_number(word: Word) -> bool:
    return word.number or (word.whole and _NUMBER.match(word.head) is not None)


def _is_plain(word: Word) -> bool:
    """Whether it is never an option."""
    return word.number or not (word.option or word.head[:1] in ("", "-"))


def _is_steady(word: Word) -> bool:
    """Whether it is never an option and stays one word without quotes too."""
    plain = word.whole and word.head[:1] not in ("", "-")
    return word.number or (plain and not set(word.head) & (GLOB | set(" \t\n\\")))
