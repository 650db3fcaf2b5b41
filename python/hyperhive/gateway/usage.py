"""Tokens of one Messages API answer, counted from what passes by: a stream of events or one JSON object.

Source: the Messages API's streaming format, https://docs.claude.com/en/docs/build-with-claude/streaming; and for what
the totals leave out, https://docs.claude.com/en/docs/build-with-claude/compaction.
"""

from __future__ import annotations

import json
from collections import Counter
from typing import Any

from hyperhive.store.usage import Use

MAX_LINE = 1024 * 1024
"""Bytes of one event's line that are kept; a longer one is passed on uncounted."""

BYTES_PER_TOKEN = 4
CONTEXT = 200_000
"""Tokens that a request is estimated at most: bytes may be those of images."""
FRAME = 100
"""Bytes of a delta's line that are not the text in it."""

_COUNTS = {
    "fresh_tokens": ("input_tokens",),
    "cache_written_tokens": ("cache_creation_input_tokens",),
    "cache_read_tokens": ("cache_read_input_tokens",),
    "output_tokens": ("output_tokens",),
    "hour_tokens": ("cache_creation", "ephemeral_1h_input_tokens"),
    "searches": ("server_tool_use", "web_search_requests"),
}
"""Where the API's usage has what a Use counts."""


class Meter:
    """Counts one answer. Cache tokens, written and read, count as input; broken events count nothing.

    `seen` is whether the answer told of any usage. The API says at the end of a stream how much it wrote and did; of
    one that ends before, what passed by is estimated.
    """

    def __init__(self) -> None:
        self.seen = False
        self._model = ""
        self._counts = dict.fromkeys(_COUNTS, 0)
        self._steps: list[dict[str, Any]] = []
        self._fast = False
        self._passed = 0
        self._begun = Counter[str]()  # what the API does by itself, by name
        self._line = bytearray()
        self._overlong = False

    @property
    def use(self) -> Use:
        """What was used so far, as last reported: the totals, or its steps together where the totals leave some out,
        such as the API's own summary of a long conversation.
        """
        steps = Counter[str]()
        for step in self._steps:
            if not _is_advice(step):
                steps.update(_counts(step))
        used = {name: max(total, steps[name]) for name, total in self._counts.items()}
        used["output_tokens"] = max(used["output_tokens"], self._passed // BYTES_PER_TOKEN)
        used["searches"] = max(used["searches"], self._begun["web_search"])
        return Use(self._model, **used, fast=self._fast)

    @property
    def advice(self) -> list[Use]:
        """The same of the models that the API asked meanwhile, at their own price; no total has them. One that is not
        reported has read as much as the model that asked it.
        """
        reported = [
            Use(_name(step.get("model")), **(dict.fromkeys(_COUNTS, 0) | _counts(step)), fast=False)
            for step in self._steps
            if _is_advice(step)
        ]
        return reported + [Use("", self.use.input_tokens, 0, 0, 0)] * self._begun["advisor"]

    def abandoned(self, sent: int) -> None:
        """The client hung up on a request of so many bytes: one that was not answered yet is estimated, since the API
        works on it, and charges for it, all the same.
        """
        if not self.seen:
            self.seen = True
            self._counts["fresh_tokens"] = min(sent // BYTES_PER_TOKEN, CONTEXT)

    def feed(self, chunk: bytes) -> None:
        """Take the next bytes of an event stream, cut anywhere."""
        *ended, rest = chunk.split(b"\n")
        for part in ended:
            self._keep(part)
            if not self._overlong:
                self._take(bytes(self._line))
            self._line.clear()
            self._overlong = False
        self._keep(rest)

    def whole(self, body: bytes) -> None:
        """Take a complete answer that was not streamed."""
        message = _object(body)
        if message.get("type") == "message":
            self._message(message)

    def _keep(self, part: bytes) -> None:
        if len(self._line) + len(part) > MAX_LINE:
            self._overlong = True
            self._line.clear()
        elif not self._overlong:
            self._line += part

    def _take(self, line: bytes) -> None:
        # Nearly every line is a delta of text: a look for a few names is cheaper than parsing them all.
        if not line.startswith(b"data:"):
            return
        if b'"content_block_' in line:
            self._passed += max(0, len(line) - FRAME)
        if b'"server_tool_use"' not in line and b'"message_start"' not in line and b'"message_delta"' not in line:
            return
        event = _object(line.removeprefix(b"data:"))
        match event.get("type"), event.get("message"):
            case "message_start", dict() as message:
                self._message(message)
            case "message_delta", _:
                self._usage(event.get("usage"))
                self._passed = 0  # the API has said it
                self._begun.clear()
            case "content_block_start", _:
                block = event.get("content_block")
                if isinstance(block, dict) and block.get("type") == "server_tool_use":
                    self._begun[_name(block.get("name"))] += 1

    def _message(self, message: dict[str, Any]) -> None:
        self._model = _name(message.get("model")) or self._model
        self._usage(message.get("usage"))

    def _usage(self, usage: object) -> None:
        if not isinstance(usage, dict):
            return
        self.seen = True
        self._counts |= _counts(usage)  # a delta repeats the totals, or leaves them out
        if isinstance(steps := usage.get("iterations"), list):
            self._steps = [step for step in steps if isinstance(step, dict)]
        self._fast = self._fast or usage.get("speed") == "fast"


def _object(text: bytes) -> dict[str, Any]:
    try:
        value = json.loads(text)
    except (ValueError, RecursionError):
        return {}
    return value if isinstance(value, dict) else {}


def _name(model: object) -> str:
    return model[:100] if isinstance(model, str) else ""


def _is_advice(step: dict[str, Any]) -> bool:
    return step.get("type") == "advisor_message"


def _counts(usage: dict[str, Any]) -> dict[str, int]:
    """What it says of _COUNTS; what is no count is left out."""
    found = {name: _at(usage, path) for name, path in _COUNTS.items()}
    return {
        name: value
        for name, value in found.items()
        if isinstance(value, int) and not isinstance(value, bool) and 0 <= value < 1 << 40
    }


def _at(value: object, path: tuple[str, ...]) -> object:
    for name in path:
        value = value.get(name) if isinstance(value, dict) else None
    return value
