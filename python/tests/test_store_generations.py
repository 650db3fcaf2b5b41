"""Generations in the store: what is kept with each."""

from __future__ import annotations

import contextlib
import json
import sqlite3
from importlib import resources
from pathlib import Path

from database_rig import within
from settings_samples import sample, sample_json

from hyperhive.sources import Source, Sources, paths
from hyperhive.store import generations
from hyperhive.store.database import Database
from hyperhive.store.generations import Generation

SOURCES = {**dict.fromkeys(paths(), Source.DEFAULT), "model": Source.AGENT_NIX}


def insert(connection: sqlite3.Connection, number: int, sources: Sources | None = None) -> Generation:
    """A generation of the agent `worker`."""
    return generations.insert(
        connection, agent="worker", number=number, commit="c" * 40, tree="t" * 40, settings=sample(), proposal=None,
        reason="a test", sources=sources,
    )  # fmt: skip


async def _kept(path: Path) -> None:
    database = await Database.open(path)
    made = await database.write(lambda c: insert(c, 1, SOURCES))
    await database.write(lambda c: insert(c, 2))
    await database.write(lambda c: insert(c, 3, {}))
    history = await database.read(lambda c: generations.of_agent(c, "worker"))
    null = await database.read(lambda c: c.execute("SELECT number FROM generations WHERE sources IS NULL").fetchall())
    await database.close()
    assert made.sources == SOURCES
    assert [generation.sources for generation in history] == [{}, {}, SOURCES]
    assert null == [(2,), (3,)]


def test_a_generation_keeps_where_its_settings_come_from(tmp_path: Path) -> None:
    within(_kept(tmp_path / "hive.db"))


async def _older(path: Path) -> None:
    database = await Database.open(path)
    found = await database.read(lambda c: generations.get(c, "worker", 1))
    await database.close()
    assert (found.settings, found.sources) == (sample(), {})


def test_a_generation_of_an_older_format_has_no_sources(tmp_path: Path) -> None:
    path = tmp_path / "hive.db"
    row = ("worker", 1, "c", "t", json.dumps(sample_json()), "made before", 1.0)
    with contextlib.closing(sqlite3.connect(path, isolation_level=None)) as connection:
        connection.executescript(resources.files("hyperhive").joinpath("store/schema-1.sql").read_text())
        connection.execute("PRAGMA user_version = 1")
        connection.execute(
            "INSERT INTO generations (agent, number, commit_id, tree, settings, reason, created_at)"
            " VALUES (?, ?, ?, ?, ?, ?, ?)",
            row,
        )
    within(_older(path))
