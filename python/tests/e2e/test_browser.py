"""The dashboard in a real browser: each file of web/browser, with a hive of its own (browser_rig.py)."""

from __future__ import annotations

import os
import shutil
import subprocess
import sys
from pathlib import Path

import pytest
from core_rig import LACKING, SKIP_REASON

WEB = Path(__file__).parents[3] / "web"
PAGE = WEB.parent / "python/hyperhive/web/index.html"
FILES = sorted(path.name for path in (WEB / "browser").glob("*.test.ts"))

pytestmark = [
    pytest.mark.e2e,
    pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON),
    pytest.mark.skipif(shutil.which("chromium") is None, reason="chromium is not on PATH"),
    pytest.mark.skipif(shutil.which("claude") is None, reason="the Claude Code CLI is not on PATH"),
    pytest.mark.skipif(not (WEB / "node_modules/.bin/vitest").exists(), reason="vitest is not there"),
    pytest.mark.skipif(not PAGE.exists(), reason="the page is not built; `make setup` builds it"),
]


@pytest.mark.parametrize("name", FILES)
def test_the_dashboard_in_a_browser(name: str) -> None:
    environment = {**os.environ, "HYPERHIVE_PYTHON": sys.executable, "CHROMIUM": shutil.which("chromium") or ""}
    done = subprocess.run(
        ["npm", "run", "browser", "--", name],
        cwd=WEB, capture_output=True, text=True, timeout=300, env=environment, stdin=subprocess.DEVNULL, check=False,
    )  # fmt: skip
    assert done.returncode == 0, done.stdout + done.stderr
