"""`hyperhive dashboard`: the way into the dashboard, who is logged in there, and their end."""

from __future__ import annotations

from collections.abc import Iterable
from typing import Annotated, Any

import typer

from hyperhive.cli.common import AsJson, client, complete_session_users
from hyperhive.cli.output import ago, iso, print_json, table

app = typer.Typer(rich_markup_mode=None, add_completion=False, invoke_without_command=True)


@app.callback()
def dashboard(
    ctx: typer.Context,
    as_json: AsJson = False,
    open_: Annotated[bool, typer.Option("--open", help="Open it in this machine's browser.")] = False,
) -> None:
    """Print a link to the dashboard that logs one browser in.

    The link works once, for 15 minutes; the browser then stays logged in for 14 days, as you. The dashboard listens on
    loopback only: from elsewhere, forward the port (`ssh -L 8420:127.0.0.1:8420 HOST`).
    """
    if ctx.invoked_subcommand is not None:
        return
    url = client(ctx).dashboard_link()
    if as_json:
        print_json({"url": url})
    else:
        print(url)
    if open_:
        import webbrowser  # noqa: PLC0415  (seldom)

        webbrowser.open(url)


@app.command()
def sessions(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The browsers that are logged in, the last used first."""
    found = client(ctx).sessions()
    if as_json:
        print_json(found)
    else:
        _show(found, empty="no browser is logged in; `hyperhive dashboard` prints a link")


@app.command()
def logout(
    ctx: typer.Context,
    user: Annotated[
        str | None,
        typer.Argument(metavar="USER", help="Whose; yours if left out.", autocompletion=complete_session_users),
    ] = None,
    everybody: Annotated[bool, typer.Option("--all", help="Everybody's.")] = False,
    as_json: AsJson = False,
) -> None:
    """Log browsers out: all of yours, of USER, or everybody's.

    What the page shows live and the terminals in it end at once; the shells go on until they are ended, or unused.
    """
    ended = client(ctx).end_sessions(user, everybody=everybody)
    if as_json:
        print_json(ended)
    else:
        _show(ended, empty="there was no such browser; `hyperhive dashboard sessions` lists those that are logged in")


def _show(sessions: Iterable[dict[str, Any]], *, empty: str) -> None:
    rows = (
        [row["id"], row["user"], ago(row["created_at"]), ago(row["used_at"]), f"{iso(row['expires_at'])[:16]}Z"]
        for row in sessions
    )
    table(["ID", "USER", "SINCE", "LAST USED", "EXPIRES"], rows, empty=empty)
