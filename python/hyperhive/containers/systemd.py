"""The core's one connection to systemd over D-Bus: it starts units, and hears of everything that containers do."""

from __future__ import annotations

import asyncio
import contextlib
import logging
from collections.abc import AsyncIterator, Callable
from dataclasses import dataclass
from typing import TYPE_CHECKING, Any

from hyperhive.errors import Forbidden, HyperhiveError, Unavailable

if TYPE_CHECKING:
    from dbus_fast import Message
    from dbus_fast.aio import MessageBus

log = logging.getLogger(__name__)

_NAME = "org.freedesktop.systemd1"
_PATH = "/org/freedesktop/systemd1"
_MANAGER = "org.freedesktop.systemd1.Manager"
_UNIT = "org.freedesktop.systemd1.Unit"
_SERVICE = "org.freedesktop.systemd1.Service"
_PROPERTIES = "org.freedesktop.DBus.Properties"
_RULES = (
    f"type='signal',sender='{_NAME}',interface='{_PROPERTIES}',member='PropertiesChanged',"
    f"path_namespace='{_PATH}/unit'",
    f"type='signal',sender='{_NAME}',interface='{_MANAGER}'",
)
START_TIME = 300.0
"""Seconds that a unit's job may take."""


@dataclass(frozen=True)
class UnitState:
    """What systemd says of a service. `active` and `sub` are its states, `result`, `code` (CLD_*: 1 exited, 2 killed, 3
    dumped) and `status` how its main process ended, `invocation` is another with each start; `memory_peak` in bytes.
    """

    active: str = "inactive"
    sub: str = "dead"
    result: str = "success"
    code: int = 0
    status: int = 0
    restarts: int = 0
    invocation: str = ""
    memory_peak: int | None = None


@dataclass(frozen=True)
class Change:
    """Something that happened to a unit: properties that changed, or a job (`job`: its type) that began or ended."""

    unit: str
    properties: dict[str, Any]
    job: str | None = None
    ended: bool = False


class Systemd:
    """One connection to the system bus. Made by `connect`; `close` ends it."""

    def __init__(self, bus: MessageBus) -> None:
        """Take over a connected bus; use `connect`."""
        self._bus = bus
        self._gone = asyncio.Event()
        self._watching = asyncio.create_task(self._watch(), name="the system bus")
        self._early: list[Change] | None = []  # what came before anybody listened
        self.active: dict[str, str] = {}  # the last ActiveState that was heard of each unit
        self._jobs: dict[str, asyncio.Future[str]] = {}
        self._ended: dict[str, str] = {}  # jobs that were over before anybody could wait for them
        self._listeners: set[Callable[[Change], None]] = set()
        bus.add_message_handler(self._received)

    @classmethod
    async def connect(cls, address: str | None = None) -> Systemd:
        """Connect and subscribe; by default to $DBUS_SYSTEM_BUS_ADDRESS, else the system's own bus.

        Raises Unavailable without a bus, or if systemd is not on it (yet).
        """
        from dbus_fast import BusType  # noqa: PLC0415  (the NixOS backend's only)
        from dbus_fast.aio import MessageBus  # noqa: PLC0415

        try:
            bus = await MessageBus(bus_address=address, bus_type=BusType.SYSTEM).connect()
        except (OSError, EOFError) as error:
            raise Unavailable(f"the system bus cannot be reached ({error}); is dbus running?") from error
        made = cls(bus)
        try:
            await made._subscribe()
        except BaseException:
            await made.close()
            raise
        return made

    async def _subscribe(self) -> None:
        for rule in _RULES:
            await self._call(
                "org.freedesktop.DBus", "/org/freedesktop/DBus", "org.freedesktop.DBus", "AddMatch", "s", rule
            )
        await self._call(_NAME, _PATH, _MANAGER, "Subscribe")

    async def _watch(self) -> None:
        """When the bus goes away nothing that was asked of it will be answered: let nobody wait."""
        try:
            with contextlib.suppress(Exception):
                await self._bus.wait_for_disconnect()  # type: ignore[no-untyped-call]
        finally:
            self._gone.set()
            for future in self._jobs.values():
                if not future.done():
                    future.set_exception(Unavailable("the system bus went away before the unit was done"))

    @property
    def connected(self) -> bool:
        """Whether the bus is still there."""
        return bool(self._bus.connected)

    async def wait_for_disconnect(self) -> None:
        """Until the bus goes away or `close` is called."""
        await self._gone.wait()

    async def close(self) -> None:
        """End the connection."""
        self._bus.disconnect()
        await self._watching

    async def start_unit(self, unit: str) -> None:
        """Start a unit and wait until its job is done.

        Raises Forbidden where polkit does not let us, HyperhiveError if the unit failed.
        """
        (path,) = await self._call(_NAME, _PATH, _MANAGER, "StartUnit", "ss", unit, "replace", subject=unit)
        result = await self._job_result(path, unit)
        if result != "done":
            raise HyperhiveError(f"{unit} ended with {result}; journalctl -u {unit} says why")

    async def _job_result(self, path: str, unit: str) -> str:
        if (early := self._ended.pop(path, None)) is not None:
            return early
        future: asyncio.Future[str] = asyncio.get_running_loop().create_future()
        self._jobs[path] = future
        try:
            async with asyncio.timeout(START_TIME):
                return await future
        except TimeoutError as error:
            raise HyperhiveError(f"{unit} was not done within {START_TIME:g} s") from error
        finally:
            del self._jobs[path]

    async def properties(self, unit: str) -> UnitState:
        """What the unit does now; a unit that is not loaded is inactive."""
        (path,) = await self._call(_NAME, _PATH, _MANAGER, "LoadUnit", "s", unit)
        found: dict[str, Any] = {}
        for interface in (_UNIT, _SERVICE):
            (values,) = await self._call(_NAME, path, _PROPERTIES, "GetAll", "s", interface)
            found.update({name: variant.value for name, variant in values.items()})
        return state_of(found)

    async def units(self, pattern: str) -> dict[str, str]:
        """ActiveState of every loaded unit whose name matches the glob."""
        (rows,) = await self._call(_NAME, _PATH, _MANAGER, "ListUnitsByPatterns", "asas", [], [pattern])
        return {row[0]: row[3] for row in rows}

    @contextlib.asynccontextmanager
    async def changes(self) -> AsyncIterator[asyncio.Queue[Change]]:
        """All changes from now on, in order; for the first who asks, all since the connection was made."""
        queue: asyncio.Queue[Change] = asyncio.Queue()
        early, self._early = self._early or [], None
        for change in early:
            queue.put_nowait(change)
        self._listeners.add(queue.put_nowait)
        try:
            yield queue
        finally:
            self._listeners.discard(queue.put_nowait)

    def _received(self, message: Message) -> None:
        if message.member == "PropertiesChanged" and message.path and message.path.startswith(f"{_PATH}/unit/"):
            properties = {name: variant.value for name, variant in message.body[1].items()}
            unit = unescape(message.path.rsplit("/", 1)[1])
            if "ActiveState" in properties:
                self.active[unit] = properties["ActiveState"]
            self._tell(Change(unit, properties))
        elif message.member == "JobNew" and message.interface == _MANAGER:
            self._tell(Change(message.body[2], {}, job=message.body[1]))
        elif message.member == "JobRemoved" and message.interface == _MANAGER:
            _, path, unit, result = message.body
            self._finish(path, result)
            self._tell(Change(unit, {}, job=path, ended=True))

    def _finish(self, path: str, result: str) -> None:
        future = self._jobs.get(path)
        if future is None:
            self._ended[path] = result
            if len(self._ended) > 1000:  # others' jobs, which nobody here waits for
                self._ended.pop(next(iter(self._ended)))
        elif not future.done():
            future.set_result(result)

    def _tell(self, change: Change) -> None:
        if self._early is not None:
            self._early.append(change)
        for listener in tuple(self._listeners):
            listener(change)

    async def job_type(self, path: str) -> str | None:
        """`start`, `stop`, `restart` …; None if the job is over already."""
        try:
            (value,) = await self._call(
                _NAME, path, _PROPERTIES, "Get", "ss", "org.freedesktop.systemd1.Job", "JobType"
            )
        except HyperhiveError:
            return None
        return str(value.value)

    async def _call(
        self, name: str, path: str, interface: str, member: str, signature: str = "", *body: object, subject: str = ""
    ) -> list[Any]:
        """One method call; its answer's body."""
        from dbus_fast import Message, MessageType  # noqa: PLC0415

        if not self.connected:
            raise Unavailable(f"the system bus is away, so {member} was not asked; try again when it is back")
        message = Message(
            destination=name, path=path, interface=interface, member=member, signature=signature, body=list(body)
        )
        try:
            reply = await self._bus.call(message)
        except (OSError, EOFError) as error:
            raise Unavailable(f"the system bus went away during {member} ({error})") from error
        if reply is None:
            raise Unavailable(f"the connection to the system bus was closed during {member}")
        if reply.message_type is MessageType.ERROR:
            raise _error(reply.error_name or "", str((reply.body or [member])[0]), subject or member)
        return list(reply.body)


def state_of(found: dict[str, Any]) -> UnitState:
    """A UnitState from systemd's properties by name."""
    peak = found.get("MemoryPeak")
    return UnitState(
        active=str(found.get("ActiveState", "inactive")),
        sub=str(found.get("SubState", "dead")),
        result=str(found.get("Result", "success")),
        code=int(found.get("ExecMainCode", 0)),
        status=int(found.get("ExecMainStatus", 0)),
        restarts=int(found.get("NRestarts", 0)),
        invocation=bytes(found.get("InvocationID", b"")).hex(),
        memory_peak=int(peak) if peak is not None and int(peak) < 2**63 else None,
    )


def _error(name: str, text: str, subject: str) -> HyperhiveError:
    if name.endswith((".AccessDenied", ".InteractiveAuthorizationRequired")):
        return Forbidden(
            f"systemd does not let the core start {subject}; polkit has no rule that lets it do "
            "org.freedesktop.systemd1.manage-units there (services.hyperhive.enable installs it)"
        )
    return HyperhiveError(f"{subject}: {text}")


def unescape(label: str) -> str:
    """A unit's name from the last part of its object path: `container_40a_2eservice` → `container@a.service`."""
    parts = label.split("_")
    return parts[0] + "".join(chr(int(part[:2], 16)) + part[2:] for part in parts[1:])
