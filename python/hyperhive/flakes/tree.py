"""The tree of an agent's commit, and what it may hold: few small files and no way out of it."""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass
from pathlib import PurePosixPath

from hyperhive.errors import Rejected

MAX_FILES = 1000
MAX_BYTES = 10 * 1024 * 1024
MAX_PATH = 1024
_MAX_LINKS = 40
_REGULAR = frozenset({"100644", "100755", "100664"})
_LINK = "120000"
_SUBMODULE = "160000"
_ONLY_FILES = ("agent.nix", "nixos.nix")


@dataclass(frozen=True)
class Entry:
    """One file of a tree; `size` is in bytes."""

    path: str
    mode: str
    hash: str
    size: int

    @property
    def is_link(self) -> bool:
        """Whether it is a symbolic link."""
        return self.mode == _LINK

    @property
    def executable(self) -> bool:
        """Whether it may be executed."""
        return self.mode == "100755"


@dataclass(frozen=True)
class Tree:
    """All files below a commit's root, in git's order."""

    entries: tuple[Entry, ...]

    @property
    def size(self) -> int:
        """The sum of all files' sizes in bytes."""
        return sum(entry.size for entry in self.entries)

    @property
    def links(self) -> tuple[Entry, ...]:
        """The symbolic links."""
        return tuple(entry for entry in self.entries if entry.is_link)


def parse(listing: bytes) -> Tree:
    """A Tree from the output of `git ls-tree -r -l -z`, within the limits. Raises Rejected naming the path."""
    records = [record for record in listing.split(b"\0") if record]
    if len(records) > MAX_FILES:
        raise Rejected(f"the commit holds {len(records)} files, more than {MAX_FILES}; keep to what the flake needs")
    tree = Tree(tuple(_entry(record) for record in records))
    if tree.size > MAX_BYTES:
        raise Rejected(f"the commit holds {tree.size >> 20} MiB, more than {MAX_BYTES >> 20}; keep big files out of it")
    _check_main_files(tree)
    return tree


def _entry(record: bytes) -> Entry:
    fields, _, name = record.partition(b"\t")
    mode, _, digest, size = fields.decode().split()
    path = _check_path(name)
    if mode == _SUBMODULE:
        raise Rejected(f"{path} is a submodule; commit the files themselves")
    if mode not in _REGULAR and mode != _LINK:
        raise Rejected(f"{path} has the file mode {mode}; keep to plain files")
    if not size.isdecimal():
        raise Rejected(f"{path} is missing in the commit's repository; commit it again")
    return Entry(path, mode, digest, int(size))


def _check_path(name: bytes) -> str:
    try:
        path = name.decode()
    except UnicodeDecodeError as error:
        raise Rejected(f"the file name {name[:60]!r} is not UTF-8; rename it") from error
    if not path.isprintable() or len(name) > MAX_PATH:
        raise Rejected(f"the file name {path[:60]!r} is too long or not printable; rename it")
    for part in path.split("/"):
        if part in ("", ".", "..") or part.lower() == ".git":
            raise Rejected(f"the path {path!r} has the part {part!r}, which no checkout may hold; remove it")
    return path


def _check_main_files(tree: Tree) -> None:
    modes = {entry.path: entry.mode for entry in tree.entries}
    if "agent.nix" not in modes:
        raise Rejected("the commit has no agent.nix at its root; that file says what the agent is")
    for name in _ONLY_FILES:
        if modes.get(name) == _LINK:
            raise Rejected(f"{name} is a symbolic link; it must be a plain file")


def check_links(tree: Tree, targets: Mapping[str, bytes]) -> None:
    """Raise Rejected for a link that leads out of the tree, by itself or through other links.

    `targets` holds what each link of the tree says, by path.
    """
    links = {path: target.decode(errors="surrogateescape") for path, target in targets.items()}
    for path in links:
        _follow(path, links)


def _follow(path: str, links: Mapping[str, str]) -> None:
    """Walk to where `path` leads as the kernel would, one part at a time."""
    here: list[str] = []
    waiting = list(reversed(PurePosixPath(path).parts))
    followed = 0
    while waiting:
        part = waiting.pop()
        if part == "..":
            if not here:
                raise Rejected(f"the symbolic link {path} leads out of the tree; commit the file itself")
            here.pop()
            continue
        here.append(part)
        target = links.get("/".join(here))
        if target is None:
            continue
        followed += 1
        if target.startswith("/") or followed > _MAX_LINKS:
            reason = "is absolute" if target.startswith("/") else "never ends"
            raise Rejected(f"the symbolic link {path} {reason}; commit the file itself")
        here.pop()
        waiting.extend(reversed(_parts(target)))


def _parts(target: str) -> list[str]:
    return [part for part in target.split("/") if part not in ("", ".")]
