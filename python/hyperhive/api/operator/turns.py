"""An agent's turns, and the mail that they are over."""

from __future__ import annotations

import sqlite3
import time

from hyperhive.api.operation import Call, Json, Operation, flag, number
from hyperhive.api.operator.core import OperatorCore
from hyperhive.api.operator.mail import views
from hyperhive.store import messages
from hyperhive.store import turns as rows
from hyperhive.store.messages import Message
from hyperhive.timing import timing


async def every(call: Call[OperatorCore]) -> Json:
    """The agent's turns, newest first."""
    await call.core.hive.view(call.name)
    limit, before = call.query["limit"], call.query["before"]
    found = await call.core.database.read(lambda c: rows.of_agent(c, call.name, limit, before=before))
    return {"turns": [turn.view() for turn in found]}


async def one(call: Call[OperatorCore]) -> Json:
    """A turn with its timing (seconds), its mail, and its events after the number `after`."""

    def load(connection: sqlite3.Connection) -> tuple[rows.Turn, list[rows.TurnEvent], list[Message]]:
        turn = rows.get(connection, call.name, call.id)
        return turn, rows.events_of(connection, call.id), messages.those(connection, turn.message_ids)

    turn, events, mail = await call.core.database.read_apart(load)
    took = timing(turn, events, [message.sent_at for message in mail], time.time())
    return {
        "turn": turn.view(),
        "timing": dict(took.__dict__),
        "events": [event.view() for event in events if event.seq > call.query["after"]],
        "messages": [message.view() for message in mail],
    }


async def inbox(call: Call[OperatorCore]) -> Json:
    """The agent's last messages, newest first, whether it has had them or not. `brief` as for the operator's inbox."""
    await call.core.hive.view(call.name)
    brief = call.query["brief"] == 1
    return views(await call.core.broker.mailbox(call.name, call.query["limit"], cut=brief), brief=brief)


_LIMIT = number(1, 1000, default=20)
OPERATIONS: tuple[Operation[OperatorCore], ...] = (
    Operation("GET", "/v1/agents/{name}/turns", every, "Turns", query={"limit": _LIMIT, "before": number(1)}),
    Operation("GET", "/v1/agents/{name}/turns/{id}", one, "TurnDetails", query={"after": number(default=0)}),
    Operation("GET", "/v1/agents/{name}/inbox", inbox, "Messages", query={"limit": _LIMIT, "brief": flag()}),
)
