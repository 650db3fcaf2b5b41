"""The proof over proposals, generations and applied repositories: every state is what the repository shows."""

from __future__ import annotations

import json
from collections import Counter
from collections.abc import Iterator
from dataclasses import dataclass
from pathlib import Path

from checks.driver.commands import run
from checks.soak.hive import AGENTS, MANAGER, Hive
from checks.soak.ledger import Ledger

MOVING = ("requested", "approved", "building", "activating")
STEPS = {
    "": {"requested"},
    "requested": {"checked", "rejected", "superseded", "withdrawn", "denied", "requested"},
    "checked": {"approved", "denied", "superseded", "withdrawn", "requested"},
    "approved": {"building", "requested", "failed"},
    "building": {"building", "activating", "failed"},
    "activating": {"building", "applied", "failed"},
}
"""What may follow a step; `building` again: resumed after a kill."""


@dataclass(frozen=True)
class Built:
    """A generation as the database has it: the agent's commit, the applied repository's commit of it, where from."""

    commit: str
    tree: str
    proposal: int | None
    healthy: int


ENDS = {"approve": {"applied", "failed"}, "deny": {"denied"}}


def proposals(hive: Hive, ledger: Ledger) -> Iterator[str]:
    """Every accepted decision came to its end, along the steps that there are, and its end was told once."""
    states = dict(hive.query("SELECT id, state FROM proposals"))
    for number, state in states.items():
        if state in MOVING:
            yield f"proposal {number} is stuck: {state}"
        yield from _steps(hive, number, state)
        yield from _told(hive, number, state)
    for number in ledger.decided.get("request", []):
        if number not in states:
            yield f"proposal {number} was accepted and is not there"
    taken_back = {int(subject.split("/")[1]) for (subject,) in hive.query(_TAKEN_BACK)}
    for what, ends in ENDS.items():
        for number in set(ledger.decided.get(what, [])) - taken_back:
            if states[number] not in ends:
                yield f"proposal {number}: {what} was accepted, and it is {states[number]}"


_TAKEN_BACK = "SELECT subject FROM audit WHERE action = 'proposal.requested' AND actor = 'system'"


def _steps(hive: Hive, number: int, state: str) -> Iterator[str]:
    query = "SELECT action FROM audit WHERE subject = ? ORDER BY id"
    before = ""
    for (action,) in hive.query(query, f"proposal/{number}"):
        now = action.removeprefix("proposal.")
        if now not in STEPS.get(before, set()):
            yield f"proposal {number} went from {before or 'nothing'} to {now}"
        before = now
    if before != state:
        yield f"proposal {number} is {state}, the audit log says {before}"


def _told(hive: Hive, number: int, state: str) -> Iterator[str]:
    """The operator and the manager got one apply_result for an end that they are told of."""
    query = "SELECT recipient, body FROM messages WHERE kind = 'event' AND body LIKE ?"
    found = hive.query(query, f'%"apply_result", "proposal": {number},%')
    wanted = {"rejected": {"operator": 1}}.get(state, {})
    if state in ("applied", "failed", "denied"):
        wanted = {"operator": 1, MANAGER: 1}
    told = Counter(recipient for recipient, body in found if json.loads(body)["state"] == state)
    if dict(told) != wanted or len(found) != sum(wanted.values()):
        yield f"proposal {number} ({state}) was told {dict(told)} ({len(found)} in all), not {wanted}"


def generations(hive: Hive) -> Iterator[str]:
    """What is applied is in the repository, what failed does not run, and each agent runs the last applied."""
    rows = hive.query("SELECT agent, number, commit_id, tree, proposal, healthy FROM generations")
    built = {(agent, number): Built(*rest) for agent, number, *rest in rows}
    running = dict(hive.query("SELECT name, generation FROM agents"))
    for number, agent, state, commit, generation in hive.query(
        "SELECT id, agent, state, commit_id, generation FROM proposals"
    ):
        made = built.get((agent, generation))
        if state == "applied" and (
            made is None or made.commit != commit or made.proposal != number or not made.healthy
        ):
            yield f"proposal {number} is applied, but generation {generation} of {agent} is {made}"
        if state == "failed" and (running[agent] == generation or (made is not None and made.healthy)):
            yield f"proposal {number} failed, but generation {generation} of {agent} runs or ran: {made}"
        if state not in ("applied", "failed") and any(each.proposal == number for each in built.values()):
            yield f"proposal {number} is {state}, but there is a generation of it"
    for agent in AGENTS:
        yield from _repository(
            hive.state / "applied" / agent, {n: each for (a, n), each in built.items() if a == agent}
        )
        yield from _last_applied(hive, agent, running[agent])


def _last_applied(hive: Hive, agent: str, running: int) -> Iterator[str]:
    query = "SELECT generation FROM proposals WHERE agent = ? AND state = 'applied' ORDER BY generation DESC LIMIT 1"
    (last,) = next(iter(hive.query(query, agent)), (1,))
    if last != running:
        yield f"{agent} runs generation {running}, the last applied one is {last}"
    told = json.loads((hive.runtime / "agents" / agent / "harness.json").read_text())["generation"]
    if told != running:
        yield f"{agent}'s harness was told generation {told}, the hive says {running}"


def _repository(path: Path, built: dict[int, Built]) -> Iterator[str]:
    """git finds nothing wrong, and its tags are the generations: each with its commit's tree, main the newest."""
    name = path.name
    done = run("git", "--git-dir", path, "fsck", "--full", "--strict", "--no-dangling", check=False, timeout=300)
    if done.returncode or done.error:
        yield f"{name}: git fsck: {done.error or done.text}"
    refs = dict(line.split() for line in _git(path, "for-each-ref", "--format=%(refname) %(objectname)").splitlines())
    for number, made in built.items():
        commit, tree, proposal = made.commit, made.tree, made.proposal
        if refs.get(f"refs/tags/generation/{number}") != tree:
            yield f"{name}: generation/{number} is not what the database says"
            continue
        if proposal is not None and refs.get(f"refs/tags/proposal/{proposal}") != commit:
            yield f"{name}: proposal/{proposal} is not the commit of generation {number}"
        if _git(path, "rev-parse", f"{tree}:agent") != _git(path, "rev-parse", f"{commit}^{{tree}}"):
            yield f"{name}: generation/{number} does not hold what proposal/{proposal} is"
    tagged = max(int(ref.rsplit("/", 1)[1]) for ref in refs if ref.startswith("refs/tags/generation/"))
    if refs.get("refs/heads/main") != refs[f"refs/tags/generation/{tagged}"]:
        yield f"{name}: main is not generation {tagged}, the newest"


def _git(path: Path, *arguments: str) -> str:
    return run("git", "--git-dir", path, *arguments).text
