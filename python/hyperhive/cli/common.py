"""What the command groups share: the client, common options, questions at the terminal, completion."""

from __future__ import annotations

import sys
from collections.abc import Callable
from pathlib import Path
from typing import TYPE_CHECKING, Annotated

import typer

from hyperhive.errors import BadInput

if TYPE_CHECKING:
    from hyperhive.client import Client

MAX_INPUT = 1024 * 1024
COMPLETION_TIMEOUT = 0.5


def client(ctx: typer.Context) -> Client:
    """The client of the core that --socket, the environment or the directory names. Raises Unavailable."""
    from hyperhive.client import Client, find_socket  # noqa: PLC0415  (http.client is slow to import)

    return Client(find_socket(ctx.find_root().params.get("socket")))


def complete_agents(ctx: typer.Context, incomplete: str) -> list[str]:
    """The names of the running core's agents; none, and no word, if there is no core."""
    return _complete(ctx, incomplete, lambda core: [agent["name"] for agent in core.agents()])


def complete_proposals(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of all proposals."""
    return _complete(ctx, incomplete, lambda core: [str(row["id"]) for row in core.proposals()])


def complete_open_proposals(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the proposals that wait for the operator."""
    return _complete(ctx, incomplete, lambda core: [str(row["id"]) for row in core.proposals(state="checked")])


def complete_messages(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the inbox's messages."""
    return _complete(ctx, incomplete, lambda core: [str(row["id"]) for row in core.inbox(all_=True)])


def complete_dead_letters(ctx: typer.Context, incomplete: str) -> list[str]:
    """The ids of the messages that were given up."""
    return _complete(ctx, incomplete, lambda core: [str(row["id"]) for row in core.dead_letters()])


def complete_session_users(ctx: typer.Context, incomplete: str) -> list[str]:
    """The users of the browsers that are logged in to the dashboard."""
    return _complete(ctx, incomplete, lambda core: sorted({str(row["user"]) for row in core.sessions()}))


def _complete(ctx: typer.Context, incomplete: str, names: Callable[[Client], list[str]]) -> list[str]:
    from hyperhive.client import Client, find_socket  # noqa: PLC0415

    try:
        socket = find_socket(ctx.find_root().params.get("socket"))
        found = names(Client(socket, timeout=COMPLETION_TIMEOUT))
    except Exception:  # completion has nowhere to complain
        return []
    return [name for name in found if name.startswith(incomplete)]


def group(told: str | None = None) -> typer.Typer:
    """A group of commands, or the holder of a single one. Plain text: rich takes longer than the command."""
    return typer.Typer(help=told, rich_markup_mode=None, add_completion=False, no_args_is_help=True)


AsJson = Annotated[bool, typer.Option("--json", help="Print JSON.")]
Yes = Annotated[bool, typer.Option("--yes", "-y", help="Do not ask.")]
Limit = Annotated[int, typer.Option("--limit", "-n", metavar="N", min=1, max=1000, help="At most so many, the newest.")]
AgentName = Annotated[str, typer.Argument(metavar="AGENT", autocompletion=complete_agents)]
AgentNames = Annotated[list[str], typer.Argument(metavar="AGENT", autocompletion=complete_agents)]
ForAgent = Annotated[
    str | None,
    typer.Option("--agent", metavar="AGENT", help="Only of this agent.", autocompletion=complete_agents),
]
ProposalId = Annotated[int, typer.Argument(metavar="ID", min=1, autocompletion=complete_proposals)]
OpenProposalId = Annotated[int, typer.Argument(metavar="ID", min=1, autocompletion=complete_open_proposals)]
MessageId = Annotated[int, typer.Argument(metavar="ID", min=1, autocompletion=complete_messages)]
DeadLetterId = Annotated[int, typer.Argument(metavar="ID", min=1, autocompletion=complete_dead_letters)]
DeadLetterIds = Annotated[list[int], typer.Argument(metavar="ID", min=1, autocompletion=complete_dead_letters)]
Body = Annotated[str | None, typer.Argument(metavar="TEXT", help="`-`, or none in a pipe: standard input.")]


def ask(question: str, otherwise: str) -> str:
    """Ask at the terminal and return the line without blanks around it; the empty one at its end.

    Raises BadInput with `otherwise`, which says what to do, if there is no terminal.
    """
    if not sys.stdin.isatty():
        raise BadInput(f"there is no terminal to ask at; {otherwise}")
    print(question, end=" ", file=sys.stderr, flush=True)
    return sys.stdin.readline().strip()


def confirmed(question: str) -> bool:
    """Ask a question whose answer is no unless it is y or yes. Raises BadInput if there is no terminal."""
    return ask(f"{question} [y/N]", "give --yes to do it without a question").lower() in ("y", "yes")


def text_of(body: str | None) -> str:
    """The message: the argument, or standard input. Raises BadInput if it is not UTF-8 or beyond 1 MiB."""
    if body is not None and body != "-":
        return body
    if body is None and sys.stdin.isatty():
        raise BadInput("there is no text; give it as the last argument, or `-` and type it (Ctrl-D ends it)")
    raw = sys.stdin.buffer.read(MAX_INPUT + 1)
    if len(raw) > MAX_INPUT:
        raise BadInput("standard input is longer than 1 MiB; a message is at most 64 KiB")
    try:
        return raw.decode()
    except UnicodeDecodeError as error:
        raise BadInput(f"standard input is not UTF-8 (byte {error.start}); a message is text") from error


def directory(path: Path) -> Path:
    """The absolute path of an existing directory. Raises BadInput."""
    if not path.is_dir():
        raise BadInput(f"{path} is not a directory")
    return path.resolve()
