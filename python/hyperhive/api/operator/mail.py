"""The operator's inbox, and all mail of the hive."""

from __future__ import annotations

from hyperhive.api.operation import Call, Json, Operation, flag, number, text
from hyperhive.api.operator.core import OperatorCore
from hyperhive.broker import OPERATOR
from hyperhive.store.messages import Filter


async def inbox(call: Call[OperatorCore]) -> Json:
    """The operator's mail, newest first: what is unread, or all of it. Looking marks nothing as read."""
    query, broker = call.query, call.core.broker
    if query["search"]:
        wanted = Filter(recipient=OPERATOR, search=query["search"], unread=query["all"] == 0)
        found = await broker.flow(wanted, limit=query["limit"], before=query["before"])
    else:
        found = await broker.inbox(all_=query["all"] == 1, limit=query["limit"], before=query["before"])
    return {"messages": [message.view() for message in found]}


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
    """All mail of the hive, newest first: of one agent, of one chain, with some text."""
    query = call.query
    wanted = Filter(agent=query["agent"], chain=query["chain"], search=query["search"])
    found = await call.core.broker.flow(wanted, limit=query["limit"], before=query["before"])
    return {"messages": [message.view() for message in found]}


async def dead_letters(call: Call[OperatorCore]) -> Json:
    """The messages that were given up, the last first."""
    return {"messages": [message.view() for message in await call.core.dead_letters.every()]}


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
        "Messages",
        query={"all": flag(), "limit": _LIMIT, "before": _BEFORE, "search": _SEARCH},
    ),
    Operation("POST", "/v1/inbox/{id}/read", mark_read, "Nothing", body={}),
    Operation("POST", "/v1/inbox/{id}/reply", reply, "Sent", body={"body": text()}, required=("body",)),
    Operation("POST", "/v1/messages", send, "Sent", body={"to": text(), "body": text()}, required=("to", "body")),
    Operation(
        "GET",
        "/v1/messages",
        flow,
        "Messages",
        query={"limit": _LIMIT, "before": _BEFORE, "agent": text(), "chain": number(1), "search": _SEARCH},
    ),
    Operation("GET", "/v1/dead-letters", dead_letters, "Messages"),
    Operation("GET", "/v1/dead-letters/{id}", dead_letter, "Message"),
    Operation("DELETE", "/v1/dead-letters/{id}", drop, "Nothing"),
    Operation("POST", "/v1/dead-letters/{id}/requeue", requeue, "Message", body={}),
)
