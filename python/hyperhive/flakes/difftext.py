"""The text diff that an operator reads: complete up to a bound, and safe to print on a terminal."""

from __future__ import annotations

import re
from pathlib import Path

from hyperhive.errors import Rejected
from hyperhive.flakes.git import complaint, git

MAX_DIFF = 256 * 1024
_EMPTY_TREE = "4b825dc642cb6eb9a060e54bf8d69288fbee4904"
_PERHAPS = re.compile(r"[^\n\t -~]")
_ORDER = "diff-order"
_OPTIONS = (
    "--patch", "--text", "--no-ext-diff", "--no-textconv", "--no-renames", "--no-color", "--ignore-submodules=all",
    "--src-prefix=a/", "--dst-prefix=b/",
)  # fmt: skip


async def diff(repository: Path, old: str | None, new: str) -> str:
    """The diff between two commits' trees (None: the empty one) in at most 256 KiB.

    agent.nix and nixos.nix come first, so that no other file can push them over the bound; every file is shown as
    text, whatever attributes the commit carries; characters that a terminal would obey are escaped.
    """
    order = f"-O{repository / _ORDER}"
    commits = (old or _EMPTY_TREE, new)
    result = await git(repository, "diff-tree", *_OPTIONS, order, *commits, "--", check=False, max_output=2 * MAX_DIFF)
    if result.returncode > 0:
        raise Rejected(f"the commits cannot be compared: {complaint(result)}")
    text = printable(result.stdout.decode(errors="replace"))
    if result.returncode == 0 and len(text) <= MAX_DIFF:
        return text
    return text[:MAX_DIFF] + f"\n[the diff is longer than {MAX_DIFF >> 10} KiB: the rest is not shown]\n"


async def changed_files(repository: Path, old: str | None, new: str) -> set[str]:
    """The paths that differ between two commits' trees (None: the empty one)."""
    commits = (old or _EMPTY_TREE, new)
    result = await git(repository, "diff-tree", "-r", "--name-only", "--no-renames", "-z", *commits, "--")
    return {name for name in result.stdout.decode().split("\0") if name}


def has_order(repository: Path) -> bool:
    """Whether `write_order` was done, the last step of a repository's making."""
    return (repository / _ORDER).is_file()


def write_order(repository: Path) -> None:
    """Write which files a diff begins with into a new repository."""
    (repository / _ORDER).write_text("agent.nix\nnixos.nix\n")


def printable(text: str) -> str:
    """`text` with everything but printable characters, tabs and newlines escaped (bidirectional marks too)."""
    return _PERHAPS.sub(_escaped, text)


def _escaped(match: re.Match[str]) -> str:
    char = match[0]
    if char.isprintable():
        return char
    code = ord(char)
    return f"\\x{code:02x}" if code < 0x100 else f"\\u{code:04x}"
