"""Approvals by the policy, and those that a newer generation makes void: on a running core, as test_proposals."""

from __future__ import annotations

import asyncio
from collections.abc import Awaitable, Callable
from pathlib import Path
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON, Hive, hive, nix

from hyperhive.policy.ceilings import Ceilings
from hyperhive.policy.delta import Change, Direction
from hyperhive.proposals import BY_POLICY, _needs_nobody
from hyperhive.settings import Budget
from hyperhive.store import proposals as rows
from hyperhive.store.proposals import APPLYING, Proposal, State

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

Scene = Callable[[Hive], Awaitable[None]]


def play(root: Path, scene: Scene, **changes: object) -> None:
    """Run a scene on a hive with the agent `worker`."""

    async def go() -> None:
        async with hive(root, **changes) as made:
            await made.create("worker")
            await scene(made)

    asyncio.run(go())


def test_a_pure_narrowing_is_applied_without_asking_if_the_policy_says_so(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        wide = await made.propose("worker", nix('bash.allow = [ "git *" "ls *" ];'))
        assert wide.state is State.CHECKED  # it adds commands
        await made.approve(wide)
        narrow = await made.propose("worker", nix('bash.allow = [ "git log *" "ls *" ];'))
        applied = await made.settled(narrow.id, State.REQUESTED, State.CHECKED, *APPLYING)
        assert (applied.state, applied.decided_by, applied.generation) == (State.APPLIED, BY_POLICY, 3)
        assert (await made.core.hive.settings("worker")).bash.allow == ("git log *", "ls *")
        assert "proposal.approved" in await made.audit(f"proposal/{narrow.id}")
        told = [event for event in await made.events("operator") if event.get("proposal") == narrow.id]
        assert [(event["state"], event["decided_by"]) for event in told] == [("applied", BY_POLICY)]
        assert "autoApprove" in told[0]["reason"]
        query = "SELECT actor FROM audit WHERE subject = ? AND action = 'proposal.approved'"
        actors = await made.core.database.read(lambda c: c.execute(query, (f"proposal/{narrow.id}",)).fetchall())
        assert actors == [(BY_POLICY,)]

    play(tmp_path, scene, auto_approve=True)


@pytest.mark.parametrize(
    "settings",
    [
        'bash.allow = [ "git log *" "wc *" ];',
        'bash.allow = [ "git log *" ]; prompt = "Do as you like.";',
        'bash.allow = [ "git log *" ]; model = "opus";',
        'bash.allow = [ "git log *" ]; git.name = "Boss";',
        'bash.allow = [ "git log *" "git -c *" ];',
        'bash.allow = [ "git *" "git log *" ];',
    ],
)
def test_what_is_more_than_a_narrowing_waits_for_an_operator(tmp_path: Path, settings: str) -> None:
    async def scene(made: Hive) -> None:
        await made.approve(await made.propose("worker", nix('bash.allow = [ "git *" ];')))
        assert (await made.propose("worker", nix(settings))).state is State.CHECKED

    play(tmp_path, scene, auto_approve=True)


def test_a_narrowing_waits_too_unless_the_policy_says_otherwise(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.approve(await made.propose("worker", nix('bash.allow = [ "git *" ];')))
        assert (await made.propose("worker", nix('bash.allow = [ "git log *" ];'))).state is State.CHECKED

    play(tmp_path, scene)


def test_a_first_proposal_of_an_agent_without_generation_is_no_narrowing() -> None:
    changes = [Change("bash", Direction.NARROWING, "x", "x", None, 1).to_json()]
    assert [_needs_nobody(_checked(base, changes)) for base in (3, 0, None)] == [True, False, False]
    assert not _needs_nobody(_checked(3, None))


def _checked(base: int | None, changes: list[dict[str, Any]] | None) -> Proposal:
    nothing: dict[str, Any] = dict.fromkeys(Proposal.__dataclass_fields__)
    return Proposal(**{**nothing, "state": State.CHECKED, "base_generation": base, "delta": changes})


@pytest.mark.parametrize("decider", ["operator:test", BY_POLICY])
def test_an_approval_for_a_generation_that_runs_no_more_is_asked_for_again(tmp_path: Path, decider: str) -> None:
    async def scene(made: Hive) -> None:
        await made.approve(await made.propose("worker", nix('bash.allow = [ "git *" "ls *" ];')))
        narrow = await made.propose("worker", nix('bash.allow = [ "git log *" "ls *" ];'))
        approved = {"state": "approved", "decided_by": decider}
        await made.core.hive.roll_back("worker", 1, "operator:test")  # while the approved one waits for its turn
        await made.core.database.write(lambda c: rows.update(c, narrow.id, **approved))
        await made.core.proposals.resume()
        again = await made.settled(narrow.id, State.APPROVED, State.REQUESTED)
        assert (again.state, again.base_generation, again.decided_by) == (State.CHECKED, 1, None)
        assert again.fingerprint != narrow.fingerprint
        assert (await made.view("worker"))["generation"] == 1

    play(tmp_path, scene)


def test_what_the_policy_approved_waits_for_an_operator_if_it_approves_no_more(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        await made.approve(await made.propose("worker", nix('bash.allow = [ "git *" ];')))
        narrow = await made.propose("worker", nix('bash.allow = [ "git log *" ];'))
        approved = {"state": "approved", "decided_by": BY_POLICY}
        await made.core.database.write(lambda c: rows.update(c, narrow.id, **approved))
        await made.core.proposals.resume()
        again = await made.settled(narrow.id, State.APPROVED, State.REQUESTED)
        assert (again.state, again.decided_by) == (State.CHECKED, None)
        assert (await made.approve(again)).decided_by == "operator:test"

    play(tmp_path, scene)


def test_a_larger_budget_waits_for_the_operator_and_one_over_the_hosts_is_rejected(tmp_path: Path) -> None:
    async def scene(made: Hive) -> None:
        smaller = await made.propose("worker", nix("budget.tokensPerDay = 1000;"))
        applied = await made.settled(smaller.id, State.REQUESTED, State.CHECKED, *APPLYING)
        assert (applied.state, applied.decided_by) == (State.APPLIED, BY_POLICY)
        larger = await made.propose("worker", nix("budget.tokensPerDay = 1001;"))
        assert (larger.state, [each["text"] for each in larger.delta or ()]) == (
            State.CHECKED,
            ["may use 1,000 → 1,001 tokens a day"],
        )
        beyond = await made.propose("worker", nix("budget.tokensPerDay = 5001;"))
        assert beyond.state is State.REJECTED
        assert "services.hyperhive.policy.budget.tokensPerDay allows at most 5,000" in (beyond.error or "")

    play(tmp_path, scene, auto_approve=True, policy=Ceilings(budget=Budget(tokensPerDay=5000)))
