"""The privilege delta: what a change of settings means, in words, what matters most first."""

from __future__ import annotations

import difflib
from collections.abc import Iterator
from dataclasses import asdict, dataclass
from typing import Any, Literal

from hyperhive.settings import Role, Settings

Kind = Literal["gain", "loss", "change"]

_ROLE, _NIXOS, _BASH, _TOOLS, _NETWORK, _MODEL, _PACKAGES = 100, 95, 90, 80, 70, 60, 50
_LIMITS, _IDENTITY, _PROMPT, _LOSS = 40, 35, 30, 10
_MAX_PROMPT_LINES = 40
_MAX_LINE = 200


@dataclass(frozen=True)
class Change:
    """One thing that changes. `text` is a sentence (a prompt's is followed by its diff); more `weight` matters more.

    `before` and `after` are the values as in the settings, None where there is none.
    """

    area: str
    kind: Kind
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
    _List("bash", "allow", "may now run: {}", "may no longer run: {}", _BASH),
    _List("bash", "deny", "is now denied: {}", "is no longer denied: {}", _BASH, restricts=True),
    _List("tools", "allow", "may now use the tool {}", "may no longer use the tool {}", _TOOLS),
    _List("tools", "deny", "is now denied the tool {}", "is no longer denied the tool {}", _TOOLS, restricts=True),
    _List("network", "allow", "may now reach {}", "may no longer reach {}", _NETWORK),
    _List("packages", "", "has {} on its PATH now", "no longer has {} on its PATH", _PACKAGES),
)

_NUMBERS = (
    ("session", "turnTimeout", "a turn may take {} → {} s"),
    ("session", "maxTurns", "a turn may make {} → {} model calls"),
    ("session", "compactAt", "its session is compacted at {} → {} tokens"),
    ("notes", "enable", "its notes are in the prompt: {} → {}"),
    ("notes", "maxBytes", "its notes may hold {} → {} bytes"),
)


def delta(old: Settings | None, new: Settings, *, nixos_changed: str | None = None) -> tuple[Change, ...]:
    """What `new` means after `old` (None: the first generation), the weightiest first.

    `nixos_changed` is the new text of nixos.nix if the guest's NixOS configuration changes, None if it does not.
    """
    changes = [
        *_role(old, new),
        *_nixos(nixos_changed),
        *(change for spec in _LISTS for change in _list(spec, old, new)),
        *_models(old, new),
        *_limits(old, new),
        *_identity(old, new),
        *_prompt(old, new),
    ]
    return tuple(sorted(changes, key=lambda change: -change.weight))


def _role(old: Settings | None, new: Settings) -> Iterator[Change]:
    before = old.role if old else Role.AGENT
    if before is new.role:
        return
    shown = str(old.role) if old else None
    if new.role is Role.MANAGER:
        text = "becomes a manager: may steer the other agents and ask for their changes to be applied"
        yield Change("role", "gain", text, shown, str(new.role), _ROLE)
    else:
        yield Change("role", "loss", "is no longer a manager", shown, str(new.role), _LOSS)


def _nixos(text: str | None) -> Iterator[Change]:
    if text is not None:
        yield Change("nixos", "change", "the guest's NixOS configuration changes", None, text, _NIXOS)


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
    gain = added is not spec.restricts
    text = (spec.added if added else spec.removed).format(entry)
    before, after = (None, entry) if added else (entry, None)
    return Change(spec.area, "gain" if gain else "loss", text, before, after, spec.weight if gain else _LOSS)


def _models(old: Settings | None, new: Settings) -> Iterator[Change]:
    if old is None:
        yield Change("model", "change", f"thinks with the model {new.model}", None, new.model, _MODEL)
    elif old.model != new.model:
        yield Change("model", "change", f"model {old.model} → {new.model}", old.model, new.model, _MODEL)
    before = old.fallbackModel if old else None
    if before != new.fallbackModel:
        text = f"fallback model {before or 'none'} → {new.fallbackModel or 'none'}"
        yield Change("model", "change", text, before, new.fallbackModel, _MODEL)


def _limits(old: Settings | None, new: Settings) -> Iterator[Change]:
    if old is None:
        return
    for group, name, words in _NUMBERS:
        before, after = (getattr(getattr(settings, group), name) for settings in (old, new))
        if before != after:
            text = words.format(_number(before), _number(after))
            yield Change(group, "change", text, before, after, _LIMITS)


def _number(value: int) -> str:
    if isinstance(value, bool):
        return "yes" if value else "no"
    return str(value)


def _identity(old: Settings | None, new: Settings) -> Iterator[Change]:
    before, after = (f"{settings.git.name} <{settings.git.email}>" if settings else None for settings in (old, new))
    if before is not None and before != after:
        yield Change("git", "change", f"commits as {before} → {after}", before, after, _IDENTITY)


def _prompt(old: Settings | None, new: Settings) -> Iterator[Change]:
    before = old.prompt if old else ""
    if before == new.prompt:
        return
    lines = list(difflib.unified_diff(before.splitlines(), new.prompt.splitlines(), n=1, lineterm=""))[2:]
    shown = [line[:_MAX_LINE] for line in lines[:_MAX_PROMPT_LINES]]
    if len(lines) > len(shown):
        shown.append(f"… {len(lines) - len(shown)} more lines")
    text = "\n".join(["the prompt changes:" if before else "its prompt is:", *shown])
    yield Change("prompt", "change", text, before or None, new.prompt, _PROMPT)
