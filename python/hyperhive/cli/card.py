"""A proposal as the operator sees it before deciding: what it means first, then lint, then the text."""

from __future__ import annotations

from typing import Any

from hyperhive.cli.output import ago, block, clean, line

_MARKS = {"widening": "+", "narrowing": "-", "neutral": "~"}


def card(proposal: dict[str, Any]) -> str:
    """The whole card of one proposal (GET /v1/proposals/{id}) as text without a closing newline."""
    parts = [_head(proposal), _meaning(proposal), _lint(proposal), _diff(proposal)]
    return "\n\n".join(part for part in parts if part)


def _head(proposal: dict[str, Any]) -> str:
    lines = [
        f"proposal {proposal['id']}: {line(proposal['agent'])} at {line(proposal['commit'])}",
        f"state:   {_state(proposal)}",
        f"request: by {line(proposal['requester'])}, {ago(proposal['created_at'])}",
        "reason:",
        block(proposal["reason"], "  | "),
    ]
    return "\n".join(lines)


def _state(proposal: dict[str, Any]) -> str:
    """The state and what belongs to it."""
    said = [line(proposal["state"])]
    if proposal.get("generation"):
        said.append(f"generation {proposal['generation']}")
    elif proposal.get("base_generation") is not None:
        said.append(f"compared with generation {proposal['base_generation']}")
    if proposal.get("decided_by"):
        said.append(f"decided by {line(proposal['decided_by'])}")
    for name in ("decision", "error"):
        if proposal.get(name):
            said.append(line(proposal[name]))
    return ", ".join(said)


def _meaning(proposal: dict[str, Any]) -> str:
    if proposal.get("delta") is None:
        return "what it means: not known, it was not checked" if proposal["state"] != "requested" else ""
    if not proposal["delta"]:
        return "what it means:\n  nothing: the settings stay as they are"
    return "\n".join(["what it means:", *map(_change, proposal["delta"])])


def _change(change: dict[str, Any]) -> str:
    mark = _MARKS.get(change.get("direction", ""), "?")
    first, *rest = clean(change["text"]).split("\n")
    return "\n".join([f"  {mark} {first}", *(f"      | {part}" for part in rest)])


def _lint(proposal: dict[str, Any]) -> str:
    found = proposal.get("lint") or []
    return "\n".join(["lint:", *(f"  ! {line(sentence)}" for sentence in found)]) if found else ""


def _diff(proposal: dict[str, Any]) -> str:
    return "\n".join(["text:", block(proposal["diff"].rstrip("\n"), "  ")]) if proposal.get("diff") else ""
