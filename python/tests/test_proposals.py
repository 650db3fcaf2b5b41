"""The state machine of request_apply_commit, on a running core with real git, nix, cages and harnesses."""

from __future__ import annotations

import asyncio
import sqlite3
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON, Hive, ceilings, full_until, git, hive, nix

from hyperhive.errors import BadInput, Conflict, NotFound, Rejected
from hyperhive.settings import Role
from hyperhive.store.proposals import State

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

Scene = Callable[[Hive], Awaitable[None]]


def play(root: Path, scene: Scene, **changes: object) -> None:
    """Run a scene on a hive with the agent `worker`."""

    async def go() -> None:
        async with hive(root, **changes) as made:
            await made.create("worker")
            await scene(made)

    asyncio.run(go())


def test_an_approved_proposal_is_applied_and_everybody_is_told(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("boss", Role.MANAGER)
        checked = await made.propose("worker", nix('model = "sonnet"; bash.allow = [ "gzip *" ];'), "boss")
        assert checked.state is State.CHECKED, checked.error
        assert checked.delta and "may now run: gzip *" in [change["text"] for change in checked.delta]
        assert checked.diff and '+{ hyperhive.agent = { model = "sonnet"' in checked.diff
        applied = await made.approve(checked)
        assert (applied.state, applied.generation) == (State.APPLIED, 2)
        view = await made.view("worker")
        assert (view["generation"], view["model"], view["state"]) == (2, "sonnet", "running")
        for mailbox in ("boss", "operator"):
            result = (await made.events(mailbox))[0]
            assert (result["event"], result["state"], result["generation"]) == ("apply_result", "applied", 2)
        steps = ["requested", "checked", "approved", "building", "activating", "applied"]
        assert await made.audit(f"proposal/{applied.id}") == [f"proposal.{step}" for step in steps]
        tags = git(tmp_path / "hive/applied/worker", "tag").split()
        assert {"generation/1", "generation/2", f"proposal/{applied.id}"} <= set(tags)

    play(tmp_path, scene)


def test_each_step_is_told_once_and_the_end_is_one_transaction_with_its_mail(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        query = "SELECT state, (SELECT count(*) FROM messages WHERE body LIKE '%apply_result%') FROM proposals"
        seen, told = set(), []
        checked = await made.propose("worker", nix('model = "sonnet";'))
        async with made.core.hub.subscribe() as events:
            approving = asyncio.create_task(made.approve(checked))
            async for event in events:
                if event.kind == "proposal":
                    told.append(event.data["state"])
                    seen |= set(await made.core.database.read(lambda c: c.execute(query).fetchall()))
                    if event.data["state"] == "applied":
                        break
            await approving
        assert told == ["approved", "building", "activating", "applied"]
        assert ("applied", 1) in seen and ("applied", 0) not in seen

    play(tmp_path, scene)


@pytest.mark.parametrize(
    ("text", "reason"),
    [
        ("{ hyperhive.agent.model = 3; }", "hyperhive.agent.model"),
        ("{ hyperhive.agent.modle = 3; }", "hyperhive.agent.modle"),
        ("{ hyperhive.agent = ", "syntax error"),
        ('{ hyperhive.agent.role = "manager"; }', "read-only"),
        ("let f = x: f x; in f 1", "agent.nix"),
        ("{ hyperhive.agent.prompt = builtins.readFile /etc/shadow; }", "/etc/shadow"),
    ],
)
def test_a_bad_agent_nix_is_rejected_and_only_the_requester_hears_of_it(tmp_path: Path, text: str, reason: str) -> None:
    async def scene(made: Hive) -> None:
        await made.create("boss", Role.MANAGER)
        row = await made.propose("worker", text, "boss")
        assert row.state is State.REJECTED
        assert row.error is not None and reason in row.error, row.error
        assert "\n" not in row.error
        assert [event["state"] for event in await made.events("boss")] == ["rejected"]
        assert await made.events("operator") == []
        assert (await made.view("worker"))["generation"] == 1

    play(tmp_path, scene)


def test_what_is_over_the_hosts_ceiling_is_rejected_with_option_and_value(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        row = await made.propose("worker", nix('model = "opus";'))
        assert row.state is State.REJECTED
        assert row.error is not None
        assert "services.hyperhive.policy.models" in row.error and "opus" in row.error

    play(tmp_path, scene, policy=ceilings(models=("haiku", "sonnet")))


def test_a_ceiling_that_was_lowered_since_the_check_holds_for_what_is_approved(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        row = await made.propose("worker", nix('model = "opus";'))
        lower(made, models=("haiku",))
        await made.core.proposals.approve(row.id, row.fingerprint or "", "operator:test")
        ended = await made.settled(row.id, State.APPROVED, State.BUILDING, State.ACTIVATING)
        assert ended.state is State.FAILED
        assert ended.error is not None and "services.hyperhive.policy.models does not allow 'opus'" in ended.error
        assert (await made.view("worker"))["generation"] == 1

    play(tmp_path, scene)


def test_no_operator_gives_more_than_the_ceiling_by_an_override_a_new_agent_or_a_rollback(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        hive = made.core.hive
        await hive.set_model("worker", "opus", "operator:test")
        await hive.set_model("worker", None, "operator:test")
        lower(made, models=("haiku",))
        with pytest.raises(Rejected, match="does not allow 'opus'"):
            await hive.set_model("worker", "opus", "operator:test")
        with pytest.raises(Rejected, match="does not allow 'opus'"):
            await hive.roll_back("worker", 2, "operator:test")
        with pytest.raises(Rejected, match="does not allow 'opus'"):
            await made.create("other", nix=nix('model = "opus";'))
        assert [agent["name"] for agent in await hive.views()] == ["worker"]
        assert ((await made.view("worker"))["generation"], (await made.view("worker"))["model"]) == (3, "haiku")

    play(tmp_path, scene)


def lower(made: Hive, **bounds: Any) -> None:
    """As a restart of the core with another configuration would."""
    made.core.hive._generations._ceilings = ceilings(**bounds)


@pytest.mark.parametrize(
    ("commit", "words"),
    [("main", "hash"), ("HEAD", "hash"), ("0" * 40, "0000000"), ("deadbeef", "deadbeef"), ("", "hash")],
)
def test_a_commit_that_is_no_hash_of_this_agent_is_rejected(tmp_path: Path, commit: str, words: str) -> None:
    async def scene(made: Hive) -> None:
        asked = await made.core.proposals.request("worker", commit, "because", "operator:test")
        row = await made.settled(asked.id, State.REQUESTED)
        assert row.state is State.REJECTED
        assert row.error is not None and words in row.error

    play(tmp_path, scene)


def test_another_agents_commit_is_rejected(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("other")
        foreign = made.commit("other", nix('model = "opus";'))
        asked = await made.core.proposals.request("worker", foreign, "because", "operator:test")
        assert (await made.settled(asked.id, State.REQUESTED)).state is State.REJECTED

    play(tmp_path, scene)


def test_an_unknown_agent_or_an_empty_reason_makes_no_proposal(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        with pytest.raises(NotFound, match="no agent 'nobody'"):
            await made.core.proposals.request("nobody", "0" * 40, "because", "operator:test")
        with pytest.raises(BadInput, match="reason"):
            await made.core.proposals.request("worker", "0" * 40, " ", "operator:test")
        assert await made.core.proposals.find(None, (), 10) == []

    play(tmp_path, scene)


def test_a_denied_proposal_changes_nothing_and_its_reason_reaches_the_requester(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("boss", Role.MANAGER)
        row = await made.propose("worker", nix('model = "opus";'), "boss")
        denied = await made.core.proposals.deny(row.id, "too dear", "operator:test")
        assert denied.state is State.DENIED
        assert (await made.events("boss"))[0]["reason"] == "too dear"
        assert (await made.view("worker"))["generation"] == 1
        assert row.fingerprint
        with pytest.raises(Conflict, match="denied"):
            await made.core.proposals.approve(row.id, row.fingerprint, "operator:test")

    play(tmp_path, scene)


def test_a_newer_request_supersedes_an_open_one_of_the_same_agent_only(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("other")
        first = await made.propose("worker", nix('model = "opus";'))
        foreign = await made.propose("other", nix('model = "opus";'))
        second = await made.propose("worker", nix('model = "sonnet";'))
        states = [(await made.core.proposals.get(row.id)).state for row in (first, foreign, second)]
        assert states == [State.SUPERSEDED, State.CHECKED, State.CHECKED]
        assert (await made.audit(f"proposal/{first.id}"))[-1] == "proposal.superseded"

    play(tmp_path, scene)


def test_a_withdrawn_proposal_cannot_be_approved(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        row = await made.propose("worker", nix('model = "opus";'))
        assert (await made.core.proposals.withdraw(row.id, "operator:test")).state is State.WITHDRAWN
        assert row.fingerprint
        with pytest.raises(Conflict, match="withdrawn"):
            await made.core.proposals.approve(row.id, row.fingerprint, "operator:test")

    play(tmp_path, scene)


def test_an_approval_is_bound_to_what_was_shown(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        row = await made.propose("worker", nix('model = "opus";'))
        with pytest.raises(Conflict, match="not what you were shown"):
            await made.core.proposals.approve(row.id, "something else", "operator:test")
        assert (await made.core.proposals.get(row.id)).state is State.CHECKED

    play(tmp_path, scene)


def test_an_approval_after_the_agent_changed_is_refused_and_checked_again(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        row = await made.propose("worker", nix('bash.allow = [ "gzip *" ];'))
        await made.core.hive.set_model("worker", "sonnet", "operator:test")
        assert row.fingerprint
        with pytest.raises(Conflict, match="checked again"):
            await made.core.proposals.approve(row.id, row.fingerprint, "operator:test")
        again = await made.settled(row.id, State.REQUESTED)
        assert again.state is State.CHECKED
        assert again.base_generation == 2
        assert again.fingerprint != row.fingerprint
        assert (await made.approve(again)).state is State.APPLIED

    play(tmp_path, scene)


def test_a_proposal_is_approved_once(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        row = await made.propose("worker", nix('model = "opus";'))
        await made.approve(row)
        assert row.fingerprint
        with pytest.raises(Conflict, match="applied"):
            await made.core.proposals.approve(row.id, row.fingerprint, "operator:test")

    play(tmp_path, scene)


def test_a_force_push_after_the_request_changes_nothing(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        row = await made.propose("worker", nix('model = "sonnet";'))
        repo = made.config_repo("worker")
        (repo / "agent.nix").write_text(nix('model = "opus";'))
        git(repo, "commit", "-qam", "amended", "--amend")
        assert (await made.approve(row)).state is State.APPLIED
        assert (await made.view("worker"))["model"] == "sonnet"

    play(tmp_path, scene)


def test_a_generation_without_heartbeat_is_rolled_back(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.create("boss", Role.MANAGER)
        row = await made.propose("worker", nix('git.name = "broken";'), "boss")
        assert row.state is State.CHECKED, row.error
        failed = await made.approve(row)
        assert failed.state is State.FAILED
        assert failed.error is not None
        assert "cannot live like this" in failed.error and "generation 1 runs again" in failed.error
        view = await made.view("worker")
        assert (view["generation"], view["state"], view["activity"]) == (1, "running", "idle")
        for mailbox in ("boss", "operator"):
            assert (await made.events(mailbox))[0]["state"] == "failed"
        assert [g["healthy"] for g in (await made.details("worker"))["generations"]] == [False, True]
        following = await made.propose("worker", nix('model = "sonnet";'))
        assert (await made.approve(following)).generation == 3

    play(tmp_path, scene)


@pytest.mark.parametrize("state", ["requested", "approved", "building", "activating"])
def test_a_core_killed_in_any_step_goes_on_at_its_next_start(tmp_path: Path, state: str) -> None:
    async def before() -> int:
        async with hive(tmp_path) as made:
            await made.create("worker")
            return (await made.propose("worker", nix('model = "sonnet";'))).id

    number = asyncio.run(before())
    with sqlite3.connect(tmp_path / "hive/hive.db") as connection:  # what a core killed in that step leaves
        generation = 2 if state in ("building", "activating") else None
        connection.execute("UPDATE proposals SET state = ?, generation = ?", (state, generation))
    connection.close()

    async def after() -> None:
        async with hive(tmp_path) as made:
            moving = (State.REQUESTED, State.APPROVED, State.BUILDING, State.ACTIVATING)
            row = await made.settled(number, *moving)
            expected = (State.CHECKED, 1, "haiku") if state == "requested" else (State.APPLIED, 2, "sonnet")
            view = await made.view("worker")
            assert (row.state, view["generation"], view["model"]) == expected, row.error
            assert view["state"] == "running"

    asyncio.run(after())


def test_the_guests_nixos_configuration_is_shown_when_it_changes(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        (made.config_repo("worker") / "nixos.nix").write_text("{ services.openssh.enable = true; }\n")
        row = await made.propose("worker", "{ }\n")
        assert row.delta is not None
        shown = [change for change in row.delta if "NixOS" in change["text"]]
        assert len(shown) == 1, row.delta
        assert "openssh" in str(shown[0])

    play(tmp_path, scene)


def test_a_generation_that_runs_and_its_proposals_end_are_one_transaction(tmp_path: Path) -> None:
    """A core killed between them, or a disk that is full then, left a failed proposal that ran all the same."""
    refuse = (
        "CREATE TRIGGER no BEFORE UPDATE ON proposals WHEN NEW.state = 'applied' BEGIN SELECT RAISE(ABORT, 'no'); END"
    )

    async def scene(made: Hive) -> None:
        await made.core.database.write(lambda c: c.execute(refuse))
        failed = await made.approve(await made.propose("worker", nix('model = "sonnet";')))
        assert failed.state is State.FAILED
        view = await made.view("worker")
        assert (view["generation"], view["model"], view["state"]) == (1, "haiku", "running")
        assert [g["healthy"] for g in (await made.details("worker"))["generations"]] == [False, True]

    play(tmp_path, scene)


@pytest.mark.parametrize("moving", [State.REQUESTED, State.APPROVED])
def test_a_proposal_goes_on_when_a_full_disk_has_room_again(
    tmp_path: Path, monkeypatch: pytest.MonkeyPatch, moving: State, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr("hyperhive.proposals.RETRY", 0.1)

    async def scene(made: Hive) -> None:
        commit = made.commit("worker", nix('model = "sonnet";'))
        row = await made.core.proposals.request("worker", commit, "because", "operator:test")
        if moving is State.APPROVED:
            row = await made.settled(row.id, State.REQUESTED)
            await made.core.proposals.approve(row.id, row.fingerprint or "", "operator:test")
        await full_until(made, lambda: "a proposal waits" in caplog.text)
        end = await made.settled(row.id, State.REQUESTED, State.APPROVED, State.BUILDING, State.ACTIVATING)
        assert end.state is (State.CHECKED if moving is State.REQUESTED else State.APPLIED), end.error

    play(tmp_path, scene)
