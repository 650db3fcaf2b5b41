"""A usage limit's pause outlives the core: its beginning and its end are in the audit log; it is told once."""

from __future__ import annotations

import json
import sqlite3
import time

from hyperhive.broker import Broker
from hyperhive.exchange import OPERATOR
from hyperhive.gateway.pause import Pause, shown
from hyperhive.hub import Hub
from hyperhive.store import audit
from hyperhive.store.database import Database
from hyperhive.store.messages import Message

PAUSED, RESUMED = "hive.paused", "hive.resumed"


def pause_of(database: Database, broker: Broker, hub: Hub) -> Pause:
    """The hive's pause: while it lasts, the broker gives out no mail."""

    async def remember(until: float, reason: str) -> None:
        event = {"event": "hive_paused", "until": shown(until), "reason": reason}

        def work(connection: sqlite3.Connection) -> list[Message]:
            audit.append(connection, "system", PAUSED, "hive", until=until, reason=reason)
            return broker.post(connection, [OPERATOR], json.dumps(event))

        broker.announce(await database.write(work))

    async def prolong(until: float, reason: str) -> None:
        await database.write(lambda c: audit.append(c, "system", PAUSED, "hive", until=until, reason=reason))

    def changed() -> None:
        broker.wake_all()
        hub.publish("hive", {"event": "pause"})

    pause = Pause(remember, changed, prolong)
    broker.hold(pause.held_until)
    return pause


async def recall(database: Database, pause: Pause) -> None:
    """Go on with a pause that the last core began and nobody ended."""
    last = await database.read(lambda c: audit.newest(c, "hive", (PAUSED, RESUMED)))
    if last is not None and last.action == PAUSED and last.detail["until"] > time.time():
        pause.restore(float(last.detail["until"]), str(last.detail["reason"]))


async def end(database: Database, pause: Pause, actor: str) -> bool:
    """Go on now, since `actor` says so; returns whether there was a pause."""
    if pause.view() is None:
        return False
    await database.write(lambda c: audit.append(c, actor, RESUMED, "hive"))
    pause.end()
    return True
