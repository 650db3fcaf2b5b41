"""`python -m checks.driver [NAME …]`: run the VM tests here, as root."""

from __future__ import annotations

import argparse
import contextlib
import io
import json
import os
import shutil
import sys
import tempfile
import time
import traceback
import unittest
from collections import Counter
from collections.abc import Iterator
from concurrent.futures import ProcessPoolExecutor
from dataclasses import asdict, dataclass
from pathlib import Path

from checks.driver.cgroups import mounted
from checks.driver.commands import run as run_program
from checks.driver.commands import signals_raise
from checks.driver.images import ONLY_UNIFIED, ROOT, SUITES, image, path_of
from checks.driver.log import Log, MachineError
from checks.driver.machine import Machine
from checks.driver.provision import SOURCE, provision
from checks.driver.workspace import sweep

SCRIPTS = ROOT / "checks/vm"
WORK = Path(tempfile.gettempdir()) / "hyperhive-vm"


LIMITS = ("limits",)
"""The tests of limits that the host's systemd enforces."""


@dataclass(frozen=True)
class Ran:
    """One test: the parts that passed, those that were not run here and why, and why it failed if it did."""

    name: str
    seconds: float
    subtests: list[str]
    not_run: list[str]
    failure: str | None

    @property
    def outcome(self) -> str:
        """In a word or two."""
        if self.failure:
            return "FAILED"
        return "passed" if self.subtests else "not run"


def names() -> list[str]:
    """The tests that there are."""
    return sorted(path.stem for path in SCRIPTS.glob("*.py"))


def modules(name: str) -> list[Path]:
    """The NixOS modules of a test's host: what every host has, and what only this one needs."""
    own = SCRIPTS / f"{name}.nix"
    return [SCRIPTS / "host.nix", *([own] if own.exists() else [])]


def lacking(suite: str) -> str | None:
    """Why the tests cannot run here; None if they can."""
    if os.geteuid() != 0:
        return "the hosts are real containers: run as root"
    for program in ("systemd-nspawn", *([] if path_of(suite).is_dir() else ["debootstrap"])):
        if shutil.which(program) is None:
            return f"{program} is not installed (Debian: systemd-container, debootstrap)"
    tried = ("unshare", "--mount", "--pid", "--fork", "--mount-proc", "true")
    if run_program(*tried, check=False).returncode != 0:
        return f"this machine lets nobody make namespaces: {' '.join(tried)} fails"
    return None


def run(name: str, suite: str = "trixie") -> Ran:
    """Boot a host, make it a hive's and run the test of that name."""
    began = time.monotonic()
    subtests: list[str] = []
    not_run: list[str] = []
    if name in LIMITS and suite in ONLY_UNIFIED and mounted():
        reason = "the kernel's controllers are bound to cgroup v1, which this systemd has no support of"
        return Ran(name, 0, subtests, [reason], None)
    output = io.StringIO()
    with signals_raise(), contextlib.redirect_stderr(output):
        try:
            host = Machine("host", image(suite), WORK, Heard(not_run), limits=name in LIMITS)
            try:
                host.bind(ROOT, SOURCE)
                host.start(allow_reboot=True)
                provision(host, modules(name))
                _play(name, host, subtests)
                failure = None
            except Exception:
                failure = f"{traceback.format_exc()}\n{output.getvalue()[-3000:]}\n{_journal(host)}"
            finally:
                host.destroy()
        except Exception:
            failure = traceback.format_exc()
    return Ran(name, round(time.monotonic() - began, 1), subtests, not_run, failure)


class Heard(Log):
    """A log that keeps the warnings: what a test says that it does not run."""

    def __init__(self, warnings: list[str]) -> None:
        super().__init__()
        self._warnings = warnings

    def warning(self, message: str) -> None:
        """One message that is worth a line among the results."""
        self._warnings.append(message.removeprefix("not run: "))
        self.log(message)


def _play(name: str, host: Machine, subtests: list[str]) -> None:
    """Run a testScript with the names that NixOS' driver gives it."""

    @contextlib.contextmanager
    def subtest(what: str) -> Iterator[None]:
        began = time.monotonic()
        with host.logger.nested(f"subtest: {what}"):
            yield
        subtests.append(f"{what} ({time.monotonic() - began:.1f} s)")

    path = SCRIPTS / f"{name}.py"
    given = {"host": host, "start_all": lambda: host.start(allow_reboot=True), "subtest": subtest, "log": host.logger}
    exec(compile(path.read_text(), path, "exec"), {"__name__": "__test__", "t": unittest.TestCase(), **given})


def _journal(host: Machine) -> str:
    try:
        return host.execute("journalctl --no-pager -o short-precise -n 60", timeout=10)[1]
    except (MachineError, OSError) as error:
        return f"no journal: {error}"


def main() -> int:
    """Run the named tests, all by default; 0 if every one passed."""
    parser = argparse.ArgumentParser(prog="python -m checks.driver", description=__doc__)
    parser.add_argument("names", metavar="NAME", nargs="*", help=f"of: {', '.join(names())}; default: all")
    parser.add_argument("--suite", choices=SUITES, default="trixie", help="the host's Debian; default: trixie")
    parser.add_argument("--jobs", type=int, default=2, help="how many at a time; default: 2")
    parser.add_argument("--json", action="store_true", help="print the results as JSON")
    options = parser.parse_args()
    if unknown := set(options.names) - set(names()):
        parser.error(f"there is no test {', '.join(sorted(unknown))}; there are: {', '.join(names())}")
    if reason := lacking(options.suite):
        print(f"error: {reason}", file=sys.stderr)
        return 1
    image(options.suite)
    for left in sweep(WORK):
        print(f"removed {left}, which a killed run had left behind", file=sys.stderr)
    results = []
    with ProcessPoolExecutor(options.jobs) as pool:
        for ran in pool.map(run, options.names or names(), [options.suite] * len(names())):
            results.append(ran)
            if not options.json:
                _print(ran)
    outcomes = Counter(ran.outcome for ran in results)
    if options.json:
        print(json.dumps([asdict(ran) for ran in results], indent=2))
    else:
        print(", ".join(f"{outcomes[outcome]} {outcome.lower()}" for outcome in ("passed", "FAILED", "not run")))
    return 1 if outcomes["FAILED"] else 0


def _print(ran: Ran) -> None:
    print(f"{ran.outcome:<7}  {ran.name}  {ran.seconds:g} s", flush=True)
    for line in (*ran.subtests, *(f"not run: {reason}" for reason in ran.not_run)):
        print(f"         {line}")
    if ran.failure:
        print(ran.failure)


if __name__ == "__main__":
    sys.exit(main())
