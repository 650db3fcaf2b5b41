"""The harness's HTTP API on harness.sock: mail, heartbeats and turns of one agent, who is known by the socket."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable
from typing import Any, Protocol

from starlette.requests import Request
from starlette.responses import JSONResponse, Response

from hyperhive.api.requests import (
    error_response,
    integer,
    integers,
    number,
    optional_integer,
    optional_text,
    parse_json,
    read_body,
    text,
)
from hyperhive.broker import Broker
from hyperhive.errors import BadInput, NotFound
from hyperhive.hub import Hub
from hyperhive.store import turns
from hyperhive.store.database import Database

MAX_EVENT = 256 * 1024


class HarnessCore(Protocol):
    """The parts of the core that a harness may use."""

    @property
    def broker(self) -> Broker: ...
    @property
    def database(self) -> Database: ...
    @property
    def hub(self) -> Hub: ...

    async def heartbeat(self, agent: str, generation: int, state: str, pid: int) -> None:
        """A harness says that it lives."""


Handler = Callable[[HarnessCore, str, Request], Awaitable[dict[str, Any]]]


class HarnessApp:
    """The ASGI application. A plain table instead of a router: this is the hot path of the mail."""

    def __init__(self, core: HarnessCore) -> None:
        self._core = core

    async def __call__(self, scope: Any, receive: Any, send: Any) -> None:  # noqa: ANN401  (ASGI)
        """Answer one request; every error becomes one JSON object."""
        request = Request(scope, receive, send)
        try:
            answer: Response = JSONResponse(await self._dispatch(request))
        except Exception as error:  # the edge: nothing passes it
            answer = error_response(error)
        await answer(scope, receive, send)

    async def _dispatch(self, request: Request) -> dict[str, Any]:
        agent: str = request.scope["state"]["identity"]
        path: str = request.scope["path"]
        if request.method == "POST" and (handler := _PLAIN.get(path)):
            return await handler(self._core, agent, request)
        parts = path.split("/")
        if request.method == "POST" and parts[:3] == ["", "v1", "turns"] and len(parts) == 5 and parts[4] in _OF_TURN:
            if parts[3].isascii() and parts[3].isdigit() and len(parts[3]) < 18:
                return await _OF_TURN[parts[4]](self._core, agent, int(parts[3]), request)
            raise BadInput(f"{parts[3][:40]!r} is not a turn's number")
        raise NotFound(f"there is no {request.method} {path[:80]}")


def create_harness_app(core: HarnessCore) -> HarnessApp:
    """The ASGI app of harness.sock; one serves every agent."""
    return HarnessApp(core)


async def _send(core: HarnessCore, agent: str, request: Request) -> dict[str, Any]:
    body = parse_json(await read_body(request))
    answered = optional_integer(body, "reply_to")
    return {"id": await core.broker.send(agent, text(body, "to"), text(body, "body"), reply_to=answered)}


async def _recv(core: HarnessCore, agent: str, request: Request) -> dict[str, Any]:
    body = parse_json(await read_body(request))
    most = optional_integer(body, "max", minimum=1, maximum=100) or 20
    wait = number(body, "wait", 0, minimum=0, maximum=60)
    lease = number(body, "lease", 2100, minimum=1, maximum=86400)
    if body.get("restarted") is True:
        await core.broker.end_leases(agent)
    found = await _unless_gone(request, core.broker.recv(agent, max_messages=most, wait=wait, lease=lease))
    return {"messages": [message.view() for message in found]}


async def _unless_gone(request: Request, work: Any) -> Any:  # noqa: ANN401  (what `work` gives)
    """Await `work`, but cancel it as soon as the client has gone, so that nothing is leased to nobody."""
    task = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(request))
    try:
        await asyncio.wait({task, gone}, return_when=asyncio.FIRST_COMPLETED)
        if task.done():
            return task.result()
        task.cancel()
        return await task
    except asyncio.CancelledError:
        task.cancel()
        raise BadInput("the client went away") from None
    finally:
        gone.cancel()


async def _disconnected(request: Request) -> None:
    while (await request.receive())["type"] != "http.disconnect":
        pass


async def _ack(core: HarnessCore, agent: str, request: Request) -> dict[str, Any]:
    ids = integers(parse_json(await read_body(request)), "ids")
    return {"acked": await core.broker.ack(agent, ids)}


async def _heartbeat(core: HarnessCore, agent: str, request: Request) -> dict[str, Any]:
    body = parse_json(await read_body(request))
    state = text(body, "state")
    if state not in ("idle", "turn"):
        raise BadInput("state must be idle or turn")
    await core.heartbeat(agent, integer(body, "generation"), state, integer(body, "pid"))
    return {}


async def _begin_turn(core: HarnessCore, agent: str, request: Request) -> dict[str, Any]:
    body = parse_json(await read_body(request))
    ids, session = integers(body, "message_ids"), text(body, "session_id")
    model, generation = text(body, "model"), integer(body, "generation")
    turn = await core.database.write(
        lambda c: turns.begin(
            c, agent=agent, generation=generation, model=model, session_id=session, message_ids=ids
        )
    )
    core.hub.publish("turn", {"agent": agent, "turn": turn, "model": model, "outcome": None})
    return {"turn": turn}


async def _add_events(core: HarnessCore, agent: str, turn: int, request: Request) -> dict[str, Any]:
    """NDJSON, one event a line; a line over MAX_EVENT is stored as a note of its size."""
    events = [_event(line) for line in (await read_body(request)).splitlines() if line.strip()]

    def store(connection: sqlite3.Connection) -> int:
        turns.get(connection, agent, turn)
        return turns.add_events(connection, turn, [json.dumps(event) for event in events])

    stored = await core.database.write(store)
    for event in events:
        core.hub.publish("turn_event", {"agent": agent, "turn": turn, "event": event})
    return {"stored": stored}


def _event(line: bytes) -> dict[str, Any]:
    if len(line) > MAX_EVENT:
        return {"type": "oversized", "bytes": len(line)}
    try:
        return parse_json(line)
    except BadInput:
        return {"type": "malformed", "text": line.decode(errors="replace")[:1000]}


async def _end_turn(core: HarnessCore, agent: str, turn: int, request: Request) -> dict[str, Any]:
    body = parse_json(await read_body(request))
    outcome, detail = text(body, "outcome"), optional_text(body, "detail")
    usage = body.get("usage")
    if usage is not None and not isinstance(usage, dict):
        raise BadInput("usage must be an object")
    cost = number(body, "cost_usd", 0, minimum=0, maximum=1e6) if body.get("cost_usd") is not None else None

    def store(connection: sqlite3.Connection) -> None:
        turns.get(connection, agent, turn)
        turns.end(connection, turn, outcome=outcome, detail=detail, usage=usage, cost_usd=cost)

    await core.database.write(store)
    core.hub.publish("turn", {"agent": agent, "turn": turn, "outcome": outcome, "detail": detail})
    return {}


_PLAIN: dict[str, Handler] = {
    "/v1/send": _send,
    "/v1/recv": _recv,
    "/v1/ack": _ack,
    "/v1/heartbeat": _heartbeat,
    "/v1/turns": _begin_turn,
}
_OF_TURN: dict[str, Callable[[HarnessCore, str, int, Request], Awaitable[dict[str, Any]]]] = {
    "events": _add_events,
    "end": _end_turn,
}
