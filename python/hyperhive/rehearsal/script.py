"""What the rehearsal answers: steps. A test writes them into its prompt, `make run` takes them from the play.

A step is a JSON object. `text`, `thinking`: blocks to say; `tool` and `input`, or `tools` (a list of both): calls;
`delay`: seconds before the answer; `pace`: seconds between the words of a text; `status`, `error`, `headers`: an HTTP
error, `until`: only before that moment (Unix seconds); `hang`: seconds of silence, then the connection ends; `cut`: end
the connection after the first event; `garble`: an event that is no JSON after it; `usage`: merged into the usage;
`stop`: the stop_reason. A session that is turned into notes carries many scripts: it is answered by the step behind
NOTES_MARK, if one is there.
"""

from __future__ import annotations

import base64
import json
import re
from typing import Any

Step = dict[str, Any]
MARK = "REHEARSE:"
NOTES_MARK = "REHEARSE-NOTES:"
_MARKED = re.compile(rf"{MARK}([A-Za-z0-9+/=]+)")
_NOTES_MARKED = re.compile(rf"{NOTES_MARK}([A-Za-z0-9+/=]+)")
_KEEPS_NOTES = "You keep the notes of"


def marked(steps: list[Step]) -> str:
    """The text that makes the rehearsal answer a prompt with these steps, one per request."""
    return MARK + base64.b64encode(json.dumps(steps).encode()).decode()


def marked_notes(step: Step) -> str:
    """The text in a prompt that lets the rehearsal answer with that step when it is to write notes."""
    return NOTES_MARK + base64.b64encode(json.dumps(step).encode()).decode()


def notes_step(request: dict[str, Any]) -> Step | None:
    """The step for a request to turn a session into notes; None for any other."""
    if _KEEPS_NOTES not in json.dumps(request.get("system") or ""):
        return None
    found = _NOTES_MARKED.findall(json.dumps(request.get("messages")))
    step: Step = json.loads(base64.b64decode(found[-1])) if found else {"text": "# Notes (rehearsed)"}
    return step


def scripted_step(messages: list[dict[str, Any]]) -> Step | None:
    """The step for this request if its newest prompt carries a script: one step per answer given since."""
    for index in range(len(messages) - 1, -1, -1):
        if messages[index].get("role") != "user":
            continue
        said = texts(messages[index])
        if steps := _steps(said):
            done = sum(message.get("role") == "assistant" for message in messages[index + 1 :])
            step: Step = steps[min(done, len(steps) - 1)]
            return step
        if any(text.lstrip().startswith("[from ") for text in said):  # a newer prompt without a script
            return None
    return None


def _steps(said: list[str]) -> list[Step]:
    """The last script in these texts; none if what follows the mark is no list of steps."""
    found = [match for text in said for match in _MARKED.findall(text)]
    try:
        steps = json.loads(base64.b64decode(found[-1])) if found else []
    except ValueError:
        return []
    return steps if isinstance(steps, list) and all(isinstance(step, dict) for step in steps) else []


def texts(message: dict[str, Any]) -> list[str]:
    """The text blocks of a message."""
    content = message.get("content")
    if isinstance(content, str):
        return [content]
    blocks = [block for block in content or [] if isinstance(block, dict)]
    return [str(block.get("text", "")) for block in blocks if block.get("type") == "text"]
