"""Reading requests and answering errors: every error is one JSON object with one line for a person and a code."""

from __future__ import annotations

import asyncio
import json
import logging
import math
import re
from collections.abc import Collection, Mapping
from typing import Any

from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect, Request
from starlette.responses import JSONResponse, Response
from starlette.types import Receive, Scope

from hyperhive.errors import BadInput, HyperhiveError, TooLarge

log = logging.getLogger(__name__)

MAX_BODY = 1024 * 1024
BODY_TIME = 10.0
MAX_DEPTH = 100
"""Lists and objects in one another; what Python can read at the edge of its recursion limit it may fail to write."""
_SURROGATE = re.compile("[\ud800-\udfff]")


class JsonAnswer(JSONResponse):
    """JSON that is UTF-8 whatever it tells of: an agent's text may hold half of a surrogate pair, which becomes `?`."""

    def render(self, content: object) -> bytes:
        """The body."""
        return json.dumps(content, ensure_ascii=False, allow_nan=False, separators=(",", ":")).encode(errors="replace")


async def read_body(request: Request, limit: int = MAX_BODY) -> bytes:
    """The request's body. Raises TooLarge over `limit` bytes, BadInput if it does not come within BODY_TIME seconds."""
    return await receive_body(request.scope, request.receive, limit)


async def receive_body(scope: Scope, receive: Receive, limit: int = MAX_BODY) -> bytes:
    """The same for a plain ASGI application. Raises ClientDisconnect too."""
    for name, value in scope["headers"]:
        if name == b"content-length" and (not value.isdigit() or int(value) > limit):
            raise _too_large(limit)  # before the client has sent it all
    if scope.get("state", {}).get("complete"):  # api.server has it all already: the usual case
        return await _collect(receive, limit)
    try:
        async with asyncio.timeout(BODY_TIME):
            return await _collect(receive, limit)
    except TimeoutError as error:
        raise BadInput(f"the request was not complete within {BODY_TIME:g} s") from error


async def _collect(receive: Receive, limit: int) -> bytes:
    chunks: list[bytes] = []
    size, more = 0, True
    while more:
        message = await receive()
        if message["type"] == "http.disconnect":
            raise ClientDisconnect
        chunk = message.get("body", b"")
        size += len(chunk)
        if size > limit:
            raise _too_large(limit)
        chunks.append(chunk)
        more = message.get("more_body", False)
    return b"".join(chunks)


def _too_large(limit: int) -> TooLarge:
    return TooLarge(f"the request is larger than {limit} bytes")


async def read_json(request: Request, limit: int = MAX_BODY) -> dict[str, Any]:
    """The request's JSON object; an empty body is an empty object. Raises BadInput, TooLarge."""
    return parse_json(await read_body(request, limit))


def parse_json(body: bytes) -> dict[str, Any]:
    """A JSON object from bytes. Raises BadInput."""
    if not body.strip():
        return {}
    try:
        value = json.loads(body.decode(), parse_constant=_finite, parse_float=_finite)
    except UnicodeDecodeError as error:
        raise BadInput("the request is not valid UTF-8") from error
    except (ValueError, RecursionError) as error:
        raise BadInput(f"the request is not JSON: {str(error)[:100]}") from error
    if not isinstance(value, dict):
        raise BadInput("the request must be a JSON object")
    if body.count(b"[") + body.count(b"{") > MAX_DEPTH and _is_deep(value):
        raise BadInput(f"the request is nested deeper than {MAX_DEPTH} levels")
    return value


def _is_deep(value: object) -> bool:
    level = [value]
    for _ in range(MAX_DEPTH):
        level = [inner for each in level for inner in inside(each)]
    return bool(level)


def inside(value: object) -> Collection[object]:
    """What a JSON value holds."""
    return value.values() if isinstance(value, dict) else value if isinstance(value, list) else ()


def _finite(literal: str) -> float:
    """Python's JSON knows NaN and Infinity, and reads 1e999 as that; nobody else's does."""
    value = float(literal)
    if not math.isfinite(value):
        raise ValueError(f"{literal[:20]} is not a number")
    return value


def text(body: Mapping[str, Any], name: str, *, longest: int = MAX_BODY) -> str:
    """The field `name`, a string that can be stored as UTF-8. Raises BadInput naming it, TooLarge over `longest`."""
    value = body.get(name)
    if not isinstance(value, str):
        raise BadInput(f"{name} is missing" if value is None else f"{name} must be a string")
    if not value.isascii() and _SURROGATE.search(value):
        raise BadInput(f"{name} is not valid Unicode text (a lone surrogate); send UTF-8")
    if len(value) > longest:
        raise TooLarge(f"{name} has {len(value)} characters; it may have {longest}")
    return value


def optional_text(body: Mapping[str, Any], name: str, *, longest: int = MAX_BODY) -> str | None:
    """The same, None if it is not there."""
    return None if body.get(name) is None else text(body, name, longest=longest)


def integer(body: Mapping[str, Any], name: str, *, minimum: int = 0, maximum: int = 2**53) -> int:
    """The field `name`, a whole number in bounds. Raises BadInput naming it."""
    value = body.get(name)
    if not isinstance(value, int) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise BadInput(f"{name} must be a whole number from {minimum} to {maximum}")
    return value


def optional_integer(body: Mapping[str, Any], name: str, *, minimum: int = 0, maximum: int = 2**53) -> int | None:
    """The same, None if it is not there."""
    return None if body.get(name) is None else integer(body, name, minimum=minimum, maximum=maximum)


def number(body: Mapping[str, Any], name: str, default: float, *, minimum: float, maximum: float) -> float:
    """The field `name`, a number in bounds. Raises BadInput naming it."""
    value = body.get(name, default)
    if not isinstance(value, int | float) or isinstance(value, bool) or not minimum <= value <= maximum:
        raise BadInput(f"{name} must be a number from {minimum:g} to {maximum:g}")
    return float(value)


def integers(body: Mapping[str, Any], name: str, *, most: int = 1000) -> list[int]:
    """The field `name`, a list of whole numbers. Raises BadInput naming it."""
    value = body.get(name)
    if not isinstance(value, list) or len(value) > most:
        raise BadInput(f"{name} must be a list of at most {most} whole numbers")
    return [integer({name: each}, name) for each in value]


def explain(error: Exception) -> tuple[int, dict[str, str]]:
    """Status and body of an exception's answer: its own, or an internal error that the log explains."""
    if isinstance(error, HyperhiveError):
        return error.status, {"error": str(error), "code": error.code}
    if isinstance(error, HTTPException):
        return error.status_code, {"error": error.detail, "code": "http"}
    if isinstance(error, ClientDisconnect):
        return 400, {"error": "the client went away", "code": "bad_input"}  # which nobody reads
    log.error("internal error", exc_info=error)
    return 500, {"error": "internal error; the core's log has it", "code": "internal"}


def error_response(error: Exception) -> Response:
    """The answer for an exception, as `explain` words it."""
    status, body = explain(error)
    return JsonAnswer(body, status)


def error_handlers() -> dict[Any, Any]:
    """Starlette's `exception_handlers` that answer every exception with `error_response`."""

    async def answer(request: Request, error: Exception) -> Response:
        return error_response(error)

    return dict.fromkeys((HyperhiveError, HTTPException, ClientDisconnect, Exception), answer)
