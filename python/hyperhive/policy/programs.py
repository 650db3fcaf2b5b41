"""The table of what programs do beyond their name (programs.toml): for the hook's verdict and the linter's advice."""

from __future__ import annotations

import functools
import tomllib
from collections.abc import Sequence
from dataclasses import dataclass
from fnmatch import fnmatchcase
from importlib import resources
from typing import Any

from hyperhive.policy.words import Word


@dataclass(frozen=True)
class Program:
    """One entry of the table; its keys are explained there."""

    names: tuple[str, ...]
    why: str = ""
    example: str = ""
    safer: str = ""
    files: str = ""
    long: tuple[str, ...] = ()
    short: str = ""
    words: tuple[str, ...] = ()
    starts: tuple[str, ...] = ()
    holds: tuple[str, ...] = ()
    values: tuple[str, ...] = ()
    old: bool = False
    writes: bool = False

    def named(self, name: str) -> bool:
        """Whether the entry is about that program, or subcommand (`git grep`)."""
        return any(fnmatchcase(name, held) for held in self.names)

    @property
    def narrows(self) -> bool:
        """Whether a `*` does not give everything."""
        return bool(self.long or self.short or self.words or self.starts or self.holds)

    def takes_next(self, word: Word) -> bool:
        """Whether the word after this one is its value (long options may be abbreviated, short ones clustered)."""
        text = word.text or ""
        if text.startswith("--"):
            return len(text) > 2 and any(value.startswith(text) for value in self.values)
        letters = {value[1] for value in self.values if len(value) == 2}
        first = next((index for index, letter in enumerate(text) if index and letter in letters), 0)
        return text.startswith("-") and first > 0 and first == len(text) - 1

    def unsafe(self, word: Word) -> bool:
        """Whether this argument is, or an expansion could make of it, what a `*` does not give."""
        if word.values:
            return any(self.unsafe(value) for value in word.values)
        text = word.head
        if (word.option and self.narrows) or self._is_named(word):
            return True
        if text.startswith("--"):
            name = text.partition("=")[0]
            return len(name) > 2 and any(option.startswith(name) for option in self.long)
        return text.startswith("-") and any(letter in text[1:].partition("=")[0] for letter in self.short)

    def _is_named(self, word: Word) -> bool:
        """Whether it is, or begins as, one of `words` or what `starts` has."""
        text = word.head
        if self.holds and (not word.whole or any(held in text for held in self.holds)):
            return True
        if word.whole:
            return text in self.words or text.startswith(self.starts)
        return bool(text) and any(
            named.startswith(text) or text.startswith(named) for named in (*self.words, *self.starts)
        )


@functools.cache
def _file() -> dict[str, Any]:
    return tomllib.loads(resources.files("hyperhive").joinpath("policy/programs.toml").read_text())


@functools.cache
def table() -> tuple[Program, ...]:
    """The programs. An unknown key is a TypeError: the file is ours."""
    return tuple(_program(entry) for entry in _file()["program"])


def _program(entry: dict[str, Any]) -> Program:
    values: dict[str, Any] = {key: tuple(held) if isinstance(held, list) else held for key, held in entry.items()}
    return Program(**values)


@functools.cache
def harmless_variables() -> frozenset[str]:
    """The variables that a command may set for another one."""
    return frozenset(_file()["harmless_variables"])


@functools.cache
def git_subcommands() -> frozenset[str]:
    """git's subcommands that a `*` gives."""
    return frozenset(_file()["git_subcommands"])


@functools.lru_cache(maxsize=512)
def entries(*names: str) -> tuple[Program, ...]:
    """The entries about any of these names."""
    return tuple(entry for entry in table() if any(entry.named(name) for name in names))


def unsafe(found: Sequence[Program], arguments: Sequence[Word]) -> int | None:
    """The index of the first argument that a `*` does not give; None if there is none."""
    value = False
    for index, word in enumerate(arguments):
        if value and word.one:
            value = False
            continue
        if word.text == "--" and not any(entry.words for entry in found):
            return None
        if any(entry.unsafe(word) for entry in found) or (index == 0 and _old_unsafe(found, word)):
            return index
        value = any(entry.takes_next(word) for entry in found)
    return None


def _old_unsafe(found: Sequence[Program], word: Word) -> bool:
    """tar's first word may be options without their dash."""
    cluster = Word(f"-{word.head}", word.whole)
    return not word.head.startswith("-") and any(entry.old and entry.unsafe(cluster) for entry in found)
