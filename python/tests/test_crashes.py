"""hyperhive.crashes: recorded sequences of systemd's signals, and what they mean."""

from __future__ import annotations

import pytest

from hyperhive.crashes import LOOP_CRASHES, LOOP_TIME, End, Ending, LoopSum, Remembered, UnitWatch, missed

UP: list[dict[str, object]] = [
    {"ActiveState": "activating", "SubState": "start"},
    {"ActiveState": "active", "SubState": "running"},
]
Signal = dict[str, object] | str
"""Properties of one PropertiesChanged, Service's before Unit's; or the type of a job that began."""


def ends(*signals: Signal) -> list[End]:
    """The ends that a running container's signals tell of."""
    watch = UnitWatch()
    found = []
    for signal in (*UP, *signals):
        if isinstance(signal, str):
            watch.job(signal)
        elif (end := watch.change(signal)) is not None:
            found.append(end)
    return found


def service(result: str, code: int, status: int, restarts: int = 0) -> Signal:
    return {"Result": result, "ExecMainCode": code, "ExecMainStatus": status, "NRestarts": restarts}


def unit(active: str, sub: str) -> Signal:
    return {"ActiveState": active, "SubState": sub}


STOPPING = unit("deactivating", "stop-sigterm")
AGAIN = (unit("activating", "auto-restart"), "restart", unit("activating", "start"), service("success", 0, 0, 1), *UP)


@pytest.mark.parametrize(
    ("signals", "ending"),
    [
        pytest.param(
            ("stop", STOPPING, service("success", 1, 0), unit("inactive", "dead")), Ending.STOPPED, id="operator's stop"
        ),
        pytest.param(
            ("restart", STOPPING, service("success", 1, 0), unit("inactive", "dead"), *UP), Ending.STOPPED, id="restart"
        ),
        pytest.param((STOPPING, service("success", 1, 0), unit("inactive", "dead")), Ending.POWEROFF, id="poweroff"),
        pytest.param(
            (STOPPING, service("success", 1, 133), unit("inactive", "dead"), *AGAIN), Ending.REBOOT, id="reboot"
        ),
        pytest.param(
            (STOPPING, service("exit-code", 1, 1), unit("failed", "failed"), *AGAIN), Ending.PID1_DIED, id="PID 1 (252)"
        ),
        pytest.param(
            (STOPPING, service("exit-code", 1, 255), unit("failed", "failed-before-auto-restart"), *AGAIN),
            Ending.PID1_DIED,
            id="PID 1 (257)",
        ),
        pytest.param(
            (unit("deactivating", "stop-sigkill"), service("signal", 2, 9), unit("failed", "failed"), "stop", *AGAIN),
            Ending.KILLED,
            id="nspawn killed; machined asks for a stop when all is over",
        ),
        pytest.param((service("core-dump", 3, 11), unit("failed", "failed")), Ending.CORE_DUMP, id="core dump"),
        pytest.param((service("oom-kill", 2, 9), unit("failed", "failed")), Ending.OOM, id="out of memory"),
        pytest.param(
            ("stop", STOPPING, service("timeout", 2, 9), unit("failed", "failed")), Ending.TIMEOUT, id="stop too long"
        ),
    ],
)
def test_an_end_is_what_its_signals_say_and_is_told_once(signals: tuple[Signal, ...], ending: Ending) -> None:
    assert [end.ending for end in ends(*signals)] == [ending]


def test_a_start_that_never_gets_ready_is_a_crash() -> None:
    watch = UnitWatch()
    signals = [unit("activating", "start"), service("timeout", 2, 9), unit("failed", "failed")]
    found = [watch.change(signal) for signal in signals if isinstance(signal, dict)]
    assert [end.ending for end in found if end] == [Ending.TIMEOUT]


def test_each_end_of_one_container_is_told() -> None:
    died = (STOPPING, service("exit-code", 1, 1), unit("failed", "failed"), *AGAIN)
    stopped = ("stop", STOPPING, service("success", 1, 0), unit("inactive", "dead"))
    assert [end.ending for end in ends(*died, *died, *stopped)] == [Ending.PID1_DIED, Ending.PID1_DIED, Ending.STOPPED]


def test_only_what_nobody_wanted_is_a_crash() -> None:
    assert [ending for ending in Ending if not ending.is_crash] == [Ending.STOPPED, Ending.POWEROFF, Ending.REBOOT]


END = End(Ending.KILLED, "signal", 9)


def test_a_crash_loop_is_told_at_its_beginning_and_then_in_sums() -> None:
    loop = LoopSum()
    at_once = [loop.crash(END, now=float(second)) for second in range(20)]
    assert [told is not None for told in at_once] == [True] * LOOP_CRASHES + [False] * (20 - LOOP_CRASHES)
    assert loop.due(30.0) is None
    told = loop.due(LOOP_TIME + 10)
    assert told is not None and told.count == 20 - LOOP_CRASHES
    assert loop.due(LOOP_TIME + 11) is None


def test_being_given_up_is_told_at_once_with_all_that_was_not() -> None:
    loop = LoopSum()
    for second in range(5):
        loop.crash(END, now=float(second))
    told = loop.crash(END, now=5.0, given_up=True)
    assert told is not None and told.count == 3


def test_crashes_that_are_far_apart_are_told_each() -> None:
    loop = LoopSum()
    assert all(loop.crash(END, now=hour * 3600.0) for hour in range(10))


@pytest.mark.parametrize(
    ("before", "now", "result", "crashed"),
    [
        (None, Remembered("a", 3, True), "success", False),
        (Remembered("a", 0, True), Remembered("a", 0, True), "success", False),
        (Remembered("a", 0, True), Remembered("b", 1, True), "success", True),
        (Remembered("a", 1, True), Remembered("b", 0, True), "success", False),  # somebody restarted it, or the host
        (Remembered("a", 0, True), Remembered("a", 5, False), "exit-code", True),
        (Remembered("a", 0, True), Remembered("", 0, False), "success", False),
        (Remembered("a", 0, False), Remembered("", 0, False), "exit-code", False),
    ],
)
def test_what_was_missed_is_known_from_what_was_remembered(
    before: Remembered | None, now: Remembered, result: str, crashed: bool
) -> None:
    assert missed(before, now, result) is crashed
