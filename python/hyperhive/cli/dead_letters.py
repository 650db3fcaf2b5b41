"""`hyperhive debug dead-letters`: the messages that were given up."""

from __future__ import annotations

from typing import Any

import typer

from hyperhive.cli.common import AsJson, DeadLetterId, DeadLetterIds, Yes, client, confirmed
from hyperhive.cli.output import ago, block, fields, print_json, table

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def dead_letters(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The messages that were given up: list them (the default), show, requeue, drop."""
    if ctx.invoked_subcommand is None:
        list_letters(ctx, as_json)


@app.command("list")
def list_letters(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The messages that were given up, the last first."""
    letters = client(ctx).dead_letters()
    if as_json:
        print_json(letters)
        return
    rows = ([row["id"], row["sender"], row["recipient"], ago(row["dead_at"]), row["body"]] for row in letters)
    table(["ID", "FROM", "TO", "GIVEN UP", "TEXT"], rows, empty="no dead letters")


@app.command()
def show(ctx: typer.Context, message: DeadLetterId, as_json: AsJson = False) -> None:
    """Show a message that was given up."""
    letter = client(ctx).dead_letter(message)
    if as_json:
        print_json(letter)
        return
    fields(_facts(letter))
    print()
    print(block(letter["body"]))


def _facts(letter: dict[str, Any]) -> list[tuple[str, object]]:
    return [
        ("from", letter["sender"]),
        ("to", letter["recipient"]),
        ("sent", ago(letter["sent_at"])),
        ("given up", ago(letter["dead_at"])),
        ("deliveries", letter["attempts"]),
        ("answers in a row", letter["hops"]),
    ]


@app.command()
def requeue(ctx: typer.Context, messages: DeadLetterIds) -> None:
    """Have messages delivered after all, in their old place, their attempts counted anew."""
    core = client(ctx)
    for message in messages:
        letter = core.requeue(message)
        print(f"message {message}: waits for {letter['recipient']} again")


@app.command()
def drop(ctx: typer.Context, messages: DeadLetterIds, yes: Yes = False) -> None:
    """Delete messages that were given up, for good."""
    core = client(ctx)
    if not yes and not confirmed(f"Delete {', '.join(map(str, messages))}?"):
        print("nothing was deleted")
        return
    for message in messages:
        core.drop(message)
        print(f"message {message}: deleted")
