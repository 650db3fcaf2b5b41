"""The harness's HTTP API on harness.sock: mail, heartbeats and turns of one agent, who is known by the socket."""

from __future__ import annotations

import asyncio
import json
import sqlite3
from collections.abc import Awaitable, Callable, Coroutine
from dataclasses import dataclass
from itertools import islice
from typing import Any, Protocol

from starlette.requests import ClientDisconnect
from starlette.types import Receive, Scope, Send

from hyperhive.activity import Activities
from hyperhive.api.requests import (
    explain,
    integer,
    integers,
    number,
    optional_integer,
    optional_text,
    parse_json,
    receive_body,
    text,
)
from hyperhive.broker import Broker
from hyperhive.errors import BadInput, NotFound, TooLarge
from hyperhive.gateway.pause import Pause
from hyperhive.harness.outcome import Outcome
from hyperhive.hub import Hub
from hyperhive.store import turns
from hyperhive.store.database import Database
from hyperhive.store.messages import Message
from hyperhive.store.turns import TurnEvent

MAX_CONNECTIONS = 16
"""Of one agent's harness, which has two: an answer may be large, and stays until it is read."""
_STATES = ("idle", "turn", "compacting", "waiting")
_PURPOSES = ("mail", "compaction")
MAX_TROUBLE = 500
MAX_LEASE = 2 * 86400
"""Seconds: the longest turn (session.turnTimeout) takes a day, and a harness asks for more than that."""
MAX_TEXT = 64 * 1024
MAX_EVENT = 256 * 1024
"""Bytes of one event of a turn; a larger one is replaced by a note of its size."""
MAX_NAME, MAX_DETAIL = 200, 10_000
"""Characters of a model's, a session's or an outcome's name, and of what a harness has to say about the latter and of
what was used."""

Json = dict[str, Any]


class HarnessCore(Protocol):
    """The parts of the core that a harness may use."""

    @property
    def broker(self) -> Broker:
        """The mail."""

    @property
    def database(self) -> Database:
        """Where turns are recorded."""

    @property
    def hub(self) -> Hub:
        """Who listens to what happens."""

    @property
    def activities(self) -> Activities:
        """What each agent does."""

    @property
    def pause(self) -> Pause:
        """Whether the hive may ask the model."""

    async def heartbeat(self, agent: str, generation: int, state: str, pid: int, trouble: str | None) -> None:
        """A harness says that it lives."""


@dataclass(frozen=True)
class _Call:
    """One request: whose socket it came on, and its body."""

    core: HarnessCore
    agent: str
    body: bytes
    receive: Receive

    def json(self) -> Json:
        """The body as a JSON object. Raises BadInput."""
        return parse_json(self.body)


class HarnessApp:
    """The ASGI application. A plain table instead of a router: this is the hot path of the mail."""

    def __init__(self, core: HarnessCore) -> None:
        self._core = core

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer one request; every error becomes one JSON object."""
        try:
            status, answer = 200, await self._serve(scope, receive)
        except Exception as error:  # the edge: nothing passes it
            status, answer = explain(error)
        body = json.dumps(answer).encode()
        headers = [(b"content-type", b"application/json"), (b"content-length", b"%d" % len(body))]
        await send({"type": "http.response.start", "status": status, "headers": headers})
        await send({"type": "http.response.body", "body": body})

    async def _serve(self, scope: Scope, receive: Receive) -> Json:
        handler = _handler(scope["method"], scope["path"])
        body = await receive_body(scope, receive)
        return await handler(_Call(self._core, scope["state"]["identity"], body, receive))


def create_harness_app(core: HarnessCore) -> HarnessApp:
    """The ASGI app of harness.sock; one serves every agent."""
    return HarnessApp(core)


Handler = Callable[[_Call], Awaitable[Json]]


def _handler(method: str, path: str) -> Handler:
    """Who answers that request. Raises NotFound, BadInput."""
    if method == "POST" and (handler := _PLAIN.get(path)):
        return handler
    parts = path.split("/")
    if method == "POST" and parts[:3] == ["", "v1", "turns"] and len(parts) == 5 and parts[4] in _OF_TURN:
        if not (parts[3].isascii() and parts[3].isdigit() and len(parts[3]) < 18):
            raise BadInput(f"{parts[3][:40]!r} is not a turn's number")
        return lambda call: _OF_TURN[parts[4]](call, int(parts[3]))
    raise NotFound(f"there is no {method} {path[:80]!r} here")


async def _send(call: _Call) -> Json:
    body = call.json()
    answered = optional_integer(body, "reply_to")
    return {"id": await call.core.broker.send(call.agent, text(body, "to"), text(body, "body"), reply_to=answered)}


async def _recv(call: _Call) -> Json:
    """`restarted` ends the leases that an earlier harness of this agent held."""
    body = call.json()
    broker = call.core.broker
    most = optional_integer(body, "max", minimum=1, maximum=100) or 20
    wait = number(body, "wait", 0, minimum=0, maximum=60)
    lease = number(body, "lease", 2100, minimum=1, maximum=MAX_LEASE)
    if body.get("restarted") is True:
        await broker.end_leases(call.agent)
    found = await _unless_gone(call, broker.recv(call.agent, max_messages=most, wait=wait, lease=lease))
    return {"messages": [message.view() for message in found]}


async def _unless_gone(call: _Call, work: Coroutine[Any, Any, list[Message]]) -> list[Message]:
    """Receive, but stop as soon as the client has gone, so that nothing is leased to nobody."""
    receiving = asyncio.ensure_future(work)
    gone = asyncio.ensure_future(_disconnected(call.receive))
    try:
        await asyncio.wait({receiving, gone}, return_when=asyncio.FIRST_COMPLETED)
        if gone.done():
            raise ClientDisconnect
        return receiving.result()
    except (asyncio.CancelledError, ClientDisconnect):
        await _give_back(call, receiving)
        raise
    finally:
        gone.cancel()


async def _give_back(call: _Call, receiving: asyncio.Future[list[Message]]) -> None:
    receiving.cancel()  # which undoes a lease by itself, unless it is done already
    (found,) = await asyncio.gather(receiving, return_exceptions=True)
    if isinstance(found, list):
        await call.core.broker.release(call.agent, [message.id for message in found])


async def _disconnected(receive: Receive) -> None:
    while (await receive())["type"] != "http.disconnect":
        pass


async def _ack(call: _Call) -> Json:
    return {"acked": await call.core.broker.ack(call.agent, integers(call.json(), "ids"))}


async def _put_back(call: _Call) -> Json:
    await call.core.broker.release(call.agent, integers(call.json(), "ids", most=100))
    return {}


async def _give_up(call: _Call) -> Json:
    body = call.json()
    reason = text(body, "reason", longest=MAX_DETAIL)[:MAX_TROUBLE]
    return {"parked": await call.core.broker.give_up(call.agent, integers(body, "ids"), reason)}


async def _heartbeat(call: _Call) -> Json:
    body = call.json()
    state = text(body, "state")
    if state not in _STATES:
        raise BadInput(f"state must be one of {', '.join(_STATES)}")
    trouble = optional_text(body, "trouble")
    generation, pid = integer(body, "generation"), integer(body, "pid")
    await call.core.heartbeat(call.agent, generation, state, pid, trouble and trouble[:MAX_TROUBLE])
    return {"paused": call.core.pause.left()}


async def _begin_turn(call: _Call) -> Json:
    body = call.json()
    ids, session = integers(body, "message_ids"), text(body, "session_id", longest=MAX_NAME)
    model, generation = text(body, "model", longest=MAX_NAME), integer(body, "generation")
    notes, purpose = optional_text(body, "notes", longest=64), optional_text(body, "purpose") or "mail"
    if purpose not in _PURPOSES:
        raise BadInput(f"purpose must be one of {', '.join(_PURPOSES)}")
    turn = await call.core.database.write(
        lambda c: turns.begin(
            c,
            agent=call.agent,
            generation=generation,
            model=model,
            session_id=session,
            message_ids=ids,
            notes=notes,
            purpose=purpose,
        )
    )
    call.core.hub.publish("turn", {"agent": call.agent, "turn": turn, "model": model, "outcome": None})
    return {"turn": turn}


async def _add_events(call: _Call, turn: int) -> Json:
    """NDJSON, one event a line; those that no turn could keep are not even looked at."""
    lines = (line for line in call.body.splitlines() if line.strip())
    events = [_event(line) for line in islice(lines, turns.MAX_EVENTS)]

    def store(connection: sqlite3.Connection) -> list[TurnEvent]:
        turns.get(connection, call.agent, turn)
        return turns.add_events(connection, turn, [json.dumps(event) for event in events])

    stored = await call.core.database.write(store)
    for row, event in zip(stored, events, strict=False):
        told = {"agent": call.agent, "turn": turn, "seq": row.seq, "at": row.at, "event": event}
        call.core.hub.publish("turn_event", told)
        call.core.activities.saw(call.agent, event)
    return {"stored": len(stored)}


def _event(line: bytes) -> Json:
    if len(line) > MAX_EVENT:
        return {"type": "oversized", "bytes": len(line)}
    try:
        return parse_json(line)
    except BadInput:
        return {"type": "malformed", "text": line.decode(errors="replace")[:1000]}


async def _show_text(call: _Call, turn: int) -> Json:
    """A piece of what is being written: told to who looks at this moment, and not kept."""
    written = text(call.json(), "text", longest=MAX_TEXT)
    await call.core.database.read(lambda c: turns.get(c, call.agent, turn))
    call.core.hub.pass_on("turn_text", {"agent": call.agent, "turn": turn, "text": written})
    return {}


async def _end_turn(call: _Call, turn: int) -> Json:
    body = call.json()
    outcome, detail = text(body, "outcome", longest=MAX_NAME), optional_text(body, "detail", longest=MAX_DETAIL)
    model, usage = optional_text(body, "model", longest=MAX_NAME), body.get("usage")
    if usage is not None and not isinstance(usage, dict):
        raise BadInput("usage must be an object")
    if (length := len(json.dumps(usage))) > MAX_DETAIL:
        raise TooLarge(f"usage has {length} characters; it may have {MAX_DETAIL}")
    cost = _optional_number(body, "cost_usd", 1e6)
    cpu, memory = _optional_number(body, "cpu_seconds", 1e9), optional_integer(body, "memory_peak", maximum=2**60)

    def store(connection: sqlite3.Connection) -> None:
        purpose = turns.get(connection, call.agent, turn).purpose
        turns.end(
            connection,
            turn,
            outcome=outcome,
            detail=detail,
            model=model,
            usage=usage,
            cost_usd=cost,
            cpu_seconds=cpu,
            memory_peak=memory,
        )
        if outcome == Outcome.OVER_BUDGET and purpose == "mail":  # a compaction's mail is handled next
            call.core.broker.give_back(connection, call.agent)

    await call.core.database.write(store)
    call.core.broker.wake(call.agent)
    call.core.activities.ended(call.agent)
    call.core.hub.publish("turn", {"agent": call.agent, "turn": turn, "outcome": outcome, "detail": detail})
    return {}


def _optional_number(body: Json, name: str, maximum: float) -> float | None:
    return None if body.get(name) is None else number(body, name, 0, minimum=0, maximum=maximum)


_PLAIN: dict[str, Handler] = {
    "/v1/send": _send,
    "/v1/recv": _recv,
    "/v1/ack": _ack,
    "/v1/put-back": _put_back,
    "/v1/give-up": _give_up,
    "/v1/heartbeat": _heartbeat,
    "/v1/turns": _begin_turn,
}
_OF_TURN: dict[str, Callable[[_Call, int], Awaitable[Json]]] = {
    "events": _add_events,
    "text": _show_text,
    "end": _end_turn,
}
