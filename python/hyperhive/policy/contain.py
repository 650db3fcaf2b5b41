"""Whether one Bash pattern allows everything that another does.

An operator may let changes through that give nothing new (policy.delta), so a wrong yes here would be an approval that
nobody gave: what is not plain is a no.
"""

from __future__ import annotations

from collections import defaultdict
from collections.abc import Iterable, Iterator, Sequence

from hyperhive.policy import builtins, wrappers
from hyperhive.policy.bash import doubt, known
from hyperhive.policy.match import ANY, is_exact, token_matches, tokens
from hyperhive.policy.programs import Program
from hyperhive.policy.words import Word

_RUN_OTHERS = frozenset({*wrappers.NAMES, *wrappers.SHELLS, "eval", "find", "cd"})
"""The rules do not decide alone about these: not about one that is spelled out, nor with `*` and denials."""
_UNKNOWN = Word("", whole=False)


def covers(wide: str, narrow: str) -> bool:
    """Whether every command that `narrow` allows is one that `wide` allows; False when that is not plain to see.

    A `*` does not give all (policy.bash): a pattern that spells an unsafe option out allows what a wider one does not.
    """
    held, given = tokens(wide), tokens(narrow)
    if wide == narrow or (held == given and given and ANY not in (wide, narrow)):
        return True
    if narrow == ANY or not _holds(held, given):  # only `*` as it stands lifts the other checks too
        return False
    before = _variables(given)
    words = [_word(token) for token in _written(given)[before:]]
    if not words or not words[0].whole or held[:before] != given[:before] or _variables(held) != before:
        return False
    if (wide == ANY or is_exact(narrow)) and _is_decided_apart(words[0]):
        return False
    return wide == ANY or not _gives_more(wide, narrow, words)


def _gives_more(wide: str, narrow: str, words: list[Word]) -> bool:
    """Whether the narrower pattern may spell out what the `*` of the wider one does not give."""
    held, given = tokens(wide), tokens(narrow)
    programs = known(words)[0]
    if is_exact(narrow) and any(program.writes for program in programs):
        return True  # an exact rule says where to
    if _shifts(programs, held, given):
        return True
    if words[0].head.rpartition("/")[2] == "git" and given[-1] == ANY:
        words = [*words, _UNKNOWN]  # git.doubts looks ahead
    start = _variables(given)
    return doubt(wide, [*map(_word, given[:start]), *words], start) is not None


def _shifts(programs: Sequence[Program], held: tuple[str, ...], given: tuple[str, ...]) -> bool:
    """Whether what a `*` stands for could make of a word after it an option that the wider pattern does not spell."""
    written = _written(given)
    star = next((index for index, token in enumerate(written) if ANY in token), len(written))
    return any(
        ANY not in token and held[index : index + 1] != (token,) and _may_be_option(program, token)
        for index, token in enumerate(written[star:], star)
        for program in programs
    )


def _may_be_option(program: Program, token: str) -> bool:
    return program.narrows and (program.old or token in program.words or token.startswith(("-", *program.starts)))


def _is_decided_apart(program: Word) -> bool:
    name = program.head.rpartition("/")[2]
    return name in _RUN_OTHERS or builtins.knows(name)


class Patterns:
    """Some patterns, found by the words that they begin with: most pairs have nothing to do with each other."""

    def __init__(self, patterns: Iterable[str]) -> None:
        self._by_head: dict[tuple[str, ...], list[str]] = defaultdict(list)
        self._by_beginning: dict[tuple[str, ...], list[str]] = defaultdict(list)
        for pattern in patterns:
            head = _head(pattern)
            self._by_head[head].append(pattern)
            for beginning in _beginnings(head):
                self._by_beginning[beginning].append(pattern)

    def cover_of(self, pattern: str) -> str | None:
        """Another one that covers the pattern, a wide one rather than a narrow one."""
        near = (other for beginning in _beginnings(_head(pattern)) for other in self._by_head.get(beginning, ()))
        return next((other for other in near if other != pattern and covers(other, pattern)), None)

    def covered_by(self, pattern: str) -> list[str]:
        """Those that the pattern covers."""
        return [other for other in self._by_beginning.get(_head(pattern), ()) if covers(pattern, other)]


def _head(pattern: str) -> tuple[str, ...]:
    """The words before the first `*`: what a pattern covers begins with them, too."""
    held = tokens(pattern)
    return held[: next((index for index, token in enumerate(held) if ANY in token), len(held))]


def _beginnings(head: tuple[str, ...]) -> Iterator[tuple[str, ...]]:
    return (head[:length] for length in range(len(head) + 1))


def _variables(held: Sequence[str]) -> int:
    """How many variables a pattern begins with."""
    return next((index for index, token in enumerate(held) if "=" not in token), len(held))


def _written(held: tuple[str, ...]) -> tuple[str, ...]:
    return held[:-1] if held[-1:] == (ANY,) else held


def _word(token: str) -> Word:
    """What a pattern's word says of a command's."""
    head, star, _ = token.partition(ANY)
    return Word(head, whole=not star)


def _holds(wide: tuple[str, ...], narrow: tuple[str, ...]) -> bool:
    if not wide or not narrow:
        return False
    if wide[-1:] != (ANY,):
        return len(wide) == len(narrow) and narrow[-1] != ANY and all(map(_token, wide, narrow))
    wanted, given = wide[:-1], _written(narrow)
    return len(given) >= len(wanted) and all(map(_token, wanted, given))


def _token(wide: str, narrow: str) -> bool:
    if wide in (narrow, ANY):
        return True
    if ANY not in narrow:
        return token_matches(wide, narrow)
    return wide.endswith(ANY) and ANY not in wide[:-1] and narrow.partition(ANY)[0].startswith(wide[:-1])
