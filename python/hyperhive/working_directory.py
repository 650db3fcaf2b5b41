"""An agent's working directory, /state/work: without it no bubblewrap starts. In a guest, turn.sh sees to it.

Standard library only, since the harness uses it too.
"""

from __future__ import annotations

import time
from pathlib import Path


def restore(state: Path) -> None:
    """Make it again where the agent has removed it; what it has put in its place is kept beside it. Raises OSError."""
    work = state / "work"
    if work.is_symlink() or (work.exists() and not work.is_dir()):
        work.rename(state / f"work.{time.time_ns()}")
    work.mkdir(parents=True, exist_ok=True)
