"""What each agent does at this moment, in one short line, from the events of its running turn."""

from __future__ import annotations

from typing import Any

from hyperhive.hub import Hub

LONGEST = 120
_TELLING = ("command", "file_path", "path", "pattern", "url", "to", "question", "agent", "query", "description")
"""Fields of a tool's input that say most about a call, the best first."""


class Activities:
    """The present step of each running turn. Text in it is the agent's: hostile."""

    def __init__(self, hub: Hub) -> None:
        self._hub = hub
        self._doing: dict[str, str] = {}

    def of(self, agent: str) -> str | None:
        """What that agent does; None between turns."""
        return self._doing.get(agent)

    def saw(self, agent: str, event: dict[str, Any]) -> None:
        """Note an event of the agent's turn."""
        words = _words(event)
        if words is not None:
            self._set(agent, words)

    def ended(self, agent: str) -> None:
        """The agent's turn is over, or its harness is."""
        self._set(agent, None)

    def _set(self, agent: str, words: str | None) -> None:
        if self._doing.get(agent) == words:
            return
        if words is None:
            del self._doing[agent]
        else:
            self._doing[agent] = words
        self._hub.publish("agent", {"name": agent, "event": "doing", "doing": words})


def _words(event: dict[str, Any]) -> str | None:
    """What an event of Claude Code's stream tells of; None if nothing new."""
    match event:
        case {"type": "system", "subtype": "init"}:
            return "begins"
        case {"type": "assistant", "message": {"content": [*_, {"type": "tool_use", "name": str(name), **call}]}}:
            return _cut(f"{name.removeprefix('mcp__hive__')}{_target(call.get('input'))}")
        case {"type": "assistant", "message": {"content": [*_, {"type": "text"}]}}:
            return "writes"
        case {"type": "assistant" | "user"}:
            return "thinks"
        case _:
            return None


def _target(given: object) -> str:
    if not isinstance(given, dict):
        return ""
    named = (given[field] for field in _TELLING if isinstance(given.get(field), str))
    return next((f": {value}" for value in named), "")


def _cut(text: str) -> str:
    first = text.strip().partition("\n")[0]
    return first if len(first) <= LONGEST else first[: LONGEST - 1] + "…"
