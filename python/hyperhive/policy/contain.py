"""Whether one Bash pattern allows everything that another does."""

from __future__ import annotations

from collections.abc import Iterable

from hyperhive.policy import wrappers
from hyperhive.policy.bash import doubt
from hyperhive.policy.match import ANY, is_exact, token_matches, tokens
from hyperhive.policy.words import Word

_RUN_OTHERS = frozenset({*wrappers.NAMES, *wrappers.SHELLS, "eval", "find"})
"""What these run needs a rule of its own, unless a pattern spells the whole command out."""


def covers(wide: str, narrow: str) -> bool:
    """Whether every command that `narrow` allows is one that `wide` allows; False when that is not plain to see.

    A `*` does not give all (policy.bash): a pattern that spells an unsafe option out allows what a wider one does not.
    """
    if wide == narrow or tokens(wide) == tokens(narrow) or tokens(wide) == (ANY,):
        return True
    if not _holds(tokens(wide), tokens(narrow)):
        return False
    words = [_word(token) for token in _written(narrow)]
    if is_exact(narrow) and words[0].head.rpartition("/")[2] in _RUN_OTHERS:
        return False
    return doubt(wide, words, 0) is None


class Patterns:
    """Some patterns, found by the program that they begin with: most pairs have nothing to do with each other."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._all = tuple(patterns)
        self._by_program: dict[str, list[str]] = {}
        for pattern in self._all:
            self._by_program.setdefault(_program(pattern), []).append(pattern)

    def cover_of(self, pattern: str) -> str | None:
        """The first other one that covers the pattern."""
        near = [*self._by_program.get(_program(pattern), ()), *self._by_program.get(ANY, ())]
        return next((other for other in near if other != pattern and covers(other, pattern)), None)

    def covered_by(self, pattern: str) -> list[str]:
        """Those that the pattern covers."""
        near = self._all if _program(pattern) == ANY else self._by_program.get(_program(pattern), ())
        return [other for other in near if covers(pattern, other)]


def _program(pattern: str) -> str:
    """What a pattern begins with; `*` if that could be several programs."""
    first = (*tokens(pattern), "")[0]
    return ANY if ANY in first else first


def _written(pattern: str) -> tuple[str, ...]:
    held = tokens(pattern)
    return held[:-1] if held[-1] == ANY else held


def _word(token: str) -> Word:
    """What a pattern's word says of a command's."""
    head, star, _ = token.partition(ANY)
    return Word(head, whole=not star)


def _holds(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    if not wide or not narrow:
        return False
    if wide[-1] != ANY:
        return len(wide) == len(narrow) and narrow[-1] != ANY and all(map(_token, wide, narrow))
    wanted, given = wide[:-1], narrow[:-1] if narrow[-1] == ANY else narrow
    return len(given) >= len(wanted) and all(map(_token, wanted, given))


def _token(wide: str, narrow: str) -> bool:
    if wide in (narrow, ANY):
        return True
    if ANY not in narrow:
        return token_matches(wide, narrow)
    return wide.endswith(ANY) and ANY not in wide[:-1] and narrow.partition(ANY)[0].startswith(wide[:-1])
