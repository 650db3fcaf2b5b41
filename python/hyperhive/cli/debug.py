"""`hyperhive debug`: for those who look into the hive itself; hidden, and nothing here is promised to stay."""

from __future__ import annotations

import json

import typer

from hyperhive.cli import dead_letters
from hyperhive.cli.common import client, group

app = group("For those who look into the hive itself.")
app.add_typer(dead_letters.app, name="dead-letters")


@app.command()
def socket(ctx: typer.Context) -> None:
    """The operator's socket that the other commands would use."""
    print(client(ctx).path)


@app.command()
def events(ctx: typer.Context) -> None:
    """What happens from now on, one JSON object a line, until Ctrl-C."""
    with client(ctx).events() as stream:
        for event in stream:
            print(json.dumps({"event": event.kind, "data": event.data}), flush=True)


@app.command("help-text")
def help_text() -> None:
    """The source of hyperhive/cli/help_text.py, made from the commands as they are."""
    from hyperhive.cli.app import help_source  # noqa: PLC0415  (app imports this module)

    print(help_source(), end="")
