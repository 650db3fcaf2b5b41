"""`hyperhive status`: the hive at a glance."""

from __future__ import annotations

from typing import Any

import typer

from hyperhive.cli.common import AsJson, client, group
from hyperhive.cli.output import fields, iso, print_json

app = group()


@app.command()
def status(ctx: typer.Context, as_json: AsJson = False) -> None:
    """The hive at a glance, and what waits for you."""
    core = client(ctx)
    found = core.status()
    if as_json:
        print_json({**found, "socket": str(core.path)})
        return
    fields(
        [
            ("core", f"hyperhive {found['version']}, {found['backend']} backend, {core.path}"),
            ("state", found["state_dir"]),
            ("model", found["model_api"]),
            ("agents", f"{found['agents']}, {found['running']} running" + _over(found["over_budget"])),
            ("proposals", _waiting(found["proposals_waiting"], "to decide", "hyperhive apply list --state checked")),
            ("inbox", _waiting(found["inbox_unread"], "unread", "hyperhive inbox")),
            ("dead letters", _waiting(found["dead_letters"], "given up", "hyperhive debug dead-letters")),
            ("paused", _paused(found["paused"])),
            *(("trouble", f"{each['agent']}: {each['trouble']}") for each in found["trouble"]),
        ]
    )


def _paused(pause: dict[str, Any] | None) -> str | None:
    return (
        None
        if pause is None
        else f"until {iso(pause['until'])}, usage limit: {pause['reason']}; `hyperhive resume` tries now"
    )


def _over(number: int) -> str:
    return f", {number} over budget: hyperhive agent list" if number else ""


def _waiting(number: Any, what: str, command: str) -> str:  # noqa: ANN401  (a number of the core's JSON)
    return f"{number} {what}" + (f": {command}" if number else "")
