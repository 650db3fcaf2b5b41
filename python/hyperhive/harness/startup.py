"""What a harness makes sure of before it serves mail: it is alone, it is the right program, its cage works."""

from __future__ import annotations

import contextlib
import fcntl
from contextlib import AbstractContextManager
from pathlib import Path
from typing import IO

from hyperhive import process, working_directory
from hyperhive.errors import BadInput, Conflict, HyperhiveError, Unavailable
from hyperhive.harness import sandbox
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.turn import in_cage


def lock(path: Path) -> IO[str]:
    """Hold the lock of this agent's harness until the file is closed. Raises Conflict."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Conflict(f"another harness runs this agent ({path} is locked)") from error
    return file


def check_role(config: HarnessConfig, role: str) -> None:
    """Raises BadInput if the settings are not of that role."""
    if config.settings.role != role:
        program = "hive-m1nd" if role == "agent" else "hive-ag3nt"
        raise BadInput(f"{config.settings.name} is of role {config.settings.role}; start it with {program}")


def check_cage(config: HarnessConfig, seconds: float, wait: AbstractContextManager[None]) -> None:
    """Let Claude Code say its version in the cage; `wait` is entered for the time that it takes.

    Raises Unavailable (no answer in so many seconds, no cage) and HyperhiveError (it does not start).
    """
    with contextlib.suppress(OSError):  # the cage says what is wrong
        working_directory.restore(config.state)
    argv = [*in_cage(config, {}), config.claude, "--version"]
    try:
        with process.Popen(argv, stdin=process.DEVNULL, stdout=process.PIPE, stderr=process.PIPE) as child:
            try:
                with wait:
                    out, err = child.communicate(timeout=seconds)
            except process.TimeoutExpired as error:
                raise Unavailable(f"`claude --version` gave no answer within {seconds:g} s") from error
            finally:
                sandbox.kill(child)
    except OSError as error:
        raise Unavailable(f"the cage does not start: {argv[0]}: {error.strerror}") from error
    if child.returncode != 0:
        said = (err or out).decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
        raise HyperhiveError(f"the cage does not start (exit {child.returncode}): {said[0]}")


class Proof:
    """The file with the number of the last generation whose cage was seen to work."""

    def __init__(self, path: Path) -> None:
        self._path = path

    def holds(self, generation: int) -> bool:
        """Whether that generation has passed the check before."""
        try:
            return self._path.read_text() == f"{generation}\n"
        except (OSError, ValueError):
            return False

    def give(self, generation: int) -> None:
        """It has passed. On a full disk nothing is noted: the next start takes a little longer."""
        with contextlib.suppress(OSError):
            self._path.write_text(f"{generation}\n")
