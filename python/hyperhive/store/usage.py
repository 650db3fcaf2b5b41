"""What went through the gateway, per agent, model and UTC day. Functions of a connection; they never commit."""

from __future__ import annotations

import sqlite3
import time
from dataclasses import dataclass
from typing import Any

_COLUMNS = ("day", "model", "requests", "input_tokens", "output_tokens", "cost_usd")


@dataclass(frozen=True)
class Use:
    """The tokens of one answer. `model` is the one that answered ("" when it did not say)."""

    model: str
    fresh_tokens: int
    """Input that is neither written to the prompt cache nor read from it."""
    cache_written_tokens: int
    cache_read_tokens: int
    output_tokens: int
    hour_tokens: int = 0
    """Of those written to the cache: the ones that it keeps for an hour instead of five minutes."""
    searches: int = 0
    """Web searches that the API made for the answer."""
    fast: bool = False
    """Answered at the speed that costs more."""

    @property
    def input_tokens(self) -> int:
        """All input, cache included."""
        return self.fresh_tokens + self.cache_written_tokens + self.cache_read_tokens


def add(connection: sqlite3.Connection, agent: str, use: Use, cost_usd: float) -> None:
    """Count one finished request."""
    day = time.strftime("%Y-%m-%d", time.gmtime(time.time()))
    connection.execute(
        "INSERT INTO model_usage (agent, day, model, requests, input_tokens, output_tokens, cost_usd)"
        " VALUES (?, ?, ?, 1, ?, ?, ?) ON CONFLICT (agent, day, model) DO UPDATE SET requests = requests + 1,"
        " input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens,"
        " cost_usd = cost_usd + excluded.cost_usd",
        (agent, day, use.model, use.input_tokens, use.output_tokens, cost_usd),
    )


def of_day(connection: sqlite3.Connection, agent: str, day: str) -> tuple[int, float]:
    """The tokens, in and out, and the US dollars that the agent used on that day (2026-11-24)."""
    tokens, cost = connection.execute(
        "SELECT coalesce(sum(input_tokens + output_tokens), 0), coalesce(sum(cost_usd), 0) FROM model_usage"
        " WHERE agent = ? AND day = ?",
        (agent, day),
    ).fetchone()
    return int(tokens), float(cost)


def for_agent(connection: sqlite3.Connection, agent: str, days: int = 30) -> list[dict[str, Any]]:
    """The agent's use, newest day first, at most four models of each of `days` days."""
    rows = connection.execute(
        f"SELECT {', '.join(_COLUMNS)} FROM model_usage WHERE agent = ? ORDER BY day DESC, model LIMIT ?",  # noqa: S608
        (agent, days * 4),
    )
    return [dict(zip(_COLUMNS, row, strict=True)) for row in rows]
