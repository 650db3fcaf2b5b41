"""The proposals: the queue, what each means, the operator's decision."""

from __future__ import annotations

from collections.abc import Sequence

from hyperhive.api.operation import Call, Json, Operation, number, text
from hyperhive.api.operator.core import OperatorCore
from hyperhive.proposals import MAX_REASON
from hyperhive.store.proposals import Proposal, State


async def every(call: Call[OperatorCore]) -> Json:
    """The newest proposals, newest first; `brief` leaves out everything that can be long."""
    query = call.query
    states = (State(query["state"]),) if query["state"] else ()
    found = await call.core.proposals.find(query["agent"], states, query["limit"], query["before"])
    return {"proposals": await _views(call, found, brief=query["brief"] == 1)}


async def _views(call: Call[OperatorCore], found: Sequence[Proposal], *, brief: bool) -> list[Json]:
    stale = await call.core.proposals.stale(found)
    return [{**(row.brief() if brief else row.view(whole=False)), "stale": row.id in stale} for row in found]


async def one(call: Call[OperatorCore]) -> Json:
    """A proposal with its delta, lint, diff, and the fingerprint that an approval needs."""
    return await _whole(call, await call.core.proposals.get(call.id))


async def _whole(call: Call[OperatorCore], row: Proposal) -> Json:
    return {**row.view(), "stale": row.id in await call.core.proposals.stale([row])}


async def log(call: Call[OperatorCore]) -> Json:
    """What the host did for it so far: lines after the number `after`."""
    await call.core.proposals.get(call.id)
    lines = await call.core.proposals.logs.of(call.id, after=call.query["after"])
    return {"lines": [dict(line.__dict__) for line in lines]}


async def request(call: Call[OperatorCore]) -> Json:
    """Request that a commit of an agent's be applied; its check runs on."""
    body = call.body
    return await _whole(
        call, await call.core.proposals.request(body["agent"], body["commit"], body["reason"], call.actor)
    )


async def approve(call: Call[OperatorCore]) -> Json:
    """Approve exactly what was shown: the fingerprint is that of the card."""
    return await _whole(call, await call.core.proposals.approve(call.id, call.body["fingerprint"], call.actor))


async def deny(call: Call[OperatorCore]) -> Json:
    """Deny it; the requester gets the reason."""
    return await _whole(call, await call.core.proposals.deny(call.id, call.body["reason"], call.actor))


async def withdraw(call: Call[OperatorCore]) -> Json:
    """Take a request back."""
    return await _whole(call, await call.core.proposals.withdraw(call.id, call.actor))


_PROPOSAL = "/v1/proposals/{id}"
OPERATIONS: tuple[Operation[OperatorCore], ...] = (
    Operation(
        "GET",
        "/v1/proposals",
        every,
        "Proposals",
        query={
            "agent": text(),
            "state": text(enum=list(State)),
            "limit": number(0, 1000, default=100),
            "before": number(1),
            "brief": number(0, 1, default=0),
        },
    ),
    Operation(
        "POST",
        "/v1/proposals",
        request,
        "Proposal",
        body={"agent": text(longest=64), "commit": text(longest=64), "reason": text(longest=MAX_REASON)},
        required=("agent", "commit", "reason"),
    ),
    Operation("GET", _PROPOSAL, one, "Proposal"),
    Operation("GET", f"{_PROPOSAL}/log", log, "ProposalLog", query={"after": number(default=0)}),
    Operation(
        "POST",
        f"{_PROPOSAL}/approve",
        approve,
        "Proposal",
        body={"fingerprint": text(longest=64)},
        required=("fingerprint",),
    ),
    Operation(
        "POST", f"{_PROPOSAL}/deny", deny, "Proposal", body={"reason": text(longest=MAX_REASON)}, required=("reason",)
    ),
    Operation("POST", f"{_PROPOSAL}/withdraw", withdraw, "Proposal", body={}),
)
