"""The browsers that are logged in to the dashboard, and their end."""

from __future__ import annotations

from hyperhive.api.operation import Call, Json, Operation, flag, text
from hyperhive.api.operator.core import OperatorCore
from hyperhive.errors import BadInput, NotFound
from hyperhive.store.sessions import Session


async def every(call: Call[OperatorCore]) -> Json:
    """The browsers that are logged in, the last used first; `current` is the one that asks."""
    return {"sessions": [_view(call, session) for session in await call.core.logins.every()]}


async def end(call: Call[OperatorCore]) -> Json:
    """Log a browser out; its stream of events and its terminals end, the shells in them go on."""
    if not await call.core.logins.end(lambda session: session.id == call.id, call.actor):
        raise NotFound(f"there is no session {call.id}; it is over, or was ended already")
    return {}


async def end_all(call: Call[OperatorCore]) -> Json:
    """Log a user's browsers out, the caller's own if no `user` is named, or with `all` everybody's; which they were."""
    user, everybody = call.query["user"], call.query["all"] == 1
    if user is not None and everybody:
        raise BadInput("user and all are given; all is everybody's, so leave one of them out")
    whose = call.actor.removeprefix("operator:") if user is None else user
    ended = await call.core.logins.end(lambda session: everybody or session.user == whose, call.actor)
    return {"sessions": [_view(call, session) for session in ended]}


def _view(call: Call[OperatorCore], session: Session) -> Json:
    return {**session.view(), "current": session.id == call.session}


OPERATIONS: tuple[Operation[OperatorCore], ...] = (
    Operation("GET", "/v1/sessions", every, "Sessions"),
    Operation("DELETE", "/v1/sessions", end_all, "Sessions", query={"user": text(longest=64), "all": flag()}),
    Operation("DELETE", "/v1/sessions/{id}", end, "Nothing"),
)
