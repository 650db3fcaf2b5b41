"""git on a repository that the host owns: no configuration but its own, nothing interactive, one identity."""

from __future__ import annotations

import os
from collections.abc import Mapping
from pathlib import Path

from hyperhive.errors import Rejected, Unavailable
from hyperhive.flakes.sandbox import HINT, Limits
from hyperhive.process import Result, find, run

NAME = "hyperhive"
EMAIL = "hyperhive@hive.local"
TIMEOUT = 60.0
MAX_OUTPUT = 32 * 1024 * 1024

ISOLATED = {
    "GIT_CONFIG_NOSYSTEM": "1",
    "GIT_CONFIG_GLOBAL": "/dev/null",
    "GIT_ATTR_NOSYSTEM": "1",
    "GIT_NO_REPLACE_OBJECTS": "1",
    "GIT_NO_LAZY_FETCH": "1",
    "GIT_ALLOW_PROTOCOL": "none",
    "GIT_TERMINAL_PROMPT": "0",
    "GIT_OPTIONAL_LOCKS": "0",
    "LC_ALL": "C",
    "TZ": "UTC",
}
_IDENTITY = {
    "GIT_AUTHOR_NAME": NAME,
    "GIT_AUTHOR_EMAIL": EMAIL,
    "GIT_COMMITTER_NAME": NAME,
    "GIT_COMMITTER_EMAIL": EMAIL,
}
_FULL = ("No space left on device", "Out of diskspace")
"""What git says of a full disk; the second, where a write was cut short (write_or_die.c, csum-file.c)."""
_DURABLE = ("-c", "core.fsync=all", "-c", "core.fsyncMethod=fsync")


async def git(
    repository: Path,
    *arguments: str,
    stdin: bytes = b"",
    check: bool = True,
    max_output: int = MAX_OUTPUT,
    environment: Mapping[str, str] | None = None,
    limits: Limits | None = None,
) -> Result:
    """Run git with `repository` as its git directory; what it writes is on disk when it returns.

    Raises Unavailable (no git, disk full), and Rejected (only with `check`): what git said, since the objects it
    worked on were an agent's.
    """
    argv = [find("git", HINT.format(package="git")), "--git-dir", str(repository), *_DURABLE, *arguments]
    argv = [*(limits.prefix() if limits else ()), *argv]
    variables = {"PATH": os.environ.get("PATH", "/usr/bin:/bin"), "HOME": "/nonexistent"}
    variables |= ISOLATED | _IDENTITY | dict(environment or {})
    result = await run(argv, timeout=TIMEOUT, check=False, stdin=stdin, env=variables, max_output=max_output)
    if result.returncode != 0 and any(words in result.error for words in _FULL):
        raise Unavailable(f"the disk that holds {repository} is full; free some space and ask again")
    if check and result.returncode != 0:
        raise Rejected(f"git {arguments[0]} refuses it: {complaint(result)}")
    return result


def complaint(result: Result) -> str:
    """git's last `fatal:` or `error:` line, without that word, bounded and printable."""
    lines = [line for line in result.error.splitlines() if line.startswith(("fatal: ", "error: "))]
    line = (lines or result.error.splitlines() or ["no message"])[-1]
    text = line.partition(": ")[2] if lines else line
    return "".join(char if char.isprintable() else "?" for char in text)[:300]
