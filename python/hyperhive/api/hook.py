"""An agent's policy.sock: Claude Code's PreToolUse hook asks here whether a command may run.

One connection is one question: the hook's JSON up to the end of the input, then one line of JSON. harness/hook.sh takes
whatever is not a whole answer for a no, so every failure here only has to end the connection.
"""

from __future__ import annotations

import asyncio
import json
import logging
from typing import Any, Protocol

from hyperhive.api.streams import StreamListener
from hyperhive.errors import BadInput, HyperhiveError
from hyperhive.policy.bash import Decision

MAX_QUESTION = 256 * 1024
"""Bytes of one question; a command may have 64 KiB, and JSON escapes it."""
MAX_CONNECTIONS = 16
"""Of one agent: Claude Code asks for one call at a time, its subagents together for a few."""
TIME = 8.0
"""Seconds for a question and its answer; the hook waits a little longer."""

_log = logging.getLogger(__name__)


class Guard(Protocol):
    """Who decides (hyperhive.permissions)."""

    async def decide(self, agent: str, command: str, cwd: str) -> Decision:
        """Decide about a command, and record a denial."""


def hook_listener(guard: Guard) -> StreamListener:
    """Listens on the agents' policy.sock."""

    async def serve(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str) -> None:
        await serve_hook(reader, writer, agent, guard)

    return StreamListener(serve, limit=MAX_QUESTION, most=MAX_CONNECTIONS, too_many=b"")


async def serve_hook(reader: asyncio.StreamReader, writer: asyncio.StreamWriter, agent: str, guard: Guard) -> None:
    """Answer one question of `agent`, then close. Raises nothing but CancelledError."""
    try:
        async with asyncio.timeout(TIME):
            writer.write(await _answer(reader, agent, guard))
            await writer.drain()
    except (ConnectionError, TimeoutError) as gone:
        _log.debug("%s: a hook's connection ended: %r", agent, gone)
    except Exception:
        _log.exception("%s: a command could not be decided, so it does not run", agent)
    finally:
        writer.close()


async def _answer(reader: asyncio.StreamReader, agent: str, guard: Guard) -> bytes:
    try:
        command, cwd = _question(await _read(reader))
        decision = await guard.decide(agent, command, cwd)
        if decision.allowed:
            return _line("allow", decision.reason)
        return _line("deny", f"denied by the hive's Bash rules: {decision.reason}")
    except HyperhiveError as error:
        return _line("deny", str(error))


async def _read(reader: asyncio.StreamReader) -> bytes:
    data = bytearray()
    while part := await reader.read(64 * 1024):
        data += part
        if len(data) > MAX_QUESTION:
            raise BadInput(f"a question may have {MAX_QUESTION} bytes")
    return bytes(data)


def _question(data: bytes) -> tuple[str, str]:
    """The command and its working directory. Raises BadInput."""
    try:
        value: Any = json.loads(data)
        tool, command, cwd = value["tool_name"], value["tool_input"]["command"], value["cwd"]
    except (ValueError, KeyError, TypeError, RecursionError) as error:
        raise BadInput("this is not a PreToolUse hook's question") from error
    if tool != "Bash" or not isinstance(command, str) or not isinstance(cwd, str):
        raise BadInput("only commands for Bash are decided here")
    return command, cwd


def _line(verdict: str, reason: str) -> bytes:
    """Claude Code's own form; `allow` is the whole verdict, its rules are not asked any more (its deny rules are)."""
    told = {"hookEventName": "PreToolUse", "permissionDecision": verdict, "permissionDecisionReason": reason}
    return json.dumps({"hookSpecificOutput": told}, separators=(",", ":")).encode() + b"\n"
