"""The hive's tools: who may call which, and what each does. The protocol they are called over is api.mcp's.

A caller is known by its socket. What it may do is its applied role's, looked up at each call.
"""

from __future__ import annotations

import asyncio
import json
import logging
import re
from collections.abc import Awaitable, Callable, Iterable, Sequence
from dataclasses import dataclass
from typing import Any, Protocol

from jsonschema import ValidationError

from hyperhive.api.mcp_catalogue import TOOLS, Tool, instructions
from hyperhive.errors import BadInput, Forbidden, HyperhiveError
from hyperhive.settings import Role, Settings
from hyperhive.store.messages import Question

MAX_RESULT = 48 * 1024
"""Characters of a result; Claude Code shows a longer one to the model only in part."""
PEEKED = 20
"""Messages that `inbox` shows, and PREVIEW characters of each."""
PREVIEW = 500
SHOWN = 5
"""Unknown arguments that a complaint names."""

_COMMIT = re.compile(r"[0-9a-f]{7,40}\Z")

_log = logging.getLogger(__name__)


class Waiting(Protocol):
    """A message that waits."""

    @property
    def id(self) -> int: ...
    @property
    def sender(self) -> str: ...
    @property
    def kind(self) -> str: ...
    @property
    def body(self) -> str: ...
    @property
    def cut(self) -> int: ...


class Mail(Protocol):
    """What the tools need of the broker."""

    async def send(self, sender: str, to: str, body: str, *, reply_to: int | None = None) -> int: ...
    async def ask(self, sender: str, body: str, question: Question) -> int: ...
    async def waiting(self, recipient: str) -> Sequence[Waiting]: ...


class HiveFacade(Protocol):
    """What the tools need of the core. Each may raise HyperhiveError, whose message the model reads."""

    async def role(self, agent: str) -> Role: ...
    async def settings(self, agent: str) -> Settings: ...
    async def append_note(self, agent: str, text: str) -> int: ...
    async def notes_size(self, agent: str) -> int | None: ...
    async def list_agents(self) -> list[dict[str, Any]]: ...
    async def agent_status(self, name: str) -> dict[str, Any]: ...
    async def request_apply(self, agent: str, commit: str, reason: str, requester: str) -> dict[str, Any]: ...
    async def proposals(self, agent: str | None) -> list[dict[str, Any]]: ...
    async def start(self, agent: str, actor: str) -> dict[str, Any]: ...
    async def stop(self, agent: str, actor: str) -> dict[str, Any]: ...
    async def restart(self, agent: str, actor: str) -> dict[str, Any]: ...


@dataclass(frozen=True)
class Outcome:
    """What a call answers: a text, and whether it tells of a failure."""

    text: str
    is_error: bool = False


Arguments = dict[str, Any]
Verb = Callable[[str, Arguments], Awaitable[object]]


class HiveTools:
    """The tools of every agent of a hive."""

    def __init__(self, broker: Mail, hive: HiveFacade) -> None:
        self._broker = broker
        self._hive = hive
        self._peeks: dict[str, asyncio.Lock] = {}  # one look of an agent at its mail at a time: it is long work
        self._tools = {tool.name: tool for tool in TOOLS}
        self._verbs: dict[str, Verb] = {
            "send": self._send,
            "inbox": self._inbox,
            "ask_operator": self._ask_operator,
            "notes_append": self._notes_append,
            "whoami": self._whoami,
            "list_agents": self._list_agents,
            "agent_status": self._agent_status,
            "request_apply_commit": self._request_apply_commit,
            "proposals": self._proposals,
            "start_agent": self._start_agent,
            "stop_agent": self._stop_agent,
            "restart_agent": self._restart_agent,
        }

    async def instructions(self, agent: str) -> str:
        """What `agent`'s model is told about the tools as a whole."""
        return instructions(agent, await self._hive.role(agent))

    async def offered(self, agent: str) -> list[Tool]:
        """The tools that `agent` may call now."""
        manager = await self._hive.role(agent) is Role.MANAGER
        return [tool for tool in TOOLS if manager or not tool.manager]

    async def call(self, agent: str, name: str, arguments: Arguments) -> Outcome:
        """Call a tool for `agent`. Never raises: a failure is an outcome whose text says what to do."""
        try:
            tool = self._tools.get(name)
            if tool is None:
                raise BadInput(f"there is no tool {name[:60]!r}")
            if tool.manager and await self._hive.role(agent) is not Role.MANAGER:
                raise Forbidden(f"{name} is for managers only; ask the manager with send")
            _check(tool, arguments)
            return Outcome(_text(await self._verbs[name](agent, arguments)))
        except HyperhiveError as error:
            return Outcome(str(error), is_error=True)
        except Exception:
            _log.exception("%s: the tool %s failed", agent, name[:60])
            return Outcome("internal error; the operator finds it in the core's log", is_error=True)

    async def _send(self, agent: str, given: Arguments) -> object:
        sent = await self._broker.send(agent, given["to"], given["body"], reply_to=given.get("reply_to"))
        return {"id": sent}

    async def _inbox(self, agent: str, given: Arguments) -> object:
        async with self._peeks.setdefault(agent, asyncio.Lock()):
            waiting = await self._broker.waiting(agent)
        shown = [
            {"id": one.id, "from": one.sender, "kind": one.kind, "body": _cut(one.body, PREVIEW, more=one.cut)}
            for one in waiting[:PEEKED]
        ]
        return {"waiting": len(waiting), "delivered": "in your next turn", "messages": shown}

    async def _ask_operator(self, agent: str, given: Arguments) -> object:
        options, minutes = given.get("options", ()), given.get("time_limit_minutes")
        numbered = [f"{number}. {option}" for number, option in enumerate(options, 1)]
        body = "\n".join([given["question"], *(["", *numbered] if options else [])])
        limit = None if minutes is None else minutes * 60.0
        asked = await self._broker.ask(agent, body, Question(tuple(options), limit))
        told = "comes as mail in a later turn"
        return {
            "id": asked,
            "answer": told if limit is None else f"{told}; after {minutes} minutes mail says that none came",
        }

    async def _notes_append(self, agent: str, given: Arguments) -> object:
        notes = (await self._hive.settings(agent)).notes
        if not notes.enable:
            raise Forbidden("notes are switched off for you (notes.enable in your agent.nix)")
        return {"bytes": await self._hive.append_note(agent, given["text"]), "maxBytes": notes.maxBytes}

    async def _whoami(self, agent: str, given: Arguments) -> object:
        settings = (await self._hive.settings(agent)).to_json()
        kept = ("name", "role", "model", "tools", "bash", "network", "session", "git")
        used = await self._hive.notes_size(agent)
        return {**{key: settings[key] for key in kept}, "notes": {**settings["notes"], "bytes": used}}

    async def _list_agents(self, agent: str, given: Arguments) -> object:
        return {"agents": await self._hive.list_agents()}

    async def _agent_status(self, agent: str, given: Arguments) -> object:
        return await self._hive.agent_status(given["name"])

    async def _request_apply_commit(self, agent: str, given: Arguments) -> object:
        if not _COMMIT.match(given["commit"]):
            raise BadInput(
                "commit must be a hash of 7 to 40 hex digits, never a branch name:"
                f" take it from git -C /hive/agents/{given['agent']}/config rev-parse HEAD"
            )
        proposal = await self._hive.request_apply(given["agent"], given["commit"], given["reason"], agent)
        return {**_glance(proposal), "verdict": "comes as mail from system in a later turn"}

    async def _proposals(self, agent: str, given: Arguments) -> object:
        return {"proposals": [_glance(one) for one in await self._hive.proposals(given.get("agent"))]}

    async def _start_agent(self, agent: str, given: Arguments) -> object:
        return await self._hive.start(given["name"], agent)

    async def _stop_agent(self, agent: str, given: Arguments) -> object:
        return await self._hive.stop(given["name"], agent)

    async def _restart_agent(self, agent: str, given: Arguments) -> object:
        return await self._hive.restart(given["name"], agent)


def _glance(proposal: dict[str, Any]) -> dict[str, Any]:
    """A proposal without what only the operator decides by, and without what it has not got."""
    heavy = ("settings", "diff", "fingerprint")
    return {key: value for key, value in proposal.items() if key not in heavy and value not in (None, "", [])}


def _check(tool: Tool, arguments: Arguments) -> None:
    """Raise BadInput naming the first thing wrong with `arguments`, without repeating their values."""
    error = next(tool.validator.iter_errors(arguments), None)  # to look for them all could take seconds
    if error is not None:
        raise BadInput(f"{tool.name}: {_complaint(error, tool, arguments)}")


def _complaint(error: ValidationError, tool: Tool, arguments: Arguments) -> str:
    where = ".".join(str(part) for part in error.absolute_path) or "the arguments"
    match error.validator:
        case "required":
            return f"missing {_names(set(tool.schema['required']) - set(arguments))}"
        case "additionalProperties":
            unknown = sorted(set(arguments) - set(tool.properties))
            shown = ", ".join([name[:40] for name in unknown[:SHOWN]] + ["…"] * (len(unknown) > SHOWN))
            return f"unknown {shown}; it takes {_names(tool.properties) or 'no arguments'}"
        case "type":
            return f"{where} must be of type {error.validator_value}"
        case "minLength" | "minItems":
            return f"{where} must not be empty"
        case rule:
            return f"{where} breaks the rule {rule} {error.validator_value}"


def _names(names: Iterable[str]) -> str:
    return ", ".join(sorted(names))


def _text(value: object) -> str:
    return _cut(json.dumps(value, ensure_ascii=False, default=str), MAX_RESULT)


def _cut(text: str, limit: int, *, more: int = 0) -> str:
    """`more`: characters that `text` itself lacks."""
    return text if len(text) <= limit else f"{text[:limit]}… (cut; {len(text) + more} characters in all)"
