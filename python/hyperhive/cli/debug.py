"""`hyperhive debug`: for those who look into the hive itself; hidden, and nothing here is promised to stay."""

from __future__ import annotations

import json

import typer

from hyperhive.cli.common import AsJson, client, group
from hyperhive.cli.output import ago, print_json, table

app = group("For those who look into the hive itself.")


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


@app.command("dead-letters")
def dead_letters(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The messages that were given up after too many attempts."""
    messages = client(ctx).dead_letters()
    if as_json:
        print_json(messages)
        return
    rows = ([row["id"], row["sender"], row.get("recipient"), ago(row["sent_at"]), row["body"]] for row in messages)
    table(["ID", "FROM", "TO", "SENT", "TEXT"], rows, empty="no dead letters")


@app.command("help-text")
def help_text() -> None:
    """The source of hyperhive/cli/help_text.py, made from the commands as they are."""
    from hyperhive.cli.app import help_source  # noqa: PLC0415  (app imports this module)

    print(help_source(), end="")
