"""The two roles of `make run`, decided from nothing but the conversation that a request carries.

manager: passes the operator's wish on; when worker lacks a permission, edits its agent.nix, commits and requests the
apply; when that is over, says so. worker: writes the report, tries to compress it, tells the manager of a denial and
the operator of success. Other words of the operator get a polite answer.
"""

from __future__ import annotations

import json
import re
from dataclasses import dataclass
from typing import Any

from hyperhive.rehearsal.script import Step, texts

CONFIG = "/hive/agents/worker/config"
COMMAND = "gzip --keep --force report.txt"
REHEARSED = "(rehearsed: this text was scripted)"
REPORT = "Weekly report\n\nThe hive ran. One agent asked for a permission and got it.\n"
_WHO = re.compile(r"You are ([a-z][a-z0-9-]*), (?:an agent|the manager) of a hyperhive")
_DENIED = re.compile(r"permission|denied|requires approval|needs? approval|don't ask mode", re.IGNORECASE)
_REASON = re.compile(r'"reason": ("(?:[^"\\]|\\.)*")')
_HASH = re.compile(r"\b[0-9a-f]{40}\b")


@dataclass(frozen=True)
class Turn:
    """What a role sees: its name, the newest mail, the calls it made in this turn, each with its result."""

    name: str
    mail: str
    calls: list[tuple[dict[str, Any], str, bool]]

    @property
    def last_result(self) -> str:
        """The text of the newest tool result."""
        return self.calls[-1][1] if self.calls else ""

    @property
    def failure(self) -> str:
        """The text of the newest tool result that is an error; empty if there is none."""
        return next((said for _, said, failed in reversed(self.calls) if failed), "")

    @property
    def sent(self) -> bool:
        """Whether mail was sent in this turn."""
        return any(call.get("name") == "mcp__hive__send" for call, _, _ in self.calls)


def play(request: dict[str, Any]) -> Step:
    """The next step for this request."""
    turn = _turn(request)
    match turn.name:
        case "manager":
            return _manager(turn)
        case "worker":
            return _worker(turn)
        case _:
            return _polite(turn)


def _manager(turn: Turn) -> Step:
    if "apply_result" in turn.mail:
        return _after_apply(turn)
    if "[from worker" in turn.mail:
        return _grant(turn)
    if "[from operator" in turn.mail and "worker" in turn.mail:
        if not turn.calls:
            return _send("worker", f"Please write report.txt and compress it: run `{COMMAND}`, then tell the operator.")
        return {"text": f"worker has it. {REHEARSED}"}
    return _polite(turn)


def _polite(turn: Turn) -> Step:
    """Answer the operator, who may try this out; to others silence is an answer."""
    if "[from operator" not in turn.mail or turn.sent:
        return {"text": f"Noted. {REHEARSED}"}
    return _send(
        "operator",
        "I have your message, but nobody thinks here: I know the play of the report and nothing else. Start the hive"
        f" with ANTHROPIC_API_KEY set and ask me again. {REHEARSED}",
    )


def _grant(turn: Turn) -> Step:
    """Give worker the command that it lacks: read, edit (pattern, model), commit, find the hash, request."""
    if "permission" not in turn.mail and "denied" not in turn.mail:
        return {"text": f"Noted. {REHEARSED}"}
    if turn.failure:
        return _send_once(turn, "operator", f"I could not change worker: {turn.failure[:300]} {REHEARSED}")
    steps = _change(turn)
    if len(turn.calls) < len(steps):
        return steps[len(turn.calls)]
    if len(turn.calls) == len(steps):
        found = _HASH.search(turn.last_result)
        reason = "worker must run gzip for the operator's report, and a stronger model was asked for"
        commit = found.group() if found else "0000000"
        return {
            "tool": "mcp__hive__request_apply_commit",
            "input": {"agent": "worker", "commit": commit, "reason": reason},
        }
    return {"text": f"The change is requested; the operator decides. {REHEARSED}"}


def _change(turn: Turn) -> list[Step]:
    """From the look at agent.nix to the hash; a change that an earlier turn committed is not made twice."""
    path = f"{CONFIG}/agent.nix"
    changed = bool(turn.calls) and '"gzip *"' in turn.calls[0][1]
    edits = [
        _edit(path, '"wc *" ]', '"wc *" "gzip *" ]'),
        _edit(path, 'model = "haiku"', 'model = "sonnet"'),
        _bash(f'git -C {CONFIG} commit -am "Let worker compress its report, with a stronger model"'),
    ]
    read = {"tool": "Read", "input": {"file_path": path}}
    return [read, *([] if changed else edits), _bash(f"git -C {CONFIG} rev-parse HEAD")]


def _after_apply(turn: Turn) -> Step:
    if turn.calls:
        return {"text": f"Done. {REHEARSED}"}
    if '"state": "applied"' in turn.mail:
        return _send("worker", f"You may run gzip now. Please try again: `{COMMAND}`, then tell the operator.")
    reason = _REASON.search(turn.mail)
    why = f" ({json.loads(reason.group(1))})" if reason else ""
    return _send(
        "operator", f"The change of worker was not applied{why}, so the report stays uncompressed. {REHEARSED}"
    )


def _worker(turn: Turn) -> Step:
    if "gzip" not in turn.mail:
        return _polite(turn)
    written = [call for call in turn.calls if call[0].get("name") == "Write"]
    tried = [call for call in turn.calls if call[0].get("name") == "Bash"]
    if not written and not tried and "try again" not in turn.mail:
        return {"tool": "Write", "input": {"file_path": "/state/work/report.txt", "content": REPORT}}
    if not tried:
        return _bash(COMMAND)
    _, said, failed = tried[-1]
    if failed and _DENIED.search(said):
        return _send_once(turn, "manager", f"I lack a permission: `{COMMAND}` was denied ({said[:200]}).")
    if failed:
        return _send_once(turn, "operator", f"`{COMMAND}` failed: {said[:200]} {REHEARSED}")
    return _send_once(turn, "operator", f"report.txt.gz is there, compressed with gzip. {REHEARSED}")


def _send_once(turn: Turn, to: str, body: str) -> Step:
    """Send, unless the newest call was that already."""
    if turn.calls and turn.calls[-1][0].get("name") == "mcp__hive__send":
        return {"text": f"Done. {REHEARSED}"}
    return _send(to, body)


def _send(to: str, body: str) -> Step:
    return {"tool": "mcp__hive__send", "input": {"to": to, "body": body}}


def _bash(command: str) -> Step:
    return {"tool": "Bash", "input": {"command": command, "description": command[:60]}}


def _edit(path: str, old: str, new: str) -> Step:
    return {"tool": "Edit", "input": {"file_path": path, "old_string": old, "new_string": new}}


def _turn(request: dict[str, Any]) -> Turn:
    """Read a request: who is asked, the newest mail, and the calls since, with their results."""
    system = json.dumps(request.get("system") or "")
    who = _WHO.search(system)
    messages: list[dict[str, Any]] = request.get("messages") or []
    start, mail = _newest_mail(messages)
    results = _results(messages[start:])
    calls = [
        (block, *results.get(block.get("id", ""), ("", False)))
        for message in messages[start:]
        if message.get("role") == "assistant"
        for block in message.get("content") or []
        if isinstance(block, dict) and block.get("type") == "tool_use"
    ]
    return Turn(who.group(1) if who else "", mail, calls)


def _newest_mail(messages: list[dict[str, Any]]) -> tuple[int, str]:
    for index in range(len(messages) - 1, -1, -1):
        mail = [text for text in texts(messages[index]) if "[from " in text]
        if messages[index].get("role") == "user" and mail:
            return index, mail[-1]
    return 0, ""


def _results(messages: list[dict[str, Any]]) -> dict[str, tuple[str, bool]]:
    found = {}
    for message in messages:
        content = message.get("content")
        for block in content if isinstance(content, list) else []:
            if isinstance(block, dict) and block.get("type") == "tool_result":
                said = block.get("content")
                text = said if isinstance(said, str) else " ".join(texts({"content": said}))
                found[str(block.get("tool_use_id"))] = (text, bool(block.get("is_error")))
    return found
