"""What `hyperhive flake check` and `hyperhive flake generate` do."""

from __future__ import annotations

import os
import tempfile
from dataclasses import dataclass
from pathlib import Path
from typing import Any

from hyperhive.errors import BadInput, Conflict, Rejected, Unavailable
from hyperhive.flakes.applied import HiveFile, render
from hyperhive.flakes.config import commit_all, copy_source, staged_directory, write_agent
from hyperhive.flakes.evaluate import Evaluator, default_evaluator
from hyperhive.flakes.git import git
from hyperhive.policy.lint import lint
from hyperhive.settings import NAME, Role, validate


@dataclass(frozen=True)
class Check:
    """A judged flake: its settings' JSON if they are fine, else the errors; warnings are advice."""

    ok: bool
    settings: dict[str, Any] | None
    errors: tuple[str, ...]
    warnings: tuple[str, ...]

    def to_json(self) -> dict[str, Any]:
        """The object that `--json` prints."""
        return {
            "ok": self.ok,
            "settings": self.settings,
            "errors": list(self.errors),
            "warnings": list(self.warnings),
        }


async def check_directory(directory: Path, evaluator: Evaluator | None = None) -> Check:
    """Evaluate, validate and lint the applied flake, or the agent's config (agent.nix at its root), in `directory`.

    A config is judged as that of an agent named like its directory, with the host's defaults. Raises BadInput if it
    is neither, Unavailable if the host lacks something.
    """
    evaluator = evaluator or default_evaluator()
    with tempfile.TemporaryDirectory(prefix="hyperhive-check-") as scratch:
        candidate = _stage(directory, Path(scratch))
        try:
            settings = validate((await evaluator.evaluate(candidate)).settings)
        except Rejected as error:
            return Check(ok=False, settings=None, errors=(str(error),), warnings=())
    return Check(ok=True, settings=settings.to_json(), errors=(), warnings=tuple(lint(settings)))


def _stage(directory: Path, scratch: Path) -> Path:
    """A candidate that holds what is evaluated and nothing else (no .git, which nix would copy)."""
    if (directory / "hive.toml").is_file() and (directory / "agent/agent.nix").is_file():
        files = {name: (directory / name).read_bytes() for name in ("flake.nix", "hive.toml")}
        source = directory / "agent"
    elif (directory / "agent.nix").is_file():
        name = directory.resolve().name
        files = render(HiveFile(name if NAME.match(name) else "agent", Role.AGENT))
        source = directory
    else:
        raise BadInput(f"{directory} holds neither agent.nix nor an applied flake (hive.toml and agent/agent.nix)")
    _write(scratch, files)
    (scratch / "agent").mkdir()
    copy_source(source, scratch / "agent")
    return scratch


def _write(directory: Path, files: dict[str, bytes]) -> None:
    try:
        for name, content in files.items():
            (directory / name).write_bytes(content)
    except OSError as error:
        raise Unavailable(f"{directory} cannot be written: {error.strerror}") from error


async def generate(directory: Path, hive: HiveFile, source: Path | None) -> str:
    """Write an applied flake into `directory` (new or empty) as a git repository tagged generation/1.

    agent/ is a copy of `source` (None: a plain agent.nix). Returns the commit's hash. Raises Conflict if something is
    there, BadInput, Unavailable.
    """
    files = render(hive)
    _check_free(directory)
    with staged_directory(directory) as staged:
        _write(staged, files)
        (staged / "agent").mkdir()
        if source is None:
            write_agent(staged / "agent", Role(hive.role))
        else:
            copy_source(source, staged / "agent")
        commit = await commit_all(staged, "generation 1: generated")
        await git(staged / ".git", "tag", "generation/1", commit)
    return commit


def _check_free(directory: Path) -> None:
    if os.path.lexists(directory) and (not directory.is_dir() or any(directory.iterdir())):
        raise Conflict(f"{directory} is not empty; name a new directory")
