"""Whether a rule's pattern matches the words of a command: surely (for what allows), or possibly (for what denies).

A pattern's words stand for the command's, one by one. A last word `*` is any number of further words, also none; a `*`
inside of a word is any text in that word, a `*` alone in the middle one word. `*` alone is every command.
"""

from __future__ import annotations

import shlex
from collections.abc import Sequence
from functools import lru_cache

from hyperhive.policy.words import Word

ANY = "*"
_QUOTES = frozenset("'\"\\\t\r\n")


@lru_cache(maxsize=4096)
def tokens(pattern: str) -> tuple[str, ...]:
    """The words of a pattern, without their quotes; `git:*` is an older way to write `git *`."""
    if pattern.endswith(":*") and " " not in pattern:
        pattern = f"{pattern[:-2]} *"
    if _QUOTES.isdisjoint(pattern):  # most have no quotes, and shlex takes its time
        return tuple(filter(None, pattern.split(" ")))
    try:
        return tuple(shlex.split(pattern))
    except ValueError:  # a lone quote is a character like others
        return tuple(pattern.split())


def matches(pattern: str, words: Sequence[Word]) -> bool:
    """Whether the pattern matches whatever the expansions in the words give."""
    wanted = tokens(pattern)
    if not wanted:
        return False
    if wanted[-1] == ANY:
        head = wanted[:-1]
        return len(words) >= len(head) and all(map(_surely, head, words))
    return len(words) == len(wanted) and all(map(_surely, wanted, words))


def is_exact(pattern: str) -> bool:
    """Whether the pattern is one whole command."""
    return not any(ANY in token for token in tokens(pattern))


def token_matches(token: str, text: str) -> bool:
    """Whether one word of a pattern matches one written word, in linear time: patterns are not always a friend's."""
    first, *rest = token.split(ANY)
    if not rest:
        return token == text
    at, end = len(first), len(text) - len(rest[-1])
    if at > end or not text.startswith(first) or not text.endswith(rest[-1]):
        return False
    for piece in rest[:-1]:
        found = text.find(piece, at, end)
        if found < 0:
            return False
        at = found + len(piece)
    return True


def may_match(pattern: str, words: Sequence[Word]) -> bool:
    """Whether the pattern matches for something that the expansions in the words could give."""
    wanted = tokens(pattern)
    return bool(wanted) and _may(wanted, tuple(words))


def _surely(token: str, word: Word) -> bool:
    if word.text is not None:
        return token_matches(token, word.text)
    if not word.one:
        return False
    return token == ANY or (token.endswith(ANY) and ANY not in token[:-1] and word.head.startswith(token[:-1]))


def _may(wanted: tuple[str, ...], words: tuple[Word, ...]) -> bool:
    if wanted == (ANY,):
        return True
    if not words:
        return not wanted
    rest = words[1:]
    if not words[0].one and _may(wanted, rest):  # it could be no word at all
        return True
    if not wanted:
        return False
    if wanted[0] == ANY and _may(wanted, rest):  # a denied `*` is any number of words, wherever it stands
        return True
    fits = _possible(wanted[0], words[0])
    return fits and (_may(wanted[1:], rest) or (not words[0].one and _may(wanted[1:], words)))


def _possible(token: str, word: Word) -> bool:
    if word.text is not None:
        return token_matches(token, word.text)
    plain = token.partition(ANY)[0]
    return word.head.startswith(plain) or plain.startswith(word.head)
