"""`python -m checks.soak --rounds 500 --seed 1`: kill parts of a loaded hive at random instants; prove it whole."""

from __future__ import annotations

import argparse
import json
import shutil
import sys
import tempfile
from contextlib import nullcontext
from dataclasses import asdict
from pathlib import Path

from checks.soak.hive import SoakError
from checks.soak.model import Claude
from checks.soak.soak import Plan, Report, soak
from checks.soak.variants import Variant, cannot_mount, small_disk

LACKING = next((each for each in ("nix", "bwrap", "socat", "git", "setpriv") if shutil.which(each) is None), None)


def main() -> int:
    """Run it; 0 if every invariant holds. The directory stays if one does not."""
    options = _parser().parse_args()
    if LACKING:
        print(f"error: {LACKING} is not on PATH", file=sys.stderr)
        return 1
    if options.variant is Variant.DISK and (reason := cannot_mount()):
        print(f"error: {reason}", file=sys.stderr)
        return 1
    root = Path(tempfile.mkdtemp(prefix="soak-"))
    try:
        with small_disk(root) if options.variant is Variant.DISK else nullcontext():
            return _run(Plan(options.rounds, options.seed, root, options.variant, options.claude), as_json=options.json)
    finally:
        if not any(root.iterdir()):
            root.rmdir()


def _run(plan: Plan, *, as_json: bool) -> int:
    root = plan.root
    try:
        report = soak(plan, lambda text: print(text, file=sys.stderr, flush=True))
    except SoakError as error:
        print(f"error: {error}\nwhat there is stays in {root}", file=sys.stderr)
        return 1
    print(json.dumps(asdict(report), indent=2) if as_json else _shown(report))
    if report.wrong:
        print(f"what there is stays in {root}", file=sys.stderr)
        return 1
    for each in root.iterdir():
        shutil.rmtree(each) if each.is_dir() else each.unlink()
    return 0


def _parser() -> argparse.ArgumentParser:
    parser = argparse.ArgumentParser(prog="python -m checks.soak", description=__doc__)
    parser.add_argument("--rounds", type=int, default=50, help="how many kills; default: 50")
    parser.add_argument("--seed", type=int, default=1, help="of every choice; default: 1")
    parser.add_argument(
        "--variant", type=Variant, choices=list(Variant), default=Variant.KILL, help="what else happens; default: kill"
    )
    parser.add_argument(
        "--claude",
        type=Claude,
        choices=list(Claude),
        default=Claude.STAND_IN,
        help="default: stand-in",
    )
    parser.add_argument("--json", action="store_true", help="print the report as JSON")
    return parser


def _shown(report: Report) -> str:
    lines = [f"{report.variant}: {report.rounds} rounds, seed {report.seed}, {report.seconds:g} s"]
    lines += [f"killed {victim}: {count}" for victim, count in sorted(report.kills.items())]
    lines += [f"{what}: {count}" for what, count in report.counts.items()]
    lines += [f"refused, {reason}: {count}" for reason, count in report.refused.items()]
    verdict = [f"WRONG: {each}" for each in report.wrong] or ["all invariants hold"]
    return "\n".join([*lines, *verdict])


if __name__ == "__main__":
    sys.exit(main())
