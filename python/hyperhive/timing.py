"""Where the time of a turn went: waiting for its begin, starting up, the model, tools."""

from __future__ import annotations

import json
from collections.abc import Sequence
from dataclasses import dataclass
from typing import Any, TypeGuard

from hyperhive.store.turns import Turn, TurnEvent

LONGEST_MS = 10**10
"""Milliseconds (four months) that an event may tell of; it can hold any number, the agent may have written it."""


@dataclass(frozen=True)
class Timing:
    """Seconds. `queued` is before the turn (from its oldest message on), the others add up to `total`.

    None: not known, e.g. since the turn did not get that far, or is of an older database.
    """

    queued: float
    startup: float | None
    model: float | None
    tools: float | None
    other: float | None
    total: float


def timing(turn: Turn, events: Sequence[TurnEvent], sent: Sequence[float], now: float) -> Timing:
    """The timing of a turn that ended, or runs at `now`. `sent`: when its messages were (Unix seconds)."""
    end = turn.ended_at or now
    total = max(0.0, end - turn.started_at)
    queued = max(0.0, turn.started_at - min(sent)) if sent else 0.0
    parsed = [(event.at, json.loads(event.event)) for event in events]
    if not parsed or any(at is None for at, _ in parsed):
        return Timing(queued, None, None, None, None, total)
    seen = [(at or 0.0, event) for at, event in parsed]
    startup = next((at - turn.started_at for at, event in seen if event.get("subtype") == "init"), None)
    tools = _covered(_calls(seen, end))
    model = _model(seen)
    if startup is None or model is None:
        return Timing(queued, startup, None, tools, None, total)
    model = min(model, max(0.0, total - startup - tools))
    return Timing(queued, startup, model, tools, max(0.0, total - startup - model - tools), total)


def _model(seen: list[tuple[float, dict[str, Any]]]) -> float | None:
    """What Claude Code says that it waited for the API; its results hold the sum of the process."""
    told = [event.get("duration_api_ms") for _, event in seen if event.get("type") == "result"]
    known = [value for value in told if _is_duration(value)]
    return known[-1] / 1000 if known else None


def _is_duration(value: object) -> TypeGuard[float]:
    return isinstance(value, int | float) and not isinstance(value, bool) and 0 <= value <= LONGEST_MS


def _calls(seen: list[tuple[float, dict[str, Any]]], end: float) -> list[tuple[float, float]]:
    """Begin and end of each tool's call; one without a result lasts until `end`."""
    begun: dict[str, float] = {}
    spans = []
    for at, event in seen:
        for block in _blocks(event):
            if block.get("type") == "tool_use":
                begun[str(block.get("id"))] = at
            elif block.get("type") == "tool_result" and (start := begun.pop(str(block.get("tool_use_id")), None)):
                spans.append((start, at))
    return spans + [(start, end) for start in begun.values()]


def _blocks(event: dict[str, Any]) -> list[dict[str, Any]]:
    message = event.get("message")
    content = message.get("content") if isinstance(message, dict) else None
    return [block for block in content if isinstance(block, dict)] if isinstance(content, list) else []


def _covered(spans: list[tuple[float, float]]) -> float:
    """The length of the union: calls that ran side by side count once."""
    total, reached = 0.0, float("-inf")
    for start, end in sorted(spans):
        total += max(0.0, end - max(start, reached))
        reached = max(reached, end)
    return total
