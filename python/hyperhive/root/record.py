"""What the hive's database says, read without ever writing: does the agent exist, did an operator agree.

The core owns the database, so this is the core's word. It keeps a mistaken core from running what nobody approved; of
what a hostile one can make root do, the limits are in what the verbs do at all.
"""

from __future__ import annotations

import json
import os
import sqlite3
import stat
from collections.abc import Iterator
from contextlib import closing, contextmanager
from dataclasses import dataclass
from pathlib import Path
from typing import Any
from urllib.parse import quote

from hyperhive.errors import BadInput, Forbidden, NotFound, Unavailable
from hyperhive.root.directories import opened
from hyperhive.settings import NAME
from hyperhive.store.database import VERSION
from hyperhive.store.proposals import APPLYING, State

_AGREED = frozenset({*APPLYING, State.APPLIED})
_BY_POLICY = "policy:narrowing"
_FILE = "hive.db"
_BEGUN_OR_ENDED = """
SELECT action, actor, detail FROM audit WHERE subject = 'agent/' || ? AND action IN ('agent.created', 'agent.destroyed')
ORDER BY id DESC
"""


@dataclass(frozen=True)
class Record:
    """An open database. Methods raise Forbidden with the reason where something may not be."""

    connection: sqlite3.Connection

    def exists(self, name: str) -> bool:
        """Whether the hive has an agent of that name."""
        return self._one("SELECT 1 FROM agents WHERE name = ?", name) is not None

    def names(self) -> list[str]:
        """Every agent's name that is one."""
        rows = self.connection.execute("SELECT name FROM agents ORDER BY name").fetchall()
        return [name for (name,) in rows if isinstance(name, str) and NAME.match(name)]

    def manager(self) -> str | None:
        """The manager's name, if there is a manager."""
        row = self._one("SELECT name FROM agents WHERE role = 'manager' ORDER BY created_at")
        return row[0] if row and isinstance(row[0], str) and NAME.match(row[0]) else None

    def check_may_run(self, name: str, number: int) -> bool:
        """That generation `number` of `name` is one that an operator, or the host's configuration, asked for.

        True if it was the policy that approved, for the caller to see whether it may. That what it approved is a pure
        narrowing is the core's word alone: to know better, hive-root would have to evaluate what agents wrote, as root.
        """
        if not self.exists(name):
            raise NotFound(f"the hive has no agent {name}")
        row = self._one("SELECT commit_id, proposal FROM generations WHERE agent = ? AND number = ?", name, number)
        if row is None:
            raise NotFound(f"{name} has no generation {number}")
        commit, proposal = row
        if proposal is None:
            self._check_own_doing(name, number, commit)
            return False
        decided_by = self._decider(name, number, commit, proposal)
        if decided_by != _BY_POLICY and not is_operator(decided_by):
            what = f"generation {number} of {name} is of proposal {proposal}"
            raise Forbidden(f"{what}, which {decided_by or 'nobody'} decided, no operator")
        return decided_by == _BY_POLICY

    def _decider(self, name: str, number: int, commit: str, proposal: int) -> str | None:
        """Who approved the proposal. Raises Forbidden if it is not that generation's, or not approved."""
        row = self._one("SELECT agent, generation, commit_id, state, decided_by FROM proposals WHERE id = ?", proposal)
        what = f"generation {number} of {name} is of proposal {proposal}"
        if row is None:
            raise Forbidden(f"{what}, which does not exist")
        *subject, state, decided_by = row
        if subject != [name, number, commit]:
            raise Forbidden(f"{what}, which is about something else: agent, generation or commit differ")
        if state not in _AGREED:
            raise Forbidden(f"{what}, which is {state}, not approved")
        return decided_by if isinstance(decided_by, str) else None

    def _check_own_doing(self, name: str, number: int, commit: str) -> None:
        """A generation without a proposal: the audit log says who had it built."""
        row = self._one(
            "SELECT actor, json_extract(detail, '$.commit') FROM audit WHERE subject = 'agent/' || ?1"
            " AND action = 'generation.built' AND json_extract(detail, '$.generation') = ?2 ORDER BY id DESC",
            name,
            number,
        )
        what = f"generation {number} of {name} has no proposal"
        if row is None or row[1] != commit:
            raise Forbidden(f"{what}, and the audit log has nobody who had it built")
        if row[0] != "system" and not is_operator(row[0]):
            raise Forbidden(f"{what}, and {row[0]} had it built, no operator")

    def check_may_purge(self, name: str) -> None:
        """That the agent is gone, and was destroyed last by an operator's word to remove everything. What else ended
        after that, as a terminal in it, changes nothing.
        """
        if self.exists(name):
            raise Forbidden(f"the hive has an agent {name}; `hyperhive agent destroy {name} --purge` ends it")
        row = self._one(_BEGUN_OR_ENDED, name)
        if row is None:
            raise NotFound(f"the hive never had an agent {name}")
        action, actor, detail = row
        if action != "agent.destroyed":
            raise Forbidden(f"{name} was created after it was destroyed, the audit log says")
        if json.loads(detail).get("purge") is not True:
            raise Forbidden(f"{name} was destroyed without purge: its files are kept")
        if not is_operator(actor):
            raise Forbidden(f"{actor} had {name} destroyed, no operator")

    def _one(self, query: str, *values: object) -> tuple[Any, ...] | None:
        row: tuple[Any, ...] | None = self.connection.execute(query + " LIMIT 1", values).fetchone()
        return row


def is_operator(actor: object) -> bool:
    """Whether an actor of the audit log is an operator: `operator:<user>`. No agent's name has a colon."""
    return isinstance(actor, str) and (actor == "operator" or actor.startswith("operator:"))


@contextmanager
def record(state_dir: Path, core: int) -> Iterator[Record]:
    """The database of the hive whose core is user `core`. What SQLite finds wrong in it is one line.

    Raises NotFound (there is none), Forbidden (not the core's own file), BadInput (newer, or no database of ours).
    """
    path = state_dir / _FILE
    _check_file(state_dir, core)
    try:
        with closing(sqlite3.connect(_uri(path), uri=True, timeout=5, isolation_level=None)) as connection:
            _prepare(connection, path)
            yield Record(connection)
    except (sqlite3.Error, ValueError, AttributeError) as error:
        raise BadInput(f"{path} cannot be read as the hive's database: {error}") from error


def _check_file(state_dir: Path, core: int) -> None:
    with opened(state_dir) as directory:
        status = directory.status(_FILE)
    if status is None:
        raise NotFound(f"there is no {state_dir / _FILE}; has the core run yet?")
    if not stat.S_ISREG(status.st_mode) or status.st_uid not in (core, os.geteuid()) or status.st_nlink != 1:
        raise Forbidden(f"{state_dir / _FILE} is not the core's own file; see who put it there")


def _uri(path: Path) -> str:
    """Read-only. Without a write-ahead log nobody writes now, and then nothing is made beside the file either."""
    mode = "mode=ro" if os.path.lexists(f"{path}-wal") else "mode=ro&immutable=1"
    return f"file:{quote(str(path))}?{mode}"


def _prepare(connection: sqlite3.Connection, path: Path) -> None:
    for pragma in ("query_only = ON", "trusted_schema = OFF", "cell_size_check = ON"):
        connection.execute(f"PRAGMA {pragma}")
    (version,) = connection.execute("PRAGMA user_version").fetchone()
    if version > VERSION:
        raise BadInput(f"{path} is of a newer hyperhive (format {version}, this one knows {VERSION}); update hyperhive")
    if version < VERSION:
        raise Unavailable(f"{path} has format {version}, not {VERSION}; start hive-c0re, which brings it up to date")
