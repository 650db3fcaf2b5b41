"""The host's ceilings: what no agent may be given, whoever approves it (services.hyperhive.policy)."""

from __future__ import annotations

from collections.abc import Iterable
from dataclasses import dataclass

from hyperhive.policy.contain import covers
from hyperhive.settings import Settings

ANYTHING = "*"


@dataclass(frozen=True)
class Ceilings:
    """Upper bounds by area; None: no ceiling, an empty tuple: nothing at all. `*` stands for everything."""

    models: tuple[str, ...] | None = None
    bash: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    network: tuple[str, ...] | None = None


def violations(settings: Settings, ceilings: Ceilings) -> list[str]:
    """One sentence for each value over a ceiling, naming the ceiling's option and the value; empty if all are under."""
    models = [model for model in (settings.model, settings.fallbackModel) if model is not None]
    denied = set(settings.tools.deny)
    tools = [tool for tool in settings.tools.allow if tool not in denied]
    bash = [*settings.bash.allow, *([ANYTHING] if "Bash" in tools else [])]
    return [
        *_over("models", ceilings.models, models),
        *_over("bash", ceilings.bash, bash, patterns=True),
        *_over("tools", ceilings.tools, tools),
        *_over("network", ceilings.network, settings.network.allow),
    ]


def _over(area: str, ceiling: tuple[str, ...] | None, values: Iterable[str], *, patterns: bool = False) -> list[str]:
    if ceiling is None or ANYTHING in ceiling:
        return []
    return [
        f"services.hyperhive.policy.{area} does not allow {value!r}; leave it out, or ask the operator to allow it"
        for value in values
        if not (value in ceiling or (patterns and any(covers(held, value) for held in ceiling)))
    ]
