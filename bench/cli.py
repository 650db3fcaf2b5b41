"""How long the command line takes to say its help, beside what Python takes to start and do nothing."""

from __future__ import annotations

import statistics
import sys
import time
from pathlib import Path

from bench.row import Row
from hyperhive import process

ROUNDS = 30
BOUND = 2.5


def measure() -> list[Row]:
    """Medians of interleaved runs, so that both meet the same machine."""
    bare = [sys.executable, "-c", "pass"]
    helped = [*_hyperhive(), "--help"]
    for warm_up in (bare, helped):
        _milliseconds(warm_up)
    pairs = [(_milliseconds(bare), _milliseconds(helped)) for _ in range(ROUNDS)]
    start, answer = (statistics.median(times) for times in zip(*pairs, strict=True))
    ratio = answer / start
    return [
        Row("python -c pass", start, "ms", "", ok=True),
        Row("hyperhive --help", answer, "ms", "", ok=True),
        Row("hyperhive --help / python -c pass", ratio, "ratio", f"≤ {BOUND}", ok=ratio <= BOUND),
    ]


def _hyperhive() -> list[str]:
    """The installed program of this environment; from a source tree alone, what it consists of."""
    installed = Path(sys.executable).with_name("hyperhive")
    if installed.exists():
        return [str(installed)]
    return [sys.executable, "-c", "import sys; from hyperhive.cli.main import main; sys.exit(main())"]


def _milliseconds(argv: list[str]) -> float:
    started = time.perf_counter()
    with process.Popen(argv, stdout=process.DEVNULL) as child:
        code = child.wait()
    assert code == 0, f"{argv} ended with exit code {code}"
    return (time.perf_counter() - started) * 1000
