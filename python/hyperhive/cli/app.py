"""The command tree of `hyperhive`. A group's module is imported when it is used, and what it needs later still."""

from __future__ import annotations

import contextlib
import importlib
import io
from pathlib import Path
from typing import Annotated, Any

import typer
import typer.main
from typer.core import TyperGroup

from hyperhive import __version__
from hyperhive.cli.main import HELP_COLUMNS

PROGRAM = "hyperhive"
COMMANDS = ("run", "status", "resume", "dashboard", "agent", "apply", "inbox", "send", "policy", "flake", "audit")
HIDDEN = ("debug",)
_MARGIN = 2  # columns that typer leaves free at the right


class LazyGroup(TyperGroup):
    """The root: each command is `app` of the module hyperhive.cli.<name>, in the order of COMMANDS."""

    def list_commands(self, ctx: Any) -> list[str]:  # noqa: ANN401  (Context is typer's or click's by version)
        """The names that the help shows."""
        return list(COMMANDS)

    def get_command(self, ctx: Any, cmd_name: str) -> Any:  # noqa: ANN401
        """The command of that name, or None."""
        if cmd_name not in COMMANDS + HIDDEN:
            return None
        command = typer.main.get_command(importlib.import_module(f"hyperhive.cli.{cmd_name}").app)
        command.name = cmd_name
        return command


app = typer.Typer(cls=LazyGroup, rich_markup_mode=None, no_args_is_help=True)


def _version(wanted: bool) -> None:
    if wanted:
        print(f"{PROGRAM} {__version__}")
        raise typer.Exit


@app.callback()
def hyperhive(
    socket: Annotated[
        Path | None,
        typer.Option(metavar="PATH", help="Default: $HYPERHIVE_SOCKET, the nearest .hive, /run/hyperhive."),
    ] = None,
    version: Annotated[
        bool, typer.Option("--version", callback=_version, is_eager=True, help="Show the version and exit.")
    ] = False,
) -> None:
    """A hive of Claude Code agents: a change is a commit, an approval shows its meaning, an apply is atomic."""


def execute(arguments: list[str], columns: int | None = None) -> None:
    """Run one command line, or answer a shell's completion; help is laid out in `columns` (None: the terminal's).

    Raises SystemExit and whatever the command raises.
    """
    width = None if columns is None else columns - _MARGIN
    typer.main.get_command(app).main(args=arguments, prog_name=PROGRAM, terminal_width=width)


def help_source() -> str:
    """The source of help_text.py: the help as typer lays it out on a terminal of HELP_COLUMNS."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        execute(["--help"], columns=HELP_COLUMNS)
    text = out.getvalue().rstrip("\n")
    told = "What `hyperhive --help` prints, made by `hyperhive debug help-text`: typer would take too long for it."
    return f'"""{told}"""\n\nTEXT = """\\\n{text}\n"""\n'
