"""The scripts that sed and awk take on their command line: whether they run programs or write files."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hyperhive.policy.words import Word

_AWK_RUNS = re.compile(r"\bsystem\b|\bgetline\b|@|\|")
_AWK_WRITES = re.compile(r"\bprintf?\b.*>", re.DOTALL)  # wherever after it: a string may hold what ends a statement
_AWK_VALUES = frozenset({"-F", "-v", "--field-separator", "--assign"})
_SED_VALUES = frozenset({"-l", "--line-length"})
_SED_SIMPLE = frozenset("=dDgGhHlnNpPxqQz")
_LABEL = "abcdefghijklmnopqrstuvwxyzABCDEFGHIJKLMNOPQRSTUVWXYZ0123456789_.-"
_SED_FLAGS = frozenset("gpiImM0123456789")


def awk_doubt(arguments: Sequence[Word]) -> str | None:
    """Why an awk program may do more than print; None if it does not. An option is not looked at here."""
    program = _first(arguments, _AWK_VALUES)
    if program is None:
        return None
    if program.text is None:
        return "its program holds an expansion, so it could be any"
    text = program.text.replace("||", "")
    if _AWK_RUNS.search(text):
        return "its program can run others (system, getline, | or @)"
    if _AWK_WRITES.search(text):
        return "its program writes files (print > file)"
    return None


def sed_doubt(arguments: Sequence[Word]) -> str | None:
    """Why a sed script may do more than print; None if it does not. An option is not looked at here."""
    scripts = _expressions(arguments)
    if not scripts and (first := _first(arguments, _SED_VALUES)) is not None:
        scripts = [first]
    for script in scripts:
        if script.text is None:
            return "its script holds an expansion, so it could be any"
        if not _Sed(script.text).harmless():
            return "its script runs programs (e), writes files (w), or is not understood"
    return None


def _first(arguments: Sequence[Word], values: frozenset[str]) -> Word | None:
    skip = False
    for word in arguments:
        if skip:
            skip = False
        elif word.text in values:
            skip = True
        elif not (word.head.startswith("-") and word.head != "-"):
            return word
    return None


def _expressions(arguments: Sequence[Word]) -> list[Word]:
    """The scripts of -e and --expression, clustered, attached or abbreviated."""
    found: list[Word] = []
    for index, word in enumerate(arguments):
        name, given, value = word.head.partition("=")
        following = arguments[index + 1 : index + 2]
        if len(name) > 2 and "--expression".startswith(name):  # --e… is nothing else
            found += [Word(value, word.whole)] if given else following
        elif match := re.match(r"-[a-zA-Z0-9]*?e", word.head):
            attached = word.head[match.end() :]
            found += [Word(attached, word.whole)] if attached or not word.whole else following
    return found


class _Sed:
    """Reads a script, command by command; what it does not know is not harmless."""

    def __init__(self, text: str) -> None:
        self._text = text
        self._at = 0

    def harmless(self) -> bool:
        try:
            while self._command():
                pass
        except (IndexError, ValueError):
            return False
        return True

    def _command(self) -> bool:
        self._skip("; \t\n}")
        if self._at >= len(self._text):
            return False
        self._addresses()
        letter = self._take()
        if letter in _SED_SIMPLE:
            self._skip("0123456789 ")
            self._end()
        elif letter == "s":
            self._substitute()
        elif letter == "y":
            self._delimited(brackets=False)
            self._end()
        elif letter in "btT:":
            self._skip(" \t")
            self._skip(_LABEL)
        elif letter == "#":
            self._line(goes_on=False)
        elif letter in "aic":
            self._line(goes_on=True)
        elif letter != "{":
            raise ValueError(letter)
        return True

    def _addresses(self) -> None:
        for _ in range(2):
            self._address()
            self._skip(" \t")
            if not self._next(","):
                break
            self._skip(" \t")
        self._skip("! \t")

    def _address(self) -> None:
        if self._next("/"):
            self._until("/", brackets=True)
            self._skip("IM")
        elif self._next("\\"):
            self._until(self._take(), brackets=True)
            self._skip("IM")
        else:
            self._skip("0123456789$~+")

    def _substitute(self) -> None:
        self._delimited(brackets=True)
        while self._at < len(self._text) and self._text[self._at] in _SED_FLAGS:
            self._at += 1
        self._end()

    def _delimited(self, *, brackets: bool) -> None:
        delimiter = self._take()
        if delimiter in "\n\\":
            raise ValueError(delimiter)
        self._until(delimiter, brackets=brackets)
        self._until(delimiter)

    def _until(self, delimiter: str, *, brackets: bool = False) -> None:
        while (character := self._take()) != delimiter:
            if character == "\\":
                self._take()
            elif character == "[" and brackets:
                self._bracket()

    def _bracket(self) -> None:
        """`[…]`, in which a delimiter is none; a sed that takes it for one finds no end of the bracket and fails."""
        self._next("^")
        self._next("]")
        while (character := self._take()) != "]":
            if character == "[" and (kind := self._text[self._at]) in ":.=":
                self._at = self._text.index(f"{kind}]", self._at + 1) + 2

    def _line(self, *, goes_on: bool) -> None:
        """A comment, or text that goes on after a line that ends with a backslash."""
        while self._at < len(self._text) and self._text[self._at] != "\n":
            self._at += 2 if goes_on and self._text[self._at] == "\\" else 1

    def _end(self) -> None:
        self._skip(" \t")
        if self._at < len(self._text) and self._text[self._at] not in ";\n}#":
            raise ValueError(self._text[self._at])

    def _skip(self, characters: str) -> None:
        while self._at < len(self._text) and self._text[self._at] in characters:
            self._at += 1

    def _next(self, character: str) -> bool:
        if self._text[self._at : self._at + 1] != character:
            return False
        self._at += 1
        return True

    def _take(self) -> str:
        self._at += 1
        return self._text[self._at - 1]
