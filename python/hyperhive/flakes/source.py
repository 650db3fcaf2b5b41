"""The repository that an agent writes: hostile. git reads it in a sandbox that holds this one repository, read-only.

Whatever its configuration, hooks, alternates or links say: nothing of the host can be reached or changed from there,
and what comes out is a pack of objects that the host's own git indexes and checks.
"""

from __future__ import annotations

import os
import re
import stat
from dataclasses import dataclass
from pathlib import Path

from hyperhive.errors import BadInput, NotFound, Rejected
from hyperhive.flakes.git import ISOLATED, complaint
from hyperhive.flakes.sandbox import Limits, Sandbox, check_started, program_path
from hyperhive.process import ProcessTimeout, Result, run

MAX_PACK = 16 * 1024 * 1024
HASH = re.compile(r"[0-9a-f]{7,40}\Z")
_TIMEOUT = 20.0
_LIMITS = Limits(memory=2 * 1024**3, cpu=20)
_CONFIG = {
    "core.fsmonitor": "false",
    "core.hooksPath": "/dev/null",
    "core.commitGraph": "false",
    "core.multiPackIndex": "false",
    "protocol.allow": "never",
    "pack.threads": "1",
    "pack.window": "0",  # no search for deltas: small trees gain nothing, big files would take minutes
    "pack.compression": "1",
}


@dataclass(frozen=True)
class SourceRepository:
    """An agent's config repository at `path` (its work tree; the repository is `.git` in it)."""

    path: Path

    async def head(self) -> str:
        """The full hash of what HEAD is. Raises NotFound if nothing has been committed."""
        result = await self._git("rev-parse", "--quiet", "--verify", "HEAD^{commit}")
        if result.returncode != 0:
            raise NotFound("the agent's config repository has no commit yet; commit its agent.nix first")
        return result.text

    async def resolve(self, commit: str) -> str:
        """The full hash of a full or abbreviated one; refs are not looked at.

        Raises BadInput (not a hash, ambiguous) and NotFound (no such commit).
        """
        digits = commit.lower()
        if not HASH.match(digits):
            shown = commit[:60]
            raise BadInput(f"{shown!r} is not a commit hash: give 7 to 40 hex digits (git rev-parse HEAD)")
        if len(digits) == 40:
            return digits
        objects = await self._git("rev-parse", f"--disambiguate={digits}")
        types = await self._git("cat-file", "--batch-check", stdin=objects.stdout)
        commits = [line.split()[0] for line in types.text.splitlines() if line.split()[1:2] == ["commit"]]
        if not commits:
            raise _missing(digits)
        if len(commits) > 1:
            raise BadInput(f"{digits} is the beginning of {len(commits)} commits; give more digits")
        return commits[0]

    async def pack(self, commit: str) -> bytes:
        """A pack of that commit (full hash) with its trees and files, without its history.

        Raises NotFound, and Rejected if it is too large, incomplete, or takes too long.
        """
        result = await self._git(
            "pack-objects", "--revs", "--stdout", "--quiet", "--no-use-bitmap-index",
            stdin=f"--shallow {commit}\n{commit}\n".encode(),
        )  # fmt: skip
        if result.returncode < 0 and len(result.stdout) > MAX_PACK - 2 * 65536:
            raise Rejected(f"commit {commit[:12]} is larger than {MAX_PACK >> 20} MiB; keep big files out of it")
        if result.returncode != 0:
            await self._check_is_commit(commit)
            raise Rejected(f"commit {commit[:12]} cannot be read: {complaint(result)}")
        return result.stdout

    async def _check_is_commit(self, commit: str) -> None:
        found = await self._git("cat-file", "-t", commit)
        if found.returncode != 0:
            raise _missing(commit)
        if found.text != "commit":
            raise BadInput(f"{commit[:12]} is a {found.text[:20]}, not a commit; give the hash of a commit")

    async def _git(self, *arguments: str, stdin: bytes = b"") -> Result:
        config = [word for name, value in _CONFIG.items() for word in ("-c", f"{name}={value}")]
        argv = self._sandbox().command(program_path("git", "git"), *config, *arguments)
        try:
            result = await run(argv, timeout=_TIMEOUT, check=False, stdin=stdin, max_output=MAX_PACK)
        except ProcessTimeout as error:
            raise Rejected(f"the agent's config repository could not be read in {_TIMEOUT:g} s") from error
        check_started(result)
        if "not a git repository" in result.error:
            raise Rejected("the agent's config directory is not a git repository of its own; run git init in it")
        return result

    def _sandbox(self) -> Sandbox:
        try:
            found = os.lstat(self.path)
        except OSError as error:
            raise NotFound(f"there is no config repository at {self.path}: {error.strerror}") from error
        if not stat.S_ISDIR(found.st_mode):
            raise Rejected(f"{self.path} is not a directory; the config repository must be one")
        other = os.geteuid() == 0 and found.st_uid != 0
        return Sandbox(
            limits=_LIMITS,
            binds={"/source": self.path},
            environment={"HOME": "/tmp", "GIT_DIR": "/source/.git", "GIT_GRAFT_FILE": "/dev/null", **ISOLATED},  # noqa: S108
            owner=(found.st_uid, found.st_gid) if other else None,
        )


def _missing(commit: str) -> NotFound:
    return NotFound(f"commit {commit[:12]} is not in the agent's config repository; commit there, then ask again")
