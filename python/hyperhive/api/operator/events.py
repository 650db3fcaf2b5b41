"""GET /v1/events: what happens, as server-sent events; a listener that was away goes on where it left off."""

from __future__ import annotations

import asyncio
import time
from collections.abc import AsyncGenerator, AsyncIterator, Awaitable, Callable
from contextlib import aclosing

from starlette.requests import Request
from starlette.responses import Response, StreamingResponse

from hyperhive.api.operation import Who
from hyperhive.api.operator.core import OperatorCore
from hyperhive.errors import BadInput, HyperhiveError
from hyperhive.hub import Event, Hub
from hyperhive.logins import Logins
from hyperhive.settings import NAME

QUIET = 20.0
"""Seconds without news after which something is sent: the connection is still good. And those after which it is asked
again whether the listener's user is still logged in, as it is when somebody was logged out.
"""
MOST_TURNS = 50
"""Agents whose turns' events one stream may ask for by name."""


def events_endpoint(core: OperatorCore, who: Who) -> Callable[[Request], Awaitable[Response]]:
    """The endpoint. `?turns=A,B` leaves out the turns' events of all others; `?last_event_id=` is as the header."""

    async def events(request: Request) -> Response:
        endings = core.logins.endings
        await who(request)
        after = request.headers.get("last-event-id") or request.query_params.get("last_event_id")
        turns = _names(request.query_params.get("turns"))
        stream = _while_logged_in(core.logins, endings, request, who, _stream(core.hub, after, turns))
        headers = {"cache-control": "no-store", "x-accel-buffering": "no"}
        return StreamingResponse(stream, media_type="text/event-stream", headers=headers)

    return events


def _names(turns: str | None) -> frozenset[str] | None:
    """The agents of `a,b`, none of an empty text; None is all. Raises BadInput."""
    if turns is None:
        return None
    names = turns.split(",", MOST_TURNS) if turns else []
    if len(names) > MOST_TURNS:
        raise BadInput(f"turns may name {MOST_TURNS} agents; leave it out to get all of them")
    for name in names:
        if not NAME.match(name):
            raise BadInput(f"turns must be names of agents with commas between them, and {name[:40]!r} is none")
    return frozenset(names)


async def _while_logged_in(
    logins: Logins, endings: int, request: Request, who: Who, stream: AsyncGenerator[str, None]
) -> AsyncIterator[str]:
    checked = time.monotonic()
    async with aclosing(stream):
        async for text in stream:
            if time.monotonic() - checked >= QUIET or logins.endings != endings:
                checked, endings = time.monotonic(), logins.endings
                try:
                    await who(request)
                except HyperhiveError:
                    return
            yield text


async def _stream(hub: Hub, after: str | None, turns: frozenset[str] | None) -> AsyncGenerator[str, None]:
    def wanted(event: Event) -> bool:
        return turns is None or event.kind not in ("turn_event", "turn_text") or event.data["agent"] in turns

    async with hub.subscribe(after=after, wanted=wanted) as subscription:
        whole = subscription.whole
        # A resumed stream has no id of its own before its first event: the ones it still gets are older than now.
        yield "event: hello\ndata: {}\n\n" if after and whole else _event(hub, "hello" if after is None else "reset")
        while True:
            try:
                async with asyncio.timeout(QUIET):
                    event = await anext(subscription)
            except TimeoutError:
                yield f"id: {hub.position()}\n\n"  # no event, but where to go on; and a sign of life
                continue
            except StopAsyncIteration:  # too slow: it comes back, and is told to load everything
                return
            place = f"id: {hub.position(event.number)}\n" if event.number else ""
            yield f"{place}event: {event.kind}\ndata: {event.text}\n\n"


def _event(hub: Hub, kind: str) -> str:
    return f"id: {hub.position()}\nevent: {kind}\ndata: {{}}\n\n"
