"""The terminal's WebSocket: bytes are what is typed and printed, text is JSON about it.

From the page: {"resize": [columns, rows]}, {"ack": bytes that it has drawn}, {"end": true}. To the page:
{"replay": bytes that follow and were printed before}, {"end": why} before the close, {"error": …} if it cannot open.
"""

from __future__ import annotations

import asyncio
import contextlib
import json
from typing import Any

from starlette.routing import WebSocketRoute
from starlette.websockets import WebSocket, WebSocketDisconnect, WebSocketState

from hyperhive.api.operation import Who
from hyperhive.api.operator.core import OperatorCore
from hyperhive.errors import BadInput, HyperhiveError
from hyperhive.terminals import Page, Terminal

REFUSED = 4000
OVER = 4001
"""Codes that a WebSocket is closed with: it could not begin; the terminal, or this page's part in it, is over."""
CHECK_EVERY = 20.0
"""Seconds after which it is asked again whether the page's user is still logged in, as when somebody was logged out."""
END_TIME = 10.0
"""Seconds from the harness's end until the terminal's is known."""


def terminal_route(core: OperatorCore, who: Who) -> WebSocketRoute:
    """WS /v1/agents/{name}/terminal?cols=&rows=."""

    async def endpoint(socket: WebSocket) -> None:
        endings = core.logins.endings
        try:
            actor = await who(socket)
        except HyperhiveError as error:
            await socket.close(1008, str(error)[:120])
            return
        await socket.accept()
        page = Page(send=socket.send_bytes, tell=lambda what: _say(socket, what))
        with contextlib.suppress(WebSocketDisconnect, TimeoutError):  # the page went away, or takes nothing any more
            try:
                await _serve(core, socket, who, actor, page, endings=endings)
            except HyperhiveError as error:
                await _say(socket, {"error": str(error)})
                await _close(socket, REFUSED)

    return WebSocketRoute("/v1/agents/{name}/terminal", endpoint)


async def _serve(core: OperatorCore, socket: WebSocket, who: Who, actor: str, page: Page, *, endings: int) -> None:
    name = socket.path_params["name"]
    await core.hive.view(name)
    columns, rows = (_size(socket.query_params.get(each, "")) for each in ("cols", "rows"))
    terminal = await core.terminals.attach(
        name, actor, page, columns, rows, session=socket.scope["state"].get("session")
    )
    receiving = asyncio.create_task(_receive(core, socket, terminal, page, actor))
    ending = asyncio.create_task(page.wait())
    watching = asyncio.create_task(_end_with_session(core, socket, who, page, endings))
    try:
        await asyncio.wait({receiving, ending}, return_when=asyncio.FIRST_COMPLETED)
        if socket.client_state is WebSocketState.CONNECTED:
            async with asyncio.timeout(END_TIME):
                await _say(socket, {"end": await ending})
                await _close(socket, OVER)
    finally:
        core.terminals.detach(terminal, page)
        for task in (receiving, ending, watching):
            task.cancel()
        await asyncio.gather(receiving, ending, watching, return_exceptions=True)


async def _receive(core: OperatorCore, socket: WebSocket, terminal: Terminal, page: Page, actor: str) -> None:
    """Pass on what the page sends, until it goes away."""
    while True:
        message = await socket.receive()
        if message["type"] == "websocket.disconnect":
            return
        if (typed := message.get("bytes")) is not None:
            await terminal.type(typed)
            continue
        match _parsed(message.get("text") or ""):
            case {"resize": [int(columns), int(rows)]}:
                with contextlib.suppress(BadInput):
                    await terminal.resize(columns, rows)
            case {"ack": int(number)}:
                page.ack(number)
            case {"end": True}:
                await core.terminals.end(terminal.agent, actor)


async def _end_with_session(core: OperatorCore, socket: WebSocket, who: Who, page: Page, endings: int) -> None:
    """End the page once its user is not logged in any more; the shell goes on."""
    while True:
        endings = await core.logins.wait_for_end(endings, CHECK_EVERY)
        try:
            await who(socket)
        except HyperhiveError as error:
            page.end(str(error))
            return


def _parsed(text: str) -> Any:  # noqa: ANN401  (JSON)
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


def _size(text: str) -> int:
    if not (text.isascii() and text.isdigit() and len(text) < 5):
        raise BadInput("give the terminal's size: ?cols=80&rows=24")
    return int(text)


async def _say(socket: WebSocket, what: dict[str, Any]) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        await socket.send_text(json.dumps(what))


async def _close(socket: WebSocket, code: int) -> None:
    if socket.application_state is WebSocketState.CONNECTED:
        await socket.close(code)
