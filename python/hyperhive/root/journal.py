"""What hive-root says: one line a step on standard output, which goes to the journal."""

from __future__ import annotations

from hyperhive.cli.output import line


def say(text: str) -> None:
    """Print one line; file names in it may be anything, so control characters are written out."""
    print(line(text), flush=True)
