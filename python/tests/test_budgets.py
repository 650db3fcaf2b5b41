"""hyperhive.budgets: who has used up a day gets neither the model nor mail, is told of once, and goes on by itself."""

from __future__ import annotations

import asyncio
import json
import sqlite3
import time
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path
from typing import Any

import pytest
from database_rig import within
from mail_rig import Mail, mail
from settings_samples import sample

from hyperhive.budgets import Budgets
from hyperhive.errors import Unavailable
from hyperhive.gateway.prices import LIST, Price, cost
from hyperhive.policy.ceilings import Ceilings
from hyperhive.settings import Budget, Role
from hyperhive.store import agents, audit, generations
from hyperhive.store.messages import Message
from hyperhive.store.usage import Use

TOKENS: dict[str, Any] = {"tokensPerDay": 1000, "costPerDay": None}
DOLLARS: dict[str, Any] = {"tokensPerDay": None, "costPerDay": 2.5}
NONE: dict[str, Any] = {"tokensPerDay": None, "costPerDay": None}


def use(fresh: int = 0, *, written: int = 0, read: int = 0, out: int = 0, model: str = "claude-haiku-4-5") -> Use:
    return Use(model, fresh, written, read, out)


def ids(found: list[Message]) -> list[int]:
    return [message.id for message in found]


async def bound(hive: Mail, agent: str, budget: dict[str, Any]) -> None:
    """Give the agent a generation with that budget."""
    settings = sample(name=agent, budget=budget)
    number = await hive.database.read(lambda c: generations.next_number(c, agent))
    values: dict[str, Any] = {"commit": "0" * 40, "tree": "0" * 40, "proposal": None, "reason": "test"}
    await hive.database.write(lambda c: generations.insert(c, agent=agent, number=number, settings=settings, **values))
    await hive.database.write(lambda c: agents.set_generation(c, agent, number))


@asynccontextmanager
async def bounded(
    root: Path, budget: dict[str, Any], ceiling: Budget | None = None
) -> AsyncIterator[tuple[Mail, Budgets]]:
    """A broker whose agent alice has that budget."""
    async with mail(root) as hive:
        await bound(hive, "alice", budget)
        await bound(hive, "bob", NONE)
        ceilings = Ceilings(budget=ceiling or Budget())
        yield hive, Budgets(hive.database, hive.broker, hive.hub, ceilings, {})


@pytest.mark.parametrize(
    ("used", "dollars"),
    [
        (use(1_000_000), 1.0),
        (use(out=1_000_000), 5.0),
        (use(written=1_000_000), 1.25),
        (use(read=1_000_000), 0.1),
        (use(1_000_000, model="claude-sonnet-5"), 3.0),
        (use(1_000_000, model="claude-opus-4-1-20250805"), 15.0),
        (use(1_000_000, model="claude-opus-4-20250514"), 15.0),
        (use(1_000_000, model="claude-opus-4-5-20251101"), 5.0),
        (use(1_000_000, model="claude-own-1"), 7.0),
        (use(1_000_000, model="something-new"), 25.0),
        (Use("claude-haiku-4-5", 0, 1_000_000, 0, 0, hour_tokens=400_000), 0.6 * 1.25 + 0.4 * 2),
        (Use("claude-haiku-4-5", 0, 1_000_000, 0, 0, hour_tokens=2_000_000), 2.0 * 2),  # a total that is too small
        (Use("claude-opus-4-6", 1_000_000, 0, 0, 1_000_000, searches=7, fast=True), 6 * 30 + 0.07),
    ],
)
def test_a_use_costs_by_its_models_family_and_an_unknown_model_is_the_dearest(used: Use, dollars: float) -> None:
    prices = {"own-1": Price(7, 75), "dear": Price(25, 80)}
    assert cost(used, prices) == pytest.approx(dollars)
    assert cost(use(1_000_000, model="something-new"), {}) == LIST["opus-4-1"].input


@pytest.mark.parametrize(
    ("budget", "reason"),
    [(TOKENS, "it used 1,200 of 1,000 tokens today"), (DOLLARS, "it used $3.00 of $2.50 today")],
)
def test_an_agent_is_over_when_its_day_is_used_up_and_no_other_is(
    tmp_path: Path, budget: dict[str, Any], reason: str
) -> None:
    async def test() -> None:
        async with bounded(tmp_path, budget) as (_, budgets):
            half = use(600) if budget is TOKENS else use(1_500_000)
            await budgets.count("alice", half)
            assert await budgets.check("alice") is None
            await budgets.count("alice", half)
            await budgets.count("bob", use(10**9))
            over = await budgets.check("alice")
            assert over is not None and over.reason == reason
            assert 0 < over.until - time.time() <= 86400 and over.until % 86400 == 0
            assert over.ends.endswith("T00:00:00Z")
            assert (budgets.over("alice"), budgets.over("bob")) == (over, None)
            assert await budgets.check("bob") is None

    within(test())


def test_the_hosts_ceiling_holds_for_an_agent_without_a_bound_of_its_own(tmp_path: Path) -> None:
    async def test() -> None:
        async with bounded(tmp_path, NONE, Budget(tokensPerDay=5)) as (_, budgets):
            await budgets.count("alice", use(5))
            assert budgets.over("alice") is not None

    within(test())


def test_mail_of_an_agent_over_its_budget_waits_and_counts_no_attempt(tmp_path: Path) -> None:
    async def test() -> None:
        async with bounded(tmp_path, TOKENS) as (hive, budgets):
            first = await hive.broker.send("bob", "alice", "work")
            assert ids(await hive.broker.recv("alice")) == [first]
            await budgets.count("alice", use(1000))
            await hive.database.write(lambda c: hive.broker.give_back(c, "alice"))
            second = await hive.broker.send("bob", "alice", "more work")
            assert await hive.broker.recv("alice", wait=0.05) == []
            assert ids(await hive.broker.waiting("alice")) == [first, second]
            receiving = asyncio.create_task(hive.broker.recv("alice", wait=60))  # longer than the test may take
            await bound(hive, "alice", {**TOKENS, "tokensPerDay": 5000})
            await budgets.refresh()
            got = await receiving
            assert (ids(got), [message.attempts for message in got]) == ([first, second], [1, 1])
            assert budgets.over("alice") is None

    within(test())


def test_the_next_day_it_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    async def test() -> None:
        async with bounded(tmp_path, TOKENS) as (hive, budgets):
            await budgets.count("alice", use(1000))
            number = await hive.broker.send("bob", "alice", "work")
            assert await hive.broker.recv("alice") == []
            tomorrow = time.time() + 86400
            monkeypatch.setattr(time, "time", lambda: tomorrow)
            assert budgets.over("alice") is None
            assert ids(await hive.broker.recv("alice")) == [number]
            assert await budgets.check("alice") is None
            await budgets.count("alice", use(1000))
            assert budgets.over("alice") is not None, "the new day has its own budget"
            assert len(await hive.told()) == 2

    within(test())


def test_the_operator_and_the_manager_are_told_once_and_the_audit_log_has_it(tmp_path: Path) -> None:
    async def test() -> None:
        async with bounded(tmp_path, TOKENS) as (hive, budgets):
            await hive.database.write(lambda c: agents.create(c, "boss", Role.MANAGER))
            for _ in range(3):
                await asyncio.gather(budgets.count("alice", use(600)), budgets.check("alice"))
            over = budgets.over("alice")
            assert over is not None
            (event,) = await hive.told()
            assert event == {"event": "over_budget", "agent": "alice", "until": over.ends, "reason": event["reason"]}
            (told,) = await hive.broker.recv("boss")
            assert json.loads(told.body) == event
            (entry,) = await hive.database.read(lambda c: audit.entries(c, limit=10))
            assert (entry.actor, entry.action, entry.subject) == ("system", "agent.over_budget", "agent/alice")

    within(test())


def test_a_manager_over_its_budget_is_not_told_so_itself(tmp_path: Path) -> None:
    async def test() -> None:
        async with bounded(tmp_path, TOKENS) as (hive, budgets):
            promote = "UPDATE agents SET role = 'manager' WHERE name = 'alice'"
            await hive.database.write(lambda c: c.execute(promote).rowcount)
            await budgets.count("alice", use(1000))
            assert [row[2] for row in await hive.rows()] == ["operator"]

    within(test())


def test_a_core_that_starts_again_knows_who_is_over_and_tells_only_what_was_not_told(tmp_path: Path) -> None:
    async def test() -> None:
        async with bounded(tmp_path, TOKENS) as (hive, budgets):
            await budgets.count("alice", use(1000))
            await bound(hive, "bob", TOKENS)
            await budgets.count("bob", use(1000))
            await hive.database.write(lambda c: c.execute("DELETE FROM messages").rowcount)
            again = Budgets(hive.database, hive.broker, hive.hub, Ceilings(), {})
            await again.load()
            assert again.over("alice") is not None and again.over("bob") is not None
            assert await hive.told() == []

    within(test())


def test_an_excess_of_which_the_core_died_is_told_at_its_next_start(tmp_path: Path) -> None:
    async def test() -> None:
        async with bounded(tmp_path, NONE) as (hive, budgets):
            await budgets.count("alice", use(1000))
            await bound(hive, "alice", TOKENS)
            await budgets.load()
            await budgets.load()
            assert [event["agent"] for event in await hive.told()] == ["alice"]

    within(test())


def pages(connection: sqlite3.Connection, most: int) -> None:
    """Let the database have so many pages at most, or as many as it has."""
    connection.execute(f"PRAGMA max_page_count = {most}").fetchone()


async def change(hive: Mail, statement: str) -> None:
    await hive.database.write(lambda c: c.execute(statement).rowcount)


async def fill(hive: Mail) -> None:
    """Let the disk be full to the last byte."""
    await hive.database.read(lambda c: pages(c, 1))
    for size in (60_000, 4000, 500, 100, 10, 1):
        with pytest.raises(Unavailable):
            while True:
                await hive.broker.tell("operator", "x" * size)


def test_what_an_agent_uses_while_the_disk_is_full_counts_and_it_does_not_go_on_before(tmp_path: Path) -> None:
    async def test() -> None:
        async with bounded(tmp_path, TOKENS) as (hive, budgets):
            await fill(hive)
            for number in range(2):
                with pytest.raises(Unavailable):
                    await budgets.count("alice", use(600, model=f"claude-haiku-{number}" + "x" * 5000))
                with pytest.raises(Unavailable):
                    await budgets.check("alice")
            await budgets.refresh()
            assert await budgets.check("bob") is None
            await hive.database.read(lambda c: pages(c, 1_000_000))
            over = await budgets.check("alice")
            assert over is not None and over.reason == "it used 1,200 of 1,000 tokens today"

    within(test())


def test_an_excess_that_a_full_disk_kept_from_the_operator_is_told_later(tmp_path: Path) -> None:
    async def test() -> None:
        async with bounded(tmp_path, TOKENS) as (hive, budgets):
            await budgets.count("alice", use(600))
            await fill(hive)
            await change(hive, "UPDATE model_usage SET input_tokens = 1000")
            assert await budgets.check("alice") is not None
            await hive.database.read(lambda c: pages(c, 1_000_000))
            await change(hive, "DELETE FROM messages")
            for _ in range(2):
                await budgets.refresh()
            assert [event["event"] for event in await hive.told()] == ["over_budget"]

    within(test())
