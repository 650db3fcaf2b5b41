"""The JSON schemas of what the operator's API answers, by the names that its operations use. Times are Unix seconds."""

from __future__ import annotations

from typing import Any

from hyperhive.settings import schema as settings_schema
from hyperhive.sources import Source
from hyperhive.store.proposals import State

Json = dict[str, Any]

TEXT: Json = {"type": "string"}
NUMBER: Json = {"type": "integer"}
SECONDS: Json = {"type": "number"}
FLAG: Json = {"type": "boolean"}
ANYTHING: Json = {}


def _object(**properties: Json) -> Json:
    return {"type": "object", "properties": properties, "required": list(properties), "additionalProperties": False}


def _list(items: Json) -> Json:
    return {"type": "array", "items": items}


def _map(values: Json) -> Json:
    return {"type": "object", "additionalProperties": values}


def _maybe(schema: Json) -> Json:
    return {"anyOf": [schema, {"type": "null"}]}


def _of(name: str) -> Json:
    return {"$ref": f"#/components/schemas/{name}"}


def _words(*words: str) -> Json:
    return {"type": "string", "enum": list(words)}


def _moved(node: Any) -> Any:  # noqa: ANN401  (JSON)
    """The settings' schema in its place here: what refers to its own definitions still does."""
    if isinstance(node, dict):
        return {name: _moved(value) for name, value in node.items() if name not in ("$schema", "$id")}
    if isinstance(node, list):
        return [_moved(each) for each in node]
    if isinstance(node, str) and node.startswith("#/$defs/"):
        return f"#/components/schemas/Settings{node[1:]}"
    return node


_SETTINGS: Json = _moved(settings_schema())
_AGENT: Json = {
    "name": TEXT,
    "role": _words("agent", "manager"),
    "state": _words("stopped", "starting", "running", "failed"),
    "desired": _words("running", "stopped"),
    "generation": NUMBER,
    "model": _maybe(TEXT),
    "model_override": FLAG,
    "unread": NUMBER,
    "last_turn": _maybe(_of("Turn")),
    "activity": _maybe(_words("idle", "turn", "compacting", "waiting")),
    "trouble": _maybe(TEXT),
    "doing": _maybe(TEXT),
    "over_budget": _maybe(_object(until=SECONDS, reason=TEXT)),
}
_CHANGES = dict.fromkeys(("widening", "narrowing", "neutral"), NUMBER)
_BRIEF: Json = {
    "id": NUMBER,
    "agent": TEXT,
    "commit": TEXT,
    "reason": TEXT,
    "requester": TEXT,
    "state": _words(*State),
    "base_generation": _maybe(NUMBER),
    "generation": _maybe(NUMBER),
    "error": _maybe(TEXT),
    "decided_by": _maybe(TEXT),
    "decision": _maybe(TEXT),
    "created_at": SECONDS,
    "updated_at": SECONDS,
    "stale": FLAG,
    "changes": _maybe(_object(**_CHANGES)),
    "warnings": NUMBER,
}
_JUDGED: Json = {
    "delta": _maybe(_list(_of("Change"))),
    "lint": _maybe(_list(TEXT)),
    "fingerprint": _maybe(TEXT),
}
_MESSAGE: Json = {
    "id": NUMBER,
    "sender": TEXT,
    "recipient": TEXT,
    "kind": _words("mail", "question", "event"),
    "body": TEXT,
    "reply_to": _maybe(NUMBER),
    "chain": NUMBER,
    "hops": NUMBER,
    "sent_at": SECONDS,
    "attempts": NUMBER,
    "dead_at": _maybe(SECONDS),
    "read_at": _maybe(SECONDS),
    "replied": FLAG,
    "options": _maybe(_list(TEXT)),
    "expires_at": _maybe(SECONDS),
    "expired": FLAG,
}

SCHEMAS: dict[str, Json] = {
    "Error": _object(error=TEXT, code=TEXT),
    "Nothing": _object(),
    "Destroyed": _object(dead_letters=NUMBER),
    "Session": _object(user=TEXT, hive=TEXT, version=TEXT, by=_words("link", "proxy")),
    "NewSession": _object(user=TEXT, hive=TEXT, version=TEXT, by=_words("link"), key=TEXT),
    "Link": _object(url=TEXT),
    "Sessions": _object(
        sessions=_list(
            _object(id=NUMBER, user=TEXT, created_at=SECONDS, used_at=SECONDS, expires_at=SECONDS, current=FLAG)
        )
    ),
    "Status": _object(
        version=TEXT,
        backend=_words("local", "nixos"),
        model_api=TEXT,
        state_dir=TEXT,
        agents=NUMBER,
        running=NUMBER,
        over_budget=NUMBER,
        trouble=_list(_object(agent=TEXT, trouble=TEXT)),
        proposals_waiting=NUMBER,
        inbox_unread=NUMBER,
        dead_letters=NUMBER,
        paused=_maybe(_object(until=SECONDS, reason=TEXT)),
    ),
    "Resumed": _object(paused=FLAG),
    "Audit": _object(
        entries=_list(_object(id=NUMBER, at=SECONDS, actor=TEXT, action=TEXT, subject=TEXT, detail={"type": "object"}))
    ),
    "Chain": _object(entries=NUMBER, head=TEXT, broken=_maybe(_object(id=NUMBER, what=TEXT))),
    "Agent": _object(**_AGENT),
    "Agents": _object(agents=_list(_of("Agent"))),
    "AgentDetails": _object(
        **_AGENT,
        settings=_maybe(_of("Settings")),
        sources=_map(_words(*Source)),
        overrides=_map(ANYTHING),
        generations=_list(_of("Generation")),
        usage=_list(
            _object(day=TEXT, model=TEXT, requests=NUMBER, input_tokens=NUMBER, output_tokens=NUMBER, cost_usd=SECONDS)
        ),
    ),
    "Settings": _SETTINGS,
    "Generation": _object(
        number=NUMBER, commit=TEXT, proposal=_maybe(NUMBER), reason=TEXT, healthy=FLAG, created_at=SECONDS
    ),
    "Log": _object(log=TEXT),
    "Shell": _object(argv=_list(TEXT)),
    "Verdict": _object(allowed=FLAG, reason=TEXT, verdicts=_list({"type": "object"})),
    "Notes": _object(text=TEXT, bytes=NUMBER, max_bytes=NUMBER, enabled=FLAG, version=TEXT, modified=_maybe(SECONDS)),
    "Terminal": _object(terminal=_maybe(_object(id=TEXT, opened_at=SECONDS, opened_by=TEXT, attached=FLAG))),
    "Turn": _object(
        id=NUMBER,
        agent=TEXT,
        generation=NUMBER,
        model=TEXT,
        session_id=TEXT,
        message_ids=_list(NUMBER),
        started_at=SECONDS,
        ended_at=_maybe(SECONDS),
        outcome=_maybe(TEXT),
        detail=_maybe(TEXT),
        usage=_maybe({"type": "object"}),
        cost_usd=_maybe(SECONDS),
        purpose=_words("mail", "compaction"),
        commit=_maybe(TEXT),
        proposal=_maybe(NUMBER),
        notes=_maybe(TEXT),
        cpu_seconds=_maybe(SECONDS),
        memory_peak=_maybe(NUMBER),
    ),
    "Turns": _object(turns=_list(_of("Turn"))),
    "TurnDetails": _object(
        turn=_of("Turn"),
        timing=_object(
            queued=SECONDS,
            startup=_maybe(SECONDS),
            model=_maybe(SECONDS),
            tools=_maybe(SECONDS),
            other=_maybe(SECONDS),
            total=SECONDS,
        ),
        events=_list(_object(seq=NUMBER, at=_maybe(SECONDS), event={"type": "object"})),
        messages=_list(_of("Message")),
    ),
    "Change": _object(
        area=TEXT,
        direction=_words(*_CHANGES),
        text=TEXT,
        before=ANYTHING,
        after=ANYTHING,
        weight=NUMBER,
    ),
    "Proposal": _object(**_BRIEF, **_JUDGED, settings=_maybe(_of("Settings")), diff=_maybe(TEXT)),
    "ProposalRow": {
        "type": "object",
        "properties": {**_BRIEF, **_JUDGED},
        "required": list(_BRIEF),
        "additionalProperties": False,
    },
    "Proposals": _object(proposals=_list(_of("ProposalRow"))),
    "ProposalLog": _object(
        lines=_list(_object(seq=NUMBER, at=SECONDS, step=_words("check", "build", "activate"), text=TEXT))
    ),
    "Message": _object(**_MESSAGE),
    "Messages": _object(messages=_list(_of("Message"))),
    "InboxRow": {
        "type": "object",
        "properties": {**_MESSAGE, "cut": NUMBER},
        "required": list(_MESSAGE),
        "additionalProperties": False,
    },
    "Inbox": _object(messages=_list(_of("InboxRow"))),
    "Sent": _object(id=NUMBER),
}
