"""What a killed core or a full disk leaves of an agent's life, and how it goes on."""

from __future__ import annotations

import asyncio
import sqlite3
from pathlib import Path

import pytest
from core_rig import LACKING, SKIP_REASON, Hive, full_until, hive, nix, until
from test_lifecycle import play

from hyperhive.bounds import BrokerLimits
from hyperhive.broker import HIVES_ROOM
from hyperhive.config import DeclaredAgent
from hyperhive.containers.local import LocalBackend
from hyperhive.errors import NotFound, Unavailable
from hyperhive.flakes.config import create_config
from hyperhive.settings import Role
from hyperhive.store import agents, audit
from hyperhive.store.database import Database
from hyperhive.store.messages import Question
from hyperhive.store.proposals import State

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def test_a_creation_that_ended_with_its_core_is_finished_by_the_next(tmp_path: Path) -> None:
    async def first(made: Hive) -> None:
        await create_config(made.config_repo("worker"), Role.AGENT, None)
        await made.core.database.write(lambda c: agents.create(c, "worker", Role.AGENT))

    async def second(made: Hive) -> None:
        view = await made.view("worker")
        assert (view["generation"], view["state"], view["activity"]) == (1, "running", "idle")
        assert await made.audit("agent/worker") == ["generation.built", "agent.created"]

    play(tmp_path, first, second)


def test_a_creation_that_cannot_be_finished_is_told_and_keeps_no_core_from_starting(tmp_path: Path) -> None:
    async def first(made: Hive) -> None:
        await create_config(made.config_repo("worker"), Role.AGENT, None)
        made.commit("worker", "{ hyperhive.agent.model = 3; }")
        await made.core.database.write(lambda c: agents.create(c, "worker", Role.AGENT))

    async def second(made: Hive) -> None:
        with pytest.raises(NotFound):
            await made.view("worker")
        assert [event["event"] for event in await made.events("operator")] == ["create_failed"]

    play(tmp_path, first, second)


def test_an_agent_that_cannot_be_started_is_told_and_keeps_no_core_from_starting(tmp_path: Path) -> None:
    """There is a file in the place of its state."""

    async def first(made: Hive) -> None:
        await made.create("alice")
        await made.create("bob")
        hide_state(tmp_path)

    async def second(made: Hive) -> None:
        async def seen() -> bool:
            return bool((await made.view("bob"))["activity"] == "idle")

        await until(seen)
        (event,) = await made.events("operator")
        assert (event["event"], event["agent"], event["given_up"]) == ("container_crash", "alice", True)
        assert "state/work: Not a directory" in event["log"]

    play(tmp_path, first, second)


@pytest.mark.parametrize("generation", [0, 1])
def test_an_agent_that_cannot_be_taken_up_on_a_full_disk_keeps_no_core_from_starting(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, generation: int
) -> None:
    """There is no room to tell of it either."""

    async def first(made: Hive) -> None:
        await made.create("alice")
        await made.create("bob")
        hide_state(tmp_path)
        await made.core.database.write(lambda c: agents.set_generation(c, "alice", generation))
        fill_next(monkeypatch)

    async def second(made: Hive) -> None:
        async def seen() -> bool:
            return bool((await made.view("bob"))["activity"] == "idle")

        await until(seen)

    play(tmp_path, first, second)


def hide_state(root: Path) -> None:
    """Let alice not be startable."""
    state = root / "hive/agents/alice/state"
    state.rename(state.with_name("kept"))
    state.touch()


def fill_next(monkeypatch: pytest.MonkeyPatch) -> None:
    """Let the next core find a full disk."""
    original = Database.open

    async def full(path: Path) -> Database:
        database = await original(path)
        await database.read(lambda c: c.execute("PRAGMA max_page_count = 1").fetchone())  # or as many as there are
        with pytest.raises(Unavailable, match="the disk is full"):
            while True:
                await database.write(lambda c: audit.append(c, "system", "noted", "hive"))
        return database

    monkeypatch.setattr(Database, "open", full)


def test_a_terminal_that_ended_with_its_core_keeps_none_from_starting_on_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def scene() -> None:
        async with hive(tmp_path) as made:

            def opened(connection: sqlite3.Connection) -> None:
                for name in ("alice", "bob", "cat", "dan"):
                    audit.append(connection, "operator:test", "terminal.opened", f"agent/{name}", terminal="t" * 1000)

            await made.core.database.write(opened)
        with monkeypatch.context() as patch:
            fill_next(patch)
            async with hive(tmp_path) as made:
                assert await made.audit("agent/alice") == ["terminal.opened"]
        async with hive(tmp_path) as made:
            assert await made.audit("agent/alice") == ["terminal.opened", "terminal.closed"]

    asyncio.run(scene())


def test_a_creation_that_nobody_can_be_told_of_keeps_no_core_from_starting(tmp_path: Path) -> None:
    async def scene() -> None:
        limits = BrokerLimits(max_pending=1)
        async with hive(tmp_path, broker=limits) as made:
            for _ in range(HIVES_ROOM):
                await made.core.broker.tell("operator", "read me")
        declared = DeclaredAgent("alice", Role.AGENT, defaults={"model": 3})
        async with hive(tmp_path, broker=limits, agents=(declared,)) as made:
            assert await made.core.hive.views() == []

    asyncio.run(scene())


def test_a_stop_that_ended_with_its_core_is_done_by_the_next(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    """On NixOS the containers outlive the core."""
    running = {"worker"}

    async def stop(_: LocalBackend, name: str) -> None:
        running.discard(name)

    async def scene() -> None:
        async with hive(tmp_path) as made:
            await made.create("worker")
            await made.core.database.write(lambda c: agents.set_desired(c, "worker", "stopped"))
        monkeypatch.setattr(LocalBackend, "stop", stop)
        async with hive(tmp_path):
            assert running == set()

    asyncio.run(scene())


def test_an_agent_that_a_full_disk_keeps_from_being_destroyed_can_be_started_again(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        await made.core.database.read(lambda c: c.execute("PRAGMA query_only = ON"))
        with pytest.raises(Unavailable):
            await made.core.hive.destroy("worker", "operator:test", purge=True)
        await made.core.database.read(lambda c: c.execute("PRAGMA query_only = OFF"))
        await made.core.hive.start("worker", "operator:test")
        assert (await made.view("worker"))["activity"] == "idle"

    play(tmp_path, scene)


def test_a_purge_that_ended_half_way_is_gone_on_with_by_the_next_core_and_the_next_creation(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch
) -> None:
    async def failing(_: LocalBackend, name: str) -> None:
        raise Unavailable("the disk fails")

    async def half(made: Hive, name: str) -> Path:
        await made.create(name)
        secret = tmp_path / "hive/agents" / name / "state/secret"
        secret.touch()
        with monkeypatch.context() as patch:
            patch.setattr(LocalBackend, "purge", failing)
            with pytest.raises(Unavailable, match="the disk fails"):
                await made.core.hive.destroy(name, "operator:test", purge=True)
        assert secret.exists()
        return secret

    async def first(made: Hive) -> None:
        secret = await half(made, "alice")
        await made.core.hive.create("alice", Role.AGENT, None, "operator:test")
        assert not secret.exists()
        assert (await made.view("alice"))["activity"] == "idle"
        said = await made.audit("agent/alice")
        assert said[2:5] == ["agent.destroyed", "agent.purged", "generation.built"], said
        await half(made, "bob")

    async def second(made: Hive) -> None:
        assert [path.name for path in (tmp_path / "hive/agents").iterdir()] == ["alice"]
        kept = tmp_path / "hive/agents/bob/state/new"
        kept.parent.mkdir(parents=True)
        kept.touch()

    async def third(made: Hive) -> None:
        assert (tmp_path / "hive/agents/bob/state/new").exists(), "what came after the purge is none of its business"

    play(tmp_path, first, second, third)


def test_what_a_killed_creation_left_is_cleared_by_the_next(tmp_path: Path) -> None:
    (tmp_path / "worker/.config-left").mkdir(parents=True)
    assert asyncio.run(create_config(tmp_path / "worker/config", Role.AGENT, None))
    assert [path.name for path in (tmp_path / "worker").iterdir()] == ["config"]


def test_what_a_killed_evaluation_left_is_cleared_by_the_next_core(tmp_path: Path) -> None:
    async def first(made: Hive) -> None:
        scratch = made.core.config.state_dir / "scratch/worker-left"
        scratch.mkdir()
        (scratch / "flake.nix").write_text("{ }")

    async def second(made: Hive) -> None:
        assert list((made.core.config.state_dir / "scratch").iterdir()) == []

    play(tmp_path, first, second)


def test_an_override_that_the_agent_never_ran_with_is_not_kept(tmp_path: Path) -> None:
    """A core that was killed while it built left the override without the generation."""

    async def scene(made: Hive) -> None:
        await made.create("worker", nix=nix('model = "haiku";'))
        overrides = asyncio.create_task(made.core.hive.set_model("worker", "opus", "operator:test"))
        seen = []
        while not overrides.done():
            details = await made.details("worker")
            seen.append((details["generation"], details["overrides"].get("model")))
            await asyncio.sleep(0.01)
        assert set(seen) <= {(1, None), (2, "opus")}, set(seen)

    play(tmp_path, scene)


def test_a_harness_that_dies_while_the_disk_is_full_is_started_again(
    tmp_path: Path, caplog: pytest.LogCaptureFixture
) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        running = made.core.backend._running["worker"]  # type: ignore[attr-defined]
        first = running.child.pid
        running.child.kill()
        await full_until(made, lambda: "background work" in caplog.text)

        async def back() -> bool:
            return running.child.pid != first and bool((await made.view("worker"))["activity"] == "idle")

        await until(back)

    play(tmp_path, scene)


def test_questions_expire_also_after_a_full_disk(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hyperhive.core.EXPIRE_EVERY", 0.05)

    async def scene(made: Hive) -> None:
        await made.create("worker")
        await made.core.broker.ask("worker", "may I?", Question(time_limit=0.01))
        await full_until(made, lambda: "background work" in caplog.text)

        async def told() -> bool:
            return "question_expired" in [event["event"] for event in await made.events("worker")]

        await until(told)

    play(tmp_path, scene)


def test_an_agent_for_whose_new_generation_there_is_no_room_runs_on(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        pid = made.core.backend._running["worker"].child.pid  # type: ignore[attr-defined]
        (tmp_path / "run/agents/worker/etc.next").touch()
        with pytest.raises(Unavailable, match=r"worker cannot be started: .*etc\.next"):
            await made.core.hive.set_model("worker", "opus", "operator:test")
        assert made.core.backend._running["worker"].child.pid == pid  # type: ignore[attr-defined]
        assert (await made.view("worker"))["generation"] == 1

    play(tmp_path, scene)


def test_the_generation_before_is_put_back_when_there_is_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hyperhive.generations.RETRY", 0.05)

    async def scene(made: Hive) -> None:
        await made.create("worker")
        row = await made.propose("worker", nix('git.name = "broken";'))
        approving = asyncio.create_task(made.approve(row))

        async def settled() -> bool:
            return '"broken' in (tmp_path / "run/agents/worker/etc/gitconfig").read_text()

        await until(settled)
        (tmp_path / "run/agents/worker/etc.next").touch()

        async def waits() -> bool:
            return "generation 1 waits" in caplog.text

        await until(waits)
        assert (await made.view("worker"))["state"] == "stopped"
        (tmp_path / "run/agents/worker/etc.next").unlink()
        failed = await approving
        assert failed.state is State.FAILED and "generation 1 runs again" in (failed.error or "")
        assert (await made.view("worker"))["state"] == "running"

    play(tmp_path, scene)
