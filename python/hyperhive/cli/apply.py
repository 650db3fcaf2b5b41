"""`hyperhive apply`: proposals, from the request to the applied change and back."""

from __future__ import annotations

import sys
from collections.abc import Iterator
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperhive.cli.card import card
from hyperhive.cli.common import (
    AgentName,
    AsJson,
    ForAgent,
    Limit,
    OpenProposalId,
    ProposalId,
    Yes,
    ask,
    client,
    confirmed,
    group,
)
from hyperhive.cli.output import ago, line, print_json, table
from hyperhive.errors import BadInput, Conflict, Rejected, Unavailable

if TYPE_CHECKING:
    from hyperhive.client import Client

app = group("Proposals: request, look at, approve or deny a change; roll back.")

_CHECKING = frozenset({"requested"})
_APPLYING = frozenset({"approved", "building", "activating"})
_GOOD = frozenset({"checked", "applied"})
_STATES = (
    "requested",
    "checked",
    *("approved", "building", "activating", "applied"),
    *("rejected", "denied", "superseded", "withdrawn", "failed"),
)
_TICK = 2.0

Wait = Annotated[
    bool | None, typer.Option("--wait/--no-wait", help="Wait and say how it goes [default: on a terminal].")
]


@app.command()
def request(
    ctx: typer.Context,
    agent: AgentName,
    commit: Annotated[str, typer.Argument(metavar="COMMIT", help="A full or abbreviated hash; no branch name.")],
    *,
    reason: Annotated[str, typer.Option("--reason", "-r", help="What it is for, in a sentence.")],
    wait: Wait = None,
    as_json: AsJson = False,
) -> None:
    """Ask for a commit of an agent's config to be applied; it is checked first."""
    core = client(ctx)
    proposal = core.request_apply(agent, commit, reason)
    if not as_json:
        print(f"proposal {proposal['id']}: requested", flush=True)
    if _waits(wait):
        proposal = _follow(core, proposal, _CHECKING)
    if as_json:
        print_json(proposal)
    _must_be_good(proposal, waited=_waits(wait))
    if proposal["state"] == "checked" and not as_json:
        print(f"Look at it and decide: hyperhive apply approve {proposal['id']}")


@app.command("list")
def list_proposals(
    ctx: typer.Context,
    agent: ForAgent = None,
    state: Annotated[
        str | None,
        typer.Option(metavar="STATE", help="Only those in this state.", autocompletion=lambda: list(_STATES)),
    ] = None,
    limit: Limit = 20,
    as_json: AsJson = False,
) -> None:
    """The newest proposals, newest first."""
    if state is not None and state not in _STATES:
        raise typer.BadParameter(f"{state!r} is not a proposal's state; use one of {', '.join(_STATES)}")
    found = client(ctx).proposals(agent=agent, state=state, limit=limit)
    if as_json:
        print_json(found)
        return
    table(["ID", "AGENT", "COMMIT", "STATE", "WHEN", "BY", "REASON"], map(_row, found), empty="no proposals")


def _row(proposal: dict[str, Any]) -> list[object]:
    when = ago(proposal["updated_at"])
    told = [proposal["agent"], proposal["commit"][:12], proposal["state"], when, proposal["requester"]]
    return [proposal["id"], *told, proposal["reason"]]


@app.command()
def show(ctx: typer.Context, proposal: ProposalId, as_json: AsJson = False) -> None:
    """One proposal: what it means, lint, and its text."""
    found = client(ctx).proposal(proposal)
    if as_json:
        print_json(found)
    else:
        print(card(found))


@app.command()
def approve(ctx: typer.Context, proposal: OpenProposalId, yes: Yes = False, wait: Wait = None) -> None:
    """Show a proposal and, if you say yes, apply exactly what was shown."""
    core = client(ctx)
    shown = core.proposal(proposal)
    if shown["state"] != "checked":
        raise Conflict(_not_decidable(shown))
    print(card(shown), flush=True)
    if not yes and not confirmed(f"\nApply this to {line(shown['agent'])}?"):
        print("not approved; it stays as it is")
        return
    try:
        approved = core.approve(proposal, shown["fingerprint"])
    except Conflict as error:
        raise Conflict(f"{error} (`hyperhive apply show {proposal}`)") from error
    print(f"\nproposal {proposal}: approved", flush=True)
    if _waits(wait):
        _must_be_good(_follow(core, approved, _APPLYING), waited=True)


def _not_decidable(proposal: dict[str, Any]) -> str:
    number, state = proposal["id"], line(proposal["state"])
    if state in _CHECKING:
        return f"proposal {number} is still being checked; look again in a moment"
    why = proposal["error"] or proposal["decision"]
    return f"proposal {number} is {state}{f' ({line(why)})' if why else ''}; only a checked one can be approved"


@app.command()
def deny(
    ctx: typer.Context,
    proposal: OpenProposalId,
    reason: Annotated[str | None, typer.Option("--reason", "-r", help="Why; the requester is told.")] = None,
) -> None:
    """Deny a proposal."""
    core = client(ctx)
    why = reason if reason is not None else ask("Why?", "give --reason")
    if not why.strip():
        raise BadInput("a denial needs a reason: the requester is told; nothing was done")
    core.deny(proposal, why)
    print(f"proposal {proposal}: denied")


@app.command()
def withdraw(ctx: typer.Context, proposal: OpenProposalId) -> None:
    """Take a request back before it is approved."""
    client(ctx).withdraw(proposal)
    print(f"proposal {proposal}: withdrawn")


@app.command()
def rollback(
    ctx: typer.Context,
    agent: AgentName,
    generation: Annotated[int | None, typer.Argument(metavar="GENERATION", min=1)] = None,
) -> None:
    """Let an agent run an earlier generation again [default: the healthy one before the present]."""
    view = client(ctx).roll_back(agent, generation)
    print(f"{line(view['name'])}: {line(view['state'])}, generation {view['generation']}")


def _waits(wait: bool | None) -> bool:
    return sys.stdout.isatty() if wait is None else wait


def _follow(core: Client, proposal: dict[str, Any], passing: frozenset[str]) -> dict[str, Any]:
    """Say each new state on stderr until it is none of `passing`. Raises Unavailable if the core ends."""
    said = proposal["state"]
    for view in _views(core, proposal["id"]):
        if view["state"] != said:
            said = view["state"]
            print(f"proposal {view['id']}: {line(said)}{_generation(view)}", file=sys.stderr, flush=True)
        if said not in passing:
            return view
    raise Unavailable(
        f"the core stopped telling while proposal {proposal['id']} was {said}; "
        f"it goes on when the core runs: `hyperhive apply show {proposal['id']}`"
    )


def _views(core: Client, proposal: int) -> Iterator[dict[str, Any]]:
    """The proposal now, and again whenever it may have changed, until the core ends."""
    with core.events(tick=_TICK) as events:
        yield core.proposal(proposal)
        for event in events:
            if event.kind == "tick" or (event.kind == "proposal" and event.data.get("id") == proposal):
                yield core.proposal(proposal)


def _generation(proposal: dict[str, Any]) -> str:
    return f", generation {proposal['generation']}" if proposal["generation"] else ""


def _must_be_good(proposal: dict[str, Any], *, waited: bool) -> None:
    if waited and proposal["state"] not in _GOOD:
        why = proposal["error"] or proposal["decision"] or "`hyperhive apply list` shows what came instead"
        raise Rejected(f"proposal {proposal['id']} is {line(proposal['state'])}: {line(why)}")
