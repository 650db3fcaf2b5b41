"""`hyperhive agent notes`: an agent's durable notes, to read and to edit."""

from __future__ import annotations

import os
import shlex
import tempfile
from pathlib import Path
from typing import TYPE_CHECKING, Annotated, Any

import typer

from hyperhive import process
from hyperhive.cli.common import AgentName, AsJson, client
from hyperhive.cli.output import ago, clean, print_json
from hyperhive.errors import BadInput, HyperhiveError, Unavailable

if TYPE_CHECKING:
    from hyperhive.client import Client


def notes(
    ctx: typer.Context,
    name: AgentName,
    edit: Annotated[bool, typer.Option("--edit", help="Open them in $EDITOR and store what you save.")] = False,
    as_json: AsJson = False,
) -> None:
    """Show an agent's notes.md with size and age, or edit it. The agent must run: its harness reads them."""
    if edit and as_json:
        raise BadInput("give --edit or --json, not both")
    core = client(ctx)
    found = core.notes(name)
    if edit:
        _edit(core, name, found)
    elif as_json:
        print_json(found)
    else:
        _show(name, found)


def _show(name: str, found: dict[str, Any]) -> None:
    changed = "" if found["modified"] is None else f", changed {ago(found['modified'])}"
    off = "" if found["enabled"] else "; switched off: they stand in no prompt"
    print(f"notes of {name}: {found['bytes']:,} of {found['max_bytes']:,} bytes{changed}{off}\n")
    print(clean(found["text"]).rstrip("\n") or "(there are none)")


def _edit(core: Client, name: str, found: dict[str, Any]) -> None:
    """What the agent wrote meanwhile is not written over; the edited text stays in its file until it is stored."""
    with tempfile.NamedTemporaryFile("w", prefix=f"notes-{name}-", suffix=".md", delete=False) as made:
        made.write(found["text"])
    file = Path(made.name)
    try:
        _open_editor(file)
        text = file.read_text()
        if text == found["text"]:
            print("nothing was changed")
        else:
            stored = core.write_notes(name, text, found["version"])
            print(f"notes of {name}: {stored['bytes']:,} of {stored['max_bytes']:,} bytes")
    except (HyperhiveError, UnicodeDecodeError) as error:
        if file.read_bytes() == found["text"].encode():
            file.unlink()
            raise
        kind = type(error) if isinstance(error, HyperhiveError) else BadInput
        raise kind(f"{error}; what you wrote is in {file}") from error
    file.unlink()


def _open_editor(file: Path) -> None:
    """Let the operator edit the file. Raises Unavailable if the editor is not there, or says that it failed."""
    words = shlex.split(os.environ.get("VISUAL") or os.environ.get("EDITOR") or "vi") or ["vi"]
    try:
        with process.Popen([*words, str(file)]) as editor:
            code = editor.wait()
    except OSError as error:
        raise Unavailable(f"{words[0]}: {error.strerror}; let EDITOR name an editor") from error
    if code != 0:
        raise Unavailable(f"{words[0]} ended with exit {code}; nothing was stored")
