"""Browsers that an operator logged in. Functions of a connection; they never commit. Only hashes are stored."""

from __future__ import annotations

import hashlib
import hmac
import sqlite3
import time
from dataclasses import dataclass
from typing import Any

_COLUMNS = "id, user, created_at, used_at, expires_at"


@dataclass(frozen=True)
class Session:
    """One of them. `used_at` is right to a minute or so (logins)."""

    id: int
    user: str
    created_at: float
    used_at: float
    expires_at: float

    def view(self) -> dict[str, Any]:
        """The JSON object that the sockets show."""
        return dict(self.__dict__)


def create(connection: sqlite3.Connection, secret: str, key: str, user: str, lifetime: float) -> int:
    """Store a session of `user` for `lifetime` seconds, and forget those that are over; its number."""
    now = time.time()
    connection.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
    made = connection.execute(
        "INSERT INTO sessions (hash, key_hash, user, created_at, used_at, expires_at) VALUES (?, ?, ?, ?, ?, ?)",
        (_hash(secret), _hash(key), user, now, now, now + lifetime),
    )
    assert made.lastrowid is not None
    return made.lastrowid


def find(connection: sqlite3.Connection, secret: str, key: str) -> tuple[Session | None, bool]:
    """The session whose cookie holds that secret, None if none does or it is over; and whether the key is its own."""
    query = f"SELECT key_hash, {_COLUMNS} FROM sessions WHERE hash = ? AND expires_at > ?"  # noqa: S608  (our columns)
    row = connection.execute(query, (_hash(secret), time.time())).fetchone()
    if row is None:
        return None, False
    return Session(*row[1:]), hmac.compare_digest(row[0], _hash(key))


def use(connection: sqlite3.Connection, number: int) -> None:
    """It is used now."""
    connection.execute("UPDATE sessions SET used_at = ? WHERE id = ?", (time.time(), number))


def every(connection: sqlite3.Connection) -> list[Session]:
    """Those that are not over, the last used first."""
    query = f"SELECT {_COLUMNS} FROM sessions WHERE expires_at > ? ORDER BY used_at DESC, id DESC"  # noqa: S608
    return [Session(*row) for row in connection.execute(query, (time.time(),))]


def end(connection: sqlite3.Connection, number: int) -> None:
    """Log that browser out."""
    connection.execute("DELETE FROM sessions WHERE id = ?", (number,))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
