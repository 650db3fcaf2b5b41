"""A session's transcript, as Claude Code stores it, as text for a compaction. All of it is the agent's: hostile.

Lines that are no JSON, or of a kind that is not known here, are left out.
"""

from __future__ import annotations

import json
import re
from collections.abc import Collection, Iterator
from pathlib import Path
from typing import Any

from hyperhive.harness import notes

DIRECTORY = (".claude", "projects", "-state-work")
MOST = 16 * 1024 * 1024
"""Bytes of a transcript that are looked at: its end."""
LONGEST = 2000
"""Characters of a tool's input or result that are kept."""
CUT = "[… {} characters cut here …]"
_HEADER = re.compile(r"^\[from [^\s,\]]+, message ([0-9]{1,18})[,\]]", re.MULTILINE)
"""Of a message; in the text of one there is none (see prompt.py)."""


def read_blocks(state: Path, session: str) -> list[str]:
    """Who said or did what, in order; empty if there is no transcript."""
    found = notes.read(state, *DIRECTORY, f"{session}.jsonl", last=MOST)
    return [] if found is None else [block for line in found.data.splitlines() for block in _blocks(line)]


def holds(state: Path, session: str, prompt: str) -> bool:
    """Whether that prompt stands in the session."""
    return f"[mail]\n{prompt}".strip() in (block.strip() for block in read_blocks(state, session))


def before(blocks: list[str], ids: Collection[int]) -> list[str]:
    """What stands before the first mail with one of these messages, however it was delivered; all of it, if none is."""
    for index, block in enumerate(blocks):
        if block.startswith("[mail]") and any(int(number) in ids for number in _HEADER.findall(block)):
            return blocks[:index]
    return blocks


def fit(blocks: list[str], most: int) -> str:
    """The blocks as one text of about `most` characters: the beginning and the end, with a mark where it was cut."""
    text = "\n\n".join(blocks)
    if len(text) <= most:
        return text
    head, tail = text[: most // 5], text[len(text) - (most - most // 5) :]
    return f"{head}\n\n{CUT.format(len(text) - most)}\n\n{tail}"


def last_words(blocks: list[str], most: int) -> str:
    """What was said last, mail and answers but no tool's, in at most about `most` characters."""
    kept: list[str] = []
    for block in reversed(blocks):
        room = min(LONGEST, most)
        if room <= 0:
            break
        if block.startswith(("[mail]", "[you]")):
            kept.append(block if len(block) <= room else f"{block[:room]} …")
            most -= len(kept[-1]) + 2
    return "\n\n".join(reversed(kept))


def _blocks(line: bytes) -> Iterator[str]:
    try:
        entry = json.loads(line)
    except (ValueError, RecursionError):
        return
    match entry:
        case {"isMeta": True} | {"isSidechain": True}:
            return
        case {"type": "user", "message": {"content": str(text)}}:
            yield f"[mail]\n{text}"
        case {"type": "user" | "assistant" as who, "message": {"content": list(parts)}}:
            yield from (block for part in parts if (block := _part(who, part)))


def _part(who: str, part: Any) -> str | None:  # noqa: ANN401
    match part:
        case {"type": "text", "text": str(text)} if text.strip():
            return f"[{'you' if who == 'assistant' else 'mail'}]\n{text}"
        case {"type": "tool_use", "name": str(name), "input": given}:
            return f"[tool {name}]\n{_short(json.dumps(given, ensure_ascii=False))}"
        case {"type": "tool_result", "content": str(text)}:
            return f"[result]\n{_short(text)}"
        case {"type": "tool_result", "content": list(inner)}:
            texts = [each["text"] for each in inner if isinstance(each, dict) and isinstance(each.get("text"), str)]
            return f"[result]\n{_short(' '.join(texts))}"
    return None


def _short(text: str) -> str:
    if len(text) <= LONGEST:
        return text
    half = LONGEST // 2
    return f"{text[:half]}\n{CUT.format(len(text) - LONGEST)}\n{text[-half:]}"
