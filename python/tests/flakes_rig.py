"""Agents' repositories, honest and hostile, and applied flakes, for the tests of hyperhive.flakes."""

from __future__ import annotations

import asyncio
import os
import shutil
from collections.abc import Coroutine, Iterator, Mapping
from contextlib import contextmanager
from pathlib import Path
from typing import Any, TypeVar

import pytest

from hyperhive.errors import HyperhiveError
from hyperhive.flakes.applied import HiveFile, render
from hyperhive.flakes.evaluate import Evaluator, default_evaluator
from hyperhive.flakes.repository import AppliedRepository
from hyperhive.process import Result, run

T = TypeVar("T")

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "checks/stand-in/lib"
HIVE = HiveFile("worker", "agent")
PLAIN = "{ }\n"

needs_nix = pytest.mark.skipif(not (shutil.which("nix") and shutil.which("bwrap")), reason="needs nix and bwrap")
needs_bwrap = pytest.mark.skipif(not shutil.which("bwrap"), reason="needs bwrap")


def wait(work: Coroutine[Any, Any, T]) -> T:
    """The result of a coroutine, in an event loop of its own."""
    return asyncio.run(work)


def stand_in_evaluator(monkeypatch: pytest.MonkeyPatch) -> Evaluator:
    """The evaluator of this checkout with the stand-in lib."""
    monkeypatch.setenv("HYPERHIVE_NIXPKGS_LIB", str(STAND_IN))
    return default_evaluator(ROOT)


def candidate(directory: Path, agent_nix: str, hive: HiveFile = HIVE, files: Mapping[str, str] | None = None) -> Path:
    """An applied flake in `directory` whose agent/ holds agent.nix and `files`."""
    for name, content in render(hive).items():
        (directory / name).write_bytes(content)
    (directory / "agent").mkdir()
    for name, text in {"agent.nix": agent_nix, **(files or {})}.items():
        (directory / "agent" / name).write_text(text)
    return directory


class Config:
    """An agent's config repository, worked on as the agent would: plain git, its own configuration obeyed."""

    def __init__(self, path: Path) -> None:
        self.path = path
        path.mkdir(parents=True)
        self.git("init", "-q", "-b", "main")

    def git(self, *arguments: str, stdin: bytes = b"", check: bool = True) -> Result:
        """Run git there."""
        environment = {
            "PATH": os.environ["PATH"],
            "HOME": str(self.path.parent),
            "GIT_CONFIG_NOSYSTEM": "1",
            **{f"GIT_{who}_NAME": "Agent" for who in ("AUTHOR", "COMMITTER")},
            **{f"GIT_{who}_EMAIL": "agent@hive.local" for who in ("AUTHOR", "COMMITTER")},
        }
        argv = ["git", "-C", str(self.path), *arguments]
        return wait(run(argv, timeout=60, stdin=stdin, env=environment, check=check))

    def write(self, files: Mapping[str, str | bytes]) -> None:
        """Write files into the work tree."""
        for name, content in files.items():
            path = self.path / name
            path.parent.mkdir(parents=True, exist_ok=True)
            path.write_bytes(content.encode() if isinstance(content, str) else content)

    def commit(self, files: Mapping[str, str | bytes] | None = None, message: str = "change") -> str:
        """Commit the work tree with these files changed; the full hash."""
        self.write(files or {})
        self.git("add", "--all", "--force")
        self.git("commit", "-q", "--allow-empty", "--no-verify", "-m", message)
        return self.head()

    def head(self) -> str:
        """The full hash of HEAD."""
        return self.git("rev-parse", "HEAD").text

    def blob(self, content: bytes) -> str:
        """Store a blob; its hash."""
        return self.git("hash-object", "-w", "--stdin", stdin=content).text

    def tree(self, *entries: tuple[str, str, str]) -> str:
        """Store a tree of (mode, name, hash) as they are, however wrong; its hash."""
        body = b"".join(f"{mode} {name}\0".encode() + bytes.fromhex(digest) for mode, name, digest in entries)
        return self.git("hash-object", "-w", "-t", "tree", "--literally", "--stdin", stdin=body).text

    def commit_tree(self, tree: str) -> str:
        """Commit a tree by its hash."""
        return self.git("commit-tree", tree, "-m", "made by hand").text


class Applied:
    """An applied repository and what may not change when a fetch is refused."""

    def __init__(self, path: Path) -> None:
        self.repository = AppliedRepository(path)
        self.path = path
        wait(self.repository.init())

    def fetch(self, source: Path, commit: str, proposal: int = 1) -> str:
        """Fetch a commit as that proposal."""
        return wait(self.repository.fetch_proposal(source, commit, proposal))

    def refs(self) -> dict[str, str]:
        """All refs with their hashes."""
        listing = self._git("for-each-ref", "--format=%(refname) %(objectname)").text
        return dict(line.split() for line in listing.splitlines())

    def objects(self) -> int:
        """How many objects it holds."""
        counts = dict(line.split(": ") for line in self._git("count-objects", "-v").text.splitlines())
        return int(counts["count"]) + int(counts["in-pack"])

    def fsck(self) -> str:
        """What a full check of the repository complains about."""
        result = self._git("fsck", "--full", "--strict", "--no-dangling", "--no-progress", check=False)
        return (result.stdout + result.stderr).decode() if result.returncode else ""

    def _git(self, *arguments: str, check: bool = True) -> Result:
        return wait(run(["git", "--git-dir", str(self.path), *arguments], timeout=60, check=check))

    @contextmanager
    def unchanged(self) -> Iterator[None]:
        """Assert that the block changes nothing here, and leaves nothing in the way."""
        before = self.refs(), self.objects(), _names(self.path)
        yield
        assert (self.refs(), self.objects(), _names(self.path)) == before
        assert self.fsck() == ""


def _names(directory: Path) -> list[str]:
    return sorted(path.name for path in directory.iterdir())


def refusal(applied: Applied, config: Config, commit: str) -> HyperhiveError:
    """Why that commit is not taken; nothing may have changed then, here or in the agent's repository."""
    before = sorted(config.path.rglob("*"))
    with applied.unchanged(), pytest.raises(HyperhiveError) as caught:
        applied.fetch(config.path, commit)
    assert sorted(config.path.rglob("*")) == before
    assert str(caught.value).isprintable() and len(str(caught.value)) < 600, str(caught.value)
    return caught.value
