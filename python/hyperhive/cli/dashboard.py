"""`hyperhive dashboard`: the way into the dashboard."""

from __future__ import annotations

from typing import Annotated

import typer

from hyperhive.cli.common import AsJson, client, group
from hyperhive.cli.output import print_json

app = group()


@app.command()
def dashboard(
    ctx: typer.Context,
    as_json: AsJson = False,
    open_: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser.")] = False,
) -> None:
    """Print a link to the dashboard that logs one browser in.

    The link works once, for 15 minutes; the browser then stays logged in for 14 days, as you. The dashboard listens on
    loopback only: from elsewhere, forward the port (`ssh -L 8420:127.0.0.1:8420 HOST`).
    """
    url = client(ctx).dashboard_link()
    if as_json:
        print_json({"url": url})
    else:
        print(url)
    if open_:
        import webbrowser  # noqa: PLC0415  (seldom)

        webbrowser.open(url)
