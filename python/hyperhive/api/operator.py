"""The operator's HTTP API on operator.sock: everything the CLI shows and does. No agent can reach this socket."""

from __future__ import annotations

import json
import pwd
from collections.abc import AsyncIterator, Awaitable, Callable
from pathlib import Path
from typing import Any, Protocol

from starlette.applications import Starlette
from starlette.requests import Request
from starlette.responses import JSONResponse, Response, StreamingResponse
from starlette.routing import Route

from hyperhive.api.requests import error_handlers, optional_integer, optional_text, read_json, text
from hyperhive.broker import Broker
from hyperhive.errors import BadInput, Forbidden
from hyperhive.hub import Hub
from hyperhive.lifecycle import Hive
from hyperhive.permissions import Permissions
from hyperhive.policy.places import WORK
from hyperhive.proposals import Proposals
from hyperhive.settings import Role
from hyperhive.store import audit
from hyperhive.store.database import Database
from hyperhive.store.proposals import State

Handler = Callable[[Request, str], Awaitable[dict[str, Any]]]


class OperatorCore(Protocol):
    """The parts of the core that this API shows."""

    database: Database
    broker: Broker
    hub: Hub
    hive: Hive
    proposals: Proposals
    permissions: Permissions
    operator_uids: frozenset[int]

    async def status(self) -> dict[str, Any]:
        """The hive at a glance."""


class OperatorApi:
    """The handlers: each takes a request and the actor's name (`operator:<user>`) and returns a JSON object."""

    def __init__(self, core: OperatorCore) -> None:
        self._core = core

    async def status(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/status."""
        return await self._core.status()

    async def agents(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/agents."""
        return {"agents": await self._core.hive.views()}

    async def agent(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/agents/{name}."""
        return await self._core.hive.details(_name(request))

    async def create(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/agents {name, role?, source?}."""
        body = await read_json(request)
        name = text(body, "name")
        role = optional_text(body, "role") or Role.AGENT
        if role not in list(Role):
            raise BadInput(f"role is {role!r}; it must be agent or manager")
        source = optional_text(body, "source")
        await self._core.hive.create(name, Role(role), Path(source) if source else None, actor)
        return await self._core.hive.view(name)

    async def act(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/agents/{name}/start|stop|restart."""
        hive = self._core.hive
        actions = {"start": hive.start, "stop": hive.stop, "restart": hive.restart}
        await actions[request.url.path.rsplit("/", 1)[1]](_name(request), actor)
        return await hive.view(_name(request))

    async def destroy(self, request: Request, actor: str) -> dict[str, Any]:
        """DELETE /v1/agents/{name}?purge=0|1."""
        await self._core.hive.destroy(_name(request), actor, purge=request.query_params.get("purge") == "1")
        return {}

    async def logs(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/agents/{name}/logs?lines=."""
        return {"log": await self._core.hive.log(_name(request), _number(request, "lines", 100))}

    async def shell(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/agents/{name}/shell."""
        return {"argv": await self._core.hive.shell(_name(request))}

    async def set_model(self, request: Request, actor: str) -> dict[str, Any]:
        """PUT /v1/agents/{name}/model {model}."""
        model = optional_text(await read_json(request), "model")
        await self._core.hive.set_model(_name(request), model, actor)
        return await self._core.hive.view(_name(request))

    async def roll_back(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/agents/{name}/rollback {generation?}."""
        number = optional_integer(await read_json(request), "generation")
        await self._core.hive.roll_back(_name(request), number, actor)
        return await self._core.hive.view(_name(request))

    async def list_proposals(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/proposals?agent=&state=&limit=."""
        state = request.query_params.get("state")
        if state and state not in list(State):
            raise BadInput(f"{state!r} is not a proposal's state; use one of {', '.join(State)}")
        found = await self._core.proposals.find(
            request.query_params.get("agent"), (State(state),) if state else (), _number(request, "limit", 100)
        )
        return {"proposals": [proposal.view(whole=False) for proposal in found]}

    async def proposal(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/proposals/{id}."""
        return (await self._core.proposals.get(_id(request))).view()

    async def request_apply(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/proposals {agent, commit, reason}."""
        body = await read_json(request)
        agent, commit, reason = (text(body, name) for name in ("agent", "commit", "reason"))
        return (await self._core.proposals.request(agent, commit, reason, actor)).view()

    async def approve(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/proposals/{id}/approve {fingerprint}."""
        fingerprint = text(await read_json(request), "fingerprint")
        return (await self._core.proposals.approve(_id(request), fingerprint, actor)).view()

    async def deny(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/proposals/{id}/deny {reason}."""
        reason = text(await read_json(request), "reason")
        return (await self._core.proposals.deny(_id(request), reason, actor)).view()

    async def withdraw(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/proposals/{id}/withdraw."""
        return (await self._core.proposals.withdraw(_id(request), actor)).view()

    async def inbox(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/inbox?all=0|1&limit=."""
        everything = request.query_params.get("all") == "1"
        found = await self._core.broker.inbox(all_=everything, limit=_number(request, "limit", 100))
        return {"messages": [message.view() for message in found]}

    async def mark_read(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/inbox/{id}/read."""
        await self._core.broker.mark_read(_id(request))
        return {}

    async def reply(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/inbox/{id}/reply {body}."""
        body = text(await read_json(request), "body")
        return {"id": await self._core.broker.reply(_id(request), body)}

    async def send(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/messages {to, body}."""
        body = await read_json(request)
        return {"id": await self._core.broker.send("operator", text(body, "to"), text(body, "body"))}

    async def dead_letters(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/dead-letters."""
        return {"messages": [message.view() for message in await self._core.broker.dead_letters()]}

    async def explain(self, request: Request, actor: str) -> dict[str, Any]:
        """POST /v1/agents/{name}/explain {command, cwd?}: the verdict on a command; nothing is recorded."""
        body = await read_json(request)
        command, cwd = text(body, "command"), optional_text(body, "cwd") or WORK
        return (await self._core.permissions.explain(_name(request), command, cwd)).view()

    async def audit(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/audit?agent=&since=&limit=."""
        query = request.query_params
        since = float(_number(request, "since", 0)) if "since" in query else None
        limit = _number(request, "limit", 200)
        entries = await self._core.database.read(
            lambda c: audit.entries(c, agent=query.get("agent"), since=since, limit=limit)
        )
        return {"entries": [entry.view() for entry in entries]}

    async def verify_audit(self, request: Request, actor: str) -> dict[str, Any]:
        """GET /v1/audit/verify: whether the log's chain of hashes is whole."""
        return (await self._core.database.read_apart(audit.verify)).view()


async def events(request: Request) -> Response:
    """GET /v1/events: everything that happens from now on, as server-sent events."""
    core: OperatorCore = request.app.state.core
    _actor(request, core.operator_uids)

    async def stream() -> AsyncIterator[str]:
        async with core.hub.subscribe() as subscription:
            yield ": the hive's events from now on\n\n"
            async for event in subscription:
                yield f"event: {event.kind}\ndata: {json.dumps(event.data)}\n\n"

    return StreamingResponse(stream(), media_type="text/event-stream")


def create_operator_app(core: OperatorCore) -> Starlette:
    """The ASGI app of operator.sock. `scope["state"]["peer_uid"]` says who calls."""
    api = OperatorApi(core)
    table: list[tuple[str, str, Handler]] = [
        ("GET", "/v1/status", api.status),
        ("GET", "/v1/agents", api.agents),
        ("POST", "/v1/agents", api.create),
        ("GET", "/v1/agents/{name}", api.agent),
        ("DELETE", "/v1/agents/{name}", api.destroy),
        ("POST", "/v1/agents/{name}/start", api.act),
        ("POST", "/v1/agents/{name}/stop", api.act),
        ("POST", "/v1/agents/{name}/restart", api.act),
        ("GET", "/v1/agents/{name}/logs", api.logs),
        ("GET", "/v1/agents/{name}/shell", api.shell),
        ("PUT", "/v1/agents/{name}/model", api.set_model),
        ("POST", "/v1/agents/{name}/rollback", api.roll_back),
        ("GET", "/v1/proposals", api.list_proposals),
        ("POST", "/v1/proposals", api.request_apply),
        ("GET", "/v1/proposals/{id}", api.proposal),
        ("POST", "/v1/proposals/{id}/approve", api.approve),
        ("POST", "/v1/proposals/{id}/deny", api.deny),
        ("POST", "/v1/proposals/{id}/withdraw", api.withdraw),
        ("GET", "/v1/inbox", api.inbox),
        ("POST", "/v1/inbox/{id}/read", api.mark_read),
        ("POST", "/v1/inbox/{id}/reply", api.reply),
        ("POST", "/v1/messages", api.send),
        ("GET", "/v1/dead-letters", api.dead_letters),
        ("POST", "/v1/agents/{name}/explain", api.explain),
        ("GET", "/v1/audit", api.audit),
        ("GET", "/v1/audit/verify", api.verify_audit),
    ]
    routes = [Route(path, _endpoint(handler, core), methods=[method]) for method, path, handler in table]
    app = Starlette(routes=[*routes, Route("/v1/events", events)], exception_handlers=error_handlers())
    app.state.core = core
    return app


def _endpoint(handler: Handler, core: OperatorCore) -> Callable[[Request], Awaitable[Response]]:
    async def endpoint(request: Request) -> Response:
        return JSONResponse(await handler(request, _actor(request, core.operator_uids)))

    return endpoint


def _actor(request: Request, allowed: frozenset[int]) -> str:
    """`operator:<user>` of the peer. Raises Forbidden for anybody who is not an operator."""
    uid = request.scope["state"]["peer_uid"]
    if uid not in allowed:
        raise Forbidden(f"uid {uid} is not an operator; add the user to services.hyperhive.operators")
    try:
        return f"operator:{pwd.getpwuid(uid).pw_name}"
    except KeyError:
        return f"operator:{uid}"


def _name(request: Request) -> str:
    name: str = request.path_params["name"]
    return name


def _id(request: Request) -> int:
    return _digits("id", request.path_params["id"])


def _number(request: Request, name: str, default: int) -> int:
    return _digits(name, request.query_params.get(name, str(default)))


def _digits(name: str, value: str) -> int:
    if not value.isascii() or not value.isdigit() or len(value) > 18:
        raise BadInput(f"{name} is {value[:40]!r}; it must be a number")
    return int(value)
