"""The VM tests of checks/vm on this machine: a host of its own for each, booted by systemd-nspawn."""

from __future__ import annotations

import os
import subprocess
import sys

import pytest
from checks.driver.__main__ import lacking, names, run
from checks.driver.images import ROOT

LACKING = lacking("trixie", make=os.environ.get("HYPERHIVE_TEST_SYSTEM") == "1")


@pytest.mark.skipif(LACKING is not None, reason=f"VM tests: {LACKING}")
@pytest.mark.parametrize("name", names())
def test_on_a_host_of_its_own(name: str) -> None:
    ran = run(name)
    assert ran.failure is None, ran.failure
    assert ran.subtests


def test_there_is_a_test_for_each_behaviour() -> None:
    assert {"lifecycle", "isolation", "approval", "rollback", "crash", "purge", "reboot"} <= set(names())


def test_the_table_of_attacks_is_the_suites() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/attacks", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
