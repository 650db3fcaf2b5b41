"""The mail rules: who may write to whom, bounds, leases and acknowledgements, dead letters, the loop guard.

A message is accepted (durable), then waits, is leased to its recipient for a turn, and is acknowledged after it. Only
the sockets say who somebody is; this module is told.
"""

from __future__ import annotations

import asyncio
import json
import logging
import sqlite3
import time
from collections.abc import Sequence
from dataclasses import dataclass

from hyperhive.errors import BadInput, MailboxFull, NotFound, TooLarge
from hyperhive.hub import Hub
from hyperhive.store import agents, messages
from hyperhive.store.database import Database
from hyperhive.store.messages import Message

log = logging.getLogger(__name__)

OPERATOR = "operator"
SYSTEM = "system"


@dataclass(frozen=True)
class BrokerLimits:
    """Bounds of the mail: messages, bytes, days, rows per recipient, hops, deliveries; per edge a token bucket."""

    max_pending: int = 1000
    max_body: int = 64 * 1024
    retention_days: int = 30
    max_rows: int = 10_000
    max_hops: int = 32
    max_attempts: int = 5
    edge_burst: int = 30
    edge_per_minute: float = 60.0


@dataclass
class _Bucket:
    """The token bucket of one sender → recipient edge; `told` is set while a trip has been reported."""

    tokens: float
    at: float
    told: bool = False


class Broker:
    """All mail of one hive, on one database. Safe to use from many tasks of one event loop."""

    def __init__(self, database: Database, hub: Hub, limits: BrokerLimits | None = None) -> None:
        self._database = database
        self._hub = hub
        self._limits = limits or BrokerLimits()
        self._arrivals: dict[str, asyncio.Event] = {}
        self._buckets: dict[tuple[str, str], _Bucket] = {}

    async def send(self, sender: str, to: str, body: str, *, reply_to: int | None = None, kind: str = "mail") -> int:
        """Accept a message and return its id once it is durable.

        Raises NotFound (nobody of that name), TooLarge, MailboxFull, BadInput (empty body, characters that are no
        text). A message that trips the loop guard is accepted and parked, and the operator is told.
        """
        self._check_body(body)
        flood = sender not in (OPERATOR, SYSTEM) and not self._take_token(sender, to)

        def store(connection: sqlite3.Connection) -> tuple[Message, str | None]:
            return self._store(connection, sender, to, body, reply_to, kind, flood=flood)

        message, trip = await self._database.write(store)
        self._hub.publish("message", {**message.view(), "parked": trip})
        if trip:
            await self._tell_operator(message, trip)
        else:
            self._arrived(to)
        return message.id

    def _check_body(self, body: str) -> None:
        try:
            size = len(body.encode())
        except UnicodeEncodeError as error:
            raise BadInput("the body is not valid Unicode text (a lone surrogate); send UTF-8") from error
        if not body.strip():
            raise BadInput("the body is empty; say something")
        if "\0" in body:
            raise BadInput("the body holds a NUL character; send text")
        if size > self._limits.max_body:
            raise TooLarge(f"the body is {size} bytes; a message holds {self._limits.max_body}: put it in a file")

    def _store(
        self,
        connection: sqlite3.Connection,
        sender: str,
        to: str,
        body: str,
        reply_to: int | None,
        kind: str,
        *,
        flood: bool,
    ) -> tuple[Message, str | None]:
        """Check what only the database knows, and insert. Returns the message and what tripped the loop guard."""
        if to != OPERATOR:
            try:
                agents.get(connection, to)
            except NotFound as error:
                raise NotFound(f"there is nobody called {to[:40]!r} in this hive; nothing was sent") from error
        if not (sender == SYSTEM and to == OPERATOR) and messages.pending(connection, to) >= self._limits.max_pending:
            raise MailboxFull(f"{to}'s mailbox is full ({self._limits.max_pending} messages); try again later")
        chain, hops = self._chain(connection, sender, reply_to)
        trip = None
        if sender not in (OPERATOR, SYSTEM):
            if hops > self._limits.max_hops:
                trip = f"an exchange of {hops} answers in a row"
            elif flood:
                trip = f"more than {self._limits.edge_per_minute:g} messages a minute"
        number = messages.insert(
            connection,
            sender=sender,
            recipient=to,
            kind=kind,
            body=body,
            reply_to=reply_to,
            chain=chain,
            hops=hops,
            dead=trip is not None,
        )
        return messages.get(connection, number), trip

    def _chain(self, connection: sqlite3.Connection, sender: str, reply_to: int | None) -> tuple[int, int]:
        """What this message answers: `reply_to`, else the newest message the sender works on."""
        if reply_to is not None:
            answered = messages.get(connection, reply_to)
            if sender not in (answered.recipient, answered.sender):
                raise NotFound(f"there is no message {reply_to}")
            return answered.chain or answered.id, answered.hops + 1
        at_work = messages.leased(connection, sender)
        if not at_work:
            return 0, 0
        return at_work[0].chain or at_work[0].id, at_work[0].hops + 1

    def _take_token(self, sender: str, to: str) -> bool:
        now = time.monotonic()
        bucket = self._buckets.setdefault((sender, to), _Bucket(self._limits.edge_burst, now))
        refilled = bucket.tokens + (now - bucket.at) * self._limits.edge_per_minute / 60
        bucket.tokens, bucket.at = min(refilled, self._limits.edge_burst), now
        if bucket.tokens < 1:
            return False
        bucket.tokens -= 1
        bucket.told = False
        return True

    async def _tell_operator(self, message: Message, trip: str) -> None:
        """Report a trip of the loop guard once, not once per message."""
        bucket = self._buckets.get((message.sender, message.recipient))
        if bucket is not None:
            if bucket.told:
                return
            bucket.told = True
        event = {
            "event": "loop_guard",
            "from": message.sender,
            "to": message.recipient,
            "message": message.id,
            "reason": f"{trip}; the message is parked (`hive-c0re debug dead-letters`)",
        }
        await self.send(SYSTEM, OPERATOR, json.dumps(event), kind="event")

    async def recv(
        self, recipient: str, *, max_messages: int = 20, wait: float = 0.0, lease: float = 2100.0
    ) -> list[Message]:
        """Lease up to `max_messages` waiting messages, waiting at most `wait` seconds for the first.

        They come again when the lease (seconds) ends without an ack; after `max_attempts` deliveries they are parked.
        """
        deadline = time.monotonic() + wait
        arrival = self._arrivals.setdefault(recipient, asyncio.Event())
        while True:
            arrival.clear()
            found = await self._lease(recipient, max_messages, lease)
            if found or time.monotonic() >= deadline:
                return found
            await self._await_arrival(recipient, arrival, deadline)

    async def _lease(self, recipient: str, max_messages: int, lease: float) -> list[Message]:
        """Lease what waits; if the caller goes away meanwhile, the lease is undone."""
        if not await self._database.read(lambda c: messages.waiting(c, recipient, limit=1)):
            return []
        work = asyncio.ensure_future(
            self._database.write(lambda c: self._lease_or_park(c, recipient, max_messages, lease))
        )
        try:
            found, parked = await asyncio.shield(work)
        except asyncio.CancelledError:
            found, parked = await work
            await self.release([message.id for message in found])
            raise
        for message in parked:
            await self._tell_operator_dead(message)
        return found

    def _lease_or_park(
        self, connection: sqlite3.Connection, recipient: str, limit: int, lease: float
    ) -> tuple[list[Message], list[Message]]:
        tired = [
            message
            for message in messages.waiting(connection, recipient, limit=limit)
            if message.attempts >= self._limits.max_attempts
        ]
        messages.park(connection, [message.id for message in tired])
        return messages.lease(connection, recipient, until=time.time() + lease, limit=limit), tired

    async def _tell_operator_dead(self, message: Message) -> None:
        event = {
            "event": "dead_letter",
            "to": message.recipient,
            "from": message.sender,
            "message": message.id,
            "reason": f"delivered {message.attempts} times without an answer; it is parked",
        }
        await self.send(SYSTEM, OPERATOR, json.dumps(event), kind="event")

    async def _await_arrival(self, recipient: str, arrival: asyncio.Event, deadline: float) -> None:
        """Until something arrives, a lease ends, or the deadline (monotonic seconds) passes."""
        lease_end = await self._database.read(lambda c: messages.next_lease_end(c, recipient))
        until = deadline - time.monotonic()
        if lease_end is not None:
            until = min(until, max(lease_end - time.time(), 0.0) + 0.001)
        try:
            async with asyncio.timeout(max(until, 0)):
                await arrival.wait()
        except TimeoutError:
            pass

    def _arrived(self, recipient: str) -> None:
        arrival = self._arrivals.get(recipient)
        if arrival is not None:
            arrival.set()

    async def release(self, ids: Sequence[int]) -> None:
        """Undo a lease whose messages reached nobody; they wait again at once."""
        if not ids:
            return

        def undo(connection: sqlite3.Connection) -> str:
            messages.release(connection, ids)
            return messages.get(connection, ids[0]).recipient

        self._arrived(await self._database.write(undo))

    async def end_leases(self, recipient: str) -> None:
        """Let everything that the recipient held wait again at once (its harness started anew); attempts stay."""
        await self._database.write(lambda c: messages.end_leases(c, recipient))

    async def ack(self, recipient: str, ids: Sequence[int]) -> int:
        """The turn over these messages is done: they are delivered. Returns how many were the recipient's to ack."""
        return await self._database.write(lambda c: messages.deliver(c, recipient, ids))

    async def waiting(self, recipient: str) -> list[Message]:
        """What waits for the recipient, without a lease."""
        return await self._database.read(lambda c: messages.waiting(c, recipient))

    async def inbox(self, *, all_: bool, limit: int) -> list[Message]:
        """The operator's mail, newest first; only what is unread unless `all_`."""
        return await self._database.read(lambda c: messages.mailbox(c, OPERATOR, delivered=all_, limit=limit))

    async def mark_read(self, message: int) -> None:
        """The operator has seen it. Raises NotFound for a message that is not the operator's."""

        def mark(connection: sqlite3.Connection) -> None:
            _operators(connection, message)
            messages.deliver(connection, OPERATOR, [message])

        await self._database.write(mark)

    async def reply(self, message: int, body: str) -> int:
        """Answer a message of the operator's inbox; it is read now. Raises NotFound, and what `send` raises."""
        answered = await self._database.read(lambda c: _operators(c, message))
        if answered.sender == SYSTEM:
            raise BadInput(f"message {message} is from the hive itself; there is nobody to answer")
        number = await self.send(OPERATOR, answered.sender, body, reply_to=message)
        await self.mark_read(message)
        return number

    async def dead_letters(self) -> list[Message]:
        """The parked messages, newest first."""
        return await self._database.read(messages.dead_letters)

    async def prune(self) -> int:
        """Delete what retention no longer keeps, give the space back, and return how many rows went."""
        before = time.time() - self._limits.retention_days * 86400
        gone = await self._database.write(
            lambda c: messages.prune(c, before=before, max_rows=self._limits.max_rows)
        )
        if gone:
            await self._database.read(lambda c: c.execute("PRAGMA incremental_vacuum").fetchall())
        return gone


def _operators(connection: sqlite3.Connection, number: int) -> Message:
    message = messages.get(connection, number)
    if message.recipient != OPERATOR:
        raise NotFound(f"there is no message {number} in the operator's inbox")
    return message
