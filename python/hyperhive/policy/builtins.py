"""The shell's own commands that only say, test or change something inside of one call: they need no rule."""

from __future__ import annotations

import re
from collections.abc import Sequence

from hyperhive.policy.variables import may_set
from hyperhive.policy.words import Word

QUIET = frozenset({":", "true", "false", "pwd", "echo", "exit", "break", "continue", "shift"})
_NAME = re.compile(r"[A-Za-z_][A-Za-z0-9_]*\Z")
_SET = re.compile(r"[-+][euxfvh]*o?\Z")
_SET_NAMES = frozenset({"pipefail", "errexit", "nounset", "xtrace", "noglob"})
_UNARY = re.compile(r"-[a-hknoprstuwxzGLNOS]\Z")
_BINARY = frozenset({"=", "==", "!=", "<", ">", "-eq", "-ne", "-lt", "-le", "-gt", "-ge", "-nt", "-ot", "-ef"})
_READ_FLAGS = re.compile(r"-[rs]+\Z")
_READ_VALUES = re.compile(r"-r?[dntp]\Z")


def doubt(words: Sequence[Word]) -> str | None:
    """Why this use of a built-in command is not harmless; None if it is. Raises KeyError for other programs."""
    name = words[0].head
    if name in QUIET:
        return None
    return _CHECKS[name](words[1:])


def knows(name: str) -> bool:
    """Whether that is one of them."""
    return name in QUIET or name in _CHECKS


def _printf(arguments: Sequence[Word]) -> str | None:
    if not arguments:
        return None
    first = arguments[0]
    if first.option or (first.head.startswith("-") and first.text != "--"):
        return "printf can set a variable by an option (-v)"
    return None


def _test(arguments: Sequence[Word]) -> str | None:
    if any(word.text in ("-v", "-R") for word in arguments):
        return "`-v` evaluates its operand as code"
    for index, word in enumerate(arguments):
        if word.option and not _is_operand(arguments, index):
            return f"{word} could be an operator such as -v; quote it, and put it beside a known one"
    return None


def _is_operand(arguments: Sequence[Word], index: int) -> bool:
    if not arguments[index].one:
        return False
    before = arguments[index - 1].text if index else None
    after = arguments[index + 1].text if index + 1 < len(arguments) else None
    unary = before is not None and _UNARY.match(before) is not None
    return unary or before in _BINARY or after in _BINARY


def _set(arguments: Sequence[Word]) -> str | None:
    for before, word in zip((None, *arguments), arguments, strict=False):
        named = before is not None and (before.text or "").endswith("o") and word.text in _SET_NAMES
        if not named and (word.text is None or _SET.match(word.text) is None):
            return f"set {word} is not among -e -u -x -o pipefail"
    return None


def _read(arguments: Sequence[Word]) -> str | None:
    value = False
    for word in arguments:
        if word.text is None:
            return f"read {word}: an expansion could name any variable"
        if value or _READ_FLAGS.match(word.text):
            value = False
        elif _READ_VALUES.match(word.text):
            value = True
        elif not _NAME.match(word.text) or not may_set(word.text, None, exported=False):
            return f"read may not set {word}"
    return None


def _wait(arguments: Sequence[Word]) -> str | None:
    return next((f"wait {word} is not understood" for word in arguments if word.option or word.head[:1] == "-"), None)


_CHECKS = {"printf": _printf, "test": _test, "[": _test, "set": _set, "read": _read, "wait": _wait}
