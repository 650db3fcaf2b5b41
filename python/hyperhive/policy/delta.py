"""The privilege delta: what a change of settings means, in words, what matters most first."""

from __future__ import annotations

import difflib
from collections.abc import Iterable, Iterator
from dataclasses import asdict, dataclass
from enum import StrEnum
from typing import Any

from hyperhive.policy.contain import Patterns
from hyperhive.settings import Role, Settings


class Direction(StrEnum):
    """What a change does to what an agent may: more, less, or neither."""

    WIDENING = "widening"
    NARROWING = "narrowing"
    NEUTRAL = "neutral"


_ROLE, _NIXOS, _BASH, _TOOLS, _NETWORK, _MODEL, _PACKAGES = 100, 95, 90, 80, 70, 60, 50
_LIMITS, _IDENTITY, _PROMPT, _NARROWING, _NEUTRAL = 40, 35, 30, 10, 5
_MAX_PROMPT_LINES = 40
_MAX_LINE = 200


@dataclass(frozen=True)
class Change:
    """One thing that changes. `text` is a sentence (a prompt's is followed by its diff); more `weight` matters more.

    `before` and `after` are the values as in the settings, None where there is none.
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
_PURE = frozenset({"bash", "tools", "network", "packages", "session", "notes"})
"""The areas in which a neutral change gives nothing; a prompt, an identity or NixOS text can say anything."""


def delta(old: Settings | None, new: Settings, *, nixos_changed: str | None = None) -> tuple[Change, ...]:
    """What `new` means after `old` (None: the first generation), the weightiest first.

    `nixos_changed` is the new text of nixos.nix if the guest's NixOS configuration changes, None if it does not.
    """
    changes = [
        *_role(old, new),
        *_nixos(nixos_changed),
        *_allowed_commands(old, new),
        *_denied_commands(old, new),
        *(change for spec in _LISTS for change in _list(spec, old, new)),
        *_models(old, new),
        *_limits(old, new),
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
    for entry in after:
        if entry not in before:
            yield _entry(spec, entry, added=True)
    for entry in before:
        if entry not in after:
            yield _entry(spec, entry, added=False)


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


def _allowed_commands(old: Settings | None, new: Settings) -> Iterator[Change]:
    """bash.allow: a pattern that another one covers gives nothing, and takes nothing when it goes."""
    before, after = _patterns(old, "allow"), _patterns(new, "allow")
    added = [pattern for pattern in after if pattern not in before]
    removed = [pattern for pattern in before if pattern not in after]
    held, gone, come, stay = Patterns(before), Patterns(removed), Patterns(added), Patterns(after)
    for pattern in added:
        if (wider := held.cover_of(pattern)) is None:
            grown = gone.covered_by(pattern)
            only = f" (until now only {', '.join(grown)})" if grown else ""
            yield Change("bash", Direction.WIDENING, f"may now run: {pattern}{only}", None, pattern, _BASH)
        elif wider in after:
            text = f"lists {pattern}, which {wider} allowed already"
            yield Change("bash", Direction.NEUTRAL, text, None, pattern, _NEUTRAL)
    for pattern in removed:
        if (wider := stay.cover_of(pattern)) is not None:
            text = f"no longer lists {pattern}, which {wider} {'still allows' if wider in before else 'allows'}"
            yield Change("bash", Direction.NEUTRAL, text, pattern, None, _NEUTRAL)
        else:
            yield _no_longer_allowed(pattern, come.covered_by(pattern))


def _no_longer_allowed(pattern: str, kept: list[str]) -> Change:
    if kept:
        text = f"may run only {', '.join(kept)} of what {pattern} allowed"
        return Change("bash", Direction.NARROWING, text, pattern, kept, _NARROWING)
    return Change("bash", Direction.NARROWING, f"may no longer run: {pattern}", pattern, None, _NARROWING)


def _denied_commands(old: Settings | None, new: Settings) -> Iterator[Change]:
    """bash.deny: the same the other way round."""
    before, after = _patterns(old, "deny"), _patterns(new, "deny")
    held, stay = Patterns(before), Patterns(after)
    for pattern in after:
        if pattern not in before:
            yield _now_denied(pattern, held.cover_of(pattern))
    for pattern in before:
        if pattern not in after:
            yield _no_longer_denied(pattern, stay.cover_of(pattern))


def _now_denied(pattern: str, wider: str | None) -> Change:
    if wider is None:
        return Change("bash", Direction.NARROWING, f"is now denied: {pattern}", None, pattern, _NARROWING)
    text = f"is now denied: {pattern}, as {wider} was already"
    return Change("bash", Direction.NEUTRAL, text, None, pattern, _NEUTRAL)


def _no_longer_denied(pattern: str, wider: str | None) -> Change:
    if wider is None:
        return Change("bash", Direction.WIDENING, f"is no longer denied: {pattern}", pattern, None, _BASH)
    text = f"is no longer denied: {pattern} by name; {wider} is"
    return Change("bash", Direction.NEUTRAL, text, pattern, None, _NEUTRAL)


def _patterns(settings: Settings | None, key: str) -> tuple[str, ...]:
    return () if settings is None else tuple(dict.fromkeys(getattr(settings.bash, key)))


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
    return next((place for place, family in enumerate(_PRICES) if model and family in model.lower()), None)


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
