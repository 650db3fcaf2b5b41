"""A usage limit holds for the whole hive: once the model API has said so, nobody asks again until it resets."""

from __future__ import annotations

import email.utils
import json
import logging
import time
from collections.abc import Awaitable, Callable, Mapping
from typing import Any

from hyperhive.gateway.upstream import Refusal

SHORT = 60.0
"""Seconds that Claude Code may wait by itself (`retry-after`); more is a limit that resets later."""
LONGEST = 8 * 86400.0
CREDIT_TIME = 900.0
"""Seconds until a key without credit is tried again; nobody says when the operator will have paid."""

_log = logging.getLogger(__name__)


def _clock() -> float:
    """Seconds since the machine was started, those in which it slept included: a limit resets then too."""
    return time.clock_gettime(time.CLOCK_BOOTTIME)


async def _nothing(until: float, reason: str) -> None:
    pass


class Pause:
    """Whether the hive may ask the model. Times are epoch seconds; a step of the clock moves no pause."""

    def __init__(
        self,
        tell: Callable[[float, str], Awaitable[object]],
        changed: Callable[[], object] = lambda: None,
        prolonged: Callable[[float, str], Awaitable[object]] = _nothing,
    ) -> None:
        """`tell` is told once of each pause: until when, and why; `prolonged` the same when it lasts longer than it
        said, by more than SHORT; `changed` that it began, was prolonged, or ended.
        """
        self._tell = tell
        self._changed = changed
        self._prolonged = prolonged
        self._until = 0.0  # by _clock
        self._reason = ""

    def left(self) -> float:
        """Seconds until the hive may go on; 0: it may."""
        return max(0.0, self._until - _clock())

    def held_until(self, _recipient: str) -> float | None:
        """Until when nobody is given mail (broker.hold)."""
        return time.time() + left if (left := self.left()) else None

    def view(self) -> dict[str, Any] | None:
        """The JSON object that the operator sees; None if there is no pause."""
        left = self.left()
        return {"until": time.time() + left, "reason": self._reason} if left else None

    def end(self) -> None:
        """Go on now."""
        self._until = 0.0
        self._changed()

    def restore(self, until: float, reason: str) -> None:
        """Let nobody ask until then; nobody is told."""
        self._until = _clock() + min(max(1.0, until - time.time()), LONGEST)
        self._reason = reason
        self._changed()

    async def begin(self, until: float, reason: str) -> None:
        """Let nobody ask until then; the operator is told once of each pause."""
        left, wanted = self.left(), until - time.time()
        if left > 0 and wanted <= left:  # several limits: the longest holds
            return
        self.restore(until, reason)
        if left > 0 and wanted <= left + SHORT:
            return
        _log.warning("the hive pauses until %s: %s", shown(until), reason)
        try:
            await (self._prolonged if left else self._tell)(until, reason)
        except Exception:
            _log.exception("the pause until %s could not be recorded", shown(until))

    def check(self) -> None:
        """Raises Refusal while the hive is paused."""
        if left := self.left():
            raise refusal(time.time() + left, self._reason)


def refusal(until: float, reason: str) -> Refusal:
    """What an agent reads then; Claude Code gives up at once, as the wait is long."""
    headers = {"retry-after": str(max(1, round(until - time.time()))), "x-should-retry": "false"}
    return Refusal(429, "rate_limit_error", f"usage limit reached ({reason}); it resets at {shown(until)}", headers)


def resets_at(status: int, headers: Mapping[str, str]) -> float | None:
    """When a limit of that answer resets; None if it is none, or a moment that Claude Code waits for by itself."""
    if status != 429:
        return None
    if headers.get("anthropic-ratelimit-unified-status") == "rejected":
        try:
            return float(headers["anthropic-ratelimit-unified-reset"])
        except (KeyError, ValueError):
            pass
    wait = _seconds(headers.get("retry-after", ""))
    return time.time() + wait if wait > SHORT else None


def out_of_credit(status: int, content: bytes) -> bool:
    """Whether the answer says that the key has no credit. Its first words: later ones may quote what an agent sent."""
    return status in (400, 402, 403) and _said(content).lower().startswith("your credit balance")


def _said(content: bytes) -> str:
    """The message of the API's error object; empty if it is none."""
    try:
        return str(json.loads(content)["error"]["message"])
    except (ValueError, KeyError, TypeError, RecursionError):
        return ""


def _seconds(retry_after: str) -> float:
    """`retry-after` in seconds from now; 0 if it is nonsense."""
    try:
        return float(retry_after)
    except ValueError:
        pass
    try:
        return email.utils.parsedate_to_datetime(retry_after).timestamp() - time.time()
    except (ValueError, TypeError, OverflowError):
        return 0.0


def shown(at: float) -> str:
    """A time as ISO 8601 in UTC, to the second."""
    return time.strftime("%Y-%m-%dT%H:%M:%SZ", time.gmtime(at))
