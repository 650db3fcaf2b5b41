"""The session's id: kept as soon as Claude Code has stored the session, forgotten when it is gone."""

from __future__ import annotations

import errno
from pathlib import Path

import pytest

from hyperhive.harness.session import Session, SessionFile, Unwritten


def file(root: Path) -> SessionFile:
    (root / "private").mkdir(exist_ok=True)
    return SessionFile(root / "private", root / "state")


def store(root: Path, session: Session) -> Path:
    transcripts = root / "state/.claude/projects/-state-work"
    transcripts.mkdir(parents=True, exist_ok=True)
    path = transcripts / f"{session.id}.jsonl"
    path.touch()
    return path


def test_each_session_is_fresh_until_one_is_kept(tmp_path: Path) -> None:
    sessions = file(tmp_path)
    first, second = sessions.current(), sessions.current()
    assert first.fresh and second.fresh and first.id != second.id


def test_a_stored_session_is_resumed_also_by_the_next_harness(tmp_path: Path) -> None:
    session = file(tmp_path).current()
    store(tmp_path, session)
    assert file(tmp_path).keep(session)
    assert file(tmp_path).current() == Session(session.id, fresh=False)
    assert [path.name for path in (tmp_path / "private").iterdir()] == ["session"]


def test_a_session_without_a_transcript_is_not_kept(tmp_path: Path) -> None:
    session = file(tmp_path).current()
    assert not file(tmp_path).keep(session)
    assert file(tmp_path).current().fresh


def test_a_session_whose_transcript_has_gone_is_forgotten(tmp_path: Path) -> None:
    session = file(tmp_path).current()
    transcript = store(tmp_path, session)
    file(tmp_path).keep(session)
    transcript.unlink()
    assert not file(tmp_path).keep(file(tmp_path).current())
    assert file(tmp_path).current().fresh


@pytest.mark.parametrize("text", ["", "not an id\n", "\xff\xfe"])
def test_a_broken_file_means_a_fresh_session(tmp_path: Path, text: str) -> None:
    sessions = file(tmp_path)
    (tmp_path / "private/session").write_bytes(text.encode("latin-1"))
    assert sessions.current().fresh


def test_forgetting_nothing_is_fine(tmp_path: Path) -> None:
    file(tmp_path).forget()
    assert file(tmp_path).current().fresh


def test_notes_that_cannot_be_kept_on_a_full_disk_leave_the_old_ones_and_no_half_file(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    held = Unwritten(tmp_path)
    assert held.keep(b"old")

    def full(path: Path, text: bytes) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    with monkeypatch.context() as patch:
        patch.setattr(Path, "write_bytes", full)
        assert not held.keep(b"new")
    (tmp_path / "unwritten.new").touch()  # of a harness that was killed
    assert (held.text, Unwritten(tmp_path).text) == (b"old", b"old")
    assert [path.name for path in tmp_path.iterdir()] == ["unwritten.md"]
    assert held.keep(b"") and list(tmp_path.iterdir()) == []


def test_a_full_disk_ends_the_session_and_not_the_harness(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    session = file(tmp_path).current()
    store(tmp_path, session)

    def full(path: Path, text: str) -> None:
        path.touch()
        raise OSError(errno.ENOSPC, "No space left on device")

    monkeypatch.setattr(Path, "write_text", full)
    assert not file(tmp_path).keep(session)
    assert file(tmp_path).current().fresh
    assert list((tmp_path / "private").iterdir()) == []
