"""Dead letters: messages that were given up. The operator has them delivered after all, or drops them."""

from __future__ import annotations

import sqlite3

from hyperhive.broker import Broker
from hyperhive.errors import Conflict
from hyperhive.exchange import OPERATOR
from hyperhive.store import agents, audit, messages, parked
from hyperhive.store.database import Database
from hyperhive.store.messages import Message


class DeadLetters:
    """The parked messages of one hive. Methods raise NotFound for a message that is none of them."""

    def __init__(self, database: Database, broker: Broker) -> None:
        self._database = database
        self._broker = broker

    async def every(self, *, cut: bool = False) -> list[Message]:
        """The parked messages, the last parked first; `cut` as `messages.mailbox` says."""
        return await self._database.read(lambda c: parked.dead_letters(c, cut=cut))

    async def get(self, message: int) -> Message:
        """That one."""
        return await self._database.read(lambda c: parked.dead_letter(c, message))

    async def requeue(self, message: int, actor: str) -> Message:
        """Let it wait again in its old place, as if it had never been delivered.

        Raises Conflict (its recipient is gone) and MailboxFull.
        """

        def work(connection: sqlite3.Connection) -> Message:
            letter = parked.dead_letter(connection, message)
            if letter.recipient != OPERATOR and not agents.exists(connection, letter.recipient):
                raise Conflict(f"there is nobody called {letter.recipient} any more; create that agent, or drop it")
            self._broker.readmit(connection, letter)
            audit.append(connection, actor, "message.requeued", f"message/{message}", **_ends(letter))
            return messages.get(connection, message)

        waiting = await self._database.write(work)
        self._broker.announce([waiting])
        self._broker.announce_parked()
        return waiting

    async def drop(self, message: int, actor: str) -> None:
        """Delete it; the audit log keeps that it was."""

        def work(connection: sqlite3.Connection) -> None:
            letter = parked.dead_letter(connection, message)
            messages.delete(connection, message)
            audit.append(connection, actor, "message.dropped", f"message/{message}", **_ends(letter))

        await self._database.write(work)
        self._broker.announce_parked()


def _ends(letter: Message) -> dict[str, str]:
    return {"sender": letter.sender, "recipient": letter.recipient}
