"""The operator's API, described as OpenAPI 3.1: made from the operations' own declarations."""

from __future__ import annotations

import re
from collections.abc import Sequence
from typing import Any

from hyperhive import __version__
from hyperhive.api.operation import Operation
from hyperhive.api.operator.events import MOST_TURNS
from hyperhive.api.operator.schemas import SCHEMAS

Json = dict[str, Any]

_ABOUT = """\
Everything that the operator's command line and dashboard show and do. On operator.sock the kernel names the caller; a
browser has a session: a cookie, and a key that it gets when it logs in and sends with each request, in a header, or as
the parameter `key` of the two addresses that it can send none to: the events and the terminal. A request with a body
is JSON, from the page's own origin. The terminal is a WebSocket at /v1/agents/{name}/terminal?cols=&rows=: bytes are
what is typed and printed, text is JSON about it.
"""
_PARAMETERS: dict[str, Json] = {
    "name": {"type": "string", "pattern": "^[a-z][a-z0-9-]{0,30}$"},
    "id": {"type": "integer", "minimum": 0, "maximum": 10**15 - 1},
}
_EVENTS: Json = {
    "summary": "What happens, as server-sent events.",
    "description": "hello, reset, agent, turn, turn_event, turn_text, proposal, proposal_log, message, read, hive",
    "operationId": "events",
    "parameters": [
        {
            "name": "turns",
            "in": "query",
            "schema": {"type": "array", "items": _PARAMETERS["name"], "maxItems": MOST_TURNS},
            "style": "form",
            "explode": False,
            "description": "Only these agents' turn_event and turn_text; of none if it is empty.",
        },
        {"name": "last_event_id", "in": "query", "schema": {"type": "string"}, "description": "As the header."},
        {"name": "key", "in": "query", "schema": {"type": "string"}, "description": "As X-Hyperhive-Key."},
        {"name": "last-event-id", "in": "header", "schema": {"type": "string"}, "description": "Where to go on."},
    ],
    "responses": {
        "200": {"description": "The stream.", "content": {"text/event-stream": {"schema": {"type": "string"}}}}
    },
}


def document(operations: Sequence[Operation[Any]]) -> Json:
    """The OpenAPI document of these operations, and of the session's and the events'."""
    paths: dict[str, Json] = {}
    for operation in operations:
        paths.setdefault(operation.path, {})[operation.method.lower()] = _described(operation)
    paths["/v1/session"] = _session()
    paths["/v1/events"] = {"get": {**_EVENTS, "responses": {**_EVENTS["responses"], **_errors()}}}
    return {
        "openapi": "3.1.0",
        "info": {"title": "hyperhive, the operator's API", "version": __version__, "description": _ABOUT},
        "paths": paths,
        "components": {
            "schemas": SCHEMAS,
            "securitySchemes": {
                "session": {"type": "apiKey", "in": "cookie", "name": "hyperhive-8420"},
                "key": {"type": "apiKey", "in": "header", "name": "X-Hyperhive-Key"},
            },
        },
        "security": [{"session": [], "key": []}],
    }


def _described(operation: Operation[Any]) -> Json:
    told: Json = {
        "summary": operation.summary,
        "operationId": f"{operation.handler.__module__.rpartition('.')[2]}.{operation.handler.__name__}",
        "parameters": [*_in_path(operation.path), *_in_query(operation)],
        "responses": {"200": _answer(operation.answers, "Done."), **_errors()},
    }
    if operation.body is not None:
        told["requestBody"] = _body(operation)
    return told


def _in_path(path: str) -> list[Json]:
    names = re.findall(r"{(\w+)}", path)
    return [{"name": name, "in": "path", "required": True, "schema": _PARAMETERS[name]} for name in names]


def _in_query(operation: Operation[Any]) -> list[Json]:
    return [{"name": name, "in": "query", "schema": dict(schema)} for name, schema in operation.query.items()]


def _body(operation: Operation[Any]) -> Json:
    schema = {
        "type": "object",
        "properties": {name: dict(value) for name, value in (operation.body or {}).items()},
        "required": list(operation.required),
        "additionalProperties": False,
    }
    return {"required": bool(operation.required), "content": {"application/json": {"schema": schema}}}


def _session() -> Json:
    link = {"type": "object", "properties": {"link": {"type": "string"}}, "required": ["link"]}
    body = {"required": True, "content": {"application/json": {"schema": link}}}
    who = {"200": _answer("Session", "Who is logged in."), **_errors()}
    return {
        "get": {"summary": "Who is logged in.", "operationId": "session", "responses": who},
        "post": {
            "summary": "Log in with a link of `hyperhive dashboard`, once.",
            "operationId": "log_in",
            "security": [],
            "requestBody": body,
            "responses": {"200": _answer("NewSession", "Who is logged in, and the session's key."), **_errors()},
        },
        "delete": {
            "summary": "Log out.",
            "operationId": "log_out",
            "responses": {"200": _answer("Nothing", "Done."), **_errors()},
        },
    }


def _answer(name: str, description: str) -> Json:
    schema = {"$ref": f"#/components/schemas/{name}"}
    return {"description": description, "content": {"application/json": {"schema": schema}}}


def _errors() -> Json:
    return {"4XX": _answer("Error", "What is wrong with the request."), "503": _answer("Error", "What the host lacks.")}
