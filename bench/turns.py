"""What hyperhive adds to a turn: the same scripted answer through the whole hive and by Claude Code alone."""

from __future__ import annotations

import asyncio
import json
import os
import statistics
import subprocess
import sys
import tempfile
import time
import urllib.request
from pathlib import Path

from e2e.turn_rig import Rig, rig

from bench.row import Row
from hyperhive.harness.claude import command, environment
from hyperhive.harness.session import Session
from hyperhive.rehearsal.script import marked
from hyperhive.settings import Settings

ROUNDS = 5
STEPS = [{"text": "done"}]


def measure() -> list[Row]:
    """Cold turns (a new session each), hive and bare in turn; medians of ROUNDS."""
    with tempfile.TemporaryDirectory(prefix="hyperhive-bench-") as directory:
        whole, until_prompt, bare = asyncio.run(_rounds(Path(directory)))
    ratio = statistics.median(whole) / statistics.median(bare)
    waited = statistics.median(until_prompt) * 1000
    return [
        Row("bare claude -p, cold", statistics.median(bare), "s", "", True),
        Row("whole turn: message accepted -> acknowledged, cold", statistics.median(whole), "s", "", True),
        Row("whole turn / bare claude -p", ratio, "ratio", "≤ 1.10", ratio <= 1.10),
        Row("message accepted -> first request at the model", waited, "ms", "", True),
    ]


async def _rounds(root: Path) -> tuple[list[float], list[float], list[float]]:
    whole: list[float] = []
    until_prompt: list[float] = []
    bare: list[float] = []
    async with rig(root) as hive:
        for number in range(ROUNDS + 1):
            (root / "agents/worker/harness/session").unlink(missing_ok=True)
            alone = await asyncio.to_thread(_bare, hive.model_port, hive.settings, root / f"bare{number}")
            took, prompted = await _turn(hive)
            if number:  # the first round warms the file cache
                bare.append(alone)
                whole.append(took)
                until_prompt.append(prompted)
    return whole, until_prompt, bare


async def _turn(hive: Rig) -> tuple[float, float]:
    """Seconds from the accepted message to its acknowledgement, and to the model's first request."""
    before = _requests(hive.model_port)["count"]
    message = await hive.say(STEPS)
    started = time.monotonic()
    await hive.turn_done(message)
    took = time.monotonic() - started
    seen = _requests(hive.model_port)
    assert seen["count"] == before + 1, seen
    return took, took - (time.time() - seen["last"])


def _bare(port: int, settings: Settings, home: Path) -> float:
    """Seconds of `claude -p` with the same flags and the same answer, outside of any hive."""
    home.mkdir()
    session = Session("00000000-0000-4000-8000-000000000001", fresh=True)
    argv = [word for word in command("claude", settings, session) if word != "--strict-mcp-config"]
    config = argv.index("--mcp-config")
    del argv[config : config + 2]
    variables = {
        **environment(settings),
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{port}",
    }
    started = time.monotonic()
    done = subprocess.run(
        argv, input=marked(STEPS).encode(), capture_output=True, cwd=home, env=variables, timeout=60, check=True
    )
    took = time.monotonic() - started
    assert json.loads(done.stdout.splitlines()[-1])["result"] == "done", done.stdout
    return took


def _requests(port: int) -> dict[str, float]:
    """How many Messages requests the rehearsal has seen, and when (Unix seconds) the last one came."""
    with urllib.request.urlopen(f"http://127.0.0.1:{port}/rehearsal", timeout=5) as answer:
        seen: dict[str, float] = json.loads(answer.read())
        return seen


if __name__ == "__main__":
    for row in measure():
        print(row)
    sys.exit(0)
