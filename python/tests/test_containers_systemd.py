"""hyperhive.containers.systemd without a bus: names and values as systemd gives them (checks/vm has the real one)."""

from __future__ import annotations

import pytest

from hyperhive.containers.systemd import UnitState, state_of, unescape


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
