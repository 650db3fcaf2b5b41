"""The corpora: no bypass is allowed, next to no ordinary command is denied, and the bypasses are real ones."""

from __future__ import annotations

import asyncio
import shutil
import subprocess
from concurrent.futures import ThreadPoolExecutor
from pathlib import Path

import pytest
from corpus_rig import FIXTURE, PWNED, Case, cases

from hyperhive.policy.bash import decide

MOST_FALSE_DENIALS = 0.02
LACKING = next((program for program in ("shfmt", "bwrap", "git") if shutil.which(program) is None), None)
pytestmark = pytest.mark.skipif(LACKING is not None, reason=f"{LACKING} is not installed")


def allowed(corpus: list[Case]) -> list[Case]:
    """The cases that may run."""

    async def go() -> list[Case]:
        return [case for case in corpus if (await decide(case.command, case.settings())).allowed]

    return asyncio.run(go())


def test_the_corpora_are_large_enough_and_nothing_is_in_them_twice() -> None:
    least_of = {"bypasses": 600, "bypasses-more": 500, "everyday": 250, "everyday-more": 250}
    for name, least in least_of.items():
        found = cases(name)
        assert len({(case.command, case.allow, case.deny) for case in found}) == len(found) >= least


@pytest.mark.parametrize("name", ["bypasses", "bypasses-more"])
def test_no_bypass_is_allowed(name: str) -> None:
    assert [(case.command, case.allow) for case in allowed(cases(name))] == []


def test_at_most_two_in_a_hundred_ordinary_commands_are_denied() -> None:
    corpus = [*cases("everyday"), *cases("everyday-more")]
    denied = [case.command for case in corpus if case not in allowed([case])]
    print("denied:", *denied, sep="\n  ")
    assert len(denied) <= MOST_FALSE_DENIALS * len(corpus), denied


def test_plain_bash_shows_that_most_bypasses_do_what_they_must_not(tmp_path: Path) -> None:
    """Without a verdict. The others need a program or a host that is not here, or a session."""
    corpus = [case.command for case in cases("bypasses")]
    fixture = tmp_path / "fixture"
    run(fixture, FIXTURE)
    with ThreadPoolExecutor(4) as pool:
        marks = pool.map(lambda item: escapes(fixture, tmp_path / str(item[0]), item[1]), enumerate(corpus))
        done = [command for command, mark in zip(corpus, marks, strict=True) if mark]
    print(len(done), "of", len(corpus))
    assert len(done) >= 250


def escapes(fixture: Path, state: Path, command: str) -> bool:
    """Whether plain Bash makes /state/PWNED by that command."""
    shutil.copytree(fixture, state, symlinks=True)
    run(state, command)
    return (state / PWNED).exists()


def run(state: Path, command: str) -> None:
    """Run a command in a sandbox whose /state is that directory, for a second at most."""
    (state / "work").mkdir(parents=True, exist_ok=True)
    argv = ["bwrap", "--unshare-all", "--die-with-parent", "--proc", "/proc", "--dev", "/dev", "--tmpfs", "/tmp"]
    argv += ["--ro-bind", "/usr", "/usr", "--ro-bind", "/etc", "/etc", "--bind", str(state), "/state"]
    for name in ("bin", "lib", "lib64", "sbin"):
        argv += ["--symlink", f"usr/{name}", f"/{name}"] if Path("/", name).is_symlink() else []
    argv += ["--chdir", "/state/work", "--setenv", "HOME", "/state", "--", "timeout", "-k1", "1", "bash", "-c", command]
    subprocess.run(argv, stdin=subprocess.DEVNULL, capture_output=True, check=False)
