"""One agent's applied flake as a bare git repository that the host owns: proposals and generations as tags."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import AsyncIterator, Mapping
from contextlib import asynccontextmanager
from pathlib import Path

from hyperhive.errors import Conflict, NotFound, Rejected
from hyperhive.flakes import difftext
from hyperhive.flakes.applied import HiveFile, render
from hyperhive.flakes.git import complaint, git
from hyperhive.flakes.sandbox import Limits
from hyperhive.flakes.source import SourceRepository
from hyperhive.flakes.tree import Tree, check_links, parse
from hyperhive.flakes.write import write_flake

_MAX_LISTING = 4 * 1024 * 1024
_ZERO = "0" * 40
_INDEX_LIMITS = Limits(memory=2 * 1024**3, cpu=20)


def short(commit: str) -> str:
    """A commit's hash as people read it."""
    return commit[:12]


class AppliedRepository:
    """The applied flake at `path`. Callers change one repository by one task at a time.

    `main` is the newest generation, `proposal/<id>` the commit that was judged, `generation/<n>` what became of it.
    """

    def __init__(self, path: Path) -> None:
        self.path = path

    async def init(self) -> None:
        """Create the repository unless it is there, wholly."""
        if difftext.has_order(self.path):
            return
        self.path.mkdir(mode=0o700, parents=True, exist_ok=True)
        await git(self.path, "init", "--quiet", "--bare", "--template=", "--initial-branch=main")
        difftext.write_order(self.path)

    async def recover(self) -> None:
        """Remove what a git that was killed left behind: its locks would refuse every change from then on.

        For the start of the core, when no git of it can run.
        """
        await asyncio.to_thread(_sweep, self.path)

    async def remove(self) -> None:
        """Remove the repository with all its generations."""
        if self.path.exists():
            await asyncio.to_thread(shutil.rmtree, self.path)

    async def fetch_proposal(self, config_repo: Path, commit: str, proposal: int) -> str:
        """`fetch` under the tag of that proposal."""
        return await self.fetch(config_repo, commit, f"proposal/{proposal}")

    async def fetch(self, source: Path, commit: str, tag: str) -> str:
        """Take one commit from an agent's repository, check its tree and tag it; return its full hash.

        `commit` is a full or abbreviated hash. A tag that is there already stays, and its commit is returned. Raises
        BadInput, NotFound and Rejected, and leaves nothing behind then.
        """
        if known := await self._tagged(tag):
            if not known.startswith(commit.lower()):
                raise Conflict(f"{tag} is pinned to {short(known)} already")
            return known
        repository = SourceRepository(source)
        return await self._take(repository, await repository.resolve(commit), tag)

    async def fetch_head(self, source: Path, tag: str) -> str:
        """`fetch` of what HEAD of the agent's repository is now."""
        if known := await self._tagged(tag):
            return known
        repository = SourceRepository(source)
        return await self._take(repository, await repository.head(), tag)

    async def _take(self, source: SourceRepository, commit: str, tag: str) -> str:
        pack = await source.pack(commit)
        async with self._quarantine() as (directory, environment):
            await self._index(pack, environment)
            await self._inspect(commit, environment)
            await asyncio.to_thread(self._keep, commit, directory)
        await self._update_refs(f"create refs/tags/{tag} {commit}")
        return commit

    @asynccontextmanager
    async def _quarantine(self) -> AsyncIterator[tuple[Path, Mapping[str, str]]]:
        """A directory for objects that nobody has checked yet, as git's own pushes have one."""
        for left_by_a_crash in self.path.glob("incoming-*"):
            shutil.rmtree(left_by_a_crash, ignore_errors=True)
        directory = Path(tempfile.mkdtemp(prefix="incoming-", dir=self.path))
        try:
            yield (
                directory,
                {
                    "GIT_OBJECT_DIRECTORY": str(directory),
                    "GIT_ALTERNATE_OBJECT_DIRECTORIES": str(self.path / "objects"),
                },
            )
        finally:
            shutil.rmtree(directory)

    def _keep(self, commit: str, quarantine: Path) -> None:
        """Take the checked pack in. The commit's parents are not here: say so in `shallow` first."""
        shallow = self.path / "shallow"
        known = shallow.read_text().split() if shallow.exists() else []
        if commit not in known:
            staged = quarantine / "shallow"
            staged.write_text("".join(f"{line}\n" for line in [*known, commit]))
            staged.replace(shallow)
        target = self.path / "objects/pack"
        target.mkdir(exist_ok=True)
        for suffix in ("pack", "rev", "idx"):
            for file in (quarantine / "pack").glob(f"*.{suffix}"):
                file.replace(target / file.name)
        for directory in (target, self.path):
            _sync(directory)

    async def _index(self, pack: bytes, environment: Mapping[str, str]) -> None:
        """Unpack and check every object of a pack that may be a bomb."""
        result = await git(
            self.path, "index-pack", "--stdin", "--fsck-objects",
            stdin=pack, check=False, environment=environment, limits=_INDEX_LIMITS,
        )  # fmt: skip
        if result.returncode < 0 or "out of memory" in result.error.lower():
            raise Rejected("the commit's files are too large to unpack; keep big files out of it")
        if result.returncode != 0:
            raise Rejected(f"git refuses the commit: {complaint(result)}")

    async def inspect(self, commit: str) -> Tree:
        """The tree of a commit that is here. Raises Rejected if it is over the limits (hyperhive.flakes.tree)."""
        return await self._inspect(commit, {})

    async def _inspect(self, commit: str, environment: Mapping[str, str]) -> Tree:
        listing = await git(
            self.path, "ls-tree", "-r", "-l", "-z", "--full-tree", commit,
            check=False, environment=environment, max_output=_MAX_LISTING,
        )  # fmt: skip
        if listing.returncode != 0:
            raise Rejected(f"the tree of {short(commit)} is too large or broken; keep to what the flake needs")
        tree = parse(listing.stdout)
        if tree.links:
            targets = await self._contents([entry.hash for entry in tree.links], environment)
            check_links(tree, {entry.path: targets[entry.hash] for entry in tree.links})
        return tree

    async def _contents(self, hashes: list[str], environment: Mapping[str, str]) -> dict[str, bytes]:
        """The contents of those blobs, by hash; no attribute and no filter touches them."""
        result = await git(
            self.path, "cat-file", "--batch", stdin="\n".join([*hashes, ""]).encode(), environment=environment
        )
        contents, at = {}, 0
        for digest in hashes:
            end = result.stdout.index(b"\n", at)
            size = int(result.stdout[at:end].split()[2])
            contents[digest] = result.stdout[end + 1 : end + 1 + size]
            at = end + 1 + size + 1
        return contents

    async def checkout(self, commit: str, hive: HiveFile, directory: Path) -> None:
        """Write the applied flake of that commit into the empty `directory`: flake.nix, hive.toml, agent/."""
        tree = await self.inspect(commit)
        contents = await self._contents([entry.hash for entry in tree.entries], {})
        await asyncio.to_thread(write_flake, directory, render(hive), tree, contents)

    async def commit_generation(self, commit: str, hive: HiveFile, number: int, message: str) -> str:
        """Commit the applied flake of that commit, tag it `generation/<number>`, move `main`; return its hash.

        Safe to repeat: a tag with the same tree stays. One with another tree was left by a crash before the
        generation was recorded, and is replaced.
        """
        tree = await self._generation_tree(commit, hive)
        tag = f"generation/{number}"
        before = await self._tagged(tag)
        parent = await self._resolve("refs/heads/main")
        if before and await self._tree_of(before) == tree:
            if parent == await self._parent_of(before):  # git was killed between the two
                await self._update_refs(f"update refs/heads/main {before} {parent or _ZERO}")
            return before
        text = f"generation {number}: {message}\n\nSource-Commit: {commit}\n".replace("\0", "")
        parents = ["-p", parent] if parent else []
        made = await git(self.path, "commit-tree", tree, *parents, "-F", "-", stdin=text.encode(errors="replace"))
        await self._update_refs(
            f"update refs/tags/{tag} {made.text} {before or _ZERO}",
            f"update refs/heads/main {made.text} {parent or _ZERO}",
        )
        return made.text

    async def _parent_of(self, commit: str) -> str | None:
        result = await git(self.path, "rev-parse", "--quiet", "--verify", f"{commit}^", check=False)
        return result.text if result.returncode == 0 else None

    async def _generation_tree(self, commit: str, hive: HiveFile) -> str:
        lines = [f"040000 tree {await self._tree_of(commit)}\tagent"]
        for name, content in render(hive).items():
            blob = await git(self.path, "hash-object", "-w", "--stdin", stdin=content)
            lines.append(f"100644 blob {blob.text}\t{name}")
        return (await git(self.path, "mktree", stdin="\n".join([*lines, ""]).encode())).text

    async def _tree_of(self, commit: str) -> str:
        return (await git(self.path, "rev-parse", "--verify", f"{commit}^{{tree}}")).text

    async def diff(self, old: str | None, new: str) -> str:
        """The text diff between two commits' trees (None: the empty one), bounded, with agent.nix first."""
        return await difftext.diff(self.path, old, new)

    async def file(self, commit: str, path: str) -> bytes | None:
        """The content of one file of a commit's tree, None if it has none."""
        result = await git(self.path, "cat-file", "blob", f"{commit}:{path}", check=False)
        return result.stdout if result.returncode == 0 else None

    async def guest_change(self, old: str | None, new: str) -> str | None:
        """The new text of nixos.nix if the guest's NixOS configuration may change, else None.

        It may when any file but agent.nix differs, since nixos.nix can import it; such files are named at the end.
        """
        before = await self.file(old, "nixos.nix") if old else None
        after = await self.file(new, "nixos.nix")
        if before is None and after is None:
            return None
        others = await difftext.changed_files(self.path, old, new) - {"agent.nix"}
        if not others:
            return None
        named = "".join(f"# {name} changes too\n" for name in sorted(others - {"nixos.nix"}))
        return (after or b"").decode(errors="replace") + named

    async def _tagged(self, tag: str) -> str | None:
        return await self._resolve(f"refs/tags/{tag}")

    async def _resolve(self, ref: str) -> str | None:
        if not (self.path / "HEAD").is_file():
            raise NotFound(f"{self.path} is not an applied flake; create the agent first")
        if not (self.path / ref).exists() and not (self.path / "packed-refs").exists():
            return None  # the usual case of a new tag, without a process
        result = await git(self.path, "rev-parse", "--quiet", "--verify", ref, check=False)
        return result.text if result.returncode == 0 else None

    async def _update_refs(self, *commands: str) -> None:
        """Change refs all together or not at all."""
        lines = ["start", *commands, "prepare", "commit", ""]
        await git(self.path, "update-ref", "--stdin", stdin="\n".join(lines).encode())


def _sweep(path: Path) -> None:
    for file in (*path.glob("*.lock"), *(path / "refs").rglob("*.lock"), *(path / "objects").rglob("tmp_*")):
        file.unlink(missing_ok=True)
    for directory in path.glob("incoming-*"):
        shutil.rmtree(directory, ignore_errors=True)


def _sync(directory: Path) -> None:
    descriptor = os.open(directory, os.O_RDONLY | os.O_DIRECTORY)
    try:
        os.fsync(descriptor)
    finally:
        os.close(descriptor)
