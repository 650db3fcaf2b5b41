"""Who may use the dashboard: links that log a browser in once, and the sessions that they become.

A link is asked for on operator.sock, whose peer the kernel names; so a session acts as the user who asked for its link.
It has two halves: the secret in a cookie, which no script can read but browsers send to every port of the host, and the
key, which the page keeps for its own origin and sends with each request.
"""

from __future__ import annotations

import hmac
import secrets
import time
from dataclasses import dataclass

from hyperhive.errors import HyperhiveError, Unavailable
from hyperhive.store import sessions
from hyperhive.store.database import Database

LINK_TIME = 900.0
"""Seconds that a link is good for; once."""
MAX_LINKS = 100
SESSION_TIME = 14 * 86400.0
BURST = 10
"""Wrong links in a row that are answered; then one in REFILL seconds. A right one always is: its first half, which
nobody can guess, is looked up before anything is counted."""
REFILL = 6.0


class NotLoggedIn(HyperhiveError):
    """There is no session, or it is over."""

    code = "not_logged_in"
    status = 401


class TooManyAttempts(HyperhiveError):
    """Too many wrong links came."""

    code = "too_many_attempts"
    status = 429


@dataclass(frozen=True)
class _Link:
    secret: str
    user: str
    expires_at: float


@dataclass(frozen=True)
class Session:
    """A new session: whose, and its two halves."""

    user: str
    secret: str
    key: str


class Logins:
    """Links in memory, sessions in the database."""

    def __init__(self, database: Database) -> None:
        self._database = database
        self._links: dict[str, _Link] = {}
        self._allowance = float(BURST)
        self._counted_at = time.monotonic()

    def link(self, user: str) -> str:
        """A new link's text, `<name>.<secret>`, for that user. Raises Unavailable if too many wait to be used."""
        now = time.monotonic()
        self._links = {name: link for name, link in self._links.items() if link.expires_at > now}
        if len(self._links) >= MAX_LINKS:
            raise Unavailable(f"{MAX_LINKS} links wait to be used; use one, or wait {LINK_TIME / 60:g} minutes")
        name, secret = secrets.token_urlsafe(12), secrets.token_urlsafe(32)
        self._links[name] = _Link(secret, user, now + LINK_TIME)
        return f"{name}.{secret}"

    async def log_in(self, link: str) -> Session:
        """Use a link up for a new session. Raises NotLoggedIn, TooManyAttempts."""
        name, _, secret = link.partition(".")
        found = self._links.pop(name, None)  # a wrong secret uses it up too: there is one try
        if found is None or found.expires_at <= time.monotonic() or not _same(secret, found.secret):
            self._count_wrong()
            raise NotLoggedIn("this link was used already or is over; `hyperhive dashboard` gives another")
        made = Session(found.user, secrets.token_urlsafe(32), secrets.token_urlsafe(32))
        await self._database.write(lambda c: sessions.create(c, made.secret, made.key, made.user, SESSION_TIME))
        return made

    async def user(self, secret: str | None, key: str | None) -> str:
        """Whose session it is that these are the halves of. Raises NotLoggedIn."""
        user = await self._database.read(lambda c: sessions.user_of(c, secret, key)) if secret and key else None
        if user is None:
            raise NotLoggedIn("log in first: `hyperhive dashboard` gives a link")
        return user

    async def log_out(self, secret: str) -> None:
        """End a session."""
        await self._database.write(lambda c: sessions.end(c, secret))

    def _count_wrong(self) -> None:
        now = time.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._counted_at) / REFILL)
        self._counted_at = now
        if self._allowance < 1:
            raise TooManyAttempts("too many wrong links; wait a minute")
        self._allowance -= 1


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
