"""What else goes wrong while parts are killed: the clock steps by a day, the disk is full."""

from __future__ import annotations

import contextlib
import os
import random
import time
from collections.abc import Iterator
from contextlib import contextmanager
from enum import StrEnum
from pathlib import Path

from checks.driver.commands import run
from checks.soak.hive import Hive
from checks.soak.strike import Striker, Victim
from hyperhive.errors import HyperhiveError

DAY = 86400.0
DISK = "512m"
FULL = 2.5
"""Seconds that the disk is full at most."""


class Variant(StrEnum):
    """What happens beside the kills."""

    KILL = "kill"
    CLOCK = "clock"
    DISK = "disk"


class ClockStriker(Striker):
    """Before each kill the core's clock goes forwards or back by up to a day; now and then there is no kill."""

    def __init__(self, hive: Hive, seed: int) -> None:
        super().__init__(hive, seed)
        self._steps = random.Random(f"{seed} clock")  # noqa: S311  (a plan, not a secret)

    def round(self) -> Victim | str:
        """One step, and mostly a kill."""
        off = self._steps.choice([-DAY, -DAY, 0.0, DAY, DAY, self._steps.uniform(-DAY, DAY)])
        self.hive.set_clock(off)
        self.kills["clock stepped"] += 1
        if self._steps.random() < 0.6:
            return super().round()
        time.sleep(self._steps.uniform(0.2, 1.0))
        return f"clock {off:+.0f} s"


class DiskStriker(Striker):
    """In each round the disk is full for a moment, in half of them with a kill; then there is room again."""

    def __init__(self, hive: Hive, seed: int) -> None:
        super().__init__(hive, seed)
        self._fills = random.Random(f"{seed} disk")  # noqa: S311  (a plan, not a secret)

    def round(self) -> Victim | str:
        """Fill, perhaps kill, free; a core that does not start on a full disk is started again."""
        self.condemned.look()
        self._spare_the_tired()
        time.sleep(self._fills.uniform(0, 1))
        victim: Victim | str = "nothing"
        with full(self.hive.root):
            self.kills["disk filled"] += 1
            time.sleep(self._fills.uniform(0.1, FULL / 2))
            if self._fills.random() < 0.5:
                victim = self._fills.choice(list(Victim))
                self.strike(victim, early=True)
            time.sleep(self._fills.uniform(0.1, FULL / 2))
        if self.hive.core is not None and self.hive.core.poll() is not None:
            self.kills["core refused to start"] += 1
            self.hive.start()
        self.hive.wait_until_up()
        return victim


STRIKERS = {Variant.KILL: Striker, Variant.CLOCK: ClockStriker, Variant.DISK: DiskStriker}


@contextmanager
def full(directory: Path) -> Iterator[None]:
    """No byte is free on that file system for the time of the block."""
    filler = directory / "filler"
    with filler.open("wb", buffering=0) as file:
        with contextlib.suppress(OSError):
            for size in (1 << 20, 1 << 12, 1):
                with contextlib.suppress(OSError):
                    while True:
                        file.write(bytes(size))
        yield
    filler.unlink()


def cannot_mount() -> str | None:
    """Why there can be no small disk here; None if there can."""
    return None if os.geteuid() == 0 else "a small disk is a tmpfs of its own: run as root"


@contextmanager
def small_disk(directory: Path) -> Iterator[None]:
    """A small file system at `directory`. Raises HyperhiveError where root may not mount."""
    run("mount", "-t", "tmpfs", "-o", f"size={DISK}", "tmpfs", directory)
    try:
        yield
    finally:
        with contextlib.suppress(HyperhiveError):
            run("umount", "--lazy", directory)
