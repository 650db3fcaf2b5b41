"""`hyperhive flake`: applied flakes without a running core."""

from __future__ import annotations

import json
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperhive.cli.agent import RoleName
from hyperhive.cli.common import AsJson, directory, group
from hyperhive.cli.output import line, print_json
from hyperhive.errors import BadInput

if TYPE_CHECKING:
    from hyperhive.flakes.check import Check

app = group("Agents' flakes: make one, check one (no core needed).")


@app.command()
def generate(
    name: Annotated[str, typer.Argument(metavar="NAME", help="The agent's name.")],
    into: Annotated[Path, typer.Option("--into", metavar="DIR", help="A new or empty directory.")],
    *,
    source: Annotated[
        Path | None, typer.Option("--from", metavar="DIR", help="A directory with an agent.nix [default: a small one].")
    ] = None,
    role: Annotated[RoleName, typer.Option(help="What the host lets it be.")] = RoleName.AGENT,
    settings: Annotated[
        list[str] | None, typer.Option("--set", metavar="KEY=VALUE", help="The host's override, e.g. model=sonnet.")
    ] = None,
) -> None:
    """Write the flake that an agent would run, as a git repository with the tag generation/1."""
    import asyncio  # noqa: PLC0415

    from hyperhive.flakes.applied import HiveFile  # noqa: PLC0415
    from hyperhive.flakes.check import generate as write  # noqa: PLC0415
    from hyperhive.settings import check_name  # noqa: PLC0415

    hive = HiveFile(check_name(name), role.value, overrides=overrides(settings or []))
    commit = asyncio.run(write(into.absolute(), hive, directory(source) if source else None))
    print(f"{line(str(into))}: {line(name)} as generation/1, {commit[:12]}")


def overrides(assignments: list[str]) -> dict[str, Any]:
    """The nested settings that `session.maxTurns=5` and the like mean: TOML values, anything else is a string.

    Raises BadInput.
    """
    import tomllib  # noqa: PLC0415

    lines = []
    for assignment in assignments:
        key, equals, value = assignment.partition("=")
        if not equals:
            raise BadInput(f"--set {assignment}: say KEY=VALUE, e.g. model=sonnet")
        text = f"{key} = {value}"
        lines.append(text if _is_toml(text) else f"{key} = {json.dumps(value)}")
    try:
        return tomllib.loads("\n".join(lines))
    except ValueError as error:
        raise BadInput(f"--set {' '.join(assignments)}: {error}") from error


def _is_toml(text: str) -> bool:
    import tomllib  # noqa: PLC0415

    try:
        tomllib.loads(text)
    except ValueError:
        return False
    return True


@app.command()
def check(
    path: Annotated[Path, typer.Argument(metavar="DIR", help="An applied flake, or a directory with an agent.nix.")],
    as_json: AsJson = False,
) -> None:
    """Evaluate an agent's flake as a proposal would be; exit code 1 if it would be rejected."""
    import asyncio  # noqa: PLC0415

    from hyperhive.flakes.check import check_directory  # noqa: PLC0415

    found = asyncio.run(check_directory(directory(path)))
    if as_json:
        print_json(found.to_json())
    else:
        _say(path, found)
    if not found.ok:
        raise typer.Exit(1)


def _say(path: Path, found: Check) -> None:
    for sentence in found.errors:
        typer.echo(f"error: {line(sentence)}", err=True)
    for sentence in found.warnings:
        print(f"warning: {line(sentence)}")
    if found.ok and found.settings:
        print(f"{line(str(path))}: ok, model {line(str(found.settings['model']))}")
