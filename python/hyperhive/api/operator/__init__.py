"""The operator's HTTP API: everything that the CLI and the dashboard show and do. No agent can reach it."""

from __future__ import annotations

import pwd
from collections.abc import Awaitable, Callable

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import Response
from starlette.routing import BaseRoute, Route

from hyperhive.api.openapi import document
from hyperhive.api.operation import Operation, Who
from hyperhive.api.operator import agents, hive, mail, proposals, sessions, turns
from hyperhive.api.operator.core import OperatorCore
from hyperhive.api.operator.events import events_endpoint
from hyperhive.api.requests import JsonAnswer, error_handlers
from hyperhive.errors import Forbidden

__all__ = ["OPERATIONS", "OperatorCore", "create_operator_app", "operator_routes"]

OPERATIONS: tuple[Operation[OperatorCore], ...] = (
    *hive.OPERATIONS,
    *agents.OPERATIONS,
    *turns.OPERATIONS,
    *proposals.OPERATIONS,
    *mail.OPERATIONS,
    *sessions.OPERATIONS,
)


def operator_routes(core: OperatorCore, who: Who) -> list[BaseRoute]:
    """The API for callers that `who` names."""
    return [
        *(operation.route(core, who) for operation in OPERATIONS),
        Route("/v1/events", events_endpoint(core, who), methods=["GET"]),
        Route("/v1/openapi.json", _description(who), methods=["GET"]),
    ]


def _description(who: Who) -> Callable[[Request], Awaitable[Response]]:
    async def description(request: Request) -> Response:
        """GET /v1/openapi.json: this API, described."""
        await who(request)
        return JsonAnswer(document(OPERATIONS))

    return description


def create_operator_app(core: OperatorCore) -> Starlette:
    """The ASGI app of operator.sock. `scope["state"]["peer_uid"]` says who calls."""

    async def who(connection: HTTPConnection) -> str:
        return _peer(connection.scope["state"]["peer_uid"], core.operators.uids)

    app = Starlette(
        routes=[*operator_routes(core, who), hive.LINK.route(core, who)], exception_handlers=error_handlers()
    )
    app.state.core = core
    return app


def _peer(uid: int, allowed: frozenset[int]) -> str:
    """`operator:<user>` of the peer. Raises Forbidden for anybody who is not an operator."""
    if uid not in allowed:
        raise Forbidden(f"uid {uid} is not an operator; add the user to services.hyperhive.operators")
    try:
        return f"operator:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"operator:{uid}"
