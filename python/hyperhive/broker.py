"""The mail rules: who may write to whom, bounds, leases and acknowledgements, dead letters, the loop guard.

A message is accepted (durable), then waits, is leased to its recipient for a turn, and is acknowledged after it. Only
the sockets say who somebody is; this module is told.
"""

from __future__ import annotations

import asyncio
import contextlib
import logging
import sqlite3
import time
from collections.abc import Callable, Iterator, Sequence

from hyperhive import mail_events
from hyperhive.bounds import BrokerLimits
from hyperhive.errors import BadInput, HyperhiveError, MailboxFull, NotFound, Unavailable
from hyperhive.exchange import OPERATOR, SYSTEM, Draft, check_body, operators, placed
from hyperhive.hub import Hub
from hyperhive.loop_guard import LoopGuard
from hyperhive.store import agents, leases, messages, parked
from hyperhive.store.database import Database
from hyperhive.store.messages import Filter, Message, Question

log = logging.getLogger(__name__)
HIVES_ROOM = 10
"""How many times `max_pending` messages the operator may leave unread until the hive itself says nothing more."""


class Broker:
    """All mail of one hive, on one database. Safe to use from many tasks of one event loop."""

    def __init__(self, database: Database, hub: Hub, limits: BrokerLimits | None = None) -> None:
        self._database = database
        self._hub = hub
        self._limits = limits or BrokerLimits()
        self.on_delivered: Callable[[int], None] = lambda _: None  # told how many messages were acknowledged
        self._holds: list[Callable[[str], float | None]] = []
        self._listeners: dict[str, set[asyncio.Event]] = {}
        self._guard = LoopGuard(  # only touched by works of the database, in its thread
            max_hops=self._limits.max_hops, edge=self._limits.edge, agent=self._limits.agent
        )

    async def send(self, sender: str, to: str, body: str, *, reply_to: int | None = None) -> int:
        """Accept a message and return its id once it is durable.

        Raises NotFound (nobody of that name), TooLarge, MailboxFull, BadInput (empty body, characters that are no
        text). A message that trips the loop guard is accepted and parked, and the operator is told.
        """
        return await self._accept(Draft(sender, to, body, reply_to, "mail"))

    async def tell(self, to: str, body: str) -> int:
        """Send an event of the hive itself. Raises what `send` raises."""
        return await self._accept(Draft(SYSTEM, to, body, None, "event"))

    async def ask(self, sender: str, body: str, question: Question) -> int:
        """Ask the operator. Raises what `send` raises."""
        return await self._accept(Draft(sender, OPERATOR, body, None, "question", question=question))

    async def _accept(self, draft: Draft) -> int:
        check_body(draft.body, self._limits.max_body)
        try:
            stored = await self._database.write(lambda c: self._store(c, draft))
        except asyncio.CancelledError:
            self.wake(draft.to)  # it is stored all the same, before they look
            raise
        except Unavailable:
            await self._database.read(lambda _: self._guard.forgive(draft.sender, draft.to))  # nobody was told
            raise
        self.announce(stored)
        return stored[0].id

    def post(
        self, connection: sqlite3.Connection, receivers: Sequence[str], body: str, *, chain: int = 0, hops: int = 0
    ) -> list[Message]:
        """Store an event of the hive itself in the caller's transaction; `announce` what it returns after the commit.

        A receiver that is gone, or whose mailbox is full, is left out: the hive's own work does not fail for that.
        `chain` and `hops` are its place in an exchange that it goes on with.
        """
        stored = []
        for receiver in receivers:
            try:
                stored += self._store(connection, Draft(SYSTEM, receiver, body, None, "event", chain, hops))
            except (NotFound, MailboxFull) as error:
                log.warning("%s is not told (%s): %s", receiver, error, body)
        return stored

    def announce(self, stored: Sequence[Message]) -> None:
        """Tell the hub of new messages, and wake those who wait for them."""
        for message in stored:
            if self._hub.heard:
                self._hub.publish("message", message.view())
            if message.dead_at is None:
                self.wake(message.recipient)
            else:
                self.announce_parked()

    def announce_parked(self) -> None:
        """Tell the hub that there are more dead letters, or fewer."""
        self._hub.publish("hive", {"event": "dead_letters"})

    def _store(self, connection: sqlite3.Connection, draft: Draft) -> list[Message]:
        """Check what only the database knows, and insert: the message, then what the operator must know about it."""
        if draft.to != OPERATOR and not agents.exists(connection, draft.to):
            raise NotFound(f"there is nobody called {draft.to[:40]!r} in this hive; nothing was sent")
        self._check_room(connection, draft.sender, draft.to)
        draft = placed(connection, draft)
        trip = None
        if draft.sender not in (OPERATOR, SYSTEM):
            hops = 0 if draft.to == OPERATOR else draft.hops  # a person answers no exchange for ever
            trip = self._guard.judge(draft.sender, draft.to, draft.chain, hops)
        if trip and parked.dead_is_full(connection, draft.to, self._limits.max_pending):
            self._guard.forgive(draft.sender, draft.to)  # nobody is told of it now
            raise MailboxFull(f"{trip.reason}, and too much to {draft.to} is parked already; nothing was stored")
        message = messages.insert(
            connection,
            sender=draft.sender,
            recipient=draft.to,
            kind=draft.kind,
            body=draft.body,
            reply_to=draft.reply_to,
            chain=draft.chain,
            hops=draft.hops,
            dead=trip is not None,
            question=draft.question,
        )
        if trip and trip.first:
            why = f"{trip.reason}; what follows is parked too"
            return [message, *self.post(connection, [OPERATOR], mail_events.parked("loop_guard", message, why))]
        return [message]

    def _check_room(self, connection: sqlite3.Connection, sender: str, to: str) -> None:
        """Raises MailboxFull. With the operator the hive itself has more room than all agents; they keep theirs."""
        bound, besides = self._limits.max_pending, SYSTEM if to == OPERATOR else None
        if to == OPERATOR and sender == SYSTEM:
            bound, besides = bound * HIVES_ROOM, None
        if messages.is_full(connection, to, bound, besides=besides):
            raise MailboxFull(f"{to}'s mailbox is full ({bound} messages); try again later")

    def readmit(self, connection: sqlite3.Connection, letter: Message) -> None:
        """Let a parked message wait again, in the caller's transaction. Raises MailboxFull."""
        self._check_room(connection, letter.sender, letter.recipient)
        self._guard.forgive(letter.sender, letter.recipient)
        parked.requeue(connection, letter.id)

    async def recv(
        self, recipient: str, *, max_messages: int = 20, wait: float = 0.0, lease: float = 2100.0
    ) -> list[Message]:
        """Lease up to `max_messages` waiting messages, waiting at most `wait` seconds for the first.

        They come again when the lease (seconds) ends without an ack; after `max_attempts` deliveries they are parked.
        A caller that is cancelled has leased nothing. Raises Unavailable for one who gave up too many already.
        """
        deadline = time.monotonic() + wait
        with self._listen(recipient) as arrival:  # before the first look, so that nothing slips through
            while True:
                arrival.clear()
                due = await self._database.read(lambda c: leases.due(c, recipient))
                if due is not None:
                    due = max(due, *(hold(recipient) or 0.0 for hold in self._holds), 0.0)
                if due is not None and due <= time.time():
                    if found := await self._lease(recipient, max_messages, lease):
                        return found
                    continue  # somebody else was faster, or they were all parked
                if not await _worth_a_look(arrival, due, deadline):
                    return []

    async def _lease(self, recipient: str, limit: int, lease: float) -> list[Message]:
        """Lease what waits and park what was leased too often; if the caller goes away, the lease is undone."""

        def work(connection: sqlite3.Connection) -> tuple[list[Message], int, list[Message]]:
            if parked.given_up_is_full(connection, recipient, most := self._limits.max_pending):
                raise Unavailable(f"{recipient} gave up {most} messages already; have the operator look at them")
            tired = parked.park_tired(connection, recipient, self._limits.max_attempts)
            told = self._tell_parked(connection, [(each, mail_events.tired(each)) for each in tired])
            return leases.lease(connection, recipient, until=time.time() + lease, limit=limit), len(tired), told

        leasing = asyncio.ensure_future(self._database.write(work))
        try:
            found, tired, told = await asyncio.shield(leasing)
        except asyncio.CancelledError:
            with contextlib.suppress(HyperhiveError):  # then nothing was leased
                found, tired, told = await leasing
                self._announce_parked(tired, told)
                await self.release(recipient, [message.id for message in found])
            raise
        self._announce_parked(tired, told)
        return found

    @contextlib.contextmanager
    def _listen(self, recipient: str) -> Iterator[asyncio.Event]:
        arrival = asyncio.Event()
        listeners = self._listeners.setdefault(recipient, set())
        listeners.add(arrival)
        try:
            yield arrival
        finally:
            listeners.discard(arrival)
            if not listeners and self._listeners.get(recipient) is listeners:
                del self._listeners[recipient]

    def hold(self, until: Callable[[str], float | None]) -> None:
        """Ask this before mail is handed out: until when (Unix seconds) it is held back from that recipient, or None.

        Wake those who wait when the answer becomes another one.
        """
        self._holds.append(until)

    def wake_all(self) -> None:
        """Let everybody who waits for mail look again."""
        for recipient in tuple(self._listeners):
            self.wake(recipient)

    def wake(self, recipient: str) -> None:
        """Let those who wait for the recipient's mail look again."""
        for arrival in self._listeners.get(recipient, ()):
            arrival.set()

    async def release(self, recipient: str, ids: Sequence[int]) -> None:
        """Undo the lease of messages that nobody works on; they wait again at once, and the attempt does not count."""
        if ids:
            await self._database.write(lambda c: leases.release(c, recipient, ids))
            self.wake(recipient)

    def give_back(self, connection: sqlite3.Connection, recipient: str) -> None:
        """The same for everything that the recipient has, in the caller's transaction; `wake` after the commit. Only if
        mail is held back from it now: else it would come again at once, for ever.
        """
        if any((hold(recipient) or 0.0) > time.time() for hold in self._holds):
            leased = leases.leased(connection, recipient)
            leases.release(connection, recipient, [message.id for message in leased])

    async def end_leases(self, recipient: str) -> None:
        """Let everything that the recipient held wait again at once (its harness started anew); attempts stay."""
        await self._database.write(lambda c: leases.end_leases(c, recipient))
        self.wake(recipient)

    async def ack(self, recipient: str, ids: Sequence[int]) -> int:
        """The turn over these messages is done: they are delivered. Returns how many the recipient held of them."""
        number = await self._database.write(lambda c: messages.deliver(c, recipient, ids))
        self.on_delivered(number)
        return number

    async def give_up(self, recipient: str, ids: Sequence[int], reason: str) -> int:
        """The recipient could not handle these: they are dead letters, and the operator is told of each.

        Returns how many the recipient held of them.
        """

        def work(connection: sqlite3.Connection) -> tuple[int, list[Message]]:
            letters = parked.park(connection, recipient, ids)
            return len(letters), self._tell_parked(connection, [(each, reason) for each in letters])

        count, told = await self._database.write(work)
        self._announce_parked(count, told)
        return count

    def _tell_parked(self, connection: sqlite3.Connection, letters: Sequence[tuple[Message, str]]) -> list[Message]:
        """Tell the operator which messages became dead letters, and why."""
        bodies = [mail_events.parked("dead_letter", letter, reason) for letter, reason in letters]
        return [told for body in bodies for told in self.post(connection, [OPERATOR], body)]

    def _announce_parked(self, count: int, told: Sequence[Message]) -> None:
        self.announce(told)
        if count:
            self.announce_parked()

    async def waiting(self, recipient: str) -> list[Message]:
        """What waits for the recipient, without a lease, and with the beginnings of bodies alone."""
        return await self._database.read(lambda c: messages.waiting(c, recipient, cut=True))

    async def inbox(self, *, all_: bool, limit: int, before: int | None = None, cut: bool = False) -> list[Message]:
        """The operator's mail, newest first; only what is unread unless `all_`. `before`: with a smaller id; `cut`: as
        `messages.mailbox` says.
        """
        return await self._database.read(
            lambda c: messages.mailbox(c, OPERATOR, delivered=all_, limit=limit, before=before, cut=cut)
        )

    async def message(self, message: int) -> Message:
        """One message, whoever's. Raises NotFound."""
        return await self._database.read(lambda c: messages.get(c, message))

    async def mailbox(self, recipient: str, limit: int, *, cut: bool = False) -> list[Message]:
        """Anybody's mail, newest first, without taking any; `cut` as above."""
        return await self._database.read(lambda c: messages.mailbox(c, recipient, delivered=True, limit=limit, cut=cut))

    async def flow(self, wanted: Filter, *, limit: int, before: int | None = None, cut: bool = False) -> list[Message]:
        """All mail that is wanted, newest first; `cut` as above."""
        return await self._database.read_apart(lambda c: messages.flow(c, wanted, limit=limit, before=before, cut=cut))

    async def mark_read(self, message: int) -> None:
        """The operator has seen it. Raises NotFound for a message that is not the operator's."""

        def mark(connection: sqlite3.Connection) -> None:
            operators(connection, message)
            messages.deliver(connection, OPERATOR, [message], leased=False)

        await self._database.write(mark)
        self._hub.publish("read", {"id": message})

    async def expire_questions(self) -> None:
        """Tell those whose question to the operator got no answer in time that they must do without."""

        def work(connection: sqlite3.Connection) -> list[Message]:
            told: list[Message] = []
            for question in messages.expire(connection, time.time()):
                _, _, chain, hops = messages.step(question)  # nobody was in the loop
                body = mail_events.expired(question)
                told += self.post(connection, [question.sender], body, chain=chain, hops=hops)
            return told

        due = await self._database.read(messages.next_expiry)
        if due is not None and due <= time.time():
            self.announce(await self._database.write(work))

    async def reply(self, message: int, body: str) -> int:
        """Answer a message of the operator's inbox; it is read now. Raises NotFound, and what `send` raises."""
        check_body(body, self._limits.max_body)

        def work(connection: sqlite3.Connection) -> list[Message]:
            answered = operators(connection, message)
            if answered.sender == SYSTEM:
                raise BadInput(f"message {message} is from the hive itself; there is nobody to answer")
            messages.deliver(connection, OPERATOR, [message], leased=False)
            return self._store(connection, Draft(OPERATOR, answered.sender, body, message, "mail"))

        stored = await self._database.write(work)
        self.announce(stored)
        self._hub.publish("read", {"id": message})
        return stored[0].id


async def _worth_a_look(arrival: asyncio.Event, due: float | None, deadline: float) -> bool:
    """Wait until something arrives or a lease ends (Unix seconds); False if the deadline (monotonic) passes first."""
    left = deadline - time.monotonic()
    soon = left if due is None else due - time.time() + 0.001
    if left <= 0:
        return False
    try:
        async with asyncio.timeout(min(left, soon)):
            await arrival.wait()
    except TimeoutError:
        return soon < left
    return True
