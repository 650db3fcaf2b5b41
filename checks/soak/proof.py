"""The proof over a hive that has been stopped: what its database, repositories and files say, against the ledger."""

from __future__ import annotations

import json
import sqlite3
from collections import Counter
from collections.abc import Iterator
from contextlib import closing

from checks.soak.hive import AGENTS, Hive
from checks.soak.ledger import Ledger
from hyperhive.rehearsal.play import REHEARSED
from hyperhive.store import audit

HARNESS = ("I cannot think: ", "My notes cannot be written ")
"""What a harness itself tells the operator."""
STAYING = ("core.lock", "harness.lock", "notes.md.new")
"""Files that may be there after a kill: locks that nobody holds, notes that the next change of them replaces."""
WATCH = """
CREATE TABLE soak_acks (message INTEGER NOT NULL, at REAL NOT NULL);
CREATE TRIGGER soak_acked AFTER UPDATE OF delivered_at ON messages WHEN NEW.delivered_at IS NOT NULL
  BEGIN INSERT INTO soak_acks VALUES (NEW.id, NEW.delivered_at); END;
CREATE TABLE soak_again (message INTEGER NOT NULL);
CREATE TRIGGER soak_leased AFTER UPDATE OF attempts ON messages WHEN OLD.delivered_at IS NOT NULL
  BEGIN INSERT INTO soak_again VALUES (NEW.id); END;
"""
"""Counts in the hive's own database how often each message was acknowledged, and leased after that."""


def watch(hive: Hive) -> None:
    """Let the database count acknowledgements from now on."""
    with closing(sqlite3.connect(hive.state / "hive.db", timeout=20)) as connection:
        connection.executescript(f"BEGIN IMMEDIATE; {WATCH} COMMIT;")


def mail(hive: Hive, ledger: Ledger) -> Iterator[str]:
    """What is wrong with the mail; nothing, if nothing was lost, doubled or parked."""
    rows = {row[0]: row[1:] for row in hive.query("SELECT id, sender, recipient, body FROM messages")}
    for sent in ledger.accepted:
        if rows.get(sent.id) != (sent.sender, sent.to, sent.body):
            yield f"message {sent.id} of {sent.sender} to {sent.to} was accepted and is not there"
    accepted = {sent.body for sent in ledger.accepted}
    for body, count in Counter(body for sender, _, body in rows.values() if sender != "system").items():
        if REHEARSED in body or body.startswith(HARNESS):
            continue
        if count > 1:
            yield f"{body[:60]!r} is there {count} times"
        if body not in accepted | ledger.open_ and not body.startswith("turn "):
            yield f"{body[:60]!r} is there, and nobody sent it"
    acks = Counter(message for (message,) in hive.query("SELECT message FROM soak_acks"))
    for number, (sender, to, _) in rows.items():
        if acks[number] != 1:
            yield f"message {number} of {sender} to {to} was acknowledged {acks[number]} times"
    for (number,) in hive.query("SELECT id FROM messages WHERE dead_at IS NOT NULL"):
        yield f"message {number} was parked"
    for (number,) in hive.query("SELECT DISTINCT message FROM soak_again"):
        yield f"message {number} was leased after it was acknowledged"


def prompts(hive: Hive) -> Iterator[str]:
    """Every message to an agent was in a prompt; every send that a turn got an id for is there."""
    bodies = {body for (body,) in hive.query("SELECT body FROM messages WHERE recipient = 'operator'")}
    for agent in AGENTS:
        directory = hive.state / "agents" / agent / "state/soak"
        transcripts = (hive.state / "agents" / agent / "state/.claude/projects").glob("*/*.jsonl")
        seen = "\n".join(path.read_text() for path in (*directory.glob("*.prompt"), *transcripts))
        for number, sender, body in hive.query("SELECT id, sender, body FROM messages WHERE recipient = ?", agent):
            begins = body.split(" ")[0]  # in a transcript as JSON
            said = begins in seen or json.dumps(begins)[1:-1] in seen
            if not said or f"[from {sender}, message {number}" not in seen:
                yield f"message {number} of {sender} was in no prompt of {agent}"
        for answers in directory.glob("*.answers"):
            run = answers.with_suffix("")
            told = answers.read_text()
            accepted = '"id":2,"result"' in told and '"isError":true' not in told.split('"id":2,', 1)[1]
            if accepted and f"turn {agent} /state/soak/{run.name}" not in bodies:
                yield f"what {agent} sent in turn {run.name} was accepted and is not there"


def notes(hive: Hive) -> Iterator[str]:
    """Every line that an agent added to its notes is there, whatever compaction came between; no two runs at once."""
    for agent in AGENTS:
        state = hive.state / "agents" / agent / "state"
        kept = path.read_text() if (path := state / "notes.md").exists() else ""
        for noted in (state / "soak").glob("*.noted"):
            if f"- note {noted.stem}" not in kept:
                yield f"what {agent} noted in run {noted.stem} is not in its notes"
        for twice in (state / "soak").glob("*.twice"):
            yield f"{agent} ran run {twice.stem} while another one ran"


def chain(hive: Hive) -> Iterator[str]:
    """The audit log is whole, and so is the database's file."""
    with closing(sqlite3.connect(f"file:{hive.state / 'hive.db'}?mode=ro", uri=True)) as connection:
        found = audit.verify(connection)
        if found.broken is not None:
            yield f"the audit log is broken at {found.broken.id}: {found.broken.what}"
        (said,) = connection.execute("PRAGMA integrity_check").fetchone()
        if said != "ok":
            yield f"the database is damaged: {said}"


def leftovers(hive: Hive) -> Iterator[str]:
    """No process, lock, quarantine or half-written file stays behind."""
    for pid, line in hive.processes().items():
        yield f"process {pid} is left over: {line[:100]}"
    for pattern in ("*.lock", "incoming-*", "tmp_obj_*", "*.new", ".config-*", "tmp_pack_*", "tmp_idx_*"):
        for path in (*hive.state.rglob(pattern), *hive.runtime.rglob(pattern)):
            if path.name not in STAYING and "config/.git" not in str(path):  # its manager's
                yield f"{path.relative_to(hive.root)} is left over"
    for path in (*(hive.root / "tmp").iterdir(), *(hive.state / "scratch").iterdir()):
        yield f"{path.relative_to(hive.root)} is left over"
    for path in hive.runtime.rglob("*.sock"):
        yield f"{path.relative_to(hive.root)} is left over"


def turns(hive: Hive) -> Iterator[str]:
    """At most one turn of each agent is without an end: the last, if it did not survive."""
    for agent, count in hive.query("SELECT agent, count(*) FROM turns WHERE ended_at IS NULL GROUP BY agent"):
        yield f"{count} turns of {agent} never ended"
