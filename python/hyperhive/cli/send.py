"""`hyperhive send`: a message from the operator to an agent."""

from __future__ import annotations

import typer

from hyperhive.cli.common import AgentName, Body, client, group, text_of

app = group()


@app.command()
def send(ctx: typer.Context, to: AgentName, body: Body = None) -> None:
    """Send a message to an agent, as the operator."""
    print(f"message {client(ctx).send(to, text_of(body))}: sent")
