from __future__ import annotations

import sqlite3
import time
from collections.abc import Iterator
from contextlib import closing

import mail_rig
import pytest

from hyperhive.store import usage
from hyperhive.store.usage import Use


@pytest.fixture
def connection() -> Iterator[sqlite3.Connection]:
    with closing(mail_rig.connection()) as made:
        yield made


def add(connection: sqlite3.Connection, agent: str, model: str, tokens_in: int, tokens_out: int) -> None:
    usage.add(connection, agent, Use(model, tokens_in, 0, 0, tokens_out), 0.25)


def test_requests_of_a_day_and_model_add_up(connection: sqlite3.Connection) -> None:
    add(connection, "worker", "haiku", 10, 1)
    add(connection, "worker", "haiku", 20, 2)
    add(connection, "worker", "sonnet", 5, 5)
    add(connection, "other", "haiku", 99, 99)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert usage.for_agent(connection, "worker") == [
        {"day": today, "model": "haiku", "requests": 2, "input_tokens": 30, "output_tokens": 3, "cost_usd": 0.5},
        {"day": today, "model": "sonnet", "requests": 1, "input_tokens": 5, "output_tokens": 5, "cost_usd": 0.25},
    ]


def test_who_used_nothing_has_no_rows(connection: sqlite3.Connection) -> None:
    add(connection, "worker", "haiku", 1, 1)
    assert usage.for_agent(connection, "other") == []


def test_the_newest_day_comes_first(connection: sqlite3.Connection, monkeypatch: pytest.MonkeyPatch) -> None:
    for day in ("2026-01-02", "2026-01-01", "2026-01-03"):
        monkeypatch.setattr(time, "strftime", lambda *_, day=day: day)
        add(connection, "worker", "haiku", 1, 1)
    assert [row["day"] for row in usage.for_agent(connection, "worker")] == ["2026-01-03", "2026-01-02", "2026-01-01"]


def test_a_days_use_is_that_of_all_models(connection: sqlite3.Connection) -> None:
    add(connection, "worker", "haiku", 10, 1)
    add(connection, "worker", "sonnet", 20, 2)
    add(connection, "other", "haiku", 99, 99)
    today = time.strftime("%Y-%m-%d", time.gmtime())
    assert usage.of_day(connection, "worker", today) == (33, 0.5)
    assert usage.of_day(connection, "worker", "2020-01-01") == (0, 0.0)
