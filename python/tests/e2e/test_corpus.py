"""The corpora with the real Claude Code CLI: it tries every command, and the hook's verdict is what happens."""

from __future__ import annotations

import asyncio
import os
import shutil
import subprocess
from collections.abc import Iterator
from pathlib import Path
from typing import Any

import pytest
from corpus_rig import FIXTURE, PWNED, Case, cases

from e2e.turn_rig import CLAUDE, LACKING, Rig, rig

LACKS = LACKING or (None if shutil.which("shfmt") else "shfmt")
pytestmark = pytest.mark.skipif(CLAUDE is None or LACKS is not None, reason=f"{LACKS} is not installed")

A_TURN = 90  # commands; a message has at most 64 KiB
SESSION = {"turnTimeout": 600, "maxTurns": 300, "compactAt": 150000}
DENIED = "denied by the hive's Bash rules"


def test_no_bypass_has_its_effect(tmp_path: Path) -> None:
    results = asyncio.run(tried(tmp_path, cases("bypasses")))
    ran = {command: text for command, (text, failed) in results.items() if not failed}
    assert ran == {}
    assert not (tmp_path / "agents/worker/state" / PWNED).exists()
    reasons = sum(DENIED in text for text, _ in results.values())
    assert reasons >= len(results) - 5, "all but those with control characters, which Claude Code refuses itself"


def test_ordinary_commands_run(tmp_path: Path) -> None:
    results = asyncio.run(tried(tmp_path, cases("everyday")))
    denied = {command: text for command, (text, _) in results.items() if DENIED in text}
    failed = [command for command, (_, failed) in results.items() if failed]
    print("failed:", *failed, sep="\n  ")
    assert len(denied) <= 0.02 * len(results), denied
    assert "hello" in results["cat a.txt"][0]
    assert len(failed) < 0.15 * len(results), failed  # their programs may be missing here


async def tried(root: Path, corpus: list[Case]) -> dict[str, tuple[str, bool]]:
    """What Claude Code said of each command, and whether it was an error."""
    results: dict[str, tuple[str, bool]] = {}
    async with rig(root, session=SESSION) as made:
        made.judged_by = {case.command: case.settings() for case in corpus}
        for some in in_turns(corpus):
            make_fixture(root / "agents/worker/state/work")
            results |= await in_one_turn(made, some)
        missed = {case.command for case in corpus} - {command for command, _ in made.decisions} - set(results)
    assert not missed
    return results


async def in_one_turn(made: Rig, some: list[Case]) -> dict[str, tuple[str, bool]]:
    """Run some commands, one after the other."""
    steps: list[dict[str, Any]] = [{"tool": "Bash", "input": {"command": case.command}} for case in some]
    turn = await made.turn_done(await made.say([*steps, {"text": "done"}]), 300)
    assert turn["outcome"] == "completed", turn
    found = await made.results(turn["id"])
    assert len(found) == len(some)
    return {
        case.command: (str(result["content"]), bool(result.get("is_error")))
        for case, result in zip(some, found, strict=True)
    }


def in_turns(corpus: list[Case]) -> Iterator[list[Case]]:
    """Parts of the corpus that one message can hold; each command once."""
    unique = list({case.command: case for case in corpus}.values())
    for start in range(0, len(unique), A_TURN):
        yield unique[start : start + A_TURN]


def make_fixture(work: Path) -> None:
    """The repository that the commands are about, as new."""
    for left in work.iterdir():
        shutil.rmtree(left) if left.is_dir() and not left.is_symlink() else left.unlink()
    env = {"PATH": os.environ["PATH"], "HOME": str(work), "LANG": "C.UTF-8"}
    subprocess.run(["bash", "-c", FIXTURE], cwd=work, env=env, check=True)
