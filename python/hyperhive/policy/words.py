"""One word of a command after quote removal, and how it is put together from the pieces that the grammar gives."""

from __future__ import annotations

import re
from dataclasses import dataclass

GLOB = frozenset("*?[")
_HIDDEN = re.compile(r"(?:^|/)\.")


@dataclass(frozen=True)
class Word:
    """One word of a command after quote removal.

    `head` is the static text that it begins with; if `whole`, there is nothing after it. `one`: it stays one word,
    whatever its expansions give. `option`: an expansion could make an option of it, or of a word that splits off.
    `number`: all that it gives are numbers. `glob`: names of files that are there, in directories that are not hidden.
    `values`: what a variable holds that is all of it, if the command itself says that.
    """

    head: str
    whole: bool = True
    one: bool = True
    option: bool = False
    number: bool = False
    glob: bool = False
    values: tuple[Word, ...] = ()

    @property
    def text(self) -> str | None:
        """The word, if it is static."""
        return self.head if self.whole else None

    def __str__(self) -> str:
        return self.head if self.whole else f"{self.head}…"


ANYTHING = Word("", whole=False, one=False, option=True)
"""Any number of words that nobody knows."""


class Builder:
    """Puts a word together from its parts."""

    def __init__(self) -> None:
        self._head = ""
        self._whole = True
        self._one = True
        self._option = False
        self._number = False
        self._glob = False
        self._parts = 0
        self._values: tuple[Word, ...] = ()

    def static(self, text: str) -> None:
        self._parts += bool(text)
        self._number = self._number and not text
        if self._whole:
            self._head += text

    def tail(self, text: str) -> None:
        """Static text, and then what nobody knows, in the same word."""
        self.static(text)
        self._parts += 1
        self._whole = self._glob = False

    def tame(self, values: tuple[Word, ...]) -> None:
        """A variable that is never an option and never splits."""
        self._parts += 1
        self._values = values
        self._option |= self._whole and self._head.startswith("-") and "=" not in self._head
        self._whole = self._number = self._glob = False

    def number(self) -> None:
        self._parts += 1
        self._number = self._whole and self._head == ""
        self._option |= self._whole and self._head == "-"
        self._whole = False

    def unknown(self, *, quoted: bool) -> None:
        self._parts += 1
        self._number = self._glob = False
        if not quoted:
            self._one = False
            self._option = True
        elif self._whole and (self._head == "" or (self._head.startswith("-") and "=" not in self._head)):
            self._option = True
        self._whole = False

    def pattern(self, *, names: bool) -> None:
        """A glob or braces: several words, each of which begins as this one does. `names`: of visible files."""
        self._parts += 1
        self._glob = names and (self._whole or self._glob)
        self._option |= self._whole and (self._head == "" or self._head.startswith("-"))
        self._one = False
        self._whole = False

    def word(self) -> Word:
        values = self._values if self._parts == 1 else ()
        return Word(self._head, self._whole, self._one, self._option, self._number, self._glob, values)


def add_literal(value: str, made: Builder, *, quoted: bool, first: bool) -> None:
    """A piece without quotes (or between double ones) as the command has it: escapes, globs, braces and tildes."""
    if first and not quoted and value.startswith("~"):
        made.tail("/")
        return
    rest = iter(value)
    for character in rest:
        if character == "\\":
            _escape(next(rest, ""), made, quoted=quoted)
        elif not quoted and _expands(character, value):
            made.pattern(names=character in GLOB and not _HIDDEN.search(value))
        else:
            made.static(character)


def _escape(character: str, made: Builder, *, quoted: bool) -> None:
    if character == "\n":
        return
    if quoted and character not in '$`"\\':
        made.static("\\")
    made.static(character)


def _expands(character: str, value: str) -> bool:
    """Whether a character makes a pattern of the piece that it stands in."""
    match character:
        case "[":
            return "]" in value
        case "{":
            return _has_braces(value)
        case _:
            return character in GLOB


def _has_braces(value: str) -> bool:
    return re.search(r"\{[^}]*(?:,|\.\.)", value, re.DOTALL) is not None
