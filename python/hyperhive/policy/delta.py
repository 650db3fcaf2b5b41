"""The privilege delta: what a change of settings means, in words, what matters most first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from hyperhive.policy.contain import Patterns, covers
from hyperhive.policy.match import ANY
from hyperhive.settings import Role, Settings

_Shown = str | list[str] | None


class Direction(StrEnum):
    """What a change does to what an agent may: more, less, or neither."""

    WIDENING = "widening"
    NARROWING = "narrowing"
    NEUTRAL = "neutral"


_ROLE, _NIXOS, _BASH, _TOOLS, _NETWORK, _MODEL, _PACKAGES = 100, 95, 90, 80, 70, 60, 50
_LIMITS, _IDENTITY, _PROMPT, _NARROWING, _NEUTRAL = 40, 35, 30, 10, 5
_MAX_PROMPT_LINES = 40
_MAX_LINE = 200
_MAX_LISTED = 10


@dataclass(frozen=True)
class Change:
    """One thing that changes. `text` is a sentence (a prompt's is followed by its diff); more `weight` matters more.

    `before` and `after` are the values as in the settings, None where there is none; a list of the patterns that one
    pattern replaces, or is replaced by.
    """

    area: str
    direction: Direction
    text: str
    before: Any
    after: Any
    weight: int

    def to_json(self) -> dict[str, Any]:
        """The JSON object of the operator's API."""
        return asdict(self)


@dataclass(frozen=True)
class _List:
    """A list of the settings whose entries are privileges: what is said about one that comes or goes."""

    area: str
    key: str
    added: str
    removed: str
    weight: int
    restricts: bool = False


_LISTS = (
    _List("tools", "allow", "may now use the tool {}", "may no longer use the tool {}", _TOOLS),
    _List("tools", "deny", "is now denied the tool {}", "is no longer denied the tool {}", _TOOLS, restricts=True),
    _List("network", "allow", "may now reach {}", "may no longer reach {}", _NETWORK),
    _List("packages", "", "has {} on its PATH now", "no longer has {} on its PATH", _PACKAGES),
)


@dataclass(frozen=True)
class _Rules:
    """A list of patterns: what it means that it covers more (`grows`) or less, and what is said about it."""

    key: str
    grows: Direction
    shrinks: Direction
    comes: str
    goes: str
    keeps: str
    lists: str
    unlists: str


_ALLOW = _Rules(
    "allow",
    grows=Direction.WIDENING,
    shrinks=Direction.NARROWING,
    comes="may now run: {}",
    goes="may no longer run: {}",
    keeps="may run only {} of what {} allowed",
    lists="lists {}, which {} allowed already",
    unlists="no longer lists {}, which {} still allows",
)
_DENY = _Rules(
    "deny",
    grows=Direction.NARROWING,
    shrinks=Direction.WIDENING,
    comes="is now denied: {}",
    goes="is no longer denied: {}",
    keeps="is denied only {} of what {} denied",
    lists="is now denied: {}, as {} was already",
    unlists="is no longer denied: {} by name; {} is",
)

# The last: whether more of it is more.
_NUMBERS = (
    ("session", "turnTimeout", "a turn may take {} → {} s", True),
    ("session", "maxTurns", "a turn may make {} → {} model calls", True),
    ("session", "compactAt", "its session is compacted at {} → {} tokens", False),
    ("notes", "enable", "its notes are in the prompt: {} → {}", False),
    ("notes", "maxBytes", "its notes may hold {} → {} bytes", True),
)

_PRICES = ("haiku", "sonnet", "opus")
"""Model families, the cheapest first; a part of their aliases and full ids."""
_PURE = frozenset({"bash", "tools", "network", "packages", "session", "budget", "notes"})
"""The areas in which a neutral change gives nothing; a prompt, an identity or NixOS text can say anything."""


def delta(old: Settings | None, new: Settings, *, nixos_changed: str | None = None) -> tuple[Change, ...]:
    """What `new` means after `old` (None: the first generation), the weightiest first.

    `nixos_changed` is the new text of nixos.nix if the guest's NixOS configuration changes, None if it does not.
    """
    changes = [
        *_role(old, new),
        *_nixos(nixos_changed),
        *_commands(_ALLOW, old, new),
        *_unseen(old, new),
        *_commands(_DENY, old, new),
        *(change for spec in _LISTS for change in _list(spec, old, new)),
        *_models(old, new),
        *_limits(old, new),
        *_budget(old, new),
        *_identity(old, new),
        *_prompt(old, new),
    ]
    return tuple(sorted(changes, key=lambda change: -change.weight))


def from_json(value: dict[str, Any]) -> Change:
    """A Change of the JSON object that `to_json` gave."""
    return Change(**{**value, "direction": Direction(value["direction"])})


def is_pure_narrowing(changes: Iterable[Change]) -> bool:
    """Whether the agent may less after these changes, and nothing in them could be more."""
    held = tuple(changes)
    narrows = any(change.direction is Direction.NARROWING for change in held)
    return narrows and all(
        change.direction is Direction.NARROWING or (change.direction is Direction.NEUTRAL and change.area in _PURE)
        for change in held
    )


def _role(old: Settings | None, new: Settings) -> Iterator[Change]:
    before = old.role if old else Role.AGENT
    if before is new.role:
        return
    shown = str(old.role) if old else None
    if new.role is Role.MANAGER:
        text = "becomes a manager: may steer the other agents and ask for their changes to be applied"
        yield Change("role", Direction.WIDENING, text, shown, str(new.role), _ROLE)
    else:
        yield Change("role", Direction.NARROWING, "is no longer a manager", shown, str(new.role), _NARROWING)


def _nixos(text: str | None) -> Iterator[Change]:
    if text is not None:
        yield Change("nixos", Direction.WIDENING, "the guest's NixOS configuration changes", None, text, _NIXOS)


def _list(spec: _List, old: Settings | None, new: Settings) -> Iterator[Change]:
    before, after = (_entries(spec, settings) for settings in (old, new))
    yield from (_entry(spec, entry, added=True) for entry in _without(after, before))
    yield from (_entry(spec, entry, added=False) for entry in _without(before, after))


def _entries(spec: _List, settings: Settings | None) -> tuple[str, ...]:
    if settings is None:
        return ()
    held = getattr(settings, spec.area)
    entries: tuple[str, ...] = getattr(held, spec.key) if spec.key else held
    return tuple(dict.fromkeys(entries))


def _entry(spec: _List, entry: str, *, added: bool) -> Change:
    text = (spec.added if added else spec.removed).format(entry)
    before, after = (None, entry) if added else (entry, None)
    if added is not spec.restricts:
        return Change(spec.area, Direction.WIDENING, text, before, after, spec.weight)
    return Change(spec.area, Direction.NARROWING, text, before, after, _NARROWING)


def _commands(rules: _Rules, old: Settings | None, new: Settings) -> Iterator[Change]:
    """bash.allow or bash.deny: a pattern that another one covers adds nothing, and takes nothing when it goes.

    A pattern that replaces one that it covers, or is covered by, is one change with it.
    """
    before, after = _patterns(old, rules.key), _patterns(new, rules.key)
    added, removed = _without(after, before), _without(before, after)
    come, gone = Patterns(added), Patterns(removed)
    added_covers, removed_covers = _covers(added, Patterns(before)), _covers(removed, Patterns(after))
    grown = {pattern: gone.covered_by(pattern) for pattern, wider in added_covers.items() if wider is None}
    shrunk = {pattern: come.covered_by(pattern) for pattern, wider in removed_covers.items() if wider is None}
    for pattern, narrower in grown.items():
        text = rules.comes.format(pattern) + (f" (until now only {_listed(narrower)})" if narrower else "")
        yield _command(rules.grows, text, narrower or None, pattern)
    for pattern, narrower in shrunk.items():
        text = rules.keeps.format(_listed(narrower), pattern) if narrower else rules.goes.format(pattern)
        yield _command(rules.shrinks, text, pattern, narrower or None)
    said = {pattern for narrower in (*grown.values(), *shrunk.values()) for pattern in narrower}
    for pattern, wider in added_covers.items():
        if wider is not None and pattern not in said:
            yield _command(Direction.NEUTRAL, rules.lists.format(pattern, wider), None, pattern)
    for pattern, wider in removed_covers.items():
        if wider is not None and pattern not in said:
            yield _command(Direction.NEUTRAL, rules.unlists.format(pattern, wider), pattern, None)


def _unseen(old: Settings | None, new: Settings) -> Iterator[Change]:
    """`*` looks for what is denied inside of a shell's script, too; a rule for the shell gives the script whole."""
    if old is None or not old.bash.deny or ANY not in _without(_patterns(old, "allow"), new.bash.allow):
        return
    for pattern in _patterns(new, "allow"):
        if pattern in old.bash.allow and not covers(ANY, pattern):
            text = f"runs without a look inside, as {ANY} goes: {pattern}"
            yield _command(Direction.WIDENING, text, pattern, pattern)


def _command(direction: Direction, text: str, before: _Shown, after: _Shown) -> Change:
    weight = {Direction.WIDENING: _BASH, Direction.NARROWING: _NARROWING, Direction.NEUTRAL: _NEUTRAL}[direction]
    return Change("bash", direction, text, before, after, weight)


def _patterns(settings: Settings | None, key: str) -> tuple[str, ...]:
    return () if settings is None else tuple(dict.fromkeys(getattr(settings.bash, key)))


def _without(patterns: tuple[str, ...], others: tuple[str, ...]) -> tuple[str, ...]:
    held = frozenset(others)
    return tuple(pattern for pattern in patterns if pattern not in held)


def _covers(patterns: tuple[str, ...], others: Patterns) -> dict[str, str | None]:
    """For each pattern one of the others that covers it."""
    return {pattern: others.cover_of(pattern) for pattern in patterns}


def _listed(patterns: list[str]) -> str:
    more = len(patterns) - _MAX_LISTED
    return ", ".join(patterns[:_MAX_LISTED]) + (f" and {more} more" if more > 0 else "")


def _models(old: Settings | None, new: Settings) -> Iterator[Change]:
    if old is None:
        text = f"thinks with the model {new.model}"
        yield Change("model", Direction.WIDENING, text, None, new.model, _MODEL)
    elif old.model != new.model:
        yield _model("model", old.model, new.model)
    before = old.fallbackModel if old else None
    if before != new.fallbackModel:
        yield _model("fallback model", before, new.fallbackModel)


def _model(what: str, before: str | None, after: str | None) -> Change:
    """Dearer is more; a model whose price is not known here counts as dearer."""
    old, new = _price(before), _price(after)
    text = f"{what} {before or 'none'} → {after or 'none'}"
    if after is None or (old is not None and new is not None and new < old):
        said = "" if after is None else " (cheaper)"
        return Change("model", Direction.NARROWING, text + said, before, after, _MODEL)
    if before is not None and old is not None and old == new:
        return Change("model", Direction.NEUTRAL, text, before, after, _MODEL)
    said = "" if before is None else " (dearer)" if old is not None and new is not None else " (of another price)"
    return Change("model", Direction.WIDENING, text + said, before, after, _MODEL)


def _price(model: str | None) -> int | None:
    """The place of a model's family; None for a name that is of none, or of several."""
    found = [place for place, family in enumerate(_PRICES) if model and family in model.lower()]
    return found[0] if len(found) == 1 else None


def _limits(old: Settings | None, new: Settings) -> Iterator[Change]:
    if old is None:
        return
    for group, name, words, counts in _NUMBERS:
        before, after = (getattr(getattr(settings, group), name) for settings in (old, new))
        if before != after:
            text = words.format(_number(before), _number(after))
            direction = Direction.NEUTRAL
            if counts:
                direction = Direction.WIDENING if after > before else Direction.NARROWING
            yield Change(group, direction, text, before, after, _LIMITS)


def _number(value: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _budget(old: Settings | None, new: Settings) -> Iterator[Change]:
    """None is without a bound: more than any number."""
    for name, what in (("tokensPerDay", "tokens"), ("costPerDay", "US dollars")):
        before, after = (getattr(settings.budget, name) if settings else None for settings in (old, new))
        if before != after:
            text = f"may use {_amount(before)} → {_amount(after)} {what} a day"
            more = after is None or (before is not None and after > before)
            yield Change("budget", Direction.WIDENING if more else Direction.NARROWING, text, before, after, _MODEL)


def _amount(value: float | None) -> str:
    return "any number of" if value is None else f"{value:,}"


def _identity(old: Settings | None, new: Settings) -> Iterator[Change]:
    before, after = (f"{settings.git.name} <{settings.git.email}>" if settings else None for settings in (old, new))
    if before is not None and before != after:
        yield Change("git", Direction.NEUTRAL, f"commits as {before} → {after}", before, after, _IDENTITY)


def _prompt(old: Settings | None, new: Settings) -> Iterator[Change]:
    before = old.prompt if old else ""
    if before == new.prompt:
        return
    lines = list(difflib.unified_diff(before.splitlines(), new.prompt.splitlines(), n=1, lineterm=""))[2:]
    shown = [line[:_MAX_LINE] for line in lines[:_MAX_PROMPT_LINES]]
    if len(lines) > len(shown):
        shown.append(f"… {len(lines) - len(shown)} more lines")
    text = "\n".join(["the prompt changes:" if before else "its prompt is:", *shown])
    yield Change("prompt", Direction.NEUTRAL, text, before or None, new.prompt, _PROMPT)
