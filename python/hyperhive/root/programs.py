"""The programs that hive-root runs: systemctl, nix-store, nix-env. All are found on the unit's PATH."""

from __future__ import annotations

import asyncio
from pathlib import Path

from hyperhive import process
from hyperhive.errors import Unavailable
from hyperhive.root.journal import say
from hyperhive.root.places import unit

_TIMEOUT = 60.0
_CONTAINER = 900.0
"""A container's stop may wait for a turn to end; the unit that runs hive-root has a shorter limit, which decides."""


def systemctl(*words: str, timeout: float = _TIMEOUT) -> process.Result:
    """Run systemctl to its end, whatever that is."""
    say(f"systemctl {' '.join(words)}")
    return _run("systemctl", *words, timeout=timeout)


def restart_container(name: str) -> None:
    """Start the container anew, also one that crashed so often that systemd has given it up.

    Raises Unavailable that says where to look.
    """
    systemctl("reset-failed", unit(name))  # else the start limit would refuse the fix, or the way back
    # After a SIGKILL the first start fails for what systemd-nspawn had left behind, and clears it (systemd 257, 262).
    if systemctl("restart", unit(name), timeout=_CONTAINER).returncode != 0:
        _act_on_container("restart", name)


def stop_container(name: str) -> None:
    """Stop the container and wait for its end. Raises Unavailable that says where to look."""
    _act_on_container("stop", name)


def container_runs(name: str) -> bool:
    """Whether systemd has anything running, or about to run, as that container."""
    return _run("systemctl", "is-active", unit(name), timeout=_TIMEOUT).text not in ("inactive", "failed", "unknown")


def is_valid(path: Path) -> bool:
    """Whether Nix knows `path` as a whole store path."""
    return _run("nix-store", "--check-validity", str(path), timeout=_TIMEOUT).returncode == 0


def set_profile(profile: Path, system: Path) -> None:
    """Let the profile point to a store path, as a generation of its own. Raises Unavailable with Nix's reason."""
    result = _run("nix-env", "--profile", str(profile), "--set", str(system), timeout=_TIMEOUT)
    if result.returncode != 0:
        raise Unavailable(f"{profile} could not be set to {system}: {_last(result)}")
    say(f"set {profile} to {system}")


def _act_on_container(verb: str, name: str) -> None:
    result = systemctl(verb, unit(name), timeout=_CONTAINER)
    if result.returncode != 0:
        raise Unavailable(f"{unit(name)}: {verb} failed ({_last(result)}); journalctl -u {unit(name)} says why")


def _last(result: process.Result) -> str:
    return (result.error.splitlines() or [f"exit {result.returncode}"])[-1]


def _run(*argv: str, timeout: float) -> process.Result:
    return asyncio.run(process.run(argv, timeout=timeout, check=False))
