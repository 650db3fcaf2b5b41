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
import uuid
from dataclasses import replace
from pathlib import Path

from e2e.turn_rig import Rig, rig

from bench.row import Row
from hyperhive.harness.claude import command, environment
from hyperhive.harness.session import Session
from hyperhive.rehearsal.script import marked

ROUNDS = 9
STEPS = [{"text": "done"}]


def measure() -> list[Row]:
    """Cold turns (a new session each) and resumed ones in the hive and outside of it; medians of ROUNDS, of the ratios
    too (50 s).
    """
    with tempfile.TemporaryDirectory(prefix="hyperhive-bench-") as directory:
        rounds, resumed = asyncio.run(_rounds(Path(directory)))
    again = statistics.median(whole / bare for whole, bare in resumed)
    whole, prompted, bare, lone = (statistics.median(times) for times in zip(*rounds, strict=True))
    ratio, lone_ratio = (statistics.median(each[0] / each[other] for each in rounds) for other in (2, 3))
    return [
        Row("bare claude -p without a hive's settings and tools, cold", lone, "s", "", True),
        Row("bare claude -p with the same settings and tools, cold", bare, "s", "", True),
        Row("whole turn: message accepted → acknowledged, cold", whole, "s", "", True),
        Row("whole turn / bare claude -p with the same settings and tools", ratio, "ratio", "≤ 1.10", ratio <= 1.10),
        Row("whole turn / bare claude -p without them", lone_ratio, "ratio", "", True),
        Row("message accepted → first request at the model", prompted * 1000, "ms", "", True),
        Row("resumed turn: message accepted → acknowledged", statistics.median(r[0] for r in resumed), "s", "", True),
        Row("resumed turn / bare claude -p --resume with the same", again, "ratio", "≤ 1.10", again <= 1.10),
    ]


async def _rounds(root: Path) -> tuple[list[tuple[float, float, float, float]], list[tuple[float, float]]]:
    """Seconds of each round: the whole turn, until its first request, bare with the same configuration, bare alone; and
    of each resumed one: the whole turn, bare.
    """
    rounds, resumed = [], []
    async with rig(root) as hive:
        for number in range(ROUNDS + 1):
            (root / "agents/worker/harness/session").unlink(missing_ok=True)
            lone = await asyncio.to_thread(_bare, hive, root / f"lone{number}", configured=False)
            whole, prompted = await _turn(hive)
            bare = await asyncio.to_thread(_bare, hive, root / f"bare{number}", configured=True)
            rounds.append((whole, prompted, bare, lone))
        session = Session(str(uuid.uuid4()), fresh=True)
        await asyncio.to_thread(_bare, hive, root / "resumed", configured=True, session=session)
        for _ in range(ROUNDS):
            whole, _prompted = await _turn(hive)
            again = replace(session, fresh=False)
            bare = await asyncio.to_thread(_bare, hive, root / "resumed", configured=True, session=again)
            resumed.append((whole, bare))
    return rounds[1:], resumed  # the first one warms the file cache


async def _turn(hive: Rig) -> tuple[float, float]:
    """Seconds from the accepted message to its acknowledgement, and to the model's first request."""
    before = _requests(hive.model_port)["count"]
    message = await hive.say(STEPS)
    await hive.turn_done(message)
    query = "SELECT sent_at, delivered_at FROM messages WHERE id = ?"
    sent, delivered = await hive.database.read(lambda c: c.execute(query, (message,)).fetchone())
    seen = _requests(hive.model_port)
    assert seen["count"] == before + 1, seen
    return delivered - sent, seen["last"] - sent


def _bare(hive: Rig, home: Path, *, configured: bool, session: Session | None = None) -> float:
    """Seconds of `claude -p` outside of any cage, with the same answer; `configured`: with the same managed settings
    (any settings file costs Claude Code 0.07 s) and the same MCP server.
    """
    work = home / "work"  # as in a cage: Claude Code looks through a directory that is not its HOME
    work.mkdir(parents=True, exist_ok=True)
    argv = command("claude", hive.settings, session or Session(str(uuid.uuid4()), fresh=True))
    config = argv.index("--mcp-config")
    if configured:
        own = hive.root / "run/agents/worker"
        argv[config + 1] = argv[config + 1].replace("/run/hive/", f"{own}/")
        argv[config:config] = ["--settings", str(own / "etc/claude-code/managed-settings.json")]
    else:
        del argv[config : config + 2]
        argv.remove("--strict-mcp-config")
    variables = {
        **environment(hive.settings),
        "PATH": os.environ["PATH"],
        "HOME": str(home),
        "CLAUDE_CONFIG_DIR": str(home / ".claude"),
        "ANTHROPIC_BASE_URL": f"http://127.0.0.1:{hive.model_port}",
    }
    started = time.monotonic()
    done = subprocess.run(
        argv, input=marked(STEPS).encode(), capture_output=True, cwd=work, env=variables, timeout=60, check=True
    )
    took = time.monotonic() - started
    events = [json.loads(line) for line in done.stdout.splitlines()]
    assert events[-1]["result"] == "done", done.stdout
    assert [server["status"] for server in events[0]["mcp_servers"]] == ["connected"] * configured, events[0]
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
