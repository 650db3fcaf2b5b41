"""hyperhive.harness.sandbox: real bubblewraps, killed while they make their sandbox."""

from __future__ import annotations

import subprocess
import time
from pathlib import Path

import pytest
from harness_rig import LACKING, SKIP_REASON, config
from test_harness_turn import alive

from hyperhive.harness import sandbox

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def test_whenever_a_bubblewrap_is_killed_nothing_of_its_sandbox_stays(tmp_path: Path) -> None:
    cage = config(tmp_path).cage
    for number in range(100):
        with subprocess.Popen([*cage, "sleep", "71.25"]) as child:
            time.sleep(number % 20 / 1000)
            sandbox.kill(child)
    until = time.monotonic() + 10
    while left := [line for line in lines() if str(tmp_path) in line]:
        assert time.monotonic() < until, left
        time.sleep(0.02)
    assert not alive("sleep\00071.25")


def test_a_program_that_has_ended_is_left_alone() -> None:
    with subprocess.Popen(["true"]) as child:
        child.wait()
        sandbox.kill(child)
        assert (sandbox.first(child), child.returncode) == ([], 0)


def lines() -> list[str]:
    """Every command line."""
    found = []
    for path in Path("/proc").glob("[0-9]*/cmdline"):
        try:
            found.append(path.read_text(errors="replace"))
        except OSError:
            continue
    return found
