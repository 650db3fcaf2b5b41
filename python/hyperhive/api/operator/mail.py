"""The operator's inbox, and all mail of the hive."""

from __future__ import annotations

import json
from collections.abc import Sequence

from hyperhive.api.operation import Call, Json, Operation, flag, number, text
from hyperhive.api.operator.core import OperatorCore
from hyperhive.exchange import OPERATOR, SYSTEM
from hyperhive.store.messages import BRIEF, Filter, Message


async def inbox(call: Call[OperatorCore]) -> Json:
    """The operator's mail, newest first: what is unread, or all of it. Looking marks nothing as read.

    `brief` cuts each body to 2000 characters; `cut` is then how many are left out. The hive's own events stay JSON.
    """
    query, broker, brief = call.query, call.core.broker, call.query["brief"] == 1
    if query["search"]:
        wanted = Filter(recipient=OPERATOR, search=query["search"], unread=query["all"] == 0)
        found = await broker.flow(wanted, limit=query["limit"], before=query["before"], cut=brief)
    else:
        found = await broker.inbox(all_=query["all"] == 1, limit=query["limit"], before=query["before"], cut=brief)
    return views(found, brief=brief)


def views(found: Sequence[Message], *, brief: bool) -> Json:
    """The messages; `brief`: with BRIEF characters of each body."""
    return {"messages": [_brief(message) if brief else message.view() for message in found]}


def _brief(message: Message) -> Json:
    """The message with BRIEF characters of its body; `cut` is how many are left out."""
    body = _brief_event(message.body) if message.sender == SYSTEM else message.body[:BRIEF]
    return {**message.view(), "body": body, "cut": message.cut + len(message.body) - len(body)}


def _brief_event(body: str) -> str:
    """An event of the hive's own with less of its longest text, a log or a reason: who reads events reads this too."""
    over = len(body) - BRIEF
    if over <= 0:
        return body
    try:
        told: dict[str, str] = json.loads(body)
        longest = max(
            (name for name, value in told.items() if isinstance(value, str)), key=lambda name: len(told[name])
        )
    except (ValueError, AttributeError):
        return body[:BRIEF]
    return json.dumps({**told, longest: told[longest][: max(0, len(told[longest]) - over)]})[:BRIEF]


async def mark_read(call: Call[OperatorCore]) -> Json:
    """Mark a message of the inbox as read."""
    await call.core.broker.mark_read(call.id)
    return {}


async def reply(call: Call[OperatorCore]) -> Json:
    """Answer a message of the inbox, which is read then."""
    return {"id": await call.core.broker.reply(call.id, call.body["body"])}


async def send(call: Call[OperatorCore]) -> Json:
    """Send a message as the operator."""
    return {"id": await call.core.broker.send(OPERATOR, call.body["to"], call.body["body"])}


async def flow(call: Call[OperatorCore]) -> Json:
    """All mail of the hive, newest first: of one agent, of one chain, with some text. `brief` as for the inbox."""
    query, brief = call.query, call.query["brief"] == 1
    wanted = Filter(agent=query["agent"], chain=query["chain"], search=query["search"])
    found = await call.core.broker.flow(wanted, limit=query["limit"], before=query["before"], cut=brief)
    return views(found, brief=brief)


async def message(call: Call[OperatorCore]) -> Json:
    """One message, whole. Looking does not mark it as read."""
    return (await call.core.broker.message(call.id)).view()


async def dead_letters(call: Call[OperatorCore]) -> Json:
    """The messages that were given up, the last first. `brief` as for the inbox."""
    brief = call.query["brief"] == 1
    return views(await call.core.dead_letters.every(cut=brief), brief=brief)


async def dead_letter(call: Call[OperatorCore]) -> Json:
    """A message that was given up."""
    return (await call.core.dead_letters.get(call.id)).view()


async def requeue(call: Call[OperatorCore]) -> Json:
    """Let a message that was given up wait again in its old place, its attempts and hops counted anew."""
    return (await call.core.dead_letters.requeue(call.id, call.actor)).view()


async def drop(call: Call[OperatorCore]) -> Json:
    """Delete a message that was given up."""
    await call.core.dead_letters.drop(call.id, call.actor)
    return {}


_LIMIT = number(0, 1000, default=100)
_BEFORE = number(1)
_SEARCH = text(longest=200)
OPERATIONS: tuple[Operation[OperatorCore], ...] = (
    Operation(
        "GET",
        "/v1/inbox",
        inbox,
        "Inbox",
        query={"all": flag(), "limit": _LIMIT, "before": _BEFORE, "search": _SEARCH, "brief": flag()},
    ),
    Operation("POST", "/v1/inbox/{id}/read", mark_read, "Nothing", body={}),
    Operation("POST", "/v1/inbox/{id}/reply", reply, "Sent", body={"body": text()}, required=("body",)),
    Operation("POST", "/v1/messages", send, "Sent", body={"to": text(), "body": text()}, required=("to", "body")),
    Operation(
        "GET",
        "/v1/messages",
        flow,
        "Messages",
        query={
            "limit": _LIMIT,
            "before": _BEFORE,
            "agent": text(),
            "chain": number(1),
            "search": _SEARCH,
            "brief": flag(),
        },
    ),
    Operation("GET", "/v1/messages/{id}", message, "Message"),
    Operation("GET", "/v1/dead-letters", dead_letters, "Messages", query={"brief": flag()}),
    Operation("GET", "/v1/dead-letters/{id}", dead_letter, "Message"),
    Operation("DELETE", "/v1/dead-letters/{id}", drop, "Nothing"),
    Operation("POST", "/v1/dead-letters/{id}/requeue", requeue, "Message", body={}),
)
