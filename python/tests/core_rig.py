"""A running core on a temporary directory: real SQLite, git, nix, cages, harnesses; only Claude is a script."""

from __future__ import annotations

import asyncio
import json
import os
import shutil
import subprocess
import time
from collections.abc import AsyncIterator, Awaitable, Callable
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

from hyperhive.config import BackendKind, CoreConfig
from hyperhive.core import Core, running_core
from hyperhive.policy.ceilings import Ceilings
from hyperhive.settings import Role
from hyperhive.store.proposals import Proposal, State

LACKING = next((p for p in ("nix", "bwrap", "socat", "git", "setpriv") if shutil.which(p) is None), None)
SKIP_REASON = f"{LACKING} is not on PATH"
OVER = (State.APPLIED, State.REJECTED, State.DENIED, State.SUPERSEDED, State.WITHDRAWN, State.FAILED)

# Answers the harness's start-up check, unless the cage is that of an agent whose git name is "broken".
CLAUDE = """#!/bin/sh
grep -q broken /etc/gitconfig && { echo "cannot live like this" >&2; exit 1; }
echo "0 (a stand-in)"
"""


def config(root: Path, **changes: Any) -> CoreConfig:
    """A local core in `root`, with a claude that only says its version."""
    claude = root / "claude"
    if not claude.exists():
        claude.write_text(CLAUDE)
        claude.chmod(0o755)
    values: dict[str, Any] = {
        "state_dir": root / "hive",
        "runtime_dir": root / "run",
        "backend": BackendKind.LOCAL,
        "model_url": "http://127.0.0.1:1",
        "claude": str(claude),
        "health": 10.0,
        "drain": 2.0,
        **changes,
    }
    return CoreConfig(**values)


def write_json(path: Path, made: CoreConfig) -> Path:
    """The same configuration as core.json."""
    value = {
        "backend": "local",
        "stateDir": str(made.state_dir),
        "runtimeDir": str(made.runtime_dir),
        "modelApi": {"url": made.model_url, "keyFile": None},
        "claude": made.claude,
        "health": made.health,
        "drain": made.drain,
    }
    path.write_text(json.dumps(value))
    return path


class Hive:
    """What the tests do with a running core."""

    def __init__(self, core: Core, root: Path) -> None:
        self.core = core
        self.root = root

    def config_repo(self, agent: str) -> Path:
        return self.root / "hive/agents" / agent / "config"

    async def create(self, name: str, role: Role = Role.AGENT, nix: str = "{ }") -> None:
        source = self.root / f"source-{name}"
        source.mkdir(exist_ok=True)
        (source / "agent.nix").write_text(nix)
        await self.core.hive.create(name, role, source, "operator:test")

    def commit(self, agent: str, nix: str) -> str:
        """Commit a new agent.nix to the agent's config repo, as a manager would, and give the hash."""
        repo = self.config_repo(agent)
        (repo / "agent.nix").write_text(nix)
        git(repo, "add", "-A")
        git(repo, "commit", "-qm", "a change")
        return git(repo, "rev-parse", "HEAD")

    async def propose(self, agent: str, nix: str, requester: str = "operator:test") -> Proposal:
        """Request that change and wait for the verdict."""
        asked = await self.core.proposals.request(agent, self.commit(agent, nix), "because", requester)
        return await self.settled(asked.id, State.REQUESTED)

    async def settled(self, proposal: int, *moving: State) -> Proposal:
        """Wait until the proposal is in none of the states `moving`."""

        async def row() -> Proposal | None:
            found = await self.core.proposals.get(proposal)
            return None if found.state in moving else found

        found: Proposal = await until(row)
        return found

    async def approve(self, row: Proposal) -> Proposal:
        """Approve what was checked and wait for the end of the apply."""
        assert row.fingerprint is not None
        await self.core.proposals.approve(row.id, row.fingerprint, "operator:test")
        return await self.settled(row.id, State.APPROVED, State.BUILDING, State.ACTIVATING)

    async def view(self, agent: str) -> dict[str, Any]:
        return await self.core.hive.view(agent)

    async def details(self, agent: str) -> dict[str, Any]:
        return await self.core.hive.details(agent)

    async def events(self, recipient: str) -> list[dict[str, Any]]:
        """The helper events in a mailbox, newest first."""
        found = await self.core.database.read(
            lambda c: c.execute(
                "SELECT body FROM messages WHERE recipient = ? AND kind = 'event' ORDER BY id DESC", (recipient,)
            ).fetchall()
        )
        return [json.loads(body) for (body,) in found]

    async def audit(self, subject: str) -> list[str]:
        """The actions in the audit log about that subject, in order."""
        found = await self.core.database.read(
            lambda c: c.execute("SELECT action FROM audit WHERE subject = ? ORDER BY id", (subject,)).fetchall()
        )
        return [action for (action,) in found]


@asynccontextmanager
async def hive(root: Path, **changes: Any) -> AsyncIterator[Hive]:
    """A running core in `root`; the same `root` again goes on with its state."""
    async with running_core(config(root, **changes)) as core:
        yield Hive(core, root)


async def full_until(made: Hive, seen: Callable[[], Any]) -> None:
    """Nothing can be stored until `seen` gives something true, as on a full disk; then everything can."""

    async def look() -> Any:
        return seen()

    await made.core.database.read(lambda c: c.execute("PRAGMA query_only = ON"))
    try:
        await until(look)
    finally:
        await made.core.database.read(lambda c: c.execute("PRAGMA query_only = OFF"))


async def until(condition: Callable[[], Awaitable[Any]], timeout: float = 20) -> Any:
    """Wait until `condition` gives something true."""
    deadline = time.monotonic() + timeout
    while not (found := await condition()):
        assert time.monotonic() < deadline, "timed out"
        await asyncio.sleep(0.02)
    return found


def git(repo: Path, *arguments: str) -> str:
    """Run git in a config repo as a manager would."""
    environment = {**os.environ, "GIT_CONFIG_GLOBAL": "/dev/null", "GIT_CONFIG_NOSYSTEM": "1"}
    identity = ["-c", "user.name=boss", "-c", "user.email=boss@hive.local"]
    done = subprocess.run(
        ["git", "-C", str(repo), *identity, *arguments], capture_output=True, text=True, check=True, env=environment
    )
    return done.stdout.strip()


def nix(text: str) -> str:
    """An agent.nix that sets the given options."""
    return "{ hyperhive.agent = { " + text + " }; }\n"


def ceilings(**bounds: Any) -> Ceilings:
    return Ceilings(**bounds)
