"""root.json: what the NixOS module tells hive-root. It is root's own, so it is checked for mistakes, not for malice."""

from __future__ import annotations

import json
import pwd
import re
from collections.abc import Mapping
from dataclasses import dataclass, field
from pathlib import Path
from typing import Any

from hyperhive.errors import BadInput, Unavailable
from hyperhive.root.directories import Owner
from hyperhive.settings import check_name

INDEXES = 4094
"""How many ranges of 65536 ids fit between 1879048192 and 2147352576, which no other allocator of systemd's uses."""
_BASE = 1879048192
_RANGE = 65536
_AGENT = 1000
_WORD = re.compile(r"[A-Za-z0-9._@+=,:~/-]+\Z")
_PATH = re.compile(r"(/[A-Za-z0-9_@+=,-][A-Za-z0-9._@+=,-]*)+\Z")
_KEY = re.compile(r"[A-Za-z]+\Z")


@dataclass(frozen=True)
class RootConfig:
    """root.json. `agents` are the declared ones with their index; `flags` and `unit` are of every run-time agent.
    `auto_approve`: the policy may have approved, in the place of an operator.
    """

    state_dir: Path
    runtime_dir: Path
    user: str
    auto_approve: bool = False
    agents: Mapping[str, int] = field(default_factory=dict)
    flags: tuple[str, ...] = ()
    unit: Mapping[str, tuple[str, ...]] = field(default_factory=dict)

    @classmethod
    def load(cls, path: Path) -> RootConfig:
        """Read root.json. Raises BadInput that names the file and what is wrong in it."""
        try:
            return cls.from_json(json.loads(path.read_text()))
        except OSError as error:
            raise BadInput(f"{path}: {error.strerror}; the NixOS module of hyperhive writes it") from error
        except (ValueError, KeyError, TypeError, AttributeError, BadInput) as error:
            said = str(error) if isinstance(error, BadInput) else repr(error)
            raise BadInput(f"{path} is not hive-root's configuration: {said}") from error

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> RootConfig:
        """Build from root.json's object; raises BadInput, KeyError, TypeError or ValueError where it is malformed."""
        containers = value["containers"]
        return cls(
            state_dir=Path(plain_path(value["stateDir"])),
            runtime_dir=Path(plain_path(value["runtimeDir"])),
            user=str(value["user"]),
            auto_approve=value.get("autoApprove", "never") == "narrowing",
            agents={check_name(name): check_index(agent["index"]) for name, agent in value["agents"].items()},
            flags=tuple(_flag(flag) for flag in containers["flags"]),
            unit={_key(key): _values(key, setting) for key, setting in containers["unit"].items()},
        )

    def core(self) -> Owner:
        """The core's user and its group. Raises Unavailable if there is no such user."""
        try:
            entry = pwd.getpwnam(self.user)
        except KeyError as error:
            raise Unavailable(f"there is no user {self.user!r} here; the NixOS module of hyperhive makes it") from error
        return Owner(entry.pw_uid, entry.pw_gid)


def base(index: int) -> int:
    """The host's id of that agent's root; 65536 ids begin there."""
    return _BASE + _RANGE * index


def agent_uid(index: int) -> int:
    """The host's id of that agent's own user, which is 1000 inside."""
    return base(index) + _AGENT


def is_agents(uid: int) -> bool:
    """Whether an id is in some agent's range."""
    return _BASE <= uid < base(INDEXES)


def same_range(uid: int, other: int) -> bool:
    """Whether both ids are of one agent."""
    return is_agents(uid) and is_agents(other) and (uid - _BASE) // _RANGE == (other - _BASE) // _RANGE


def check_index(value: object) -> int:
    """Return `value` if it is an index. Raises BadInput."""
    if not isinstance(value, int) or isinstance(value, bool) or not 0 <= value < INDEXES:
        raise BadInput(f"{value!r} is not an index: a number from 0 to {INDEXES - 1}")
    return value


def plain_path(path: str) -> str:
    """Return `path` if it can be a word of systemd-nspawn's command line, and of `--bind=`. Raises BadInput."""
    if not _PATH.match(path):
        raise BadInput(f"{path!r} cannot stand in a container's definition: use an absolute path of plain characters")
    return path


def _flag(flag: str) -> str:
    """A flag as NixOS' start script hands it on: unquoted, so the shell would split and expand anything else."""
    if not flag.startswith("--") or not _WORD.match(flag):
        raise BadInput(f"the container flag {flag!r} is not one plain word that begins with --")
    return flag


def _key(key: str) -> str:
    if not _KEY.match(key):
        raise BadInput(f"{key!r} is not the name of a unit's setting")
    return key


def _values(key: str, setting: object) -> tuple[str, ...]:
    values = tuple(map(str, setting)) if isinstance(setting, list) else (str(setting),)
    if any(not value.isprintable() for value in values):
        raise BadInput(f"the unit's setting {key} is not one line of text")
    return values
