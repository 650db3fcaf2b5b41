"""hyperhive.containers.watch on a real systemd with real containers: what is told of each way in which one ends."""

from __future__ import annotations

import asyncio
import os
import signal
import time
from collections.abc import AsyncIterator, Callable, Iterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any, cast

import pytest
from checks.driver.__main__ import lacking
from database_rig import within
from systemd_rig import ContainerHost, Heard, until

from hyperhive.containers import ContainerState
from hyperhive.containers.nixos import NixosBackend
from hyperhive.containers.watch import ContainerWatch

LACKING = lacking("trixie")
pytestmark = pytest.mark.skipif(LACKING is not None, reason=f"a real systemd: {LACKING}")
SOON = 1.0
"""Seconds from an end to the word of it. An idle machine needs 0.1."""


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerHost]:
    host = ContainerHost(tmp_path_factory.mktemp("hosts"))
    yield host
    host.destroy()


@pytest.fixture
def name(host: ContainerHost, monkeypatch: pytest.MonkeyPatch, tmp_path: Path) -> Iterator[str]:
    """A running container of its own."""
    monkeypatch.setenv("DBUS_SYSTEM_BUS_ADDRESS", host.bus)
    monkeypatch.setenv("PATH", host.journalctl(tmp_path))
    name = f"a{os.urandom(4).hex()}"
    host.make(name)
    host.sh(f"systemctl start container@{name}")
    yield name
    host.sh(f"systemctl kill --signal KILL container@{name} || true; systemctl stop container@{name}")


class Core:
    """As much of a core as watches."""

    def __init__(self, backend: NixosBackend, heard: Heard) -> None:
        self.backend = backend
        self.heard = heard

    def connected(self) -> bool:
        """Whether it follows systemd."""
        systemd = self.backend._systemd
        return systemd is not None and systemd.connected

    async def is_(self, name: str, state: ContainerState) -> None:
        await until(lambda: self.backend.state(name) is state, f"{name} to be {state}")


@asynccontextmanager
async def core(memory: Path, name: str) -> AsyncIterator[Core]:
    """A core, for the time of the block; it knows one agent."""
    heard = Heard()

    async def ours(agent: str) -> bool:
        return agent == name

    async with asyncio.TaskGroup() as group:
        tasks: list[asyncio.Task[None]] = []
        watch = ContainerWatch(memory / "containers.json", heard, ours)
        backend = NixosBackend(
            state_dir=memory,
            builder=cast("Any", None),
            watch=watch,
            spawn=lambda work: tasks.append(group.create_task(work)),
        )
        await backend.open()
        try:
            yield Core(backend, heard)
        finally:
            for task in tasks:
                task.cancel()
            await backend.close()


def kill_nspawn(host: ContainerHost, name: str) -> None:
    os.kill(host.nspawn(name), signal.SIGKILL)


def kill_pid1(host: ContainerHost, name: str) -> None:
    os.kill(host.leader(name), signal.SIGKILL)


@pytest.mark.parametrize(
    ("kill", "ending", "result", "code", "logged"),
    [
        (kill_nspawn, "killed", "signal", 9, "Main process exited, code=killed, status=9/KILL"),
        (kill_pid1, "pid1_died", "exit-code", 1, "Main process exited, code=exited, status=1/FAILURE"),
    ],
)
def test_a_container_that_dies_is_told_of_soon_and_once(
    host: ContainerHost,
    name: str,
    tmp_path: Path,
    kill: Callable[[ContainerHost, str], None],
    ending: str,
    result: str,
    code: int,
    logged: str,
) -> None:
    async def main() -> None:
        async with core(tmp_path, name) as hive:
            await asyncio.to_thread(kill, host, name)
            killed = time.monotonic()
            crash = await hive.heard.number(1)
            assert (crash.agent, crash.ending, crash.result, crash.exit_code) == (name, ending, result, code)
            assert (crash.given_up, crash.count) == (False, 1)
            assert logged in crash.log
            assert abs(crash.at - time.time()) < SOON
            assert hive.heard.times[0] - killed < SOON
            await hive.is_(name, ContainerState.STARTING)
            await hive.is_(name, ContainerState.RUNNING)
            assert len(hive.heard.crashes) == 1

    within(main())


@pytest.mark.parametrize(
    "command",
    [
        "systemctl stop container@{0}; systemctl start container@{0}",
        "systemctl restart container@{0}",
        "systemctl start container@{0}",
        "machinectl terminate {0}; systemctl start container@{0}",
        "systemd-run -q -M {0} --no-block systemctl poweroff; "
        "until systemctl show container@{0} | grep -q ActiveState=inactive; do sleep 0.05; done; "
        "systemctl start container@{0}",
        "systemd-run -q -M {0} --no-block systemctl reboot; "
        "until systemctl show container@{0} | grep -q NRestarts=1; do sleep 0.05; done; "
        "until systemctl is-active container@{0}; do sleep 0.05; done",
        "systemctl daemon-reload",
        "systemctl daemon-reexec",
    ],
)
def test_what_somebody_wanted_is_no_crash_and_hides_none(
    host: ContainerHost, name: str, tmp_path: Path, command: str
) -> None:
    async def main() -> None:
        async with core(tmp_path, name) as hive:
            await host.run(command.format(name))
            await hive.is_(name, ContainerState.RUNNING)
            assert hive.heard.crashes == []
            await asyncio.to_thread(kill_pid1, host, name)
            assert (await hive.heard.number(1)).ending == "pid1_died"

    within(main())


def test_a_start_that_gets_not_ready_is_told(host: ContainerHost, name: str, tmp_path: Path) -> None:
    host.configure(name, "TimeoutStartSec=0.5\nExecStart=\nExecStart=/bin/sleep 100\nRestart=no")

    async def main() -> None:
        async with core(tmp_path, name) as hive:
            await host.run(f"systemctl restart container@{name} || true")
            crash = await hive.heard.number(1)
            assert (crash.ending, crash.result, crash.given_up) == ("start_timeout", "timeout", True)
            assert hive.backend.state(name) is ContainerState.FAILED

    within(main())


def test_a_stop_that_takes_too_long_is_told_but_is_no_giving_up(host: ContainerHost, name: str, tmp_path: Path) -> None:
    host.configure(
        name,
        "TimeoutStopSec=0.5\nNotifyAccess=all\nExecStart=\n"
        "ExecStart=/bin/sh -c 'trap : TERM; systemd-notify --ready; while :; do sleep 1 & wait; done'",
    )
    host.sh(f"systemctl restart container@{name}")

    async def main() -> None:
        async with core(tmp_path, name) as hive:
            await host.run(f"systemctl stop container@{name}")
            crash = await hive.heard.number(1)
            assert (crash.ending, crash.exit_code, crash.given_up) == ("stop_timeout", 9, False)

    within(main())


def test_a_loop_until_the_start_limit_is_told_at_its_beginning_and_when_given_up(
    host: ContainerHost, name: str, tmp_path: Path
) -> None:
    host.configure(name, "ExecStart=\nExecStart=/bin/sh -c 'exit 3'")

    async def main() -> None:
        async with core(tmp_path, name) as hive:
            await asyncio.to_thread(kill_pid1, host, name)
            await hive.is_(name, ContainerState.FAILED)
            await hive.heard.number(2)
            first, last = hive.heard.crashes
            assert (first.ending, first.given_up, first.count) == ("pid1_died", False, 1)
            assert (last.ending, last.given_up, last.exit_code) == ("start_limit", True, 3)
            assert last.count == last.restarts - 1
        async with core(tmp_path, name) as hive:
            assert hive.heard.crashes == []  # it was told

    within(main())


def test_a_stop_while_systemd_waits_to_restart_it_gives_nothing_up(
    host: ContainerHost, name: str, tmp_path: Path
) -> None:
    host.configure(name, "RestartSec=60")

    async def main() -> None:
        async with core(tmp_path, name) as hive:
            await asyncio.to_thread(kill_pid1, host, name)
            await hive.heard.number(1)
            await host.run(f"systemctl stop container@{name}")
            await hive.is_(name, ContainerState.STOPPED)
            await host.run(f"systemctl start container@{name}")
            await hive.is_(name, ContainerState.RUNNING)
            assert [crash.given_up for crash in hive.heard.crashes] == [False]

    within(main())


@pytest.mark.parametrize("killed_meanwhile", [False, True])
def test_a_bus_that_restarts_is_survived_and_what_happened_meanwhile_is_told(
    host: ContainerHost, name: str, tmp_path: Path, killed_meanwhile: bool
) -> None:
    async def main() -> None:
        async with core(tmp_path, name) as hive:
            leader = await asyncio.to_thread(host.leader, name)
            await host.run("systemctl stop dbus.socket dbus.service")
            if killed_meanwhile:
                os.kill(leader, signal.SIGKILL)
                pattern = f"code=exited, status=1/FAILURE' <(journalctl -u container@{name})"
                await host.run(f"until grep -q '{pattern}; do sleep 0.05; done")
            await host.run("systemctl start dbus.socket dbus.service")
            if not killed_meanwhile:
                await until(hive.connected, "the connection to the bus")
                os.kill(leader, signal.SIGKILL)
            crash = await hive.heard.number(1)
            assert (crash.ending, crash.exit_code) == ("pid1_died", 1)
            if crash.given_up:  # machined is new too, and asked for a stop of what it found dying
                assert hive.backend.state(name) is ContainerState.FAILED

    within(main())


@pytest.mark.parametrize(("kill", "ending", "code"), [(kill_nspawn, "killed", 9), (kill_pid1, "pid1_died", 1)])
def test_a_crash_while_no_core_was_there_is_told_once_and_as_what_it_was(
    host: ContainerHost, name: str, tmp_path: Path, kill: Callable[[ContainerHost, str], None], ending: str, code: int
) -> None:
    async def main() -> None:
        async with core(tmp_path, name):
            pass
        await asyncio.to_thread(kill, host, name)
        await host.run(f"until systemctl show container@{name} | grep -q NRestarts=[1-9]; do sleep 0.05; done")
        await host.run(f"until systemctl is-active container@{name}; do sleep 0.05; done")
        async with core(tmp_path, name) as hive:
            crash = await hive.heard.number(1)
            assert (crash.ending, crash.exit_code, crash.given_up) == (ending, code, False)
        async with core(tmp_path, name) as hive:
            assert hive.heard.crashes == []

    within(main())


def test_being_given_up_while_no_core_was_there_is_told_as_that(host: ContainerHost, name: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with core(tmp_path, name):
            pass
        host.configure(name, "ExecStart=\nExecStart=/bin/sh -c 'exit 3'")
        await asyncio.to_thread(kill_pid1, host, name)
        await host.run(f"until systemctl is-failed container@{name}; do sleep 0.05; done")
        async with core(tmp_path, name) as hive:
            crash = await hive.heard.number(1)
            assert crash.given_up and crash.count > 1
        async with core(tmp_path, name) as hive:
            assert hive.heard.crashes == []

    within(main())


@pytest.mark.parametrize(
    "command",
    [
        "systemctl stop container@{0}",
        "systemctl restart container@{0}",
        "systemd-run -q -M {0} --no-block systemctl reboot; "
        "until systemctl show container@{0} | grep -q NRestarts=1; do sleep 0.05; done; "
        "until systemctl is-active container@{0}; do sleep 0.05; done",
    ],
)
def test_what_somebody_wanted_while_no_core_was_there_is_no_crash(
    host: ContainerHost, name: str, tmp_path: Path, command: str
) -> None:
    async def main() -> None:
        async with core(tmp_path, name):
            pass
        await host.run(command.format(name))
        async with core(tmp_path, name) as hive:
            assert hive.heard.crashes == []

    within(main())


def test_other_containers_of_the_host_are_none_of_its_business(host: ContainerHost, name: str, tmp_path: Path) -> None:
    async def main() -> None:
        async with core(tmp_path, "somebody-else") as hive:
            await asyncio.to_thread(kill_pid1, host, name)
            await hive.is_(name, ContainerState.STARTING)
            await hive.is_(name, ContainerState.RUNNING)
            assert hive.heard.crashes == []

    within(main())
