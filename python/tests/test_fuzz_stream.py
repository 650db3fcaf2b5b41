"""Claude Code's stream as a process of the agent's may have written into it: no line stops a harness."""

from __future__ import annotations

import json
from collections.abc import Mapping
from typing import Any

import pytest
from fuzz_rig import Text, deep, fuzz, given_values, hostile, objects
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.harness.outcome import Outcome, judge
from hyperhive.harness.turn import TurnHooks, _Pipes

RESULT: Mapping[str, Text] = {
    "type": given_values("result"),
    "subtype": given_values("success", "error_max_turns"),
    "is_error": given_values(True, False),
    "result": given_values("done", "Prompt is too long"),
    "errors": given_values(["No conversation found"], []),
    "terminal_reason": given_values("completed", "blocking_limit"),
    "api_error_status": given_values(400, 429, None),
    "usage": given_values({"input_tokens": 3, "output_tokens": 2}),
    "total_cost_usd": given_values(0.25, 0),
    "stop_reason": given_values("refusal", "end_turn"),
}
INIT: Mapping[str, Text] = {
    "type": given_values("system"),
    "subtype": given_values("init"),
    "mcp_servers": given_values([{"name": "hive", "status": "connected"}], ["x"], [[]], {"hive": 1}),
}
ASSISTANT: Mapping[str, Text] = {
    "type": given_values("assistant"),
    "parent_tool_use_id": given_values(None, "x"),
    "message": given_values({"usage": {"input_tokens": 5}}, {"usage": [1]}, {"usage": {"input_tokens": "9"}}, []),
}
PIECE: Mapping[str, Text] = {
    "type": given_values("stream_event"),
    "event": given_values({"type": "content_block_delta", "delta": {"type": "text_delta", "text": "a"}}, {"delta": 3}),
}
lines = st.one_of(objects(RESULT), objects(INIT), objects(ASSISTANT), objects(PIECE), hostile, st.text(max_size=20))


def judged(stream: bytes) -> tuple[_Pipes, list[bytes]]:
    """What became of a stream, and what was handed on of it."""
    kept: list[bytes] = []
    pipes = _Pipes(TurnHooks(lines=kept.append, tick=lambda: False))
    pipes.take_stdout(stream)
    pipes.take_stdout(b"\n")
    return pipes, kept


def recorded(pipes: _Pipes, stderr: str = "") -> None:
    """What a harness does with it at a turn's end: everything goes to the core as JSON."""
    verdict = judge(pipes.events, stderr)
    assert isinstance(verdict.outcome, Outcome)
    assert len(verdict.detail) <= 500 and "\n" not in verdict.detail
    told = json.loads(json.dumps([verdict.detail, pipes.events.usage, pipes.events.cost_usd, pipes.events.context]))
    verdict.detail.encode()
    assert all(0 <= count < 2**60 for count in told[1].values())


@fuzz(300)
@given(st.lists(lines, max_size=6))
def test_any_lines_are_passed_over_or_judged(texts: list[str]) -> None:
    pipes, _ = judged("\n".join(texts).encode(errors="surrogatepass"))
    recorded(pipes)


@fuzz(100)
@given(st.binary(max_size=200))
def test_any_bytes_are_passed_over(data: bytes) -> None:
    recorded(judged(data)[0])


ODD: list[dict[str, Any]] = [
    {"type": "result", "usage": [1]},
    {"type": "result", "usage": {"input_tokens": 10**400, "x": 1}, "total_cost_usd": 10**400},
    {"type": "result", "is_error": True, "result": {"a": 1}, "errors": "x", "total_cost_usd": "1"},
    {"type": "result", "is_error": True, "result": "a\ud800b\n" * 1000},
    {"type": "system", "subtype": "init", "mcp_servers": ["x"]},
    {"type": "system", "subtype": "init", "mcp_servers": 7},
]


@pytest.mark.parametrize("event", ODD)
def test_a_field_of_the_wrong_kind_is_as_if_it_were_not_there(event: dict[str, Any]) -> None:
    pipes, (kept,) = judged(json.dumps(event).encode())
    recorded(pipes)
    assert json.loads(kept) == event


@pytest.mark.parametrize("levels", [900, 3000, 100_000])
@pytest.mark.parametrize("within", ["{}", '{{"type":"result","is_error":true,"result":{}}}'])
def test_deep_nesting_is_kept_for_the_core_to_judge(levels: int, within: str) -> None:
    line = within.format(deep(levels)).encode()
    pipes, kept = judged(line)
    recorded(pipes)
    assert kept == [line]
