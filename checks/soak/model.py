"""The real Claude Code CLI's model: the rehearsal on loopback, as a process of its own that no round kills."""

from __future__ import annotations

import json
import shutil
import sys
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum

from checks.soak.hive import ROOT, SoakError
from hyperhive import process


class Claude(StrEnum):
    """What runs the turns: a script that keeps its prompts, or the real CLI."""

    STAND_IN = "stand-in"
    REAL = "real"


def real_claude() -> str:
    """The real CLI's path. Raises SoakError."""
    found = shutil.which("claude")
    if found is None:
        raise SoakError("claude is not on PATH (npm: @anthropic-ai/claude-code)")
    return found


@contextmanager
def rehearsal() -> Iterator[str]:
    """The rehearsal's address. Raises SoakError if it does not start."""
    argv = [sys.executable, "-m", "hyperhive.rehearsal"]
    with process.Popen(
        argv, cwd=ROOT / "python", stdin=process.DEVNULL, stdout=process.PIPE, stderr=process.DEVNULL
    ) as model:
        try:
            assert model.stdout
            line = model.stdout.readline()
            if not line:
                raise SoakError("the rehearsal model does not start")
            yield f"http://127.0.0.1:{json.loads(line)['port']}"
        finally:
            model.terminate()
