"""The dashboard: the first paint with 100 agents, an event's way to the pixel, and what idle pages cost the core."""

from __future__ import annotations

import gzip
import json
import os
import shutil
import subprocess
import sys
import tempfile
from pathlib import Path

from bench.row import Row

WEB = Path(__file__).parents[1] / "web"
ASSETS = WEB.parent / "python/hyperhive/web/assets"
PAGES = 50
IDLE_SECONDS = 10


def measure() -> list[Row]:
    """About 30 s, by web/browser/measure.mjs with a hive of browser_rig.py; nothing without chromium or the page."""
    chromium = shutil.which("chromium")
    if chromium is None or not (WEB / "node_modules").exists():
        print("dashboard: not measured: chromium or web/node_modules is missing", file=sys.stderr)
        return []
    with tempfile.TemporaryDirectory() as root:
        environment = {**os.environ, "HYPERHIVE_PYTHON": sys.executable, "CHROMIUM": chromium}
        argv = ["node", str(WEB / "browser/measure.mjs"), root, str(PAGES), str(IDLE_SECONDS)]
        done = subprocess.run(argv, env=environment, stdout=subprocess.PIPE, check=True, timeout=300)
    found: dict[str, float] = json.loads(done.stdout.splitlines()[-1])
    bundle = b"".join(path.read_bytes() for path in ASSETS.glob("index-*"))
    return [
        _bounded("first paint of the page with 100 agents", found["paint"], "ms", 500),
        _bounded("until all 100 agents are shown", found["shown"], "ms", 500),
        _bounded("an event of a turn, harness to pixel, p95", found["pixel"], "ms", 100),
        _bounded(f"the core's CPU with {PAGES} idle pages", found["idle"], "%", 2),
        _bounded("the page without xterm.js, gzip", len(gzip.compress(bundle)) / 1000, "kB", 200),
    ]


def _bounded(name: str, value: float, unit: str, most: float) -> Row:
    return Row(name, value, unit, f"<= {most:g}", ok=value <= most)
