"""Who may use the dashboard: links that log a browser in once, and the sessions that they become.

A link is asked for on operator.sock, whose peer the kernel names; so a session acts as the user who asked for its link.
It has two halves: the secret in a cookie, which no script can read but which browsers send to every port of the host,
and the key, which the page keeps for its own origin and sends with each request.
"""

from __future__ import annotations

import asyncio
import contextlib
import hmac
import secrets
import sqlite3
import time
from collections.abc import Callable
from dataclasses import dataclass

from hyperhive.errors import HyperhiveError, Unavailable
from hyperhive.hub import Hub
from hyperhive.store import audit, sessions
from hyperhive.store.database import Database
from hyperhive.store.sessions import Session

LINK_TIME = 900.0
"""Seconds that a link is good for; once."""
MAX_LINKS = 100
SESSION_TIME = 14 * 86400.0
USED_EVERY = 60.0
"""Seconds after which it is written down again that a session is used."""
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
class NewSession:
    """A new session: whose, and its two halves, which nobody is told again."""

    user: str
    secret: str
    key: str


class Logins:
    """Links in memory, sessions in the database. Who logs in and out is in the audit log."""

    def __init__(self, database: Database, hub: Hub) -> None:
        self._database = database
        self._hub = hub
        self._links: dict[str, _Link] = {}
        self._allowance = float(BURST)
        self._counted_at = time.monotonic()
        self._ended = asyncio.Event()
        self.endings = 0
        """How often sessions were ended; what serves one looks again whether it still is there when this changes."""

    def link(self, user: str) -> str:
        """A new link's text, `<name>.<secret>`, for that user. Raises Unavailable if too many wait to be used."""
        now = time.monotonic()
        self._links = {name: link for name, link in self._links.items() if link.expires_at > now}
        if len(self._links) >= MAX_LINKS:
            raise Unavailable(f"{MAX_LINKS} links wait to be used; use one, or wait {LINK_TIME / 60:g} minutes")
        name, secret = secrets.token_urlsafe(12), secrets.token_urlsafe(32)
        self._links[name] = _Link(secret, user, now + LINK_TIME)
        return f"{name}.{secret}"

    async def log_in(self, link: str) -> NewSession:
        """Use a link up for a new session. Raises NotLoggedIn, TooManyAttempts."""
        name, _, secret = link.partition(".")
        found = self._links.pop(name, None)  # a wrong secret uses it up too: there is one try
        if found is None or found.expires_at <= time.monotonic() or not _same(secret, found.secret):
            self._count_wrong()
            raise NotLoggedIn("this link was used already or is over; `hyperhive dashboard` gives another")
        made = NewSession(found.user, secrets.token_urlsafe(32), secrets.token_urlsafe(32))

        def begin(connection: sqlite3.Connection) -> None:
            number = sessions.create(connection, made.secret, made.key, made.user, SESSION_TIME)
            audit.append(connection, f"operator:{made.user}", "dashboard.login", "dashboard", session=number)

        await self._database.write(begin)
        self._hub.publish("hive", {"event": "sessions"})
        return made

    async def session(self, secret: str | None, key: str | None) -> Session:
        """The session that these are the halves of. Raises NotLoggedIn."""
        found, whole = (
            await self._database.read(lambda c: sessions.find(c, secret, key or "")) if secret else (None, False)
        )
        if found is None:
            raise NotLoggedIn("log in first: `hyperhive dashboard` gives a link")
        if not whole:
            what = "wrong" if key else "missing"
            raise NotLoggedIn(f"the session's key is {what}: log in anew, `hyperhive dashboard` gives a link")
        if abs(time.time() - found.used_at) >= USED_EVERY:
            with contextlib.suppress(Unavailable):  # a full disk must not lock the operator out
                await self._database.write(lambda c: sessions.use(c, found.id))
        return found

    async def every(self) -> list[Session]:
        """The sessions that are not over, the last used first."""
        return await self._database.read(sessions.every)

    async def end(self, which: Callable[[Session], bool], actor: str) -> list[Session]:
        """End the sessions for which that holds, and what is served to them; which they were."""

        def work(connection: sqlite3.Connection) -> list[Session]:
            found = [session for session in sessions.every(connection) if which(session)]
            for session in found:
                sessions.end(connection, session.id)
                audit.append(connection, actor, "dashboard.logout", "dashboard", session=session.id, user=session.user)
            return found

        ended = await self._database.write(work)
        if ended:
            self.endings += 1
            self._ended.set()
            self._ended = asyncio.Event()
            self._hub.publish("hive", {"event": "sessions"})  # wakes the streams of events too
        return ended

    async def wait_for_end(self, seen: int, seconds: float) -> int:
        """Until `endings` is not `seen` any more, but not longer than so many seconds; what it is then."""
        with contextlib.suppress(TimeoutError):
            async with asyncio.timeout(seconds):
                while self.endings == seen:
                    await self._ended.wait()
        return self.endings

    def _count_wrong(self) -> None:
        now = time.monotonic()
        self._allowance = min(BURST, self._allowance + (now - self._counted_at) / REFILL)
        self._counted_at = now
        if self._allowance < 1:
            raise TooManyAttempts("too many wrong links; wait a minute")
        self._allowance -= 1


def _same(one: str, other: str) -> bool:
    return hmac.compare_digest(one.encode(errors="replace"), other.encode())
