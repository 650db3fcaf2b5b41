"""An agent's config repository at its birth: the git repository with agent.nix that the manager then works in."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Iterator
from contextlib import contextmanager
from pathlib import Path

from hyperhive.errors import BadInput, Unavailable
from hyperhive.flakes.git import git
from hyperhive.settings import Role

_AGENT = b"""\
# What this agent is: set options of hyperhive.agent here, commit, and ask for the commit to be applied.
{
  hyperhive.agent = {
    prompt = "";
  };
}
"""
_MANAGER = b"""\
# The hive's manager: it changes the other agents' agent.nix, commits, and asks for the commit to be applied.
{
  hyperhive.agent = {
    prompt = ''
      You manage this hive. When an agent lacks something that the operator's request needs, change its agent.nix
      as little as possible, commit, and call request_apply_commit with the full hash and the reason.
    '';
    bash.allow = [ "git -C /hive/agents/* *" ];
  };
}
"""


async def create_config(path: Path, role: Role, source: Path | None) -> bool:
    """Make the git repository `path` from the directory `source` (None: a plain agent.nix for that role).

    False if there was one already, which stays. Nothing is left behind on failure. Raises BadInput, Unavailable.
    """
    if os.path.lexists(path):  # noqa: ASYNC240  (one lstat)
        return False
    for left_by_a_crash in path.parent.glob(f".{path.name}-*"):
        shutil.rmtree(left_by_a_crash, ignore_errors=True)
    with staged_directory(path) as staged:
        if source is None:
            write_agent(staged, role)
        else:
            await asyncio.to_thread(copy_source, source, staged)
        await commit_all(staged, "the agent's first configuration")
        await asyncio.to_thread(_let_all_read, staged)
    return True


def _let_all_read(directory: Path) -> None:
    """Whatever the umask: on NixOS the repository becomes the manager's, and the core and the agent, other users, read
    it. Who reaches it at all is for the directories above to say.
    """
    for path in (directory, *directory.rglob("*")):
        if not path.is_symlink():
            path.chmod(path.stat().st_mode | (0o555 if path.is_dir() else 0o444))


@contextmanager
def staged_directory(path: Path) -> Iterator[Path]:
    """A directory that becomes `path` (not there, or empty) when the block succeeds, and vanishes when it fails."""
    try:
        path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
        staged = Path(tempfile.mkdtemp(prefix=f".{path.name}-", dir=path.parent))
    except OSError as error:
        raise Unavailable(f"{path} cannot be made: {error.strerror}") from error
    try:
        yield staged
        staged.rename(path)
    except OSError as error:
        raise Unavailable(f"{path} cannot be written: {error.strerror}") from error
    finally:
        shutil.rmtree(staged, ignore_errors=True)


def write_agent(directory: Path, role: Role) -> None:
    """Write the plain agent.nix of that role."""
    (directory / "agent.nix").write_bytes(_MANAGER if role is Role.MANAGER else _AGENT)


def copy_source(source: Path, directory: Path) -> None:
    """Copy an agent's files (not its .git) into the existing `directory`. Raises BadInput without agent.nix."""
    if not (source / "agent.nix").is_file():
        raise BadInput(f"{source} has no agent.nix; name the directory that holds the agent's agent.nix")
    try:
        shutil.copytree(source, directory, symlinks=True, ignore=shutil.ignore_patterns(".git"), dirs_exist_ok=True)
    except (OSError, shutil.Error) as error:
        raise BadInput(f"{source} cannot be copied: {error}") from error


async def commit_all(directory: Path, message: str) -> str:
    """Make `directory` a git repository with everything in it as one commit on main; return its full hash."""
    repository = directory / ".git"
    worktree = {"GIT_WORK_TREE": str(directory)}
    await git(repository, "init", "--quiet", "--template=", "--initial-branch=main", "--shared=0644")  # later ones too
    await git(repository, "config", "core.bare", "false")
    await git(repository, "add", "--all", "--force", str(directory), environment=worktree)
    await git(repository, "commit", "--quiet", "--no-verify", "-m", message, environment=worktree)
    return (await git(repository, "rev-parse", "HEAD")).text
