"""`hyperhive inbox`: the operator's mail."""

from __future__ import annotations

import json
from typing import Annotated, Any

import typer

from hyperhive.cli.common import AsJson, Body, Limit, MessageId, client, text_of
from hyperhive.cli.output import ago, block, event_of, fields, print_json, said, table
from hyperhive.errors import NotFound

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)

_ALL = 1000

Everything = Annotated[bool, typer.Option("--all", "-a", help="What was read too.")]


@app.callback()
def inbox(ctx: typer.Context, all_: Everything = False, limit: Limit = 100, as_json: AsJson = False) -> None:
    """The operator's mail: list it (the default), read, reply."""
    if ctx.invoked_subcommand is None:
        list_messages(ctx, all_, limit, as_json)


@app.command("list")
def list_messages(ctx: typer.Context, all_: Everything = False, limit: Limit = 100, as_json: AsJson = False) -> None:
    """The unread messages."""
    messages = client(ctx).inbox(all_=all_, limit=limit)
    if as_json:
        print_json(messages)
        return
    empty = "no mail" if all_ else "no unread mail; --all shows what was read"
    table(["ID", "FROM", "KIND", "WHEN", "READ", "TEXT"], map(_row, messages), empty=empty)


def _row(message: dict[str, Any]) -> list[object]:
    read = "replied" if message["replied"] else "yes" if message["read_at"] else "no"
    first = said(message).strip().split("\n", 1)[0]
    return [message["id"], message["sender"], message["kind"], ago(message["sent_at"]), read, first]


@app.command()
def show(ctx: typer.Context, message: MessageId, as_json: AsJson = False) -> None:
    """Show a message and mark it as read."""
    core = client(ctx)
    found = next((row for row in core.inbox(all_=True, limit=_ALL) if row["id"] == message), None)
    if found is None:
        raise NotFound(f"there is no message {message} in the inbox; `hyperhive inbox --all` lists them")
    if as_json:
        print_json(found)
    else:
        fields([("from", found["sender"]), ("sent", ago(found["sent_at"])), ("answers", found["reply_to"])])
        print()
        event = event_of(found)
        print(block(found["body"] if event is None else json.dumps(event, indent=2, ensure_ascii=False)))
    core.mark_read(message)


@app.command()
def reply(ctx: typer.Context, message: MessageId, body: Body = None) -> None:
    """Answer a message."""
    print(f"message {client(ctx).reply(message, text_of(body))}: sent")
