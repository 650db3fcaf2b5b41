"""Write an applied flake into a directory, byte for byte as it is in git."""

from __future__ import annotations

from collections.abc import Mapping
from pathlib import Path

from hyperhive.errors import Rejected, Unavailable
from hyperhive.flakes.tree import Entry, Tree


def write_flake(directory: Path, files: Mapping[str, bytes], tree: Tree, contents: Mapping[str, bytes]) -> None:
    """Write `files` and, below agent/, the tree's files (`contents` by hash) into the empty `directory`.

    Links are made last, so that no file is ever written through one. Raises Rejected, Unavailable (disk full).
    """
    try:
        for name, content in files.items():
            _write(directory / name, content, executable=False)
        agent = directory / "agent"
        agent.mkdir()
        for entry in sorted(tree.entries, key=lambda entry: entry.is_link):
            _write_entry(agent / entry.path, entry, contents[entry.hash])
    except (FileExistsError, NotADirectoryError) as error:
        raise Rejected(f"two files of the commit have the same path: {error.filename}") from error
    except OSError as error:
        raise Unavailable(f"{directory} cannot be written: {error.strerror}") from error


def _write_entry(path: Path, entry: Entry, content: bytes) -> None:
    path.parent.mkdir(parents=True, exist_ok=True)
    if entry.is_link:
        path.symlink_to(content.decode(errors="surrogateescape"))
    else:
        _write(path, content, executable=entry.executable)


def _write(path: Path, content: bytes, *, executable: bool) -> None:
    with path.open("xb") as file:
        file.write(content)
    path.chmod(0o755 if executable else 0o644)
