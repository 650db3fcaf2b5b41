"""Advice on Bash patterns that allow more than they say: by the table of programs (programs.toml). Advice only: the
ceilings are what holds.
"""

from __future__ import annotations

from dataclasses import dataclass

from hyperhive.policy import git, programs
from hyperhive.policy.match import ANY, tokens
from hyperhive.policy.words import Word
from hyperhive.settings import Settings

WRITING_TOOLS = frozenset({"Write", "Edit"})


@dataclass(frozen=True)
class Finding:
    """One doubtful pattern: why, a command that shows it, and what would be safer."""

    pattern: str
    why: str
    example: str
    safer: str

    def __str__(self) -> str:
        return f'bash.allow "{self.pattern}": {self.why} (`{self.example}`); {self.safer}'


def lint(settings: Settings) -> list[str]:
    """One sentence for each doubtful rule of an agent: the rule, why, an example, and what would be safer."""
    return [str(finding) for finding in findings(settings)]


def findings(settings: Settings) -> list[Finding]:
    """At most one for each pattern of bash.allow, in their order."""
    writes = bool(WRITING_TOOLS & (set(settings.tools.allow) - set(settings.tools.deny)))
    judged = (_judge(pattern, writes=writes) for pattern in settings.bash.allow)
    return [finding for finding in judged if finding is not None]


def _judge(pattern: str, *, writes: bool) -> Finding | None:
    words = tokens(pattern)
    if words == (ANY,):
        return Finding(pattern, "it allows every command", "./anything", "list the commands that the agent needs")
    if not words:
        return None
    if ANY in words[0]:
        why = "a * in the program's name puts other programs there, also the agent's own"
        return Finding(pattern, why, words[0].replace(ANY, "./anything"), "begin the pattern with the program")
    name = words[0].rpartition("/")[2]
    return _spelled(pattern, name, words) or _free(pattern, name, words) or _own(pattern, name, words, writes=writes)


def _free(pattern: str, name: str, words: tuple[str, ...]) -> Finding | None:
    """A program that can do anything, with free arguments."""
    after = words[git.subcommand([Word(word) for word in words]) :] if name == "git" else words[1:]
    if not after or not after[0].startswith(ANY):
        return None
    entry = next((entry for entry in programs.entries(name) if entry.why), None)
    return None if entry is None else Finding(pattern, entry.why, entry.example, entry.safer)


def _spelled(pattern: str, name: str, words: tuple[str, ...]) -> Finding | None:
    """An option that runs programs or writes files, which a `*` would not give."""
    if ANY not in words[-1]:
        return None  # a whole command is what the operator has seen
    arguments = [Word(word) for word in words[1:] if ANY not in word]
    names = [name, f"{name} {words[1]}"] if name == "git" and len(words) > 1 else [name]
    index = programs.unsafe(programs.entries(*names), arguments)
    if index is None:
        return _doubtful_git(pattern, words) if name == "git" else None
    why = f"it spells {arguments[index]} out, which runs programs or writes files"
    return Finding(pattern, why, pattern.replace(ANY, "…"), "leave it to a plain *, or allow the exact command")


def _doubtful_git(pattern: str, words: tuple[str, ...]) -> Finding | None:
    written = [Word(word) for word in words if ANY not in word]
    for _, why in git.doubts(written):
        return Finding(pattern, why, pattern.replace(ANY, "…"), "allow the exact command")
    return None


def _own(pattern: str, name: str, words: tuple[str, ...], *, writes: bool) -> Finding | None:
    """Something that the agent can write itself, and then run."""
    entry = next((entry for entry in programs.entries(name) if entry.files), None)
    files = words[0] if _is_own(words[0]) else entry.files if entry else ""
    if not writes or not files:
        return None
    why = f"it runs what {files} says, which the agent may write itself"
    return Finding(pattern, why, f"echo ./anything > {files.split(' ')[0]}", "take Write and Edit away, or accept it")


def _is_own(program: str) -> bool:
    return "/" in program and (not program.startswith("/") or program.startswith(("/state/", "/tmp/")))  # noqa: S108
