"""`hyperhive audit`: who did what, when."""

from __future__ import annotations

import json
import re
import time
from datetime import datetime
from typing import Annotated, Any

import typer

from hyperhive.cli.common import AsJson, ForAgent, Limit, client, group
from hyperhive.cli.output import ago, line, print_json, table
from hyperhive.errors import BadInput

app = group()

_UNITS = {"s": 1, "m": 60, "h": 3600, "d": 86400}


@app.command()
def audit(
    ctx: typer.Context,
    agent: ForAgent = None,
    since: Annotated[
        str | None, typer.Option(metavar="WHEN", help="Not before: 90m, 2h, 3d ago, or an ISO 8601 time.")
    ] = None,
    limit: Limit = 50,
    *,
    verify: Annotated[
        bool, typer.Option("--verify", help="Check the whole log for tampering instead; exit code 1 if it was.")
    ] = False,
    as_json: AsJson = False,
) -> None:
    """The append-only log of who did what."""
    if verify:
        if agent is not None or since is not None or _is_given(ctx, "limit"):
            raise BadInput("--verify is about the whole log; leave --agent, --since and --limit out")
        _verify(client(ctx).verify_audit(), as_json=as_json)
        return
    start = None if since is None else moment(since)
    entries = client(ctx).audit(agent=agent, since=start, limit=limit)
    if as_json:
        print_json(entries)
        return
    table(["WHEN", "WHO", "WHAT", "ON", "DETAIL"], map(_row, entries), empty="no entries")


def _is_given(ctx: typer.Context, name: str) -> bool:
    source = ctx.get_parameter_source(name)
    return source is not None and source.name != "DEFAULT"


def _verify(chain: dict[str, Any], *, as_json: bool) -> None:
    broken = chain["broken"]
    if as_json:
        print_json(chain)
    elif broken is None:
        print(f"{chain['entries']} entries, whole; head {chain['head'] or 'none'}")
    else:
        found = f"NOT whole: entry {broken['id']}: {line(broken['what'])}; {chain['entries']} before it hold."
        print(f"{found} Keep a copy of hive.db, and compare with the heads in the core's log (journalctl -u hive-c0re)")
    if broken is not None:
        raise typer.Exit(1)


def _row(entry: dict[str, Any]) -> list[object]:
    detail = entry["detail"]
    told = " ".join(f"{name}={_word(value)}" for name, value in detail.items())
    return [ago(entry["at"]), entry["actor"], entry["action"], entry["subject"], told]


def _word(value: object) -> str:
    return value if isinstance(value, str) else json.dumps(value)


def moment(text: str) -> float:
    """The Unix time of `90m` (so long ago) or of an ISO 8601 time (local if it has no zone). Raises BadInput."""
    if match := re.fullmatch(r"(\d{1,9})([smhd])", text):
        return time.time() - int(match[1]) * _UNITS[match[2]]
    try:
        return datetime.fromisoformat(text).timestamp()
    except (ValueError, OverflowError) as error:
        raise BadInput(f"{text!r} is no time; use 90m, 2h, 3d, or ISO 8601 as 2026-11-23T12:00") from error
