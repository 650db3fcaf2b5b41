"""hyperhive.containers.systemd: names and values as systemd gives them, and a real systemd (as root)."""

from __future__ import annotations

import asyncio
from collections.abc import Iterator
from pathlib import Path

import pytest
from checks.driver import backdoor
from checks.driver.__main__ import lacking
from checks.driver.provision import SOURCE
from database_rig import within
from systemd_rig import ContainerHost, until

from hyperhive.containers.systemd import Systemd, UnitState, state_of, unescape
from hyperhive.errors import Forbidden, HyperhiveError, Unavailable

LACKING = lacking("trixie")
real = pytest.mark.skipif(LACKING is not None, reason=f"a real systemd: {LACKING}")

ASK = """
import asyncio, sys
from hyperhive.containers.systemd import Systemd
from hyperhive.errors import HyperhiveError

async def main():
    systemd = await Systemd.connect()
    print((await systemd.properties("dbus.service")).active)
    try:
        await systemd.start_unit("good.service")
    except HyperhiveError as error:
        print(type(error).__name__, error)
    await systemd.close()

asyncio.run(main())
"""


@pytest.mark.parametrize(
    ("label", "name"),
    [
        ("container_40worker_2eservice", "container@worker.service"),
        ("container_40a_2db_2eservice", "container@a-b.service"),
        ("hive_2dactivate_40worker_3a12_2eservice", "hive-activate@worker:12.service"),
        ("dbus_2esocket", "dbus.socket"),
    ],
)
def test_a_unit_is_known_by_its_object_path(label: str, name: str) -> None:
    assert unescape(label) == name


def test_a_unit_that_is_not_loaded_is_inactive() -> None:
    assert state_of({}) == UnitState()


def test_systemds_infinity_is_no_peak() -> None:
    assert state_of({"MemoryPeak": 2**64 - 1}).memory_peak is None
    assert state_of({"MemoryPeak": 4096, "InvocationID": b"\x01\xff"}) == UnitState(invocation="01ff", memory_peak=4096)


def test_without_a_bus_it_says_so(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match="system bus cannot be reached"):
        within(Systemd.connect(f"unix:path={tmp_path}/none"))


@pytest.fixture(scope="module")
def host(tmp_path_factory: pytest.TempPathFactory) -> Iterator[ContainerHost]:
    """A host with a oneshot of each kind."""
    host = ContainerHost(tmp_path_factory.mktemp("hosts"))
    units = {
        "good": "ExecStart=/bin/true",
        "bad": "ExecStart=/bin/false",
        "slow": "ExecStart=/bin/sleep 1000",
        "late": "ExecStart=/bin/sleep 1000\nTimeoutStartSec=0.1",
    }
    for name, line in units.items():
        unit = host.machine.workspace.root / f"etc/systemd/system/{name}.service"
        unit.write_text(f"[Service]\nType=oneshot\n{line}\n")
    host.sh("systemctl daemon-reload")
    yield host
    host.destroy()


def ask(host: ContainerHost, unit: str) -> None:
    async def main() -> None:
        systemd = await Systemd.connect(host.bus)
        try:
            await systemd.start_unit(unit)
        finally:
            await systemd.close()

    within(main())


@real
def test_a_unit_is_started_and_waited_for(host: ContainerHost) -> None:
    ask(host, "good.service")
    assert host.sh("systemctl show good.service --property=Result --value") == "success"
    assert "good.service: Deactivated" in host.sh("journalctl --unit good.service --output cat")


@real
@pytest.mark.parametrize(
    ("unit", "says"),
    [
        ("bad.service", "bad.service ended with failed; journalctl -u bad.service says why"),
        ("late.service", "late.service ended with (failed|timeout); journalctl"),
        ("none.service", "none.service: Unit none.service not found"),
    ],
)
def test_a_unit_that_does_not_start_is_one_line(host: ContainerHost, unit: str, says: str) -> None:
    with pytest.raises(HyperhiveError, match=says) as caught:
        ask(host, unit)
    assert "\n" not in str(caught.value)
    assert not isinstance(caught.value, (Forbidden, Unavailable))


@real
def test_who_may_not_start_units_is_told_which_rule_lacks_and_may_look(host: ContainerHost) -> None:
    path = f"PYTHONPATH={SOURCE}/python:/usr/lib/hyperhive-python"
    (host.machine.workspace.shared / "ask.py").write_text(ASK)
    as_nobody = "setpriv --reuid=65534 --regid=65534 --clear-groups"
    said = host.sh(f"{path} {as_nobody} python3 - < {backdoor.SHARED}/ask.py").splitlines()
    assert said[0] == "active"
    assert said[1].startswith("Forbidden systemd does not let the core start good.service; polkit has no rule"), said
    assert "org.freedesktop.systemd1.manage-units" in said[1]


@real
def test_nobody_waits_for_an_answer_when_the_bus_is_gone(host: ContainerHost) -> None:
    async def main() -> None:
        systemd = await Systemd.connect(host.bus)
        try:
            waiting = asyncio.create_task(systemd.start_unit("slow.service"))
            async with systemd.changes() as changes:
                while (await changes.get()).unit != "slow.service":
                    pass
            await host.run("systemctl restart dbus.service")
            with pytest.raises(Unavailable, match="went away"):
                await waiting
            await systemd.wait_for_disconnect()
            assert not systemd.connected
            with pytest.raises(Unavailable, match="system bus is away"):
                await systemd.properties("slow.service")
        finally:
            await systemd.close()
            await host.run("systemctl stop slow.service")

    within(main())


@real
def test_what_happens_before_anybody_listens_is_heard(host: ContainerHost) -> None:
    async def main() -> None:
        systemd = await Systemd.connect(host.bus)
        try:
            await systemd.start_unit("good.service")
            async with systemd.changes() as changes:
                units = {changes.get_nowait().unit for _ in range(changes.qsize())}
                assert "good.service" in units
            async with systemd.changes() as changes:
                assert changes.empty()
        finally:
            await systemd.close()

    within(main())


@real
@pytest.mark.parametrize("command", ["systemctl daemon-reload", "systemctl daemon-reexec"])
def test_it_hears_on_after_systemd_itself_was_loaded_anew(host: ContainerHost, command: str) -> None:
    async def main() -> None:
        systemd = await Systemd.connect(host.bus)
        try:
            await host.run(command)
            async with systemd.changes() as changes:
                await host.run("systemctl start good.service")
                heard: list[str] = []
                while "activating" not in heard:
                    change = await changes.get()
                    if change.unit == "good.service":
                        heard.append(str(change.properties.get("ActiveState")))
        finally:
            await systemd.close()

    within(main())


def open_files() -> int:
    return len(list(Path("/proc/self/fd").iterdir()))


@real
def test_a_connection_that_could_not_subscribe_is_closed(host: ContainerHost, monkeypatch: pytest.MonkeyPatch) -> None:
    async def refuse(_: Systemd) -> None:
        raise Unavailable("systemd is not on the bus yet")

    monkeypatch.setattr(Systemd, "_subscribe", refuse)

    async def main() -> None:
        before = open_files()
        for _ in range(3):
            with pytest.raises(Unavailable, match="not on the bus yet"):
                await Systemd.connect(host.bus)
        await until(lambda: open_files() <= before, "the sockets to be closed")

    within(main())
