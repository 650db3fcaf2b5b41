"""What a turn's processes used: real ones below a process, and a cgroup's files in the kernel's format."""

from __future__ import annotations

import os
import subprocess
import sys
import time
from pathlib import Path

from hyperhive.harness.outcome import Events, Outcome, judge
from hyperhive.harness.resources import Meter, descendants

BURN = "x = bytearray(80 << 20)\nfor i in range(0, len(x), 4096): x[i] = 1\nwhile True: pass"


def test_processes_below_one_are_counted_together() -> None:
    with subprocess.Popen(["sh", "-c", f"python3 -c '{BURN}' & python3 -c '{BURN}' & wait"]) as child:
        try:
            meter = Meter(child.pid)
            deadline = time.monotonic() + 20
            while (found := meter.total()) is None or found.cpu_seconds < 0.5 or (found.memory_peak or 0) < 160 << 20:
                assert time.monotonic() < deadline, found
                meter.look()
        finally:
            for pid in descendants(child.pid):
                os.kill(pid, 9)
    again = meter.total()
    meter.look()
    assert meter.total() == again, "what has ended still counts"


FORK = """
import os, sys, time
x = bytearray(80 << 20)
for i in range(0, len(x), 4096): x[i] = 1
for _ in range(3):
    if os.fork() == 0: time.sleep(60)
print("forked", flush=True)
time.sleep(60)
"""


def test_what_processes_share_is_too_much_only_once() -> None:
    with subprocess.Popen([sys.executable, "-c", FORK], stdout=subprocess.PIPE) as child:
        try:
            assert child.stdout and child.stdout.readline() == b"forked\n"
            meters = [Meter(child.pid, most=most << 20) for most in (200, 60)]
            for meter in meters:
                meter.look()
            used = [meter.total() for meter in meters]
            assert [meter.is_over for meter in meters] == [False, True], used
        finally:
            for pid in descendants(child.pid):
                os.kill(pid, 9)


def test_a_long_chain_of_processes_is_followed_to_its_end() -> None:
    script = 'if [ "$0" -gt 0 ]; then sh -c "$1" "$(($0 - 1))" "$1"; else sleep 60; fi; :'
    with subprocess.Popen(["sh", "-c", script, "100", script]) as child:
        try:
            deadline = time.monotonic() + 20
            while "sleep" not in (found := descendants(child.pid)).values():
                assert time.monotonic() < deadline, found
            assert len(found) >= 101
        finally:
            for pid in descendants(child.pid):
                os.kill(pid, 9)


def test_what_was_never_seen_is_not_said_to_be_nothing() -> None:
    assert Meter(2**22 + 1).total() is None


def test_a_cgroup_counts_from_the_beginning_of_the_turn_and_names_a_kill(tmp_path: Path) -> None:
    def write(usage: int, kills: int, memory: int) -> None:
        (tmp_path / "cpu.stat").write_text(f"usage_usec {usage}\nuser_usec 1\nsystem_usec 2\n")
        (tmp_path / "memory.events").write_text(f"low 0\nhigh 0\nmax 3\noom {kills}\noom_kill {kills}\n")
        (tmp_path / "memory.current").write_text(f"{memory}\n")

    write(5_000_000, 2, 10)
    meter = Meter(1, tmp_path)
    for usage, memory in ((5_500_000, 5000), (7_250_000, 700)):
        write(usage, 3, memory)
        meter.look()
    used = meter.total()
    assert used is not None and (used.cpu_seconds, used.memory_peak, used.oom_kills) == (2.25, 5000, 1)
    assert judge(Events(resources=used), "").outcome is Outcome.OUT_OF_MEMORY
    assert Meter(1, tmp_path / "nothing").total() is None
