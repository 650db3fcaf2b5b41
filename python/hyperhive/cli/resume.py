"""`hyperhive resume`: go on before a usage limit resets."""

from __future__ import annotations

import typer

from hyperhive.cli.common import client, group

app = group()


@app.command()
def resume(ctx: typer.Context) -> None:
    """End the pause that a usage limit began; the hive asks the model again.

    It goes on by itself when the limit resets. If the limit is still there, the hive pauses again at the next answer.
    """
    print("the hive goes on" if client(ctx).resume() else "the hive was not paused")
