"""docs/bash-rules.md: each line of its table is what really happens."""

from __future__ import annotations

import asyncio
import re
import shutil
from pathlib import Path

import pytest
from settings_samples import sample

from hyperhive.policy.bash import decide

PAGE = Path(__file__).parents[2] / "docs/bash-rules.md"
LINE = re.compile(r"\| (`.*?) \| `(.*)` \| (allowed|denied) \|")
pytestmark = pytest.mark.skipif(shutil.which("shfmt") is None, reason="shfmt is not installed")


def lines() -> list[tuple[str, str, str]]:
    """Rules, command and verdict."""
    found = [LINE.fullmatch(line) for line in PAGE.read_text().splitlines()]
    return [(match[1], match[2].replace("\\|", "|"), match[3]) for match in found if match]


def test_the_table_is_found() -> None:
    assert len(lines()) >= 30


@pytest.mark.parametrize(("rules", "command", "verdict"), lines())
def test_the_documented_verdict_is_the_real_one(rules: str, command: str, verdict: str) -> None:
    allow, _, deny = rules.partition(", not ")
    bash = {"allow": re.findall(r"`([^`]*)`", allow), "deny": re.findall(r"`([^`]*)`", deny)}
    decision = asyncio.run(decide(command, sample(bash=bash)))
    assert ("allowed" if decision.allowed else "denied") == verdict, decision.reason
