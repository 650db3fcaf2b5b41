"""Retention: what is old or too much goes, a little at a time, and the file shrinks again. Waiting mail never goes."""

from __future__ import annotations

import sqlite3
import time

from hyperhive.broker import BrokerLimits
from hyperhive.store import messages
from hyperhive.store.database import Database

STEP = 500
"""Rows deleted, or pages given back, in one go: mail goes on in between."""


async def prune(database: Database, limits: BrokerLimits) -> int:
    """Delete what retention no longer keeps, give the space back, and return how many rows went."""
    gone = 0
    for recipient in await database.read(messages.recipients):
        while number := await _prune_some(database, limits, recipient):
            gone += number
    while await database.write(_vacuum_some):
        pass
    return gone


async def _prune_some(database: Database, limits: BrokerLimits, recipient: str) -> int:
    before = time.time() - limits.retention_days * 86400
    return await database.write(
        lambda c: messages.prune(c, recipient, before=before, max_rows=limits.max_rows, limit=STEP)
    )


def _vacuum_some(connection: sqlite3.Connection) -> int:
    """Give some free pages back to the disk; returns how many."""
    (before,) = connection.execute("PRAGMA freelist_count").fetchone()
    connection.execute(f"PRAGMA incremental_vacuum({STEP})").fetchall()
    (after,) = connection.execute("PRAGMA freelist_count").fetchone()
    return int(before - after)
