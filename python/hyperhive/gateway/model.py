"""The model endpoint of an agent: a streaming reverse proxy to the Messages API that adds the operator's key.

It lets through what Claude Code needs and nothing else: `POST /v1/messages` (also `?beta=true`),
`POST /v1/messages/count_tokens`, and `HEAD /`, answered here. Errors have the Messages API's shape, so that
Claude Code shows or retries them as its own. An agent is its socket: `scope["state"]["identity"]`.
"""

from __future__ import annotations

import asyncio
import logging
import time
from collections import Counter
from collections.abc import AsyncIterator, Awaitable, Callable

import httpx
from starlette.types import Receive, Scope, Send

from hyperhive.budgets import Over
from hyperhive.errors import Unavailable
from hyperhive.gateway.pause import CREDIT_TIME, Pause, out_of_credit, refusal, resets_at
from hyperhive.gateway.upstream import ModelApi, Refusal, credentials, open_client, unreachable
from hyperhive.gateway.usage import Meter
from hyperhive.store.usage import Use

MAX_BODY = 32 * 1024 * 1024
"""Bytes of a request, the Messages API's own bound, and of an answer that is not a stream."""
MAX_IN_FLIGHT = 16
"""Requests of one agent at a time; Claude Code has one, or a few with subagents."""
BODY_TIME = 60.0
"""Seconds a client may take to send its whole request."""

Record = Callable[[str, Use], Awaitable[None]]
Spent = Callable[[str], Awaitable[Over | None]]
"""Whether an agent is over its budget. Raises Unavailable when that cannot be known."""

_PATHS = ("/v1/messages", "/v1/messages/count_tokens")
_QUERIES = (b"", b"beta=true")
_REQUEST_HEADERS = frozenset(
    b"accept anthropic-beta anthropic-dangerous-direct-browser-access anthropic-version content-type"
    b" content-length user-agent x-app x-claude-code-session-id".split()
)
_ANSWER_HEADERS = frozenset(b"content-type request-id retry-after x-should-retry".split())

_log = logging.getLogger(__name__)


class _ClientGone(Exception):
    """The client hung up: nobody waits for the answer."""


class ModelGateway:
    """The ASGI app; one serves every agent's model.sock. `aclose` when the core stops."""

    def __init__(self, api: ModelApi, record: Record, pause: Pause, spent: Spent) -> None:
        self._api = api
        self._pause = pause
        self._record = record
        self._spent = spent
        self._client = open_client(api)
        self._in_flight: Counter[str] = Counter()

    async def aclose(self) -> None:
        """Close the connections to the API."""
        await self._client.aclose()

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request."""
        if scope["type"] != "http":
            return
        agent: str = scope["state"]["identity"]
        if scope["method"] == "HEAD" and scope["path"] == "/":
            await _answer(send, 200, [], b"")
            return
        if self._in_flight[agent] >= MAX_IN_FLIGHT:
            await _refuse(send, Refusal(429, "rate_limit_error", "too many requests at a time", {"retry-after": "1"}))
            return
        self._in_flight[agent] += 1
        try:
            await self._serve(agent, scope, receive, send)
        finally:
            self._in_flight[agent] -= 1

    async def _serve(self, agent: str, scope: Scope, receive: Receive, send: Send) -> None:
        meter = Meter()
        body = _Body(receive)
        try:
            async with asyncio.TaskGroup() as group:
                watch = group.create_task(body.hung_up())
                await self._exchange(agent, scope, body, send, meter)
                watch.cancel()
        except* _ClientGone:  # the group has cancelled the exchange, and that has closed the connection to the API
            if body.whole and scope["path"] == _PATHS[0]:
                meter.abandoned(body.size)
        finally:
            await self._count(agent, meter)

    async def _exchange(self, agent: str, scope: Scope, body: _Body, send: Send, meter: Meter) -> None:
        try:
            path = _path(scope)
            self._pause.check()
            if (over := await self._spent(agent)) is not None:
                raise _over_budget(agent, over)
            headers = _request_headers(scope) + credentials(self._api)
            request = self._client.build_request("POST", path, headers=headers, content=body.chunks())
            answer = await self._client.send(request, stream=True)
            try:
                await self._pass_on(answer, send, meter)
            finally:
                await answer.aclose()
        except Refusal as refusal:
            await _refuse(send, refusal)
        except httpx.HTTPError as error:
            await _refuse(send, unreachable(self._api, error))
        except Unavailable as error:  # of the budget
            await _refuse(send, Refusal(503, "api_error", str(error)))

    async def _pass_on(self, answer: httpx.Response, send: Send, meter: Meter) -> None:
        if answer.headers.get("content-encoding", "identity") not in ("identity", "gzip", "deflate"):
            raise Refusal(502, "api_error", "the model API answered in an encoding that was not asked for")
        if (reset := resets_at(answer.status_code, answer.headers)) is not None:
            await self._pause.begin(reset, "the model API's")
            raise refusal(reset, "the model API's")
        headers = _answer_headers(answer)
        if not answer.headers.get("content-type", "").startswith("text/event-stream"):
            content = await _whole(answer)
            meter.whole(content)
            if out_of_credit(answer.status_code, content):
                await self._pause.begin(time.time() + CREDIT_TIME, "the key's credit balance is too low")
            await _answer(send, answer.status_code, headers, content)
            return
        await send({"type": "http.response.start", "status": answer.status_code, "headers": headers})
        try:
            async for chunk in answer.aiter_bytes():
                meter.feed(chunk)
                await send({"type": "http.response.body", "body": chunk, "more_body": True})
        except httpx.HTTPError as error:  # too late for a status: the stream's own way to say so
            event = b"\n\nevent: error\ndata: " + unreachable(self._api, error).body + b"\n\n"
            await send({"type": "http.response.body", "body": event, "more_body": True})
        await send({"type": "http.response.body", "body": b"", "more_body": False})

    async def _count(self, agent: str, meter: Meter) -> None:
        if not meter.seen:
            return
        for use in (meter.use, *meter.advice):
            try:
                await self._record(agent, use)
            except Exception:
                _log.exception("%s: the use of %s could not be recorded", agent, use.model)


async def _unbounded(agent: str) -> Over | None:
    return None


def create_model_app(api: ModelApi, record: Record, pause: Pause, spent: Spent = _unbounded) -> ModelGateway:
    """The model endpoint for `api`; its `record` is told once of each request that used tokens, for each model that
    it used; nothing is let through that `spent` is against.

    An aborted request counts as far as it came; a usage limit begins a pause. Raises BadInput when the URL cannot be
    one.
    """
    return ModelGateway(api, record, pause, spent)


class _Body:
    """The client's request body, read as the API takes it; afterwards it tells when the client hangs up."""

    def __init__(self, receive: Receive) -> None:
        self._receive = receive
        self._read = asyncio.Event()
        self.size = 0

    @property
    def whole(self) -> bool:
        """Whether the API has all of it."""
        return self._read.is_set()

    async def chunks(self) -> AsyncIterator[bytes]:
        """The body. Raises Refusal (too large, too slow) and _ClientGone."""
        deadline = asyncio.get_running_loop().time() + BODY_TIME
        more = True
        while more:
            try:
                async with asyncio.timeout_at(deadline):
                    message = await self._receive()
            except TimeoutError:
                raise Refusal(408, "timeout_error", f"the request was not complete within {BODY_TIME:g} s") from None
            if message["type"] == "http.disconnect":
                raise _ClientGone
            self.size += len(message.get("body", b""))
            if self.size > MAX_BODY:
                raise _too_large()
            yield message.get("body", b"")
            more = message.get("more_body", False)
        self._read.set()

    async def hung_up(self) -> None:
        """Wait until the client has gone. Raises _ClientGone then, and nothing else ends it."""
        await self._read.wait()
        while (await self._receive())["type"] != "http.disconnect":
            pass
        raise _ClientGone


def _path(scope: Scope) -> str:
    path: str = scope["path"]
    if path not in _PATHS or scope["query_string"] not in _QUERIES:
        raise Refusal(404, "not_found_error", "this hive's model endpoint serves /v1/messages only")
    if scope["method"] != "POST":
        raise Refusal(405, "invalid_request_error", "only POST is served here", {"allow": "POST"})
    return path + ("?beta=true" if scope["query_string"] else "")


def _request_headers(scope: Scope) -> list[tuple[bytes, bytes]]:
    """What of the client's headers goes on; whatever it sent to authenticate itself does not."""
    kept = [(name, value) for name, value in scope["headers"] if _goes_on(name)]
    length = dict(kept).get(b"content-length", b"0")
    if not length.isdigit() or int(length) > MAX_BODY:
        raise _too_large()
    return [*kept, (b"accept-encoding", b"identity")]


def _goes_on(name: bytes) -> bool:
    return name in _REQUEST_HEADERS or name.startswith(b"x-stainless-")


def _answer_headers(answer: httpx.Response) -> list[tuple[bytes, bytes]]:
    lowered = [(name.lower(), value) for name, value in answer.headers.raw]
    return [
        (name, value) for name, value in lowered if name in _ANSWER_HEADERS or name.startswith(b"anthropic-ratelimit-")
    ]


async def _whole(answer: httpx.Response) -> bytes:
    content = bytearray()
    async for chunk in answer.aiter_bytes():
        content += chunk
        if len(content) > MAX_BODY:
            raise Refusal(502, "api_error", f"the model API's answer is over {MAX_BODY} bytes")
    return bytes(content)


def _over_budget(agent: str, over: Over) -> Refusal:
    """Claude Code gives the turn up at once, and the text is in its result; the header is for other clients."""
    told = f"{agent} is over budget until {over.ends}: {over.reason}; the operator can raise it"
    return Refusal(429, "rate_limit_error", told, {"x-hyperhive-budget": over.ends, "x-should-retry": "false"})


def _too_large() -> Refusal:
    return Refusal(413, "request_too_large", f"the request is over {MAX_BODY} bytes")


async def _refuse(send: Send, refusal: Refusal) -> None:
    headers = [(name.encode(), value.encode()) for name, value in refusal.headers.items()]
    await _answer(send, refusal.status, [(b"content-type", b"application/json"), *headers], refusal.body)


async def _answer(send: Send, status: int, headers: list[tuple[bytes, bytes]], body: bytes) -> None:
    length = (b"content-length", str(len(body)).encode())
    await send({"type": "http.response.start", "status": status, "headers": [*headers, length]})
    await send({"type": "http.response.body", "body": body, "more_body": False})
