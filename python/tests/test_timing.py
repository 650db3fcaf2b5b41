"""hyperhive.timing: where a turn's time went, whatever its events say."""

from __future__ import annotations

import json
from dataclasses import astuple
from typing import Any

import pytest

from hyperhive.store.turns import Turn, TurnEvent
from hyperhive.timing import Timing, timing

TURN: Any = {
    **dict.fromkeys(Turn.__dataclass_fields__),
    "agent": "worker",
    "started_at": 100.0,
    "ended_at": 110.0,
}
INIT = '{"type": "system", "subtype": "init"}'


def of(*events: str) -> Timing:
    """The timing of a turn of ten seconds with these events, one second apart."""
    seen = [TurnEvent(number, 100.0 + number, event) for number, event in enumerate(events, 1)]
    return timing(Turn(**TURN), seen, [98.0], 200.0)


def test_the_parts_of_a_turn_add_up() -> None:
    call = json.dumps({"type": "assistant", "message": {"content": [{"type": "tool_use", "id": "a"}]}})
    gave = json.dumps({"type": "user", "message": {"content": [{"type": "tool_result", "tool_use_id": "a"}]}})
    found = of(INIT, call, gave, '{"type": "result", "duration_api_ms": 5000}')
    assert found == Timing(queued=2.0, startup=1.0, model=5.0, tools=1.0, other=3.0, total=10.0)


@pytest.mark.parametrize(
    "value", ["1" + "0" * 400, "-5", "1e300", "NaN", "Infinity", "true", '"7"', "null", "[1]", '{"a": 1}']
)
def test_a_duration_that_cannot_be_is_not_known(value: str) -> None:
    found = of(INIT, f'{{"type": "result", "duration_api_ms": {value}}}')
    assert (found.model, found.other) == (None, None)
    assert (
        of(
            INIT, '{"type": "result", "duration_api_ms": 1000}', f'{{"type": "result", "duration_api_ms": {value}}}'
        ).model
        == 1.0
    )


ODD = [
    "null",
    "7",
    "1" + "0" * 400,
    "true",
    '"x"',
    "[]",
    "[null]",
    '[{"type": "tool_use"}]',
    "{}",
    '{"content": {"content": [1]}}',
]


@pytest.mark.parametrize("field", ["type", "subtype", "message", "duration_api_ms"])
@pytest.mark.parametrize("value", ODD)
def test_no_event_of_an_agents_own_breaks_the_timing(field: str, value: str) -> None:
    events = [
        json.dumps({"type": kind, field: json.loads(value)}) for kind in ("system", "assistant", "user", "result")
    ]
    blocks = [
        json.dumps({"type": "assistant", "message": {"content": [{"type": kind, name: json.loads(value)}]}})
        for kind in ("tool_use", "tool_result")
        for name in ("type", "id", "tool_use_id")
    ]
    found = of(INIT, *events, *blocks)
    assert all(part is None or 0 <= part <= 10 for part in astuple(found)), found
