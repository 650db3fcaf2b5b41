"""`hyperhive agent`: the agents of the hive."""

from __future__ import annotations

import os
from enum import StrEnum
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperhive.cli.common import AgentName, AgentNames, AsJson, Yes, ask, client, directory, group
from hyperhive.cli.notes import notes
from hyperhive.cli.output import ago, clean, fields, iso, line, print_json, table
from hyperhive.errors import BadInput, Unavailable

app = group("The agents: list, create, start, stop, look inside.")


PURGE = "Remove its state, config and applied flake too; mail that waits for it becomes dead letters."
ACTIVITIES = {"turn": "in a turn", "compacting": "compacting its session", "waiting": "waiting"}


class RoleName(StrEnum):
    """What `create --role` takes (settings.Role, whose module is heavier)."""

    AGENT = "agent"
    MANAGER = "manager"


@app.command("list")
def list_agents(ctx: typer.Context, as_json: AsJson = False) -> None:
    """Every agent at a glance."""
    agents = client(ctx).agents()
    if as_json:
        print_json(agents)
        return
    headers = ["NAME", "ROLE", "STATE", "GENERATION", "MODEL", "UNREAD", "LAST TURN"]
    table(headers, map(_row, agents), empty="no agents; create one with `hyperhive agent create NAME`")


def _row(agent: dict[str, Any]) -> list[object]:
    shown = (
        _state(agent),
        agent["generation"] or "-",
        agent["model"],
        agent["unread"],
        _turn(agent["last_turn"]),
    )
    return [agent["name"], agent["role"], *shown]


def _state(agent: dict[str, Any]) -> str:
    if over := agent["over_budget"]:
        return f"{agent['state']} (over budget until {iso(over['until'])[:16]}Z)"
    words = ACTIVITIES.get(agent["activity"]) if agent["state"] == "running" else None
    why = f": {agent['trouble'].partition(':')[0]}" if words == "waiting" and agent["trouble"] else ""
    return f"running ({words}{why})" if words else str(agent["state"])


def _turn(turn: dict[str, Any] | None) -> str:
    if turn is None:
        return "-"
    if turn["ended_at"] is None:
        return f"began {ago(turn['started_at'])}"
    return f"{turn['outcome']}, {ago(turn['ended_at'])}"


@app.command()
def show(ctx: typer.Context, name: AgentName, as_json: AsJson = False) -> None:
    """Everything about one agent: its settings and where they come from, generations and token use."""
    agent = client(ctx).agent(name)
    if as_json:
        print_json(agent)
        return
    fields(_facts(agent))
    print()
    _generations(agent)
    print()
    headers = ["DAY", "MODEL", "REQUESTS", "INPUT", "OUTPUT", "COST"]
    keys = ("day", "model", "requests", "input_tokens", "output_tokens")
    rows = ([*(use[key] for key in keys), f"${use['cost_usd']:.2f}"] for use in agent["usage"])
    table(headers, rows, empty="no tokens used yet")


def _facts(agent: dict[str, Any]) -> list[tuple[str, object]]:
    settings = agent["settings"] or {}
    lists = {
        "bash.allow": settings.get("bash", {}).get("allow"),
        "tools.allow": settings.get("tools", {}).get("allow"),
        "packages": settings.get("packages"),
        "network.allow": settings.get("network", {}).get("allow"),
    }
    return [
        ("name", agent["name"]),
        ("role", agent["role"]),
        ("state", f"{_state(agent)} (wanted: {agent['desired']})"),
        ("generation", agent["generation"] or None),
        ("model", _sourced(agent, "model", agent["model"])),
        *((path.split(".")[0], _sourced(agent, path, ", ".join(held or []) or "none")) for path, held in lists.items()),
        ("budget", _budget(agent)),
        ("overrides", ", ".join(f"{key} = {value}" for key, value in agent["overrides"].items()) or "none"),
        ("trouble", agent["trouble"]),
        ("unread", agent["unread"]),
        ("last turn", _turn(agent["last_turn"])),
        ("made of", _made_of(agent["last_turn"])),
    ]


def _budget(agent: dict[str, Any]) -> str:
    own = (agent["settings"] or {}).get("budget", {})
    tokens, cost = own.get("tokensPerDay"), own.get("costPerDay")
    bounds = [*([f"{tokens:,} tokens"] if tokens else []), *([f"${cost:,.2f}"] if cost else [])]
    text = f"{' and '.join(bounds)} a day" if bounds else "no bound of its own"
    text += " (override)" if "budget" in agent["overrides"] else ""
    return f"{text}; {agent['over_budget']['reason']}" if agent["over_budget"] else text


def _made_of(turn: dict[str, Any] | None) -> str | None:
    """What the last turn was made of; `agent turns` shows the others."""
    if turn is None:
        return None
    proposal = "" if turn["proposal"] is None else f", proposal {turn['proposal']}"
    mail = ", ".join(map(str, turn["message_ids"])) or "none"
    return (
        f"turn {turn['id']}: generation {turn['generation']}, commit {(turn['commit'] or '-')[:12]}{proposal},"
        f" session {turn['session_id'][:8]}, notes {(turn['notes'] or 'none')[:8]}, messages {mail}"
    )


def _sourced(agent: dict[str, Any], path: str, value: str | None) -> str | None:
    """A setting's value, and where it comes from if that is known."""
    source = agent["sources"].get(path)
    return f"{value} ({source})" if value is not None and source else value


def _generations(agent: dict[str, Any]) -> None:
    rows = (
        [
            f"{row['number']}{' *' if row['number'] == agent['generation'] else ''}",
            row["commit"][:12],
            "yes" if row["healthy"] else "no",
            ago(row["created_at"]),
            row["reason"],
        ]
        for row in agent["generations"]
    )
    table(["GENERATION", "COMMIT", "HEALTHY", "MADE", "REASON"], rows, empty="no generation yet")


@app.command()
def turns(
    ctx: typer.Context,
    name: AgentName,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, max=1000)] = 20,
    as_json: AsJson = False,
) -> None:
    """An agent's turns, newest first: what each was made of, how it ended, what it used."""
    found = client(ctx).turns(name, lines)
    if as_json:
        print_json(found)
        return
    headers = ["TURN", "BEGAN", "OUTCOME", "MAIL", "GENERATION", "COMMIT", "MODEL", "SESSION", "NOTES", "CPU", "MEMORY"]
    table(headers, map(_turn_row, found), empty="no turn yet")


def _turn_row(turn: dict[str, Any]) -> list[object]:
    mail = ", ".join(map(str, turn["message_ids"])) or turn["purpose"]
    proposal = f" (proposal {turn['proposal']})" if turn["proposal"] is not None else ""
    cpu, memory = turn["cpu_seconds"], turn["memory_peak"]
    return [
        turn["id"],
        ago(turn["started_at"]),
        turn["outcome"] or "runs",
        mail,
        f"{turn['generation']}{proposal}",
        (turn["commit"] or "-")[:12],
        turn["model"],
        turn["session_id"][:8],
        (turn["notes"] or "-")[:8],
        "-" if cpu is None else f"{cpu:.1f} s",
        "-" if memory is None else f"{memory / 2**20:.0f} MiB",
    ]


@app.command()
def create(
    ctx: typer.Context,
    name: Annotated[str, typer.Argument(metavar="NAME")],
    role: Annotated[RoleName, typer.Option(help="A manager may request applies; a hive has one.")] = RoleName.AGENT,
    source: Annotated[
        Path | None,
        typer.Option("--from", metavar="DIR", help="A directory with its agent.nix [default: a small one]."),
    ] = None,
) -> None:
    """Create an agent, start it and wait for its first heartbeat."""
    absolute = str(directory(source)) if source else None
    _said(client(ctx).create_agent(name, role=role.value, source=absolute))


@app.command()
def start(ctx: typer.Context, names: AgentNames) -> None:
    """Start agents and wait for their heartbeats."""
    for name in names:
        _said(client(ctx).start(name))


@app.command()
def stop(ctx: typer.Context, names: AgentNames) -> None:
    """Stop agents after their running turn; their mail waits."""
    for name in names:
        _said(client(ctx).stop(name))


@app.command()
def restart(ctx: typer.Context, names: AgentNames) -> None:
    """Stop and start agents."""
    for name in names:
        _said(client(ctx).restart(name))


def _said(agent: dict[str, Any]) -> None:
    told = f"{_state(agent)}, generation {agent['generation']}, model {agent['model']}"
    print(line(f"{agent['name']}: {told}"))


@app.command()
def destroy(
    ctx: typer.Context,
    name: AgentName,
    purge: Annotated[bool, typer.Option("--purge", help=PURGE)] = False,
    yes: Yes = False,
) -> None:
    """Stop and forget an agent. Its files and mail stay, for an agent of that name to come, unless --purge."""
    core = client(ctx)
    if purge and not yes:
        core.agent(name)
        typed = ask(f"This removes everything that {name} ever wrote. Type its name to go on:", "give --yes to purge")
        if typed != name:
            raise BadInput(f"that is not {name}'s name; nothing was done")
    letters = core.destroy(name, purge=purge)
    print(f"{name}: destroyed{' with its files' if purge else '; its files stay'}")
    if letters:
        print(f"{name}: mail that waited is among the dead letters now ({letters}); see `hyperhive debug dead-letters`")


app.command()(notes)


@app.command()
def logs(
    ctx: typer.Context,
    name: AgentName,
    lines: Annotated[int, typer.Option("--lines", "-n", metavar="N", min=1, max=10000)] = 100,
) -> None:
    """The end of an agent's log."""
    text = clean(client(ctx).logs(name, lines))
    print(text, end="" if text.endswith("\n") or not text else "\n")


@app.command()
def shell(ctx: typer.Context, name: AgentName) -> None:
    """Open a shell in the agent's kind of container, as the agent's user."""
    argv = client(ctx).shell(name)
    try:
        os.execvp(argv[0], argv)  # noqa: S606  (the core's own command, without a shell between)
    except OSError as error:
        raise Unavailable(f"{argv[0]} cannot be run: {error.strerror}") from error


@app.command()
def model(
    ctx: typer.Context,
    name: AgentName,
    to: Annotated[str | None, typer.Argument(metavar="MODEL", help="An alias or full id; none: show it.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Take the override away.")] = False,
) -> None:
    """Show an agent's model, or override it from its next turn on."""
    if to is not None and reset:
        raise BadInput("give a model or --reset, not both")
    core = client(ctx)
    if to is not None or reset:
        _said(core.set_model(name, to))
        return
    agent = core.agent(name)
    print(f"{line(str(agent['model']))}{' (override)' if 'model' in agent['overrides'] else ''}")


@app.command()
def budget(
    ctx: typer.Context,
    name: AgentName,
    tokens: Annotated[int | None, typer.Option(metavar="N", min=1, help="Tokens a day, in and out.")] = None,
    cost: Annotated[float | None, typer.Option(metavar="USD", min=0.01, help="US dollars a day.")] = None,
    reset: Annotated[bool, typer.Option("--reset", help="Take the override away.")] = False,
) -> None:
    """Show what an agent may use in a day (UTC), or override it: what is not given is as configured."""
    given = tokens is not None or cost is not None
    if given and reset:
        raise BadInput("give a bound or --reset, not both")
    core = client(ctx)
    if given or reset:
        core.set_budget(name, tokens, cost)
    agent = core.agent(name)
    print(line(f"{name}: {_budget(agent)}"))
