"""`make bench`: every benchmark, its figures beside their targets. Exit code 1 if a target was missed."""

from __future__ import annotations

import argparse
import importlib
import json
import sys
from collections.abc import Sequence
from dataclasses import asdict

from bench.row import Row

BENCHES = (
    "broker",
    "retention",
    "exchange",
    "proposals",
    "turns",
    "footprint",
    "cli",
    "policy",
    "evaluation",
    "containers",
    "dashboard",
)


def main(arguments: Sequence[str]) -> int:
    """Run the named benchmarks (all by default) one after the other and print their rows."""
    parser = argparse.ArgumentParser(prog="make bench", description=__doc__)
    parser.add_argument("names", nargs="*", metavar="NAME", help=f"some of: {', '.join(BENCHES)}")
    parser.add_argument("--json", action="store_true", help="one JSON list instead of the table")
    options = parser.parse_args(arguments)
    for name in options.names:
        if name not in BENCHES:
            parser.error(f"there is no benchmark {name!r}; choose from {', '.join(BENCHES)}")
    rows: list[Row] = []
    for name in options.names or BENCHES:
        print(f"{name} …", file=sys.stderr)
        measured = importlib.import_module(f"bench.{name}").measure()
        rows += measured
        if not options.json:
            for row in measured:
                print(f"  {row.name:58} {row.value:10.2f} {row.unit:10} {row.target:16} {'ok' if row.ok else 'MISSED'}")
    if options.json:
        print(json.dumps([asdict(row) for row in rows], indent=2))
    return 0 if all(row.ok for row in rows) else 1


if __name__ == "__main__":
    sys.exit(main(sys.argv[1:]))
