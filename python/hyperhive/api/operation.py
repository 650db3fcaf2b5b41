"""One operation of an HTTP API: declared once, with the JSON schemas of what it takes and gives, checked and described.

A request that does not fit its declaration never reaches its handler. `openapi.py` makes the API's description of them.
"""

from __future__ import annotations

import inspect
import re
from collections.abc import Awaitable, Callable, Mapping
from dataclasses import dataclass, field
from typing import Any, Generic, TypeVar, cast

from jsonschema import Draft202012Validator, ValidationError
from jsonschema.exceptions import best_match
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import Route

from hyperhive.api.requests import JsonAnswer, read_json
from hyperhive.errors import BadInput, NotFound

Json = dict[str, Any]
Schema = Mapping[str, Any]
CoreT = TypeVar("CoreT")
Who = Callable[[HTTPConnection], Awaitable[str]]
"""Names the caller (`operator:<user>`) or raises Forbidden or NotLoggedIn."""

_SURROGATE = re.compile("[\ud800-\udfff]")
_TYPES = {
    "string": "a string",
    "integer": "a whole number",
    "number": "a number",
    "boolean": "true or false",
    "array": "a list",
}


@dataclass(frozen=True)
class Call(Generic[CoreT]):
    """A request that fits its declaration. `query` and `body` have the defaults filled in; `session` is the number of
    the browser's session, None if the caller has none.
    """

    core: CoreT
    actor: str
    path: Json
    query: Json
    body: Json
    session: int | None = None

    @property
    def name(self) -> str:
        """The agent in the path."""
        return str(self.path["name"])

    @property
    def id(self) -> int:
        """The number in the path."""
        return int(self.path["id"])


@dataclass(frozen=True)
class Operation(Generic[CoreT]):
    """`answers` names the schema of the answer in schemas.py; `body` None: there is none. The handler's docstring is
    the operation's description.
    """

    method: str
    path: str
    handler: Callable[[Call[CoreT]], Awaitable[Json]]
    answers: str
    query: Mapping[str, Schema] = field(default_factory=dict)
    body: Mapping[str, Schema] | None = None
    required: tuple[str, ...] = ()

    @property
    def summary(self) -> str:
        """What it does, in a sentence."""
        return (inspect.getdoc(self.handler) or "").partition("\n")[0]

    def route(self, core: CoreT, who: Who) -> Route:
        """Serve it."""

        async def endpoint(request: Request) -> Response:
            actor = await who(request)
            path = {name: _path_value(name, value) for name, value in request.path_params.items()}
            body = {} if self.body is None else _checked(await read_json(request), self.body, self.required)
            session = request.scope["state"].get("session")
            call = Call(core, actor, path, _query(request, self.query), body, session)
            return JsonAnswer(await self.handler(call))

        return Route(self.path, endpoint, methods=[self.method])


def text(*, longest: int | None = None, **more: object) -> Json:
    """The schema of a string."""
    return {"type": "string", **({} if longest is None else {"maxLength": longest}), **more}


def optional(schema: Schema) -> Json:
    """The same, or null."""
    return {**schema, "type": [schema["type"], "null"]}


def number(least: int = 0, most: int = 2**53, **more: object) -> Json:
    """The schema of a whole number."""
    return {"type": "integer", "minimum": least, "maximum": most, **more}


def flag() -> Json:
    """The schema of a switch in a query: 0 or 1."""
    return {"type": "integer", "enum": [0, 1], "default": 0}


def _path_value(name: str, value: str) -> object:
    if name == "name":
        return value
    if not (value.isascii() and value.isdigit() and len(value) < 16):
        raise NotFound(f"there is no {value[:40]!r}: {name} is a number")
    return int(value)


def _query(request: Request, declared: Mapping[str, Schema]) -> Json:
    given: Json = {}
    for name, value in request.query_params.multi_items():
        if name not in declared:
            raise BadInput(f"there is no parameter {name[:40]!r} here; use {', '.join(declared) or 'none'}")
        if name in given:
            raise BadInput(f"{name} is given twice")
        given[name] = _converted(name, value, declared[name])
    return _checked(given, declared, ())


def _converted(name: str, value: str, schema: Schema) -> object:
    if schema["type"] != "integer":
        return value
    if not (value.isascii() and value.isdigit() and len(value) < 18):
        raise BadInput(f"{name} is {value[:40]!r}; it must be a number")
    return int(value)


def _checked(value: Json, properties: Mapping[str, Schema], required: tuple[str, ...]) -> Json:
    """The value with its defaults. Raises BadInput with one line that names the field."""
    missing = next((name for name in required if value.get(name) is None), None)
    if missing is not None:
        raise BadInput(f"{missing} is missing")
    unknown = next((name for name in value if name not in properties), None)
    if unknown is not None:
        raise BadInput(f"there is no field {unknown[:40]!r} here; use {', '.join(properties) or 'none'}")
    for name, given in value.items():
        error = best_match(Draft202012Validator(properties[name]).iter_errors(given))
        if error is not None:
            raise BadInput(_words(name, error))
        if isinstance(given, str) and (_SURROGATE.search(given) or "\0" in given):
            raise BadInput(f"{name} is not text (it holds a lone surrogate or NUL); send UTF-8")
    defaults = {name: schema.get("default") for name, schema in properties.items()}
    return {**defaults, **value}


def _words(name: str, error: ValidationError) -> str:
    shown, rule = (
        repr(error.instance)[:60],
        cast(Any, error.validator_value),
    )  # a number, a list or a word, by validator
    match error.validator:
        case "type":
            kinds = rule if isinstance(rule, list) else [rule]
            return f"{name} must be {' or '.join(_TYPES.get(kind, str(kind)) for kind in kinds)}"
        case "enum":
            return f"{name} is {shown}; it must be one of {', '.join(map(str, rule))}"
        case "minimum" | "maximum":
            return f"{name} is {shown}; it must be {'at least' if error.validator == 'minimum' else 'at most'} {rule}"
        case "maxLength":
            return f"{name} is longer than {rule} characters"
        case _:
            return f"{name} is {shown}, which does not fit {error.validator} {rule}"
