"""The agents: what they are and do, start and stop, model, notes, logs, terminal."""

from __future__ import annotations

from pathlib import Path

from hyperhive.api.operation import Call, Json, Operation, flag, number, optional, text
from hyperhive.api.operator.core import OperatorCore
from hyperhive.policy.places import WORK
from hyperhive.settings import Role


async def every(call: Call[OperatorCore]) -> Json:
    """Every agent at a glance, by name."""
    return {"agents": await call.core.hive.views()}


async def one(call: Call[OperatorCore]) -> Json:
    """Everything about one agent."""
    return await call.core.hive.details(call.name)


async def create(call: Call[OperatorCore]) -> Json:
    """Create an agent, from a directory of the host with agent.nix if `source` is given, and start it."""
    source = call.body["source"]
    name = call.body["name"]
    await call.core.hive.create(name, Role(call.body["role"]), Path(source) if source else None, call.actor)
    return await call.core.hive.view(name)


async def start(call: Call[OperatorCore]) -> Json:
    """Start an agent and wait for its heartbeat."""
    await call.core.hive.start(call.name, call.actor)
    return await call.core.hive.view(call.name)


async def stop(call: Call[OperatorCore]) -> Json:
    """Stop an agent after its running turn."""
    await call.core.hive.stop(call.name, call.actor)
    return await call.core.hive.view(call.name)


async def restart(call: Call[OperatorCore]) -> Json:
    """Stop an agent after its running turn, and start it."""
    await call.core.hive.restart(call.name, call.actor)
    return await call.core.hive.view(call.name)


async def destroy(call: Call[OperatorCore]) -> Json:
    """Stop and forget an agent; with `purge` all its files go too, for good, and its mail becomes dead letters."""
    return {"dead_letters": await call.core.hive.destroy(call.name, call.actor, purge=call.query["purge"] == 1)}


async def logs(call: Call[OperatorCore]) -> Json:
    """The end of an agent's log."""
    return {"log": await call.core.hive.log(call.name, call.query["lines"])}


async def shell(call: Call[OperatorCore]) -> Json:
    """The command that opens a shell in the agent's kind of container."""
    return {"argv": await call.core.hive.shell(call.name)}


async def set_model(call: Call[OperatorCore]) -> Json:
    """Override an agent's model (null: take the override away), as a new generation."""
    await call.core.hive.set_model(call.name, call.body["model"], call.actor)
    return await call.core.hive.view(call.name)


async def set_budget(call: Call[OperatorCore]) -> Json:
    """Override what an agent may use in a day (null: what its configuration says), as a new generation."""
    given = {"tokensPerDay": call.body["tokens_per_day"], "costPerDay": call.body["cost_per_day"]}
    budget = {name: value for name, value in given.items() if value is not None}
    await call.core.hive.set_budget(call.name, budget, call.actor)
    return await call.core.hive.view(call.name)


async def roll_back(call: Call[OperatorCore]) -> Json:
    """Let an agent run an earlier generation (null: the newest healthy one before the present)."""
    await call.core.hive.roll_back(call.name, call.body["generation"], call.actor)
    return await call.core.hive.view(call.name)


async def explain(call: Call[OperatorCore]) -> Json:
    """The verdict of the Bash rules on a command; nothing is recorded."""
    cwd = call.body["cwd"] or WORK
    return (await call.core.permissions.explain(call.name, call.body["command"], cwd)).view()


async def notes(call: Call[OperatorCore]) -> Json:
    """The agent's durable notes."""
    settings = await call.core.hive.settings(call.name)
    return (await call.core.controls.read_notes(call.name, settings.notes)).view()


async def write_notes(call: Call[OperatorCore]) -> Json:
    """Replace the agent's notes, if they are still of that version."""
    settings = await call.core.hive.settings(call.name)
    body = call.body
    return (
        await call.core.controls.write_notes(call.name, settings.notes, body["text"], body["version"], call.actor)
    ).view()


async def terminal(call: Call[OperatorCore]) -> Json:
    """The agent's open terminal, if there is one."""
    await call.core.hive.view(call.name)
    return {"terminal": call.core.terminals.view(call.name)}


async def end_terminal(call: Call[OperatorCore]) -> Json:
    """End the agent's terminal and every process in it."""
    await call.core.hive.view(call.name)
    await call.core.terminals.end(call.name, call.actor)
    return {}


_AGENT = "/v1/agents/{name}"
OPERATIONS: tuple[Operation[OperatorCore], ...] = (
    Operation("GET", "/v1/agents", every, "Agents"),
    Operation(
        "POST",
        "/v1/agents",
        create,
        "Agent",
        body={
            "name": text(longest=64),
            "role": text(enum=list(Role), default="agent"),
            "source": optional(text(longest=4096)),
        },
        required=("name",),
    ),
    Operation("GET", _AGENT, one, "AgentDetails"),
    Operation("DELETE", _AGENT, destroy, "Destroyed", query={"purge": flag()}),
    Operation("POST", f"{_AGENT}/start", start, "Agent", body={}),
    Operation("POST", f"{_AGENT}/stop", stop, "Agent", body={}),
    Operation("POST", f"{_AGENT}/restart", restart, "Agent", body={}),
    Operation("GET", f"{_AGENT}/logs", logs, "Log", query={"lines": number(1, 10_000, default=100)}),
    Operation("GET", f"{_AGENT}/shell", shell, "Shell"),
    Operation("PUT", f"{_AGENT}/model", set_model, "Agent", body={"model": optional(text(longest=200))}),
    Operation(
        "PUT",
        f"{_AGENT}/budget",
        set_budget,
        "Agent",
        body={
            "tokens_per_day": optional(number(1)),
            "cost_per_day": {"type": ["number", "null"], "minimum": 0.01, "maximum": 1e9},
        },
    ),
    Operation(
        "POST",
        f"{_AGENT}/rollback",
        roll_back,
        "Agent",
        body={"generation": {**number(1), "type": ["integer", "null"]}},
    ),
    Operation(
        "POST",
        f"{_AGENT}/explain",
        explain,
        "Verdict",
        body={"command": text(longest=65536), "cwd": optional(text(longest=4096))},
        required=("command",),
    ),
    Operation("GET", f"{_AGENT}/notes", notes, "Notes"),
    Operation(
        "PUT",
        f"{_AGENT}/notes",
        write_notes,
        "Notes",
        body={"text": text(longest=1024 * 1024), "version": text(longest=64)},
        required=("text", "version"),
    ),
    Operation("GET", f"{_AGENT}/terminal", terminal, "Terminal"),
    Operation("DELETE", f"{_AGENT}/terminal", end_terminal, "Nothing"),
)
