"""How a turn ended, judged from its events: never by exit code or `subtype`, which say success for failures too."""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from enum import StrEnum
from typing import Any, TypeGuard


class Outcome(StrEnum):
    """The names of a turn's ends; each failure has its own answer in the loop."""

    COMPLETED = "completed"
    OVERFLOW = "context_overflow"
    USAGE_LIMIT = "usage_limit"
    OVER_BUDGET = "over_budget"
    OVERLOADED = "model_overloaded"
    NOT_LOGGED_IN = "not_logged_in"
    UNREACHABLE = "model_unreachable"
    NO_MODEL = "model_not_available"
    REFUSED = "model_refused"
    MAX_TURNS = "max_turns"
    MAX_OUTPUT = "max_output"
    TIMEOUT = "turn_timeout"
    INTERRUPTED = "interrupted"
    NO_MCP = "mcp_not_connected"
    NO_SESSION = "session_lost"
    CRASHED = "claude_crashed"
    DISK_FULL = "disk_full"
    OUT_OF_MEMORY = "out_of_memory"


@dataclass(frozen=True)
class Resources:
    """What the processes of a turn used: seconds of CPU, the most memory at a time (bytes; None: not measured), and how
    many the kernel killed since that was too much.
    """

    cpu_seconds: float
    memory_peak: int | None
    oom_kills: int = 0


MOST = 2**53
"""No count of tokens is that large."""
MOST_DOLLARS = 1e6
"""No cost is larger, says the core too, which refuses it."""


@dataclass
class Events:
    """What the judge keeps of a turn's stream. `context` is how many tokens the session held at the last answer,
    `model` the one that gave it, `result` the last of `results` results, `usage` the tokens of all by Claude Code's
    names.

    A process of the agent's may write into that stream too, for ever: every field may be anything, and none grows.
    """

    needs_hive: bool = True
    init: dict[str, Any] | None = None
    context: int = 0
    model: str | None = None
    resources: Resources | None = None
    result: dict[str, Any] | None = None
    results: int = 0
    usage: dict[str, int] = field(default_factory=dict)

    def take(self, event: dict[str, Any]) -> None:
        """Look at one event."""
        if event.get("type") == "system" and event.get("subtype") == "init":
            self.init = event
        elif event.get("type") == "result":
            self.result = event
            self.results += 1
            self._add(event.get("usage"))
        elif event.get("type") == "assistant" and not event.get("parent_tool_use_id"):
            self._measure(event.get("message"))

    def _measure(self, message: object) -> None:
        if not isinstance(message, dict):
            return
        model = message.get("model")
        if isinstance(model, str) and _MODEL.fullmatch(model):  # what Claude Code says itself has "<synthetic>"
            self.model = model
        if isinstance(usage := message.get("usage"), dict):
            counts = (usage.get(name) for name in _TOKENS)
            self.context = sum(each for each in counts if _is_count(each)) or self.context

    def _add(self, usage: object) -> None:
        if not isinstance(usage, dict):
            return
        for name in _TOKENS:
            if _is_count(value := usage.get(name)):
                self.usage[name] = self.usage.get(name, 0) + value

    @property
    def lacks_hive(self) -> bool:
        """Whether Claude Code began without the hive's tools: then this is no turn."""
        servers = self.init.get("mcp_servers") if self.init else None
        connected = any(_is_connected(each) for each in (servers if isinstance(servers, list) else ()))
        return self.needs_hive and self.init is not None and not connected

    @property
    def cost_usd(self) -> float | None:
        """The process's cost; the last result holds the sum."""
        cost = self.result.get("total_cost_usd") if self.result else None
        sound = isinstance(cost, int | float) and not isinstance(cost, bool) and 0 <= cost <= MOST_DOLLARS
        return float(cost) if cost is not None and sound else None


@dataclass(frozen=True)
class Verdict:
    """An outcome and its detail in one line."""

    outcome: Outcome
    detail: str = ""


def _is_connected(server: object) -> bool:
    return isinstance(server, dict) and server.get("name") == "hive" and server.get("status") == "connected"


def _is_count(value: object) -> TypeGuard[int]:
    return isinstance(value, int) and not isinstance(value, bool) and 0 <= value < MOST


_MODEL = re.compile(r"[A-Za-z0-9][\w.:@/-]{0,199}", re.ASCII)
_TOKENS = ("input_tokens", "cache_read_input_tokens", "cache_creation_input_tokens", "output_tokens")
NO_HIVE = Verdict(Outcome.NO_MCP, "Claude Code could not reach the hive's tools")
TOO_MUCH_MEMORY = Verdict(Outcome.OUT_OF_MEMORY, "the turn used more memory than it may, so all of it was ended")


def judge(events: Events, stderr: str) -> Verdict:
    """The verdict on a turn that ended by itself."""
    if events.lacks_hive:
        return NO_HIVE
    if events.result is None:
        if events.resources is not None and events.resources.oom_kills:
            return TOO_MUCH_MEMORY
        text = stderr.strip().splitlines()[-1:] or ["no result and no message"]
        lost = "No conversation found" in stderr or "already in use" in stderr
        return Verdict(Outcome.NO_SESSION if lost else Outcome.CRASHED, text[0][:500])
    last = events.result
    if not last.get("is_error"):
        return Verdict(Outcome.COMPLETED)
    return Verdict(_failure(last), _said(last))


def _said(result: dict[str, Any]) -> str:
    """What a result says in words, in one line."""
    errors = result.get("errors")
    texts = [result.get("result"), *(errors if isinstance(errors, list) else ())]
    subtype = last if isinstance(last := result.get("subtype"), str) else ""
    text = " ".join(text for text in texts if isinstance(text, str)).strip() or subtype
    return " ".join(text[:2000].split())[:500].encode(errors="replace").decode()


_OVERFLOWS = ("prompt_too_long", "blocking_limit", "image_error")
_TOO_LONG = ("context window limit", "prompt is too long")
_LIMITS = ("usage limit", "limit reached", "credit balance")


def _failure(result: dict[str, Any]) -> Outcome:
    status = result.get("api_error_status")
    reason = str(result.get("terminal_reason"))
    words = _said(result).lower()
    checks = {
        Outcome.NO_SESSION: "no conversation found" in words,
        Outcome.OVERFLOW: reason in _OVERFLOWS or status == 413 or any(each in words for each in _TOO_LONG),
        Outcome.INTERRUPTED: reason in ("aborted_tools", "aborted_streaming"),
        Outcome.MAX_TURNS: result.get("subtype") == "error_max_turns",
        Outcome.MAX_OUTPUT: "output token maximum" in words,
        Outcome.NOT_LOGGED_IN: status == 401 or "not logged in" in words or "invalid api key" in words,
        Outcome.OVER_BUDGET: "over budget until" in words,
        Outcome.USAGE_LIMIT: any(each in words for each in _LIMITS),
        Outcome.OVERLOADED: status in (429, 500, 503, 529),
        Outcome.NO_MODEL: status in (403, 404),
        Outcome.REFUSED: status in (400, 422) or result.get("stop_reason") == "refusal",
        Outcome.CRASHED: status is None and result.get("subtype") == "error_during_execution",  # a fault of its own
    }
    return next((outcome for outcome, holds in checks.items() if holds), Outcome.UNREACHABLE)
