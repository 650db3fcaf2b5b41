"""`hyperhive policy`: what agents may run, and what is doubtful about it."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Annotated, Any

import typer

from hyperhive.cli.common import AsJson, client, complete_agents, group
from hyperhive.cli.output import line, print_json
from hyperhive.errors import BadInput, Conflict

app = group("Bash rules: what they allow, and those that allow more than they say.")


@app.callback()
def policy() -> None:
    """Bash rules: what they allow, and those that allow more than they say."""


@app.command()
def lint(
    ctx: typer.Context,
    agents: Annotated[list[str] | None, typer.Argument(metavar="AGENT", autocompletion=complete_agents)] = None,
    settings: Annotated[
        Path | None,
        typer.Option("--settings", metavar="FILE", help="Judge this settings object (JSON) and no agent."),
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Lint the Bash rules of the named agents, or of all; exit code 1 if anything is found."""
    if settings is not None and agents:
        raise BadInput("name agents or --settings FILE, not both")
    objects = {str(settings): _read(settings)} if settings else _applied(ctx, agents or [])
    found = {name: _lint(held) for name, held in objects.items()}
    if as_json:
        print_json(found)
    else:
        for name, sentences in found.items():
            for sentence in sentences or ["nothing found"]:
                print(f"{line(name)}: {line(sentence)}")
    if any(found.values()):
        raise typer.Exit(1)


@app.command()
def explain(
    ctx: typer.Context,
    agent: Annotated[str, typer.Argument(metavar="AGENT", autocompletion=complete_agents)],
    command: Annotated[str, typer.Argument(metavar="COMMAND", help="As for bash -c: one argument, in quotes.")],
    cwd: Annotated[
        str | None, typer.Option(metavar="DIR", help="Where it would run; /state/work if not given.")
    ] = None,
    as_json: AsJson = False,
) -> None:
    """Say whether an agent may run a command, and by which rule; exit code 1 if not."""
    decision = client(ctx).explain(agent, command, cwd)
    if as_json:
        print_json(decision)
    else:
        for verdict in decision["verdicts"]:
            said = "allowed" if verdict["allowed"] else "denied"
            print(f"{said:7}  {line(verdict['command'])}  ({line(verdict['why'])})")
        print("allowed" if decision["allowed"] else f"denied: {line(decision['reason'])}")
    if not decision["allowed"]:
        raise typer.Exit(1)


def _applied(ctx: typer.Context, names: list[str]) -> dict[str, dict[str, Any]]:
    """The applied settings by agent. Raises NotFound, Conflict."""
    core = client(ctx)
    found = {}
    for name in names or [agent["name"] for agent in core.agents()]:
        settings = core.agent(name)["settings"]
        if settings is None:
            raise Conflict(f"{name} has no generation yet, so no settings")
        found[name] = settings
    return found


def _read(path: Path) -> dict[str, Any]:
    try:
        value = json.loads(path.read_text())
    except OSError as error:
        raise BadInput(f"{path}: {error.strerror}") from error
    except ValueError as error:
        raise BadInput(f"{path} is not JSON: {error}") from error
    if not isinstance(value, dict):
        raise BadInput(f"{path} is not a JSON object")
    return value


def _lint(value: dict[str, Any]) -> list[str]:
    from hyperhive.policy.lint import lint as judge  # noqa: PLC0415  (heavy with jsonschema)
    from hyperhive.settings import validate  # noqa: PLC0415

    return list(judge(validate(value)))
