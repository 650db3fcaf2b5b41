"""Tokens that went through the gateway, per agent, model and UTC day. Functions of a connection; they never commit."""

from __future__ import annotations

import sqlite3
import time
from typing import Any


def add(connection: sqlite3.Connection, agent: str, model: str, input_tokens: int, output_tokens: int) -> None:
    """Count one finished request."""
    day = time.strftime("%Y-%m-%d", time.gmtime())
    connection.execute(
        "INSERT INTO model_usage (agent, day, model, requests, input_tokens, output_tokens) VALUES (?, ?, ?, 1, ?, ?)"
        " ON CONFLICT (agent, day, model) DO UPDATE SET requests = requests + 1,"
        " input_tokens = input_tokens + excluded.input_tokens, output_tokens = output_tokens + excluded.output_tokens",
        (agent, day, model, input_tokens, output_tokens),
    )


def for_agent(connection: sqlite3.Connection, agent: str, days: int = 30) -> list[dict[str, Any]]:
    """The agent's use, newest day first, at most four models of each of `days` days."""
    rows = connection.execute(
        "SELECT day, model, requests, input_tokens, output_tokens FROM model_usage WHERE agent = ?"
        " ORDER BY day DESC, model LIMIT ?",
        (agent, days * 4),
    )
    names = ("day", "model", "requests", "input_tokens", "output_tokens")
    return [dict(zip(names, row, strict=True)) for row in rows]
