"""`python -m checks.soak.entry PROGRAMS CLOCK --config FILE`: hive-c0re with this harness and a clock to step.

PROGRAMS holds hive-ag3nt and hive-m1nd. CLOCK is a file of 8 bytes, a double: seconds that time.time() is off.
"""

from __future__ import annotations

import mmap
import struct
import sys
import time
from pathlib import Path

from hyperhive.cli.hive_c0re import main


def step_clock(path: Path) -> None:
    """Let time.time() be off by what `path` says from now on."""
    with path.open("r+b") as file:
        seconds = mmap.mmap(file.fileno(), 8)
    real = time.time
    time.time = lambda: real() + struct.unpack_from("d", seconds)[0]


if __name__ == "__main__":
    programs, clock, *arguments = sys.argv[1:]
    sys.executable = str(Path(programs) / "python")  # process.find_own looks for the harness beside it
    step_clock(Path(clock))
    sys.exit(main(arguments))
