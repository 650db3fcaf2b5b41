"""git's command line: its global options, its subcommand, and what of both a `*` gives."""

from __future__ import annotations

from collections.abc import Iterator, Sequence

from hyperhive.policy.programs import git_subcommands
from hyperhive.policy.words import Word

PLAIN = frozenset({"--no-pager", "-P", "--no-optional-locks", "--literal-pathspecs", "--no-replace-objects"})
"""Global options that change nothing that matters here."""
_WITH_VALUE = frozenset({"-C", "-c", "--git-dir", "--work-tree", "--namespace", "--config-env", "--exec-path"})
_READ_CONFIG = frozenset({"get", "list", "--get", "--get-all", "--get-regexp", "--list", "-l"})


def subcommand(words: Sequence[Word]) -> int:
    """The index of the subcommand in a git command's words; their number if there is none to be seen."""
    index = 1
    while index < len(words) and words[index].head.startswith("-"):
        index += 2 if words[index].text in _WITH_VALUE else 1
    return index


def plain(words: Sequence[Word]) -> tuple[Word, ...]:
    """The same without the global options that change nothing, and without a -C that stays in the work directory."""
    at = subcommand(words)
    kept = [words[0]]
    rest = list(words[1:at])
    while rest:
        word = rest.pop(0)
        if word.text == "-C" and rest and not _leaves(rest[0]):
            rest.pop(0)
        elif word.text not in PLAIN:
            kept.append(word)
    return (*kept, *words[at:])


def bare(words: Sequence[Word]) -> tuple[Word, ...]:
    """The same without any global option: what a rule that denies looks at."""
    return (words[0], *words[subcommand(words) :])


def may_be_any(words: Sequence[Word]) -> bool:
    """Whether the subcommand could be another one than is written: an alias, given here or by the repository."""
    at = subcommand(words)
    given = any(word.text is None or word.head[:2] == "-c" or word.head.startswith("--config") for word in words[1:at])
    return given or (at < len(words) and words[at].text not in git_subcommands())


def doubts(words: Sequence[Word]) -> Iterator[tuple[int, str]]:
    """The words that a `*` does not give, and why: global options, what may be an alias, changes of the settings."""
    at = subcommand(words)
    for index, word in enumerate(words[1:at], 1):
        if words[index - 1].text == "-C":
            if _leaves(word):
                yield index, f"-C {word} could be another repository, whose settings run programs"
        elif word.head.startswith("-") and word.text not in (*PLAIN, "--version", "--help", "-C"):
            yield index, f"{word} can make git run any program"
    if at < len(words) and words[at].text not in git_subcommands():
        yield at, f"{words[at]} is no subcommand of git that is known to run no other program"
    if at < len(words) and words[at].text == "config" and not _reads(words[at + 1 :]):
        yield at, "it changes git's settings, which can run any program"


def _leaves(word: Word) -> bool:
    return not word.whole or ".." in word.head.split("/") or (word.head.startswith("/") and not _ours(word.head))


def _ours(path: str) -> bool:
    return path == "/state/work" or path.startswith(("/state/work/", "/hive/agents/"))


def _reads(arguments: Sequence[Word]) -> bool:
    if any(word.text is None or word.text in ("-e", "--edit", "edit") for word in arguments):
        return False
    named = [word.head for word in arguments if not word.head.startswith("-")]
    return any(word.text in _READ_CONFIG for word in arguments) or len(named) == 1
