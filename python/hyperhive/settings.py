"""What an agent is: the settings object that its flake evaluates to, validated and frozen.

The schema (schema/agent-settings.schema.json) is the one contract between the Nix modules and this side. Importing
this module is cheap and needs the standard library only; `validate` imports jsonschema when it is called.
"""

from __future__ import annotations

import dataclasses
import functools
import json
import re
from collections.abc import Iterator
from dataclasses import dataclass
from enum import StrEnum
from importlib import resources
from itertools import islice
from typing import Any

from hyperhive.errors import BadInput, Rejected

NAME = re.compile(r"[a-z][a-z0-9-]{0,30}\Z")
SHOWN = 3
"""Faults of one object that are told."""
_SURROGATE = re.compile("[\ud800-\udfff]")
RESERVED_NAMES = frozenset({"operator", "system"})


class Role(StrEnum):
    """What an agent may ask of the core: a manager may also request applies and steer other agents."""

    AGENT = "agent"
    MANAGER = "manager"


@dataclass(frozen=True)
class AllowDeny:
    """Patterns that are allowed, and those that are denied whatever is allowed."""

    allow: tuple[str, ...]
    deny: tuple[str, ...]


@dataclass(frozen=True)
class Git:
    """The identity an agent commits with."""

    name: str
    email: str


@dataclass(frozen=True)
class Notes:
    """Durable notes; `maxBytes` of them stand in the prompt of a new session."""

    enable: bool
    maxBytes: int  # noqa: N815  (the schema's name)


@dataclass(frozen=True)
class Session:
    """Limits of one turn: seconds, model calls, and the context tokens after which it is compacted."""

    turnTimeout: int  # noqa: N815
    maxTurns: int  # noqa: N815
    compactAt: int  # noqa: N815


@dataclass(frozen=True)
class Network:
    """`host:port` pairs that may be reached through the egress proxy."""

    allow: tuple[str, ...]


@dataclass(frozen=True)
class Budget:
    """What the agent may use in a day (UTC): tokens in and out, cache included, and US dollars; None: no bound."""

    tokensPerDay: int | None = None  # noqa: N815
    costPerDay: float | None = None  # noqa: N815


@dataclass(frozen=True)
class Settings:
    """One agent's settings. Field names are the schema's and the Nix options' names."""

    name: str
    role: Role
    model: str
    fallbackModel: str | None  # noqa: N815
    bash: AllowDeny
    tools: AllowDeny
    prompt: str
    git: Git
    packages: tuple[str, ...]
    notes: Notes
    session: Session
    budget: Budget
    network: Network

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Settings:
        """Build from a value that `validate` has accepted (e.g. one that the core wrote)."""
        return cls(
            name=value["name"],
            role=Role(value["role"]),
            model=value["model"],
            fallbackModel=value["fallbackModel"],
            bash=_allow_deny(value["bash"]),
            tools=_allow_deny(value["tools"]),
            prompt=value["prompt"],
            git=Git(**value["git"]),
            packages=tuple(value["packages"]),
            notes=Notes(**value["notes"]),
            session=Session(**value["session"]),
            budget=Budget(**value.get("budget", {})),  # generations of an older hyperhive have none
            network=Network(allow=tuple(value["network"]["allow"])),
        )

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the schema; `from_json` is its inverse."""
        return {"schema": 1, **json.loads(json.dumps(dataclasses.asdict(self)))}


def _allow_deny(value: dict[str, Any]) -> AllowDeny:
    return AllowDeny(allow=tuple(value["allow"]), deny=tuple(value["deny"]))


@functools.cache
def schema() -> dict[str, Any]:
    """The JSON schema (draft 2020-12) as a dict; do not change it."""
    text = resources.files("hyperhive").joinpath("schema/agent-settings.schema.json").read_text()
    loaded: dict[str, Any] = json.loads(text)
    return loaded


@functools.cache
def _validator() -> Any:  # noqa: ANN401  (jsonschema's Validator is a protocol without a stable name)
    import jsonschema  # noqa: PLC0415  (heavy: only who validates pays)

    draft: Any = jsonschema.Draft202012Validator  # untyped in the stubs
    types = draft.TYPE_CHECKER.redefine_many({"integer": _is_integer, "string": _is_text})
    rules = {
        "pattern": _whole_match,
        "maxItems": _few_items,
        "maxLength": _few_bytes,
        "items": functools.partial(_items, draft.VALIDATORS["items"]),
    }
    extend: Any = jsonschema.validators.extend
    return extend(draft, rules, type_checker=types)(schema())


def _is_integer(_: object, value: object) -> bool:
    """JSON Schema takes 80.0 for one; a program that is given it on its command line does not."""
    return isinstance(value, int) and not isinstance(value, bool)


def _is_text(_: object, value: object) -> bool:
    return isinstance(value, str) and not _SURROGATE.search(value)


def _whole_match(_: object, pattern: str, value: object, __: object) -> Iterator[Exception]:
    """JSON Schema's `pattern` as ECMA means it: Python's `$` would let a newline at the end pass."""
    if isinstance(value, str) and not re.fullmatch(pattern, value):
        yield _error(f"{value!r} does not match {pattern!r}")


def _few_items(_: object, most: int, value: object, __: object) -> Iterator[Exception]:
    if isinstance(value, list) and len(value) > most:
        yield _error(f"it has {len(value)} items; at most {most} are allowed")


def _few_bytes(_: object, most: int, value: object, __: object) -> Iterator[Exception]:
    """A text becomes one word of a command line, and those are bounded in bytes (128 KiB)."""
    if isinstance(value, str) and (size := len(value.encode(errors="replace"))) > most:
        yield _error(f"it has {size} bytes; at most {most} are allowed")


def _items(each: Any, validator: object, rule: object, value: object, holder: dict[str, Any]) -> Iterator[Exception]:  # noqa: ANN401
    """A list that is too long is not looked through: that would take seconds."""
    if isinstance(value, list) and len(value) <= holder["maxItems"]:
        yield from each(validator, rule, value, holder)


def _error(message: str) -> Exception:
    import jsonschema  # noqa: PLC0415

    return jsonschema.ValidationError(message)


def validate(value: object) -> Settings:
    """Check `value` against the schema and freeze it.

    Raises Rejected naming the first offending path, e.g. `settings.session.maxTurns: 0 is less than …`.
    """
    errors = sorted(
        islice(_validator().iter_errors(value), SHOWN), key=lambda error: list(map(str, error.absolute_path))
    )
    if errors:
        raise Rejected("; ".join(_describe(error) for error in errors))
    assert isinstance(value, dict)
    return Settings.from_json(value)


def _describe(error: Any) -> str:  # noqa: ANN401
    path = "".join(f"[{part}]" if isinstance(part, int) else f".{part}" for part in error.absolute_path)
    return f"settings{path}: {error.message[:200]}"


def check_name(name: str) -> str:
    """Return `name` if an agent may be called so. Raises BadInput otherwise."""
    if not NAME.match(name):
        raise BadInput(f"{name[:40]!r} is not an agent name: use a-z, 0-9 and -, a letter first, at most 31")
    if name in RESERVED_NAMES:
        raise BadInput(f"{name!r} is a mailbox of the hive itself; choose another name")
    return name
