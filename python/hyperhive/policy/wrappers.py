"""Commands that run another command: which one. They give nothing themselves, the command inside needs a rule."""

from __future__ import annotations

import re
from collections.abc import Sequence
from dataclasses import dataclass

from hyperhive.policy.script import NotUnderstood, Simple
from hyperhive.policy.variables import may_set
from hyperhive.policy.words import ANYTHING, Word

SHELLS = frozenset({"sh", "bash", "dash"})
_ASSIGNMENT = re.compile(r"([A-Za-z_][A-Za-z0-9_]*)=(.*)\Z", re.DOTALL)
_FIND_RUNS = frozenset({"-exec", "-execdir", "-ok", "-okdir"})
_FIND_ENDS = frozenset({";", "+"})


@dataclass(frozen=True)
class _Options:
    """`flags` stand alone, `values` take the next word (or the rest of theirs); then come `operands` words."""

    flags: frozenset[str] = frozenset()
    values: frozenset[str] = frozenset()
    operands: int = 0


def _options(flags: str = "", values: str = "", operands: int = 0) -> _Options:
    return _Options(frozenset(flags.split()), frozenset(values.split()), operands)


_WRAPPERS = {
    "timeout": _options("--foreground --preserve-status -v --verbose -f -p", "-k --kill-after -s --signal", operands=1),
    "nice": _options("", "-n --adjustment"),
    "ionice": _options("-t", "-c -n --class --classdata"),
    "nohup": _options(),
    "stdbuf": _options("", "-i -o -e --input --output --error"),
    "setsid": _options("-w --wait -f --fork -c --ctty"),
    "time": _options("-p"),
    "command": _options("-p"),
    "exec": _options("-l"),
}
_XARGS = _options(
    "-0 --null -r --no-run-if-empty -t --verbose -x --exit -o",
    "-n --max-args -L --max-lines -P --max-procs -s --max-chars -I -d --delimiter -E -a --arg-file",
)
NAMES = frozenset({*_WRAPPERS, "env", "xargs"})
"""The programs that `inside` is for."""


def inside(words: Sequence[Word]) -> Simple | None:
    """The command that a wrapper runs; None if it runs none (`env`). Raises NotUnderstood."""
    name, arguments = words[0].head, words[1:]
    if name == "env":
        return _env(arguments)
    if name == "xargs":
        return _xargs(arguments)
    if name == "nice" and arguments and re.match(r"-[0-9]+\Z", arguments[0].head):
        arguments = arguments[1:]
    rest = _after_options(name, _WRAPPERS[name], arguments)
    return Simple(tuple(rest)) if rest else None


def looks_up(words: Sequence[Word]) -> bool:
    """Whether it is `command -v NAME`, which only says where a command is."""
    return words[0].head == "command" and len(words) > 1 and words[1].text in ("-v", "-V")


def shell_script(words: Sequence[Word]) -> Word | None:
    """The script of `sh -c SCRIPT …` or `eval SCRIPT …`; None if it is another command, or called in another way."""
    if words[0].head == "eval":
        whole = all(word.whole for word in words)
        return Word(" ".join(word.head for word in words[1:]), whole=whole)
    if words[0].head not in SHELLS:
        return None
    for index, word in enumerate(words[1:-1], 1):
        if word.text is None or not re.match(r"-[eux]*c?[eux]*\Z", word.text) or word.text == "-":
            return None
        if "c" in word.text:
            return words[index + 1]
    return None


def find_commands(words: Sequence[Word]) -> list[Simple]:
    """The commands of find's -exec and its like. Raises NotUnderstood."""
    found = []
    rest = list(words[1:])
    while rest:
        word = rest.pop(0)
        if word.option and _dashed(word):
            raise NotUnderstood(f"{word} could become an action of find")
        if word.text in _FIND_RUNS:
            found.append(_find_command(rest))
    return found


def _dashed(word: Word) -> bool:
    return not word.head or word.head.startswith("-")


def _find_command(rest: list[Word]) -> Simple:
    command: list[Word] = []
    while rest and rest[0].text not in _FIND_ENDS:
        command.append(_filled(rest.pop(0), "{}", option=False))  # a path begins as find's starting point does
    if not rest or not command:
        raise NotUnderstood("find's -exec has no end")
    if rest.pop(0).text == "+":
        command.append(Word("", whole=False, one=False))
    return Simple(tuple(command))


def _filled(word: Word, mark: str, *, option: bool) -> Word:
    """The word with something unknown for the mark."""
    before, found, _ = word.head.partition(mark)
    return (
        Word(before, whole=False, option=option and (not before or (before.startswith("-") and "=" not in before)))
        if found
        else word
    )


def _env(arguments: Sequence[Word]) -> Simple | None:
    rest = list(_after_options("env", _options("-0 --null"), arguments))
    while rest and rest[0].whole and (match := _ASSIGNMENT.match(rest[0].head)):
        if not may_set(match[1], match[2], exported=True):
            raise NotUnderstood(f"env may not set {match[1]}")
        rest.pop(0)
    return Simple(tuple(rest)) if rest else None


def _xargs(arguments: Sequence[Word]) -> Simple:
    rest = _after_options("xargs", _XARGS, arguments)
    mark = _replaced(arguments[: len(arguments) - len(rest)])
    command = tuple(rest) or (Word("echo"),)
    if mark is None:
        return Simple((*command, ANYTHING))
    return Simple(tuple(_filled(word, mark, option=True) for word in command))


def _replaced(options: Sequence[Word]) -> str | None:
    """What -I names as the place of each input line."""
    for index, word in enumerate(options):
        if word.head.startswith("-I"):
            mark = word.head[2:] or "".join(following.head for following in options[index + 1 : index + 2])
            if not mark:
                raise NotUnderstood("xargs -I without what it replaces")
            return mark
    return None


def _after_options(name: str, options: _Options, arguments: Sequence[Word]) -> Sequence[Word]:
    index = 0
    while index < len(arguments) and arguments[index].head.startswith("-"):
        word = arguments[index]
        if word.text is None:
            raise NotUnderstood(f"the option {word} of {name} holds an expansion")
        if word.text == "-":
            raise NotUnderstood(f"{name} - takes the whole environment away")
        index += 1
        if word.text == "--":
            break
        if word.text in options.values:
            index += 1
        elif word.text not in options.flags and not _with_value(word.text, options):
            raise NotUnderstood(f"the option {word} of {name} is not understood")
    if index < len(arguments) and arguments[index].option:
        raise NotUnderstood(f"{arguments[index]} could be an option of {name}")
    return arguments[index + options.operands :]


def _with_value(text: str, options: _Options) -> bool:
    name = text.partition("=")[0]
    if text.startswith("--"):
        return name in options.values and "=" in text
    return text[:2] in options.values or all(f"-{letter}" in options.flags for letter in text[1:])
