"""The unit tests of the dashboard's page, which vitest runs."""

from __future__ import annotations

import subprocess
from pathlib import Path

import pytest

WEB = Path(__file__).parents[2] / "web"


@pytest.mark.skipif(
    not (WEB / "node_modules/.bin/vitest").exists(), reason="vitest is not there; `make setup` installs it"
)
def test_the_pages_own_tests_pass() -> None:
    done = subprocess.run(
        ["npm", "test"], cwd=WEB, capture_output=True, text=True, timeout=300, stdin=subprocess.DEVNULL, check=False
    )
    assert done.returncode == 0, done.stdout + done.stderr
