"""The VM tests of checks/vm on this machine: a host of its own for each, booted by systemd-nspawn."""

from __future__ import annotations

import json
import subprocess
import sys
from typing import Any

import pytest
from checks.driver.__main__ import lacking, names
from checks.driver.images import ROOT

LACKING = lacking("trixie")


@pytest.fixture(scope="session")
def results(request: pytest.FixtureRequest) -> dict[str, Any]:
    """What the driver says of each VM test that is selected; two hosts at a time."""
    selected = [item.callspec.params["name"] for item in request.session.items if _is_vm_test(item)]  # type: ignore[attr-defined]
    argv = [sys.executable, "-m", "checks.driver", "--json", *selected]
    done = subprocess.run(argv, cwd=ROOT, capture_output=True, text=True, check=False)
    assert done.stdout, done.stderr
    return {ran["name"]: ran for ran in json.loads(done.stdout)}


def _is_vm_test(item: pytest.Item) -> bool:
    return item.originalname == "test_on_a_host_of_its_own" if isinstance(item, pytest.Function) else False


@pytest.mark.skipif(LACKING is not None, reason=f"VM tests: {LACKING}")
@pytest.mark.parametrize("name", names())
def test_on_a_host_of_its_own(name: str, results: dict[str, Any]) -> None:
    assert results[name]["failure"] is None, results[name]["failure"]
    if results[name]["not_run"] and not results[name]["subtests"]:
        pytest.skip(f"VM test {name}: {results[name]['not_run'][0]}")
    assert results[name]["subtests"]


def test_there_is_a_test_for_each_behaviour() -> None:
    asked = {"approval", "crash", "isolation", "lifecycle", "limits", "purge", "reboot", "rollback", "turns", "upgrade"}
    assert asked <= set(names())


def test_the_table_of_attacks_is_the_suites() -> None:
    done = subprocess.run(
        [sys.executable, ROOT / "tools/attacks", "--check"], capture_output=True, text=True, check=False
    )
    assert done.returncode == 0, done.stderr
