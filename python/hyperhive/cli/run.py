"""`hyperhive run`: a hive on this machine."""

from __future__ import annotations

from pathlib import Path
from typing import Annotated

import typer

from hyperhive.cli.common import Yes, group

app = group()


@app.command()
def run(
    state: Annotated[Path, typer.Option(metavar="DIR", help="Where the hive's state is kept.")] = Path(".hive"),
    yes: Yes = False,
    once: Annotated[bool, typer.Option("--once", help="End after the loop was shown.")] = False,
    model_api: Annotated[
        str | None,
        typer.Option(metavar="URL", help="Default: Anthropic's with $ANTHROPIC_API_KEY, else a rehearsal."),
    ] = None,
) -> None:
    """Start a hive on this machine and show the loop.

    It needs no NixOS, no root and no key. The loop: a wish, a denied command, a proposal, your approval, the applied
    change, the report. It stays up until Ctrl-C; its state lasts.
    """
    from hyperhive.run import RunOptions, main  # noqa: PLC0415  (heavy)

    raise typer.Exit(main(RunOptions(state=state, yes=yes, once=once, model_api=model_api)))
