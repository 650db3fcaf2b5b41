"""Agents from create to purge, on a running core with real git, nix, cages and harnesses."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path

import pytest
from core_rig import LACKING, SKIP_REASON, Hive, hive, nix, until

from hyperhive.config import DeclaredAgent
from hyperhive.errors import BadInput, Conflict, NotFound, Rejected
from hyperhive.heartbeats import NoHeartbeat
from hyperhive.settings import Role

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


def play(root: Path, *scenes: Callable[[Hive], Awaitable[None]]) -> None:
    """Run scenes one after the other, each on a core of its own over the same state."""

    async def go(scene: Callable[[Hive], Awaitable[None]]) -> None:
        async with hive(root) as made:
            await scene(made)

    for scene in scenes:
        asyncio.run(go(scene))


def left_behind(root: Path, name: str) -> list[Path]:
    places = (root / "hive/agents" / name, root / "hive/applied" / name, root / "run/agents" / name / "harness.sock")
    return [place for place in places if place.exists()]


def test_a_created_agent_runs_its_first_generation_and_answers(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker", Role.AGENT, nix('model = "sonnet";'))
        view = await made.view("worker")
        assert (view["state"], view["generation"], view["model"], view["activity"]) == ("running", 1, "sonnet", "idle")
        assert await made.audit("agent/worker") == ["generation.built", "agent.created"]

    play(tmp_path, scene)


@pytest.mark.parametrize("name", ["", "Worker", "-a", "a" * 32, "../x", "a b", "operator", "system"])
def test_a_bad_name_is_refused(tmp_path: Path, name: str) -> None:
    async def scene(made: Hive) -> None:
        with pytest.raises(BadInput):
            await made.core.hive.create(name, Role.AGENT, None, "operator:test")

    play(tmp_path, scene)


def test_a_name_is_given_once_and_a_hive_has_one_manager(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("boss", Role.MANAGER)
        with pytest.raises(Conflict, match="already"):
            await made.core.hive.create("boss", Role.AGENT, None, "operator:test")
        with pytest.raises(Conflict, match="manager already"):
            await made.core.hive.create("second", Role.MANAGER, None, "operator:test")
        assert left_behind(tmp_path, "second") == []

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("text", "error"), [("{ hyperhive.agent.model = 3; }", Rejected), (nix('git.name = "broken";'), NoHeartbeat)]
)
def test_a_creation_that_fails_leaves_nothing_behind(tmp_path: Path, text: str, error: type[Exception]) -> None:
    async def scene(made: Hive) -> None:
        with pytest.raises(error):
            await made.create("worker", nix=text)
        with pytest.raises(NotFound):
            await made.view("worker")
        assert left_behind(tmp_path, "worker") == []
        await made.create("worker", nix=nix('model = "sonnet";'))

    play(tmp_path, scene)


def test_a_stopped_agent_stays_stopped_over_a_restart_of_the_core_and_its_mail_waits(tmp_path: Path) -> None:
    async def first(made: Hive) -> None:
        await made.create("worker")
        await made.create("other")
        await made.core.hive.stop("worker", "operator:test")
        await made.core.broker.send("operator", "worker", "for later")
        assert (await made.view("worker"))["state"] == "stopped"

    async def second(made: Hive) -> None:
        async def other_answers() -> bool:
            return bool((await made.view("other"))["activity"] == "idle")

        await until(other_answers)
        view = await made.view("worker")
        assert (view["state"], view["unread"]) == ("stopped", 1)
        await made.core.hive.start("worker", "operator:test")
        assert (await made.view("worker"))["activity"] in ("idle", "turn")

    play(tmp_path, first, second)


def test_a_manager_that_asks_for_what_is_so_already_fills_no_audit_log(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        for _ in range(3):
            await made.core.hive.start("worker", "boss")
        for _ in range(3):
            await made.core.hive.stop("worker", "boss")
        await made.core.hive.start("worker", "boss")
        said = await made.audit("agent/worker")
        assert said == ["generation.built", "agent.created", "agent.stop", "agent.start"]

    play(tmp_path, scene)


def test_an_apply_to_a_stopped_agent_takes_effect_at_its_next_start(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        await made.core.hive.stop("worker", "operator:test")
        await made.approve(await made.propose("worker", nix('model = "sonnet";')))
        assert (await made.view("worker"))["state"] == "stopped"
        await made.core.hive.start("worker", "operator:test")
        view = await made.view("worker")
        assert (view["generation"], view["model"], view["state"]) == (2, "sonnet", "running")

    play(tmp_path, scene)


def test_a_model_override_beats_agent_nix_becomes_a_generation_and_survives(tmp_path: Path) -> None:
    async def first(made: Hive) -> None:
        await made.create("worker", nix=nix('model = "haiku";'))
        await made.core.hive.set_model("worker", "opus", "operator:test")
        view = await made.view("worker")
        assert (view["model"], view["generation"]) == ("opus", 2)

    async def second(made: Hive) -> None:
        assert (await made.view("worker"))["model"] == "opus"
        await made.core.hive.set_model("worker", None, "operator:test")
        details = await made.details("worker")
        assert (details["model"], details["generation"], details["overrides"]) == ("haiku", 3, {})

    play(tmp_path, first, second)


def test_a_budget_override_is_laid_over_agent_nix_bound_by_bound(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker", nix=nix("budget.tokensPerDay = 1000;"))
        await made.core.hive.set_model("worker", "opus", "operator:test")
        await made.core.hive.set_budget("worker", {"costPerDay": 0.5}, "operator:test")
        settings = (await made.details("worker"))["settings"]
        assert (settings["model"], settings["budget"]) == ("opus", {"tokensPerDay": 1000, "costPerDay": 0.5})
        assert (await made.audit("agent/worker"))[-1] == "agent.budget"
        await made.core.hive.set_budget("worker", {}, "operator:test")
        details = await made.details("worker")
        assert details["settings"]["budget"] == {"tokensPerDay": 1000, "costPerDay": None}
        assert (details["overrides"], details["generation"]) == ({"model": "opus"}, 4)

    play(tmp_path, scene)


def test_the_details_say_where_each_setting_of_the_running_generation_comes_from(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker", nix=nix('prompt = "Work.";'))
        await made.core.hive.set_model("worker", "opus", "operator:test")
        sources = (await made.details("worker"))["sources"]
        assert [sources[path] for path in ("model", "prompt", "packages", "git.name")] == [
            "override", "agent.nix", "default", "identity",
        ]  # fmt: skip
        await made.core.hive.roll_back("worker", 1, "operator:test")
        assert (await made.details("worker"))["sources"]["model"] == "default"
        await made.core.database.write(lambda c: c.execute("UPDATE generations SET sources = NULL"))
        assert (await made.details("worker"))["sources"] == {}

    play(tmp_path, scene)


def test_a_host_s_default_is_told_as_the_host_s(tmp_path: Path) -> None:
    declared = DeclaredAgent("worker", Role.AGENT, defaults={"model": "sonnet"})

    async def go() -> None:
        async with hive(tmp_path, agents=(declared,)) as made:
            details = await made.details("worker")
            assert (details["model"], details["sources"]["model"]) == ("sonnet", "host")

    asyncio.run(go())


def test_a_bad_override_is_refused_and_forgotten(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        with pytest.raises(Rejected, match="model"):
            await made.core.hive.set_model("worker", "no such (model)", "operator:test")
        details = await made.details("worker")
        assert (details["overrides"], details["generation"]) == ({}, 1)

    play(tmp_path, scene)


def test_a_rollback_runs_the_earlier_generation_again(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        await made.approve(await made.propose("worker", nix('model = "sonnet";')))
        await made.core.hive.roll_back("worker", None, "operator:test")
        view = await made.view("worker")
        assert (view["generation"], view["model"]) == (1, "haiku")
        with pytest.raises(Conflict, match="runs generation 1 already"):
            await made.core.hive.roll_back("worker", 1, "operator:test")
        with pytest.raises(NotFound, match="no generation 9"):
            await made.core.hive.roll_back("worker", 9, "operator:test")
        await made.core.hive.roll_back("worker", 2, "operator:test")
        assert (await made.view("worker"))["model"] == "sonnet"

    play(tmp_path, scene)


def test_a_rollback_over_an_override_takes_the_override_back_too(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        await made.core.hive.set_model("worker", "opus", "operator:test")
        await made.core.hive.roll_back("worker", 1, "operator:test")
        details = await made.details("worker")
        assert (details["model"], details["overrides"]) == ("haiku", {})
        await made.core.hive.roll_back("worker", 2, "operator:test")
        assert (await made.details("worker"))["overrides"] == {"model": "opus"}

    play(tmp_path, scene)


def test_destroy_keeps_the_files_and_a_new_agent_of_that_name_goes_on_with_them(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker", nix=nix('model = "sonnet";'))
        await made.core.hive.destroy("worker", "operator:test", purge=False)
        with pytest.raises(NotFound):
            await made.view("worker")
        assert (tmp_path / "hive/agents/worker/config/agent.nix").exists()
        assert not (tmp_path / "run/agents/worker/harness.sock").exists()
        await made.core.hive.create("worker", Role.AGENT, None, "operator:test")
        view = await made.view("worker")
        assert (view["generation"], view["model"]) == (2, "sonnet")

    play(tmp_path, scene)


def test_purge_removes_every_file_but_nothing_that_a_link_points_to(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        precious = tmp_path / "precious"
        precious.mkdir()
        (precious / "file").write_text("kept")
        await made.create("worker")
        (tmp_path / "hive/agents/worker/state/link").symlink_to(precious)
        await made.core.hive.destroy("worker", "operator:test", purge=True)
        assert left_behind(tmp_path, "worker") == []
        assert (precious / "file").read_text() == "kept"

    play(tmp_path, scene)


def test_a_new_agent_gets_no_mail_of_a_purged_one_of_its_name(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        await made.core.hive.stop("worker", "operator:test")
        for purge, waiting in ((False, 1), (True, 0)):
            sent = await made.core.broker.send("operator", "worker", "for the old one")
            assert await made.core.hive.destroy("worker", "operator:test", purge=purge) == (2 if purge else 0)
            await made.core.hive.create("worker", Role.AGENT, None, "operator:test", start=False)
            assert len(await made.core.broker.waiting("worker")) == waiting
        letters = await made.core.dead_letters.every()
        assert len(letters) == 2 and sent in {each.id for each in letters}

    play(tmp_path, scene)


def test_the_manager_sees_agents_that_come_and_go(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("boss", Role.MANAGER)
        harness = tmp_path / "run/agents/boss/harness.json"
        await made.create("worker")
        assert "/hive/agents/worker/config" in harness.read_text()
        await made.core.hive.destroy("worker", "operator:test", purge=False)
        assert "/hive/agents/worker/config" not in harness.read_text()

    play(tmp_path, scene)


def test_a_crashed_harness_comes_back_and_the_manager_is_told(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("boss", Role.MANAGER)
        await made.create("worker")
        heartbeat = made.core.heartbeats.last("worker")
        assert heartbeat
        child = made.core.backend._running["worker"].child  # type: ignore[attr-defined]
        child.kill()

        async def told() -> list[dict[str, object]]:
            return [event for event in await made.events("boss") if event["event"] == "container_crash"]

        crash = (await until(told))[0]
        assert (crash["agent"], crash["exit_code"], crash["given_up"]) == ("worker", -9, False)

        async def back() -> bool:
            now = made.core.heartbeats.last("worker")
            return now is not None and now.at > heartbeat.at

        await until(back)

    play(tmp_path, scene)


def test_what_does_not_run_does_nothing(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("worker")
        assert (await made.core.hive.details("worker"))["activity"] == "idle"
        await made.core.hive.stop("worker", "operator:test")
        assert (await made.core.hive.details("worker"))["activity"] is None

    play(tmp_path, scene)


def test_an_unknown_agent_is_one_clear_error_everywhere(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        lives = made.core.hive
        for action in (lives.start, lives.stop, lives.restart):
            with pytest.raises(NotFound, match="no agent 'nobody'"):
                await action("nobody", "operator:test")
        with pytest.raises(NotFound):
            await lives.destroy("nobody", "operator:test", purge=True)
        with pytest.raises(NotFound):
            await lives.set_model("nobody", "opus", "operator:test")

    play(tmp_path, scene)
