"""`hyperhive agent notes`: shown with size and age, edited without writing over what the agent wrote."""

from __future__ import annotations

import json
import tempfile
import time
from collections.abc import Iterator
from pathlib import Path

import pytest
from cli_rig import Cli
from operator_rig import FakeCore, fake_core

NOTES = {
    "text": "# Notes\n\x1b[31mred\n",
    "bytes": 2048,
    "max_bytes": 65536,
    "enabled": True,
    "version": "v1",
    "modified": time.time() - 7200,
}


@pytest.fixture
def core(tmp_path: Path) -> Iterator[FakeCore]:
    with fake_core(tmp_path) as running:
        running.answer("GET /v1/agents/worker/notes", NOTES)
        yield running


@pytest.fixture
def cli(core: FakeCore, capsys: pytest.CaptureFixture[str]) -> Cli:
    return Cli(core, capsys)


def edits(monkeypatch: pytest.MonkeyPatch, directory: Path, command: str) -> None:
    """Let $EDITOR be a program that does this with the file "$1"."""
    editor = directory / "editor"
    editor.write_text(f"#!/bin/sh\n{command}\n")
    editor.chmod(0o755)
    monkeypatch.setattr(tempfile, "tempdir", str(directory))
    monkeypatch.delenv("EDITOR", raising=False)
    monkeypatch.setenv("VISUAL", str(editor))


def left(directory: Path) -> list[Path]:
    """The edited texts that are still there."""
    return list(directory.glob("notes-*"))


def test_they_are_shown_with_size_and_age_and_cannot_drive_the_terminal(cli: Cli) -> None:
    header, _, first, second = cli("agent", "notes", "worker").out.splitlines()
    assert header == "notes of worker: 2,048 of 65,536 bytes, changed 2 h ago"
    assert (first, second) == ("# Notes", "\\x1b[31mred")
    assert json.loads(cli("agent", "notes", "worker", "--json").out)["version"] == "v1"


def test_what_is_saved_in_the_editor_is_stored_over_the_version_that_was_read(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits(monkeypatch, tmp_path, 'echo "one more" >> "$1"')
    cli.core.answer("PUT /v1/agents/worker/notes", {**NOTES, "bytes": 2057})
    assert cli("agent", "notes", "worker", "--edit").out == "notes of worker: 2,057 of 65,536 bytes\n"
    (sent,) = cli.core.asked("PUT /v1/agents/worker/notes")
    assert sent == {"text": f"{NOTES['text']}one more\n", "version": "v1"}


@pytest.mark.parametrize("command", ["true", 'touch "$1"'])
def test_what_is_not_changed_is_not_stored(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, command: str
) -> None:
    edits(monkeypatch, tmp_path, command)
    assert cli("agent", "notes", "worker", "--edit").out == "nothing was changed\n"
    assert cli.core.asked("PUT /v1/agents/worker/notes") == []
    assert left(tmp_path) == []


def test_what_cannot_be_stored_is_kept_in_a_file(cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    edits(monkeypatch, tmp_path, 'echo "one more" >> "$1"')
    cli.core.fail("PUT /v1/agents/worker/notes", 409, "conflict", "the notes changed meanwhile; look at them again")
    told = cli("agent", "notes", "worker", "--edit")
    assert (told.code, told.out) == (1, "")
    assert told.err.startswith("error: the notes changed meanwhile; look at them again; what you wrote is in ")
    assert left(tmp_path) == [Path(told.err.split(" is in ")[1].strip())]
    assert left(tmp_path)[0].read_text().endswith("one more\n")


def test_an_editor_that_fails_changes_nothing_and_is_one_line(
    cli: Cli, tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    edits(monkeypatch, tmp_path, "exit 3")
    told = cli("agent", "notes", "worker", "--edit")
    assert (told.code, told.err) == (1, f"error: {tmp_path}/editor ended with exit 3; nothing was stored\n")
    monkeypatch.setenv("VISUAL", "/no/such/editor")
    assert "No such file or directory; let EDITOR name an editor" in cli("agent", "notes", "worker", "--edit").err
    assert left(tmp_path) == []
    assert cli("agent", "notes", "worker", "--edit", "--json").err == "error: give --edit or --json, not both\n"
