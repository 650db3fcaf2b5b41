"""What the model API's answers cost, by the families' list prices or the host's own.

Source: https://docs.claude.com/en/docs/about-claude/pricing. Enough to stop an agent at its budget; no bill.
"""

from __future__ import annotations

from collections.abc import Mapping
from dataclasses import dataclass

from hyperhive.store.usage import Use

CACHE_WRITTEN = 1.25
CACHE_WRITTEN_FOR_AN_HOUR = 2
CACHE_READ = 0.1
FAST = 6
SEARCH = 0.01
"""US dollars for a web search."""


@dataclass(frozen=True)
class Price:
    """US dollars for a million tokens."""

    input: float
    output: float

    def of(self, use: Use) -> float:
        """What that use costs."""
        short = max(0, use.cache_written_tokens - use.hour_tokens)
        cached = (
            CACHE_WRITTEN * short + CACHE_WRITTEN_FOR_AN_HOUR * use.hour_tokens + CACHE_READ * use.cache_read_tokens
        )
        tokens = ((use.fresh_tokens + cached) * self.input + use.output_tokens * self.output) / 1e6
        return tokens * (FAST if use.fast else 1) + use.searches * SEARCH


Prices = Mapping[str, Price]
"""By a part of the model's id."""

LIST: Prices = {
    "haiku": Price(1, 5),
    "sonnet": Price(3, 15),
    "opus": Price(5, 25),
    "fable": Price(10, 50),
    "mythos": Price(10, 50),
    "claude-opus-4-2025": Price(15, 75),  # Opus 4 and 4.1; the later ones cost a third
    "opus-4-0": Price(15, 75),
    "opus-4-1": Price(15, 75),
    "claude-3-opus": Price(15, 75),
}


def cost(use: Use, prices: Prices) -> float:
    """US dollars. The longest name in the model's id counts; a model of no known price costs as the dearest."""
    known = {**LIST, **prices}
    names = [name for name in known if name in use.model]
    price = known[max(names, key=len)] if names else max(known.values(), key=lambda each: (each.output, each.input))
    return price.of(use)
