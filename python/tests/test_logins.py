"""Links and sessions: once, for a time, for one user; and what guessing gets."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest

from hyperhive import logins
from hyperhive.errors import Unavailable
from hyperhive.hub import Hub
from hyperhive.logins import BURST, Logins, NewSession, NotLoggedIn, TooManyAttempts
from hyperhive.store import sessions
from hyperhive.store.database import Database


async def _opened(root: Path) -> tuple[Logins, Database]:
    database = await Database.open(root / "hive.db")
    return Logins(database, Hub()), database


def test_a_link_becomes_a_session_of_its_user_once(tmp_path: Path) -> None:
    async def run() -> None:
        made, database = await _opened(tmp_path)
        link = made.link("ann")
        session = await made.log_in(link)
        assert session.user == (await made.session(session.secret, session.key)).user == "ann"
        with pytest.raises(NotLoggedIn, match="used already"):
            await made.log_in(link)
        other = await made.log_in(made.link("ann"))
        for secret, key in ((session.secret, None), (session.secret, other.key), (None, session.key), ("", "")):
            with pytest.raises(NotLoggedIn):
                await made.session(secret, key)
        await made.end(lambda each: each.user == "ann", "operator:bob")
        with pytest.raises(NotLoggedIn):
            await made.session(session.secret, session.key)
        await database.close()

    asyncio.run(run())


def test_a_session_outlives_the_core_and_the_database_holds_no_secret(tmp_path: Path) -> None:
    async def run() -> NewSession:
        made, database = await _opened(tmp_path)
        session = await made.log_in(made.link("ann"))
        await database.close()
        again, database = await _opened(tmp_path)
        assert (await again.session(session.secret, session.key)).user == "ann"
        await database.close()
        return session

    session = asyncio.run(run())
    held = b"".join(path.read_bytes() for path in tmp_path.iterdir())
    assert b"ann" in held
    assert session.secret.encode() not in held and session.key.encode() not in held


def test_an_old_link_is_over(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        made, database = await _opened(tmp_path)
        monkeypatch.setattr(logins, "LINK_TIME", -1.0)
        with pytest.raises(NotLoggedIn):
            await made.log_in(made.link("ann"))
        await database.close()

    asyncio.run(run())


def test_a_session_ends_with_its_time(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        made, database = await _opened(tmp_path)
        monkeypatch.setattr(logins, "SESSION_TIME", 0.0)
        session = await made.log_in(made.link("ann"))
        with pytest.raises(NotLoggedIn):
            await made.session(session.secret, session.key)
        await database.close()

    asyncio.run(run())


def test_a_wrong_secret_uses_the_link_up(tmp_path: Path) -> None:
    async def run() -> None:
        made, database = await _opened(tmp_path)
        link = made.link("ann")
        with pytest.raises(NotLoggedIn):
            await made.log_in(link[:-1] + ("x" if link[-1] != "x" else "y"))
        with pytest.raises(NotLoggedIn):
            await made.log_in(link)
        await database.close()

    asyncio.run(run())


def test_guesses_are_slowed_down_but_a_right_link_always_works(tmp_path: Path) -> None:
    async def run() -> None:
        made, database = await _opened(tmp_path)
        for _ in range(BURST):
            with pytest.raises(NotLoggedIn):
                await made.log_in("guessed.guessed")
        with pytest.raises(TooManyAttempts):
            await made.log_in("guessed.guessed")
        assert (await made.log_in(made.link("ann"))).user == "ann"
        await database.close()

    asyncio.run(run())


@pytest.mark.parametrize("link", ["", ".", "é.é", "a.b.c", "x" * 4000, "\udc80.x"])
def test_what_is_no_link_logs_nobody_in(tmp_path: Path, link: str) -> None:
    async def run() -> None:
        made, database = await _opened(tmp_path)
        made.link("ann")
        with pytest.raises(NotLoggedIn):
            await made.log_in(link)
        with pytest.raises(NotLoggedIn):
            await made.session(link, link)
        await database.close()

    asyncio.run(run())


def test_links_that_nobody_uses_do_not_pile_up(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        made, database = await _opened(tmp_path)
        monkeypatch.setattr(logins, "MAX_LINKS", 3)
        for _ in range(3):
            made.link("ann")
        with pytest.raises(Unavailable, match="wait to be used"):
            made.link("ann")
        await database.close()

    asyncio.run(run())


def test_sessions_that_are_over_are_forgotten(tmp_path: Path) -> None:
    async def run() -> None:
        made, database = await _opened(tmp_path)
        await database.write(lambda c: sessions.create(c, "old", "key", "ann", -1.0))
        await made.log_in(made.link("bob"))

        def users(connection: sqlite3.Connection) -> list[str]:
            return [user for (user,) in connection.execute("SELECT user FROM sessions")]

        assert await database.read(users) == ["bob"]
        await database.close()

    asyncio.run(run())
