"""The dashboard: the page, the login, and the operator's API for a browser that is logged in.

The core serves it on loopback TCP, where who calls is known by a session's cookie, and, if the host says so, on a unix
socket for one reverse proxy, which names the user in a header. No request may come from another page: Host, Origin and
Sec-Fetch-Site are checked, what changes something is JSON, and the cookie is SameSite=Strict. Nor is the cookie enough:
browsers send it to every port of this host. The page's own origin keeps a key besides (logins) and sends it in a
header, or in the address of what a browser can send no header with: the stream of events and the terminal.
"""

from __future__ import annotations

import os
import re
import socket
from collections.abc import Awaitable, Callable
from dataclasses import dataclass
from importlib import resources
from importlib.resources.abc import Traversable
from pathlib import Path
from urllib.parse import urlsplit

from starlette.applications import Starlette
from starlette.requests import HTTPConnection, Request
from starlette.responses import JSONResponse, Response
from starlette.routing import BaseRoute, Route
from starlette.types import ASGIApp, Message, Receive, Scope, Send
from starlette.websockets import WebSocketClose

from hyperhive import __version__
from hyperhive.api.operator import OperatorCore, operator_routes
from hyperhive.api.requests import error_handlers, error_response, read_json, text
from hyperhive.api.terminal import terminal_route
from hyperhive.errors import BadInput, Forbidden, HyperhiveError, NotFound
from hyperhive.logins import SESSION_TIME, Logins, NotLoggedIn

CSP = (
    "default-src 'none'; script-src 'self'; worker-src 'self'; style-src 'self' 'unsafe-inline'; connect-src 'self';"
    " img-src 'self' data:; font-src 'self'; manifest-src 'self'; base-uri 'none'; form-action 'none';"
    " frame-ancestors 'none'"
)
"""Nothing from anywhere else, no script in the page; xterm.js sets styles from its script."""
_HEADERS = {
    "content-security-policy": CSP,
    "x-content-type-options": "nosniff",
    "referrer-policy": "same-origin",
    "cross-origin-opener-policy": "same-origin",
    "cross-origin-resource-policy": "same-origin",
    "permissions-policy": "camera=(), geolocation=(), microphone=(), usb=()",
}
KEY_HEADER = "x-hyperhive-key"
KEY_PARAMETER = "key"
_SAFE = frozenset({"GET", "HEAD"})
_LOOPBACK = frozenset({"127.0.0.1", "localhost", "::1"})
_USER = re.compile(r"[A-Za-z0-9][A-Za-z0-9._@+-]{0,63}")
_TYPES = {
    "html": "text/html; charset=utf-8",
    "js": "text/javascript; charset=utf-8",
    "css": "text/css; charset=utf-8",
    "svg": "image/svg+xml",
    "json": "application/json",
    "webmanifest": "application/manifest+json",
}

Who = Callable[[HTTPConnection], Awaitable[str]]


@dataclass(frozen=True)
class WebConfig:
    """`port` names the cookie, since browsers do not tell ports apart; `hosts` are names besides loopback's."""

    port: int
    hosts: frozenset[str] = frozenset()


@dataclass(frozen=True)
class ByCookie:
    """Who calls: the user of the session that the browser holds."""

    logins: Logins
    cookie: str
    may: Callable[[str], bool]

    async def __call__(self, connection: HTTPConnection) -> str:
        """`operator:<user>`. Raises NotLoggedIn."""
        session = await self.logins.session(connection.cookies.get(self.cookie), _key(connection))
        if not self.may(session.user):
            raise NotLoggedIn(f"{session.user} is not an operator any more")
        connection.scope["state"]["session"] = session.id
        return f"operator:{session.user}"


def _key(connection: HTTPConnection) -> str | None:
    """The session's key. In an address, which may be kept somewhere, only where a browser can send no header."""
    scope = connection.scope
    if scope["type"] == "websocket" or scope["path"] == "/v1/events":
        return connection.headers.get(KEY_HEADER) or connection.query_params.get(KEY_PARAMETER)
    return connection.headers.get(KEY_HEADER)


@dataclass(frozen=True)
class ByProxy:
    """Who calls: the user whom the trusted proxy names; only its own uid reaches the socket."""

    header: str
    uid: int

    async def __call__(self, connection: HTTPConnection) -> str:
        """`operator:<user>`. Raises Forbidden, NotLoggedIn."""
        if connection.scope["state"].get("peer_uid") != self.uid:
            raise Forbidden("only the host's reverse proxy may use this socket")
        named = connection.headers.getlist(self.header)
        if len(named) != 1 or not _USER.fullmatch(named[0]):
            raise NotLoggedIn(f"the proxy sent no user in {self.header}")
        return f"operator:{named[0]}"


def create_web_app(core: OperatorCore, config: WebConfig, who: Who, logins: Logins | None) -> ASGIApp:
    """The ASGI app of one way to the dashboard; without `logins` somebody else logs its users in."""
    cookie = cookie_name(config.port)
    routes: list[BaseRoute] = [Route("/v1/session", _session(who), methods=["GET"])]
    if logins is not None:
        routes.append(Route("/v1/session", _log_in(logins, cookie), methods=["POST"]))
        routes.append(Route("/v1/session", _log_out(who, logins, cookie), methods=["DELETE"]))
    routes += operator_routes(core, who)
    app = Starlette(routes=[*routes, terminal_route(core, who)], exception_handlers=error_handlers())
    app.router.default = Page()
    return Guard(app, config)


def cookie_name(port: int) -> str:
    """The session cookie of the dashboard on that port."""
    return f"hyperhive-{port}"


class Guard:
    """Refuses what another page, or another name for this address, could have sent; adds the page's headers."""

    def __init__(self, app: ASGIApp, config: WebConfig) -> None:
        self._app = app
        self._hosts = _LOOPBACK | {host.lower() for host in config.hosts}

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Serve one request or WebSocket."""
        try:
            self._check(HTTPConnection(scope))
        except HyperhiveError as error:
            refused: ASGIApp = error_response(error) if scope["type"] == "http" else WebSocketClose(1008, str(error))
            await refused(scope, receive, send)
            return

        async def send_with_headers(message: Message) -> None:
            if message["type"] == "http.response.start":
                headers = [(name.encode(), value.encode()) for name, value in _HEADERS.items()]
                message["headers"] = [*message["headers"], *headers]
            await send(message)

        await self._app(scope, receive, send_with_headers)

    def _check(self, request: HTTPConnection) -> None:
        host = request.headers.get("host", "")
        if len(request.headers.getlist("host")) != 1 or _hostname(host) not in self._hosts:
            raise Forbidden(
                f"{host[:80]!r} is not a name of this dashboard; services.hyperhive.dashboard.hosts adds one"
            )
        if request.headers.get("sec-fetch-site", "none") not in ("same-origin", "none"):
            raise Forbidden("this request came from another page")
        websocket = request.scope["type"] == "websocket"
        if not websocket and request.scope["method"] in _SAFE:
            return
        if request.headers.getlist("origin") not in ([f"http://{host}"], [f"https://{host}"]):
            raise Forbidden("this request came from another page, or says not from which (Origin)")
        kind = request.headers.get("content-type", "application/json").partition(";")[0].strip()
        if not websocket and kind != "application/json":
            raise BadInput("a request's body must be application/json")


def _hostname(host: str) -> str | None:
    try:
        return urlsplit(f"//{host}").hostname
    except ValueError:
        return None


class Page:
    """The page's files, from memory; every path of its own is the page itself."""

    def __init__(self) -> None:
        root = _root()
        self._files: dict[str, bytes] = {}
        if root.is_dir():
            for folder, prefix in ((root, ""), (root.joinpath("assets"), "assets/")):
                if folder.is_dir():
                    self._files |= {
                        f"{prefix}{each.name}": each.read_bytes() for each in folder.iterdir() if each.is_file()
                    }

    async def __call__(self, scope: Scope, receive: Receive, send: Send) -> None:
        """Answer with a file; there is no WebSocket here."""
        answer: ASGIApp = WebSocketClose() if scope["type"] == "websocket" else self._response(scope)
        await answer(scope, receive, send)

    def _response(self, scope: Scope) -> Response:
        path = scope["path"].removeprefix("/") or "index.html"
        if scope["method"] not in _SAFE or path not in self._files:
            return error_response(self._missing(path))
        hashed = path.startswith("assets/")
        caching = "public, max-age=31536000, immutable" if hashed else "no-cache"
        return Response(
            self._files[path], media_type=_TYPES.get(path.rpartition(".")[2]), headers={"cache-control": caching}
        )

    def _missing(self, path: str) -> HyperhiveError:
        if path == "index.html":
            return NotFound("the page was not built; `make setup` builds it (web/)")
        return NotFound(f"there is no {path[:80]!r} here")


def _root() -> Traversable:
    """Where the built page is: what the host names, else what is in this package."""
    named = os.environ.get("HYPERHIVE_PAGE")
    if named and Path(named, "index.html").is_file():
        return Path(named)
    return resources.files("hyperhive").joinpath("web")


def _session(who: Who) -> Callable[[Request], Awaitable[Response]]:
    async def session(request: Request) -> Response:
        """GET /v1/session: who is logged in."""
        by_link = isinstance(who, ByCookie)
        return _told((await who(request)).removeprefix("operator:"), by="link" if by_link else "proxy")

    return session


def _told(user: str, **more: str) -> JSONResponse:
    return JSONResponse({"user": user, "hive": socket.gethostname(), "version": __version__, **more})


def _log_in(logins: Logins, cookie: str) -> Callable[[Request], Awaitable[Response]]:
    async def log_in(request: Request) -> Response:
        """POST /v1/session {link}: a session for the link; its key is told here and nowhere else."""
        made = await logins.log_in(text(await read_json(request, 4096), "link"))
        answer = _told(made.user, by="link", key=made.key)
        answer.set_cookie(cookie, made.secret, max_age=int(SESSION_TIME), httponly=True, samesite="strict")
        return answer

    return log_in


def _log_out(who: Who, logins: Logins, cookie: str) -> Callable[[Request], Awaitable[Response]]:
    async def log_out(request: Request) -> Response:
        """DELETE /v1/session: end it."""
        actor = await who(request)
        own = request.scope["state"]["session"]
        await logins.end(lambda session: session.id == own, actor)
        answer = JSONResponse({})
        answer.delete_cookie(cookie, httponly=True, samesite="strict")
        return answer

    return log_out
