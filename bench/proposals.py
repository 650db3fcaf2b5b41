"""A proposal's check, from the agent's repository to validated settings, against bare nix on the same modules."""

from __future__ import annotations

import asyncio
import os
import statistics
import subprocess
import tempfile
import time
from collections.abc import Awaitable
from pathlib import Path

import uvloop

from bench.row import Row
from hyperhive.flakes.applied import HiveFile, render
from hyperhive.flakes.config import create_config
from hyperhive.flakes.evaluate import Evaluator, default_evaluator
from hyperhive.flakes.repository import AppliedRepository
from hyperhive.policy.delta import delta
from hyperhive.policy.lint import lint
from hyperhive.settings import Role, Settings, validate

ROUNDS = 15
"""How often each is run; they take turns, and medians are compared."""
MAX_RATIO = 3.0
MAX_MS = 400.0

AGENT = b"""\
{
  hyperhive.agent = {
    model = "sonnet";
    prompt = "You keep the hive's weekly report.";
    bash.allow = [ "ls *" "cat *" "gzip *" ];
    packages = [ "ripgrep" ];
  };
}
"""
HIVE = HiveFile("worker", Role.AGENT)
BARE = """\
(import {flake}/modules/lib {{ lib = import {lib}; }}).settings {{
  hive = {candidate}/hive.toml;
  modules = [ {candidate}/agent/agent.nix ];
}}
"""


def measure() -> list[Row]:
    """Run both and compare (about 5 s). nixpkgs' lib is the host's: $HYPERHIVE_NIXPKGS_LIB, NIX_PATH, stand-in."""
    with tempfile.TemporaryDirectory(prefix="hive-bench-") as name:
        return uvloop.run(_measure(Path(name)))  # as the core does


async def _measure(root: Path) -> list[Row]:
    evaluator, source = default_evaluator(), root / "source"
    source.mkdir()
    (source / "agent.nix").write_bytes(AGENT)
    await create_config(root / "config", Role.AGENT, source)
    check = Check(root, AppliedRepository(root / "applied"), evaluator)
    await check.prepare()
    bare = _bare_command(root, evaluator)
    times: dict[str, list[float]] = {"bare": [], "evaluate": [], "check": []}
    for number in range(ROUNDS):
        times["bare"].append(await _timed(asyncio.to_thread(_run, bare)))
        times["evaluate"].append(await _timed(evaluator.evaluate(root / "bare")))
        times["check"].append(await _timed(check.run(f"proposal/{number}")))
    return _rows({name: statistics.median(values) for name, values in times.items()})


class Check:
    """What the core does with a request, without its database."""

    def __init__(self, root: Path, repository: AppliedRepository, evaluator: Evaluator) -> None:
        self._root = root
        self._repository = repository
        self._evaluator = evaluator
        self._commit = ""
        self._applied: Settings | None = None

    async def prepare(self) -> None:
        """Make the repository and find the commit to propose."""
        await self._repository.init()
        self._commit = await self._repository.fetch_head(self._root / "config", "created/1")
        await self.run("proposal/first")

    async def run(self, tag: str) -> None:
        """Fetch, check out, evaluate, validate, compare, lint, diff."""
        commit = await self._repository.fetch(self._root / "config", self._commit, tag)
        with tempfile.TemporaryDirectory(dir=self._root) as name:
            await self._repository.checkout(commit, HIVE, Path(name))
            evaluated, _, _ = await asyncio.gather(
                self._evaluator.evaluate(Path(name)),
                self._repository.diff(None, commit),
                self._repository.guest_change(None, commit),
            )
        settings = validate(evaluated.settings)
        delta(self._applied, settings)
        lint(settings)
        self._applied = settings


def _bare_command(root: Path, evaluator: Evaluator) -> list[str]:
    candidate = root / "bare"
    (candidate / "agent").mkdir(parents=True)
    for name, content in {**render(HIVE), "agent/agent.nix": AGENT}.items():
        (candidate / name).write_bytes(content)
    expression = BARE.format(flake=evaluator.flake, lib=evaluator.lib, candidate=candidate)
    nix_instantiate = str(Path(evaluator.nix).with_name("nix-instantiate"))
    return [nix_instantiate, "--eval", "--strict", "--json", "--readonly-mode", "--expr", expression]


def _run(argv: list[str]) -> None:
    environment = {**os.environ, "NIX_REMOTE": "dummy://"}
    subprocess.run(argv, check=True, env=environment, stdout=subprocess.DEVNULL, stderr=subprocess.DEVNULL)


async def _timed(work: Awaitable[object]) -> float:
    """Milliseconds that it takes."""
    begun = time.perf_counter()
    await work
    return (time.perf_counter() - begun) * 1000


def _rows(medians: dict[str, float]) -> list[Row]:
    bare, check = medians["bare"], medians["check"]
    ratio = check / bare
    return [
        Row("bare nix-instantiate of the same settings", bare, "ms", "", True),
        Row("evaluation in its sandbox", medians["evaluate"], "ms", "", True),
        Row("proposal: fetch, check out, evaluate, compare, diff", check, "ms", f"≤ {MAX_MS:g}", check <= MAX_MS),
        Row("proposal check / bare nix-instantiate", ratio, "ratio", f"≤ {MAX_RATIO:g}", ratio <= MAX_RATIO),
    ]
