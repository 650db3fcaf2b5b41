"""Where a command may write: the agent's work directory and /tmp, a manager also the config repositories."""

from __future__ import annotations

import posixpath
from collections.abc import Iterable

from hyperhive.policy.words import Word
from hyperhive.settings import Role, Settings

WORK = "/state/work"
_NOTES = "/state/notes.md"
_PROTECTED = frozenset({".git", ".claude"})
_DEVICES = ("/dev/null", "/dev/stdout", "/dev/stderr", "/dev/tty")
_READS = frozenset({"<"})
_WRITES = frozenset({">", ">>", ">|", "<>", "&>", "&>>", ">&"})


class Places:
    """The directories that a command may be in, and what it may write there."""

    def __init__(self, settings: Settings, cwd: str) -> None:
        self._roots = (WORK, "/tmp", *(("/hive/agents",) if settings.role is Role.MANAGER else ()))  # noqa: S108
        tools = set(settings.tools.allow) - set(settings.tools.deny)
        self._writes = bool(tools & {"Write", "Edit"})
        self._cwds = {posixpath.normpath(cwd)}

    def change(self, arguments: Iterable[Word]) -> str | None:
        """`cd`: why it may not go there, None if it may. Where it was stays possible: nothing says that it succeeds."""
        words = [word for word in arguments if word.text not in ("--", "-P", "-L")]
        if any(word.text is None for word in words) or len(words) > 1:
            return "cd needs one directory, written out"
        target = words[0].head if words else "/state"  # HOME
        if target == "-":
            return None if len(self._cwds) > 1 else "cd - could go anywhere: nothing here was left before"
        reached = {posixpath.normpath(posixpath.join(cwd, target)) for cwd in self._cwds}
        if not all(self._inside(place) for place in reached):
            return f"cd {target} leaves the directories that are the agent's"
        self._cwds |= reached
        return None

    def redirect(self, op: str, target: Word | None) -> str | None:
        """Why a redirection may not be; None if it may."""
        if target is None or (op in ("<&", ">&") and (target.text or "x").rstrip("-").isdigit()) or target.text == "-":
            return None
        if op in _READS:
            risky = target.head.startswith(("/dev/tcp", "/dev/udp")) or (not target.whole and target.head in ("", "/"))
            return f"{target} could be a connection, no file" if risky else None
        if op not in _WRITES:
            return f"{op} {target} is not understood"
        return self._write(target)

    def argument(self, word: Word, *, link: bool = False) -> str | None:
        """Why a program that writes files may not be given this one; None if it may. It may be one that it reads, so
        it may be outside of the agent's home; but not what a `link` leads to, nor where `..` leads.
        """
        if word.text is None:
            inside = word.glob and not word.head.startswith(("/", "~")) and ".." not in word.head
            return None if inside else f"it could write to {word}, which is not written out"
        given = _path_in(word.head)
        if given == _NOTES:
            return None
        for path in (posixpath.normpath(posixpath.join(cwd, given)) for cwd in self._cwds):
            if not self._inside(path) and (link or path.startswith("/state") or not given.startswith("/")):
                return f"it could write to {given}, outside of the agent's directories"
            if _PROTECTED & set(path.split("/")):
                return f"it could write to {given}, from where things are run"
        return None

    def _write(self, target: Word) -> str | None:
        if target.text in _DEVICES:
            return None
        if not self._writes:
            return f"it writes to {target}, and the agent has neither Write nor Edit"
        if target.text is None:
            return f"it writes to {target}, which is not written out"
        return None if target.text == _NOTES else self._place(target.text)

    def _place(self, target: str) -> str | None:
        paths = {posixpath.normpath(posixpath.join(cwd, target)) for cwd in self._cwds}
        if not all(self._inside(path) for path in paths) or ".." in target.split("/"):
            return f"it writes to {target}, outside of the agent's directories"
        if any(_PROTECTED & set(path.split("/")) for path in paths):
            return f"it writes to {target}, from where things are run"
        return None

    def _inside(self, path: str) -> bool:
        return any(path == root or path.startswith(f"{root}/") for root in self._roots)


def _path_in(text: str) -> str:
    """The path in an argument: behind `=`, or attached to an option's letter."""
    if "=" in text:
        return text.partition("=")[2]
    starts = [text.find(mark) for mark in ("/", "..") if mark in text]
    return text[min(starts) :] if text.startswith("-") and starts else text
