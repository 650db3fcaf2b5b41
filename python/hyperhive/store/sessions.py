"""Browsers that an operator logged in. Functions of a connection; they never commit. Only hashes are stored."""

from __future__ import annotations

import hashlib
import sqlite3
import time


def create(connection: sqlite3.Connection, secret: str, key: str, user: str, lifetime: float) -> None:
    """Store a session of `user` for `lifetime` seconds, and forget those that are over."""
    now = time.time()
    connection.execute("DELETE FROM sessions WHERE expires_at <= ?", (now,))
    connection.execute(
        "INSERT INTO sessions (hash, key_hash, user, created_at, expires_at) VALUES (?, ?, ?, ?, ?)",
        (_hash(secret), _hash(key), user, now, now + lifetime),
    )


def user_of(connection: sqlite3.Connection, secret: str, key: str) -> str | None:
    """Whose session it is, if both halves are right; None if there is none, or it is over."""
    query = "SELECT user FROM sessions WHERE hash = ? AND key_hash = ? AND expires_at > ?"
    row = connection.execute(query, (_hash(secret), _hash(key), time.time())).fetchone()
    return None if row is None else str(row[0])


def end(connection: sqlite3.Connection, secret: str) -> None:
    """Log that browser out."""
    connection.execute("DELETE FROM sessions WHERE hash = ?", (_hash(secret),))


def _hash(secret: str) -> str:
    return hashlib.sha256(secret.encode(errors="replace")).hexdigest()
