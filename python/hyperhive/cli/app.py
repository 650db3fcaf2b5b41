"""The commands of `hyperhive`, put together. The groups' modules are light: they import what they use when used."""

from __future__ import annotations

import contextlib
import io
from pathlib import Path
from typing import Annotated

import typer
import typer.main

from hyperhive import __version__
from hyperhive.cli import agent, apply, audit, debug, flake, inbox, policy, run, send, status
from hyperhive.cli.main import HELP_COLUMNS

PROGRAM = "hyperhive"
_MARGIN = 2  # columns that typer leaves free at the right


# Plain text: rich would cost every command more time than the command itself takes.
app = typer.Typer(
    name=PROGRAM, rich_markup_mode=None, pretty_exceptions_enable=False, no_args_is_help=True, add_completion=True
)


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
    version: Annotated[bool, typer.Option("--version", callback=_version, is_eager=True)] = False,
) -> None:
    """A hive of Claude Code agents: a change is a commit, an approval shows its meaning, an apply is atomic."""


app.command()(run.run)
app.command()(status.status)
app.command()(send.send)
app.command()(audit.audit)
app.add_typer(agent.app, name="agent")
app.add_typer(apply.app, name="apply")
app.add_typer(inbox.app, name="inbox")
app.add_typer(flake.app, name="flake")
app.add_typer(policy.app, name="policy")
app.add_typer(debug.app, name="debug", hidden=True)


def execute(arguments: list[str]) -> None:
    """Run one command line (or answer a shell's completion). Raises SystemExit and whatever a command raises."""
    typer.main.get_command(app).main(args=arguments, prog_name=PROGRAM)


def help_source() -> str:
    """The source of help_text.py: the help as typer lays it out on a terminal of HELP_COLUMNS."""
    with contextlib.redirect_stdout(io.StringIO()) as out, contextlib.suppress(SystemExit):
        command = typer.main.get_command(app)
        command.main(args=["--help"], prog_name=PROGRAM, terminal_width=HELP_COLUMNS - _MARGIN)
    text = out.getvalue().rstrip("\n")
    told = "What `hyperhive --help` prints, made by `hyperhive debug help-text`: typer would take too long for it."
    return f'"""{told}"""\n\nTEXT = """\\\n{text}\n"""\n'
