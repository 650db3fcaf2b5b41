"""Of the whole hive: its state, its audit log, the way to the dashboard."""

from __future__ import annotations

from hyperhive import usage_limit
from hyperhive.api.operation import Call, Json, Operation, number, text
from hyperhive.api.operator.core import OperatorCore
from hyperhive.store import audit as rows


async def status(call: Call[OperatorCore]) -> Json:
    """The hive at a glance."""
    return await call.core.status()


async def resume(call: Call[OperatorCore]) -> Json:
    """Go on before a usage limit resets; if it is still there, the hive pauses again."""
    return {"paused": await usage_limit.end(call.core.database, call.core.pause, call.actor)}


async def audit(call: Call[OperatorCore]) -> Json:
    """The audit log, newest first; `since` in Unix seconds."""
    query = call.query
    entries = await call.core.database.read(
        lambda c: rows.entries(
            c, agent=query["agent"], since=query["since"], limit=query["limit"], before=query["before"]
        )
    )
    return {"entries": [entry.view() for entry in entries]}


async def verify_audit(call: Call[OperatorCore]) -> Json:
    """Whether the audit log's chain of hashes is whole."""
    return (await call.core.database.read_apart(rows.verify)).view()


async def link(call: Call[OperatorCore]) -> Json:
    """An address that logs a browser in to the dashboard, once."""
    return {"url": call.core.dashboard_link(call.actor)}


OPERATIONS: tuple[Operation[OperatorCore], ...] = (
    Operation("GET", "/v1/status", status, "Status"),
    Operation("POST", "/v1/resume", resume, "Resumed", body={}),
    Operation(
        "GET",
        "/v1/audit",
        audit,
        "Audit",
        query={"agent": text(), "since": number(), "limit": number(1, 10_000, default=200), "before": number(1)},
    ),
    Operation("GET", "/v1/audit/verify", verify_audit, "Chain"),
)
LINK: Operation[OperatorCore] = Operation("POST", "/v1/dashboard", link, "Link", body={})
"""On operator.sock only."""
