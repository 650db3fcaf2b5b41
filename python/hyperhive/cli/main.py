"""The entry point of `hyperhive`.

Nothing is imported at the top but what costs nothing, so that `hyperhive --help` feels instant: typer alone takes
several times as long as Python itself takes to start.
"""

from __future__ import annotations

import os
import sys

from hyperhive.cli.guard import guarded

HELP_COLUMNS = 80


def main(arguments: list[str] | None = None) -> int:
    """Run `arguments` (default: sys.argv's) and return the exit code; errors are printed, never raised."""
    words = sys.argv[1:] if arguments is None else arguments
    if words == ["--help"] and _has_room():
        return guarded(_print_help)
    return guarded(lambda: _execute(words))


def _print_help() -> None:
    """Print what `hyperhive.cli.app` would: the text is made from it, and a test holds the two equal."""
    from hyperhive.cli.help_text import TEXT  # noqa: PLC0415  (see above)

    print(TEXT, end="")


def _has_room() -> bool:
    """Whether the help fits here as it is; on a narrower terminal typer lays it out anew."""
    columns = os.environ.get("COLUMNS", "")
    if columns.isdecimal() and int(columns) > 0:
        return int(columns) >= HELP_COLUMNS
    return not sys.stdout.isatty() or os.get_terminal_size(sys.stdout.fileno()).columns >= HELP_COLUMNS


def _execute(words: list[str]) -> None:
    from hyperhive.cli.app import execute  # noqa: PLC0415  (see above)

    execute(words)
