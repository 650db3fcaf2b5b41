"""Which agent has which range of ids, for ever: indexes.json in a directory that is root's alone.

An index is never given to another name, nor accepted for one, also after a purge: files that an agent left somewhere
(a backup, a shared directory) would be the other agent's.
"""

from __future__ import annotations

import fcntl
import json
import os
import stat
from collections.abc import Mapping
from pathlib import Path

from hyperhive.errors import BadInput, Conflict, NotFound, Unavailable
from hyperhive.root.config import INDEXES, check_index
from hyperhive.root.directories import Directory, Owner, made, opened
from hyperhive.root.journal import say
from hyperhive.settings import check_name

FIRST = 2048
"""The first index of the agents made at run time."""
_FILE = "indexes.json"


def known(own: Path) -> dict[str, int]:
    """Every index that was ever given, by name. Raises BadInput if the record is damaged."""
    try:
        with opened(own) as directory:
            return _read(directory)
    except NotFound:
        return {}


def claim(own: Path, name: str, declared: Mapping[str, int]) -> int:
    """The index of `name`, recorded for ever: the declared one, the recorded one, or the first that was never used.

    Raises Conflict if the declared one is or was another's, or if `name` had another; Unavailable if none is left.
    """
    with made(own, Owner(os.geteuid(), os.getegid()), 0o700) as directory:
        fcntl.flock(directory.fd, fcntl.LOCK_EX)  # until the directory is closed
        record = _read(directory)
        index = _choose(record, name, declared)
        if record.get(name) != index:
            directory.write(_FILE, json.dumps({**record, name: index}, indent=1, sort_keys=True) + "\n", 0o600)
            say(f"recorded index {index} for {name}")
        return index


def _choose(record: Mapping[str, int], name: str, declared: Mapping[str, int]) -> int:
    mine = record.get(name)
    wanted = declared.get(name, mine)
    if wanted is None:
        return _free(record, declared)
    if mine is not None and wanted != mine:
        raise Conflict(f"{name} has had index {mine} since its first start, and keeps it; declare index = {mine}")
    holders = {other for other, index in (*record.items(), *declared.items()) if index == wanted} - {name}
    if holders:
        raise Conflict(
            f"index {wanted} of {name} is, or was, {min(holders)}'s, and an index is never given twice; "
            f"declare another, e.g. {_free(record, declared, first=0)}"
        )
    return wanted


def _free(record: Mapping[str, int], declared: Mapping[str, int], first: int = FIRST) -> int:
    used = {*record.values(), *declared.values()}
    free = next((index for index in range(first, INDEXES) if index not in used), None)
    if free is None:
        raise Unavailable(f"all indexes from {first} to {INDEXES - 1} have been given; declare the agent with its own")
    return free


def _read(directory: Directory) -> dict[str, int]:
    """The record, empty if there is none yet. One that cannot be understood is never written over."""
    status = directory.status(_FILE)
    if status is None:
        return {}
    if not stat.S_ISREG(status.st_mode) or status.st_uid != os.geteuid():
        raise Conflict(f"{directory.path / _FILE} is not root's own file; see who put it there")
    try:
        record = {
            check_name(name): check_index(index) for name, index in json.loads(directory.read(_FILE) or "").items()
        }
    except (ValueError, AttributeError, BadInput) as error:
        raise BadInput(f"{directory.path / _FILE} is damaged; restore it from a backup: {error}") from error
    if len(set(record.values())) != len(record):
        raise BadInput(f"{directory.path / _FILE} is damaged: it gives one index twice; restore it from a backup")
    return record
