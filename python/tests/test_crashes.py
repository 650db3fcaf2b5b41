"""hyperhive.crashes: recorded sequences of systemd's signals, and what they mean."""

from __future__ import annotations

import json
from pathlib import Path

import pytest

from hyperhive.crashes import LOOP_CRASHES, LOOP_TIME, End, Ending, LoopSum, Remembered, UnitWatch, missed, recalled

VERSIONS = ("252", "257", "262")
RECORDED = Path(__file__).parent / "recorded"
FROM_NOTHING = ("start_timeout", "start_limit")
"""The cases in which the container was not running."""


def play(watch: UnitWatch, signals: str) -> list[End]:
    """Feed recorded signals; the ends that they tell of. The format: recorded/systemd-*.txt."""
    ends = []
    for signal in signals.split():
        if signal.startswith("JobNew="):
            watch.job(signal.removeprefix("JobNew=").replace("?", "stop"))  # what the watch assumes of a quick one
        elif signal != "JobRemoved" and (end := watch.change(properties(signal))) is not None:
            ends.append(end)
    return ends


def properties(signal: str) -> dict[str, object]:
    if "/" in signal:
        active, sub = signal.removesuffix("+").split("/")
        return {"ActiveState": active, "SubState": sub, "Job": (int(signal.endswith("+")), "/")}
    result, code, status, restarts = signal.split(":")
    return {"Result": result, "ExecMainCode": int(code), "ExecMainStatus": int(status), "NRestarts": int(restarts)}


def recorded(version: str) -> dict[str, str]:
    lines = (RECORDED / f"systemd-{version}.txt").read_text().splitlines()
    return dict(line.split(": ", 1) for line in lines if not line.startswith("#"))


def told(version: str, case: str) -> list[End]:
    watch = UnitWatch() if case in FROM_NOTHING else UnitWatch("active", sub="running")
    return play(watch, recorded(version)[case])


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("case", "ending", "result", "status"),
    [
        ("nspawn_killed", Ending.KILLED, "signal", 9),
        ("nspawn_killed_still_registered_without_restart", Ending.KILLED, "signal", 9),
        ("killed_without_restart", Ending.KILLED, "signal", 9),
        ("pid1_killed", Ending.PID1_DIED, "exit-code", 1),
        ("pid1_segv", Ending.PID1_DIED, "exit-code", 255),
        ("exit_7", Ending.PID1_DIED, "exit-code", 7),
        ("stop", Ending.STOPPED, "success", 0),
        ("restart", Ending.STOPPED, "success", 0),
        ("poweroff", Ending.POWEROFF, "success", 0),
        ("reboot", Ending.REBOOT, "success", 133),
        ("start_timeout", Ending.START_TIMEOUT, "timeout", 15),
        ("stop_timeout", Ending.STOP_TIMEOUT, "timeout", 9),
        ("stop_while_waiting", Ending.PID1_DIED, "exit-code", 1),  # the crash before it; the stop itself ended nothing
        ("start_while_waiting", Ending.PID1_DIED, "exit-code", 1),
    ],
)
def test_an_end_is_what_its_signals_say_and_is_told_once(
    version: str, case: str, ending: Ending, result: str, status: int
) -> None:
    assert [(end.ending, end.result, end.status, end.lives) for end in told(version, case)] == [
        (ending, result, status, 1)
    ]


@pytest.mark.parametrize(("version", "ending"), [("252", "stopped"), ("257", "stopped"), ("262", "poweroff")])
def test_machinectl_terminate_is_no_crash_with_or_without_a_job(version: str, ending: str) -> None:
    assert [end.ending for end in told(version, "terminate")] == [ending]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_core_dump_is_told_as_one(version: str) -> None:
    assert [end.ending for end in told(version, "core_dump")] == [Ending.STOPPED, Ending.CORE_DUMP]  # it was restarted


@pytest.mark.parametrize("version", VERSIONS)
@pytest.mark.parametrize(
    ("case", "first"),
    [("start_limit", Ending.START_FAILED), ("crash_then_start_limit", Ending.PID1_DIED)],
)
def test_the_start_limit_is_an_end_of_its_own_after_what_led_to_it(version: str, case: str, first: Ending) -> None:
    ends = told(version, case)
    assert ends[0].ending is first and not ends[0].again
    assert all(end.ending is Ending.START_FAILED and end.again for end in ends[1:-1]), ends
    assert (ends[-1].ending, ends[-1].status, ends[-1].final) == (Ending.START_LIMIT, 3, True)


@pytest.mark.parametrize("version", VERSIONS)
def test_a_loop_until_the_start_limit_is_told_twice(version: str) -> None:
    loop = LoopSum()
    heard = [
        loop.crash(end, now=float(second), given_up=end.ending is Ending.START_LIMIT)
        for second, end in enumerate(told(version, "crash_then_start_limit"))
    ]
    first, last = [each for each in heard if each is not None]
    assert (first.end.ending, first.count) == (Ending.PID1_DIED, 1)
    assert last.end.ending is Ending.START_LIMIT
    assert first.count + last.count == recorded(version)["crash_then_start_limit"].count("JobNew")


@pytest.mark.parametrize(("version", "given_up"), [("252", True), ("257", True), ("262", False)])
def test_a_name_that_machined_still_holds_lets_no_start_succeed_before_262(version: str, given_up: bool) -> None:
    endings = [end.ending for end in told(version, "nspawn_killed_still_registered")]
    assert endings[0] is Ending.KILLED
    assert (endings[-1] is Ending.START_LIMIT) is given_up


@pytest.mark.parametrize("version", VERSIONS)
def test_a_job_that_changes_nothing_does_not_hide_the_crash_after_it(version: str) -> None:
    signals = recorded(version)
    watch = UnitWatch("active", sub="running")
    assert play(watch, signals["start_of_active"]) == []
    assert [end.ending for end in play(watch, signals["pid1_killed"])] == [Ending.PID1_DIED]


@pytest.mark.parametrize("version", VERSIONS)
def test_a_restart_that_does_not_come_up_is_told(version: str) -> None:
    signals = recorded(version)
    watch = UnitWatch("active", sub="running")
    assert [end.ending for end in play(watch, signals["stop"])] == [Ending.STOPPED]
    assert [end.ending for end in play(watch, signals["start_timeout"])] == [Ending.START_TIMEOUT]


@pytest.mark.parametrize("version", VERSIONS)
def test_each_end_of_one_container_is_told(version: str) -> None:
    signals = recorded(version)
    watch = UnitWatch("active", sub="running")
    played = [end for case in ("pid1_killed", "nspawn_killed", "reboot", "stop") for end in play(watch, signals[case])]
    assert [end.ending for end in played] == [Ending.PID1_DIED, Ending.KILLED, Ending.REBOOT, Ending.STOPPED]


def test_systemds_own_restarts_that_fail_for_ever_are_told_too() -> None:
    """With a long TimeoutStartSec the start limit is never reached."""
    watch = UnitWatch("active")
    again = (
        "activating/start timeout:2:15:1 deactivating/stop-sigterm failed/failed-before-auto-restart "
        "activating/auto-restart "
    )
    ends = play(watch, "exit-code:1:1:0 failed/failed-before-auto-restart activating/auto-restart " + again * 4)
    assert [(end.ending, end.lives, end.again) for end in ends] == [
        (Ending.PID1_DIED, 1, False),
        (Ending.START_TIMEOUT, 3, True),
        (Ending.START_TIMEOUT, 1, True),
    ]


@pytest.mark.parametrize("result", ["success", "exit-code", "signal"])
def test_a_start_that_somebody_stops_did_not_fail(result: str) -> None:
    signals = (
        f"activating/start+ JobNew=stop activating/start+ deactivating/stop-sigterm+ {result}:1:1:0 failed/failed+"
    )
    assert [(end.ending, end.final) for end in play(UnitWatch(), signals)] == [(Ending.STOPPED, False)]


def test_machineds_stop_of_what_is_dead_already_hides_no_crash() -> None:
    """Seen on 262 when machined starts anew: its job comes before systemd's own word of the death."""
    ends = play(
        UnitWatch("active"),
        "success:0:0:0 active/running+ JobNew=stop active/running+ deactivating/stop-sigterm+ exit-code:1:1:0 "
        "deactivating/stop-post+ failed/failed+ JobRemoved failed/failed",
    )
    assert [(end.ending, end.final) for end in ends] == [(Ending.PID1_DIED, True)]


def test_machineds_own_stop_of_what_is_dying_hides_no_crash() -> None:
    """Seen on 257 when machined starts anew while the container's PID 1 is dead; systemd does not restart it then."""
    ends = play(
        UnitWatch("active"),
        "success:0:0:0 deactivating/stop-sigterm exit-code:1:1:0 deactivating/stop-post deactivating/stop-post+ "
        "JobNew=stop deactivating/stop-post+ failed/failed+ JobRemoved failed/failed",
    )
    assert [(end.ending, end.final) for end in ends] == [(Ending.PID1_DIED, True)]


def test_out_of_memory_and_a_missed_watchdog_have_their_names() -> None:
    for result, ending in (("oom-kill", Ending.OOM), ("watchdog", Ending.WATCHDOG)):
        assert [end.ending for end in play(UnitWatch("active"), f"{result}:2:9:0 failed/failed")] == [ending]


def test_a_watch_that_begins_while_systemd_waits_tells_nothing_of_what_was_before() -> None:
    watch = UnitWatch("activating", "exit-code", 1, 1, "auto-restart")
    assert play(watch, "activating/auto-restart-queued success:0:0:1 activating/start active/running") == []


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


def test_a_restart_that_fails_waits_for_the_sum() -> None:
    loop = LoopSum()
    assert loop.crash(END, now=0.0) is not None
    assert loop.crash(End(Ending.START_FAILED, "exit-code", 1, lives=3, again=True), now=1.0) is None
    told = loop.due(LOOP_TIME)
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


STARTED = {"MESSAGE_ID": "39f53479d3a045ac8e11786248231fbf", "JOB_TYPE": "start", "JOB_RESULT": "done"}
STOPPING = {"MESSAGE_ID": "de5b426a63be47a7b6ac3eaac82e2f6f", "JOB_TYPE": "stop"}
SUCCEEDED = {"MESSAGE_ID": "7ad2d189f7e94e70a38c781354912448"}


def exited(status: str, command: str = "ExecStart") -> dict[str, str]:
    return {"MESSAGE_ID": "98e322203f7a4ed290d09fe03c09fe15", "COMMAND": command, "EXIT_STATUS": status}


def failed(result: str) -> dict[str, str]:
    return {"MESSAGE_ID": "d9b373ed55a64feb8242e02dbe79a49c", "UNIT_RESULT": result}


@pytest.mark.parametrize(
    ("entries", "end"),
    [
        ([STARTED], None),  # it runs, or the power was cut
        ([STARTED, exited("9"), failed("signal")], End(Ending.KILLED, "signal", 9)),
        (
            [STARTED, exited("1"), exited("0", "ExecStopPost"), failed("exit-code")],
            End(Ending.PID1_DIED, "exit-code", 1),
        ),
        ([STARTED, STOPPING, SUCCEEDED], End(Ending.STOPPED, "success", 0)),
        ([STARTED, SUCCEEDED], End(Ending.POWEROFF, "success", 0)),
        ([STARTED, STOPPING, exited("1"), failed("exit-code")], End(Ending.PID1_DIED, "exit-code", 1)),
        ([STOPPING, exited("1"), failed("exit-code")], End(Ending.STOPPED, "exit-code", 1)),
        ([STARTED, STOPPING, exited("9"), failed("timeout")], End(Ending.STOP_TIMEOUT, "timeout", 9)),
        ([exited("3"), failed("exit-code")], End(Ending.START_FAILED, "exit-code", 3)),
        ([exited("15"), failed("timeout")], End(Ending.START_TIMEOUT, "timeout", 15)),
    ],
)
def test_the_journal_knows_how_an_earlier_life_ended(entries: list[dict[str, str]], end: End | None) -> None:
    assert recalled(json.dumps(entry) for entry in entries) == end


def test_what_is_no_entry_of_a_journal_tells_nothing() -> None:
    assert (
        recalled(["", "no JSON", "[]", '{"UNIT_RESULT": null}', '{"COMMAND": "ExecStart", "EXIT_STATUS": "x"}']) is None
    )
