"""Where the model API is, how the operator's key gets there, and what an agent reads when it is out of reach.

The key is in no log, no error and no argv: it goes from `ModelApi.key` into one request's headers.
"""

from __future__ import annotations

import http.cookiejar
import ipaddress
import json
import logging
import ssl
from collections.abc import Callable, Mapping
from dataclasses import dataclass
from types import MappingProxyType

import httpx

from hyperhive.errors import BadInput, HyperhiveError

TIMEOUT = httpx.Timeout(connect=10, read=600, write=60, pool=10)
"""Seconds. `read` is between two chunks: the API sends pings while it thinks."""

_log = logging.getLogger(__name__)


def _none() -> str | None:
    return None


@dataclass(frozen=True)
class ModelApi:
    """`url` (http or https, a path before /v1 is kept) and what authenticates there.

    `key` (sent as x-api-key) and `bearer` (sent as Authorization) are called at each request, so that a
    changed file counts at once; None: there is none. They may raise OSError or HyperhiveError.
    """

    url: str
    key: Callable[[], str | None] = _none
    bearer: Callable[[], str | None] = _none

    @property
    def host(self) -> str:
        """The URL's host name."""
        return httpx.URL(self.url).host


class Refusal(Exception):
    """An answer of the gateway's own: an HTTP status and the Messages API's error type and message."""

    def __init__(self, status: int, kind: str, message: str, headers: Mapping[str, str] = MappingProxyType({})) -> None:
        super().__init__(message)
        self.status = status
        self.kind = kind
        self.message = message
        self.headers = headers

    @property
    def body(self) -> bytes:
        """The Messages API's error object, on one line."""
        error = {"type": self.kind, "message": f"hyperhive: {self.message}"}
        return json.dumps({"type": "error", "error": error}).encode()


def open_client(api: ModelApi) -> httpx.AsyncClient:
    """A client for `api` that keeps no cookies and follows no redirect.

    Raises BadInput when the URL cannot be one.
    """
    try:
        url = httpx.URL(api.url)
    except httpx.InvalidURL as error:
        raise BadInput(f"the model API's URL is malformed: {error}") from error
    if url.scheme not in ("http", "https") or not url.host or url.userinfo or url.query or url.fragment:
        raise BadInput("the model API's URL must be http(s)://HOST[:PORT][/PATH] without user, query or fragment")
    logging.getLogger("httpx").setLevel(logging.WARNING)  # else a line of INFO for each request
    return httpx.AsyncClient(
        base_url=url,
        timeout=TIMEOUT,
        limits=httpx.Limits(max_connections=None, max_keepalive_connections=20, keepalive_expiry=30),
        cookies=http.cookiejar.CookieJar(http.cookiejar.DefaultCookiePolicy(allowed_domains=[])),
        verify=ssl.create_default_context() if url.scheme == "https" else False,
        trust_env=not _loopback(url.host),  # HTTPS_PROXY and its like
    )


def credentials(api: ModelApi) -> list[tuple[bytes, bytes]]:
    """The headers that authenticate one request. Raises Refusal when the operator has to act first."""
    key, bearer = _secret(api.key), _secret(api.bearer)
    if not key and not bearer and api.host == "api.anthropic.com":
        raise _unauthenticated(
            "no API key is configured; the operator must set ANTHROPIC_API_KEY or the model API's key file"
        )
    headers = [(b"x-api-key", key)] if key else []
    return [*headers, (b"authorization", b"Bearer " + bearer)] if bearer else headers


def unreachable(api: ModelApi, error: httpx.HTTPError) -> Refusal:
    """What to answer when the API failed in `error`: a 502, which Claude Code tries again after a moment."""
    match error:
        case httpx.ConnectError() | httpx.ConnectTimeout():
            what = "cannot be reached"
        case httpx.TimeoutException():
            what = "did not answer in time"
        case _:
            what = "broke the connection"
    _log.warning("the model API at %s %s: %s", api.host, what, type(error).__name__)
    return Refusal(502, "api_error", f"the model API at {api.host} {what}")


def _secret(source: Callable[[], str | None]) -> bytes:
    try:
        secret = (source() or "").strip()
    except (OSError, HyperhiveError) as error:
        _log.error("the model API's key cannot be read: %s", error)
        raise _unauthenticated("the model API's key cannot be read; the operator finds the reason in the log") from None
    if not secret.isascii() or not secret.isprintable():
        raise _unauthenticated("the configured API key has characters that no key has; the operator must correct it")
    return secret.encode()


def _unauthenticated(message: str) -> Refusal:
    return Refusal(401, "authentication_error", message, {"x-should-retry": "false"})


def _loopback(host: str) -> bool:
    try:
        return ipaddress.ip_address(host).is_loopback
    except ValueError:
        return host == "localhost"
