"""The host's ceilings: what no agent may be given, whoever approves it (services.hyperhive.policy)."""

from __future__ import annotations

from collections.abc import Iterable, Iterator
from dataclasses import dataclass, field
from typing import Any

from hyperhive.policy.contain import covers
from hyperhive.settings import Budget, Settings

ANYTHING = "*"


@dataclass(frozen=True)
class Ceilings:
    """Upper bounds by area; None: no ceiling, an empty tuple: nothing at all. `*` stands for everything.

    The budget's hold for every agent, also for one whose own settings have no bound.
    """

    models: tuple[str, ...] | None = None
    bash: tuple[str, ...] | None = None
    tools: tuple[str, ...] | None = None
    network: tuple[str, ...] | None = None
    budget: Budget = field(default_factory=Budget)

    @classmethod
    def from_json(cls, value: dict[str, Any]) -> Ceilings:
        """Build from core.json's object."""
        lists = {name: None if held is None else tuple(held) for name, held in value.items() if name != "budget"}
        return cls(**lists, budget=Budget(**value.get("budget", {})))

    def bounded(self, own: Budget) -> Budget:
        """What an agent with that budget may really use."""
        return Budget(
            tokensPerDay=_least(own.tokensPerDay, self.budget.tokensPerDay),
            costPerDay=_least(own.costPerDay, self.budget.costPerDay),
        )


def _least(own: Any, ceiling: Any) -> Any:  # noqa: ANN401  (a number or None)
    return min((bound for bound in (own, ceiling) if bound is not None), default=None)


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
        *_over_budget(settings.budget, ceilings.budget),
    ]


def _over_budget(own: Budget, ceiling: Budget) -> Iterator[str]:
    for name in ("tokensPerDay", "costPerDay"):
        asked, most = getattr(own, name), getattr(ceiling, name)
        if asked is not None and most is not None and asked > most:
            option = f"services.hyperhive.policy.budget.{name}"
            yield f"{option} allows at most {most:,}, not {asked:,}; ask for less, or ask the operator to allow it"


def _over(area: str, ceiling: tuple[str, ...] | None, values: Iterable[str], *, patterns: bool = False) -> list[str]:
    if ceiling is None or ANYTHING in ceiling:
        return []
    return [
        f"services.hyperhive.policy.{area} does not allow {value!r}; leave it out, or ask the operator to allow it"
        for value in values
        if not (value in ceiling or (patterns and any(covers(held, value) for held in ceiling)))
    ]
