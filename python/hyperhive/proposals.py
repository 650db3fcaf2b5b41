"""The state machine of request_apply_commit: requested → checked → approved → building → activating → applied.

Each step is one transaction (the row, its audit entry, the mail that tells of an end) written before the work that it
announces, so that a core killed between any two steps finds on its next start where it was, and goes on.
"""

from __future__ import annotations

import asyncio
import hashlib
import json
import logging
import sqlite3
from collections.abc import Callable, Coroutine, Sequence
from dataclasses import dataclass
from typing import Any

from hyperhive.broker import Broker
from hyperhive.errors import BadInput, Conflict, HyperhiveError, Unavailable
from hyperhive.exchange import OPERATOR
from hyperhive.flakes.repository import short
from hyperhive.generations import Generations
from hyperhive.hub import Hub
from hyperhive.policy.delta import delta, from_json, is_pure_narrowing
from hyperhive.policy.lint import lint
from hyperhive.proposal_log import ProposalLogs
from hyperhive.settings import Role, Settings
from hyperhive.store import agents, audit
from hyperhive.store import generations as generation_rows
from hyperhive.store import proposals as rows
from hyperhive.store.database import Database
from hyperhive.store.messages import Message
from hyperhive.store.proposals import APPLYING, OPEN, Proposal, State

log = logging.getLogger(__name__)

MAX_REASON = 4000
RETRY = 2.0
BY_POLICY = "policy:narrowing"
"""Who approved, where `services.hyperhive.policy.autoApprove` let a pure narrowing through."""
_BECAUSE = "it only takes something away (services.hyperhive.policy.autoApprove)"
TOLD = frozenset({State.REJECTED, State.DENIED, State.APPLIED, State.FAILED})
"""The ends that requester, manager and operator are told of by mail."""

Spawn = Callable[[Coroutine[Any, Any, None]], object]


@dataclass(frozen=True)
class _Step:
    """A proposal after a step, and the mail that was stored with it. `moved`: whether there is anything to tell."""

    row: Proposal
    mail: list[Message]
    moved: bool = True


class Proposals:
    """Every proposal's way. One apply or check at a time per agent; different agents do not wait for each other."""

    def __init__(
        self,
        *,
        database: Database,
        broker: Broker,
        hub: Hub,
        generations: Generations,
        auto_approve: bool,
        spawn: Spawn,
        lock: Callable[[str], asyncio.Lock],
    ) -> None:
        self.logs = ProposalLogs(database, hub)
        self._database = database
        self._broker = broker
        self._hub = hub
        self._generations = generations
        self._auto_approve = auto_approve
        self._spawn = spawn
        self._lock = lock

    async def resume(self) -> None:
        """Go on with everything that the last core left half-way (called once, at start)."""
        unfinished = await self._database.read(lambda c: rows.find(c, states=(State.REQUESTED, *APPLYING)))
        for proposal in reversed(unfinished):
            self._spawn((self._check if proposal.state is State.REQUESTED else self._apply)(proposal.id))

    async def request(self, agent: str, commit: str, reason: str, requester: str) -> Proposal:
        """Store a request (durable on return) and start its check. Raises NotFound, BadInput."""
        if not reason.strip():
            raise BadInput("a proposal needs a reason: say in a sentence what it is for")
        if len(reason) > MAX_REASON:
            raise BadInput(f"the reason is longer than {MAX_REASON} characters; put the details in the commit message")

        def store(connection: sqlite3.Connection) -> _Step:
            agents.get(connection, agent)
            for older in rows.find(connection, agent=agent, states=OPEN):
                self._step(connection, older, State.SUPERSEDED, requester)
            number = rows.insert(connection, agent=agent, commit=commit, reason=reason, requester=requester)
            audit.append(connection, requester, "proposal.requested", f"proposal/{number}", agent=agent, commit=commit)
            return _Step(rows.get(connection, number), [])

        proposal = await self._write(store)
        self._spawn(self._check(proposal.id))
        return proposal

    async def get(self, proposal: int) -> Proposal:
        """The proposal with that id. Raises NotFound."""
        return await self._database.read(lambda c: rows.get(c, proposal))

    async def find(
        self, agent: str | None, states: tuple[State, ...], limit: int, before: int | None = None
    ) -> list[Proposal]:
        """The newest proposals, newest first; `before`: only those with a smaller id."""
        return await self._database.read(lambda c: rows.find(c, agent=agent, states=states, limit=limit, before=before))

    async def stale(self, found: Sequence[Proposal]) -> frozenset[int]:
        """Which of them were checked against a generation that its agent does not run any more."""
        checked = [row for row in found if row.state is State.CHECKED]
        if not checked:
            return frozenset()
        running = {agent.name: agent.generation for agent in await self._database.read(agents.all_agents)}
        return frozenset(row.id for row in checked if running.get(row.agent) != row.base_generation)

    async def approve(self, proposal: int, fingerprint: str, actor: str) -> Proposal:
        """Approve exactly what was shown. Raises Conflict if that is not what would be applied (any more)."""

        def decide(connection: sqlite3.Connection) -> _Step:
            row = _in_state(rows.get(connection, proposal), State.CHECKED)
            if row.fingerprint != fingerprint:
                raise Conflict(f"proposal {proposal} is not what you were shown; look at it again")
            if agents.get(connection, row.agent).generation != row.base_generation:
                return self._step(connection, row, State.REQUESTED, actor, error=None, fingerprint=None)
            return self._step(connection, row, State.APPROVED, actor, decided_by=actor)

        row = await self._write(decide)
        if row.state is State.REQUESTED:
            self._spawn(self._check(proposal))
            raise Conflict(
                f"{row.agent} changed since proposal {proposal} was checked; it is being checked again: look again"
            )
        self._spawn(self._apply(proposal))
        return row

    async def deny(self, proposal: int, reason: str, actor: str) -> Proposal:
        """Deny a checked proposal. Raises Conflict if it is past that."""
        return await self._decide(proposal, State.DENIED, actor, reason)

    async def withdraw(self, proposal: int, actor: str) -> Proposal:
        """Take a request back before it is approved. Raises Conflict if it is past that."""
        return await self._decide(proposal, State.WITHDRAWN, actor, "")

    async def _decide(self, proposal: int, state: State, actor: str, reason: str) -> Proposal:
        def decide(connection: sqlite3.Connection) -> _Step:
            row = _in_state(rows.get(connection, proposal), *OPEN)
            return self._step(connection, row, state, actor, decided_by=actor, decision=reason)

        return await self._write(decide)

    async def _check(self, proposal: int) -> None:
        """requested → checked or rejected. A failed check goes to the requester; the operator is not bothered."""
        row = await self.get(proposal)
        async with self._lock(row.agent):
            try:
                changes = await self._judge(await self.get(proposal))
                state, told = State.CHECKED, _judged(changes)
            except HyperhiveError as error:
                changes, state, told = {"error": str(error)}, State.REJECTED, [str(error)]
            except Exception:
                log.exception("the check of proposal %s", proposal)
                told = ["internal error; the core's log has it"]
                changes, state = {"error": told[0]}, State.REJECTED
            await self.logs.add(proposal, "check", *told)

            def store(connection: sqlite3.Connection) -> _Step:
                fresh = rows.get(connection, proposal)
                if fresh.state is not State.REQUESTED:  # superseded or withdrawn meanwhile
                    return _Step(fresh, [], moved=False)
                step = self._step(connection, fresh, state, "system", **changes)
                if self._auto_approve and _needs_nobody(step.row):
                    told = {"decided_by": BY_POLICY, "decision": _BECAUSE}
                    return self._step(connection, step.row, State.APPROVED, BY_POLICY, **told)
                return step

            if (await self._write_at_last(store)).state is State.APPROVED:
                self._spawn(self._apply(proposal))

    async def _judge(self, row: Proposal) -> dict[str, Any]:
        """Fetch, evaluate and compare: the columns of a checked proposal. Raises HyperhiveError: the reason."""
        repository = self._generations.repository(row.agent)
        agent = await self._database.read(lambda c: agents.get(c, row.agent))
        base = await self._current(row.agent, agent.generation)
        before = base.commit if base else None
        commit = await repository.fetch(self._generations.config_of(row.agent), row.commit, f"proposal/{row.id}")
        settings, diff, guest = await asyncio.gather(
            self._generations.evaluate(row.agent, commit),
            repository.diff(before, commit),
            repository.guest_change(before, commit),
        )
        changes = [change.to_json() for change in delta(base.settings if base else None, settings, nixos_changed=guest)]
        return {
            "commit": commit,
            "base_generation": agent.generation,
            "settings": settings.to_json(),
            "delta": changes,
            "lint": lint(settings),
            "diff": diff,
            "fingerprint": _fingerprint(commit, agent.generation, changes),
            "error": None,
        }

    async def _current(self, agent: str, number: int) -> generation_rows.Generation | None:
        if number == 0:
            return None
        return await self._database.read(lambda c: generation_rows.get(c, agent, number))

    async def _apply(self, proposal: int) -> None:
        """approved → building → activating → applied, or failed with the previous generation running again."""
        row = await self.get(proposal)
        async with self._lock(row.agent):
            try:
                await self._apply_steps(row)
            except HyperhiveError as error:
                await self.logs.add(proposal, "activate", str(error))
                await self._record(proposal, State.FAILED, error=str(error))
            except Exception:
                log.exception("the apply of proposal %s", proposal)
                await self._record(proposal, State.FAILED, error="internal error; the core's log has it")

    async def _apply_steps(self, row: Proposal) -> None:
        number = row.generation
        if number is None:
            if (await self._write_at_last(lambda c: self._begin(c, row.id))).state is State.REQUESTED:
                self._spawn(self._check(row.id))
                return
            number = await self._database.read(lambda c: generation_rows.next_number(c, row.agent))
        await self._record(row.id, State.BUILDING, generation=number)
        async with self.logs.collect(row.id, "build") as told:
            told(f"building generation {number} of {row.agent} from {short(row.commit)}")
            built = await self._generations.build(
                row.agent, row.commit, number, actor=row.decided_by or "?", reason=row.reason, proposal=row.id, log=told
            )
        _same_settings(row, built.settings)
        await self._record(row.id, State.ACTIVATING)
        async with self.logs.collect(row.id, "activate") as told:
            told(f"restarting {row.agent} with generation {number}, and waiting for its heartbeat")
            step = await self._generations.activate(
                built, lambda c: self._step(c, rows.get(c, row.id), State.APPLIED, "system")
            )
            told(f"{row.agent} answers: generation {number} runs")
        self._tell(step)

    def _begin(self, connection: sqlite3.Connection, proposal: int) -> _Step:
        """Take an approval back that was for another generation than runs now, or that the policy gives no more."""
        row = rows.get(connection, proposal)
        moved = agents.get(connection, row.agent).generation != row.base_generation
        if not moved and (self._auto_approve or row.decided_by != BY_POLICY):
            return _Step(row, [], moved=False)
        undecided = {"fingerprint": None, "decided_by": None, "decision": None}
        return self._step(connection, row, State.REQUESTED, "system", **undecided)

    async def _record(self, proposal: int, state: State, **changes: object) -> None:
        await self._write_at_last(lambda c: self._step(c, rows.get(c, proposal), state, "system", **changes))

    async def _write_at_last(self, work: Callable[[sqlite3.Connection], _Step]) -> Proposal:
        """`_write` for what nobody asks for a second time: while the disk is full, it waits."""
        while True:
            try:
                return await self._write(work)
            except Unavailable as error:
                log.warning("a proposal waits: %s", error)
                await asyncio.sleep(RETRY)

    async def _write(self, work: Callable[[sqlite3.Connection], _Step]) -> Proposal:
        """Make a step durable, then tell of it."""
        step = await self._database.write(work)
        if step.moved:
            self._tell(step)
        return step.row

    def _tell(self, step: _Step) -> None:
        self._hub.publish("proposal", {**step.row.brief(), "delta": step.row.delta, "stale": False})
        self._broker.announce(step.mail)

    def _step(
        self, connection: sqlite3.Connection, row: Proposal, state: State, actor: str, **changes: object
    ) -> _Step:
        """Move a proposal, write the audit entry and the mail that tells of it, in the caller's transaction."""
        told = {name: changes[name] for name in ("error", "decision", "generation") if changes.get(name)}
        audit.append(
            connection, actor, f"proposal.{state}", f"proposal/{row.id}", agent=row.agent, commit=row.commit, **told
        )
        moved = rows.update(connection, row.id, state=str(state), **changes)
        return _Step(moved, self._report(connection, moved) if state in TOLD else [])

    def _report(self, connection: sqlite3.Connection, row: Proposal) -> list[Message]:
        """Tell requester, manager and operator how it ended; a rejection goes to the requester alone."""
        result = {
            "event": "apply_result",
            "proposal": row.id,
            "agent": row.agent,
            "commit": row.commit,
            "state": str(row.state),
            "generation": row.generation,
            "decided_by": row.decided_by,
            "reason": row.error or row.decision,
        }
        body = json.dumps({name: value for name, value in result.items() if value is not None})
        receivers = {OPERATOR if row.requester.startswith(OPERATOR) else row.requester}
        if row.state is not State.REJECTED:
            receivers |= {
                OPERATOR,
                *(agent.name for agent in agents.all_agents(connection) if agent.role is Role.MANAGER),
            }
        return self._broker.post(connection, sorted(receivers), body)


def _in_state(row: Proposal, *states: State) -> Proposal:
    if row.state not in states:
        raise Conflict(f"proposal {row.id} is {row.state}; this needs one that is {' or '.join(states)}")
    return row


def _judged(changes: dict[str, Any]) -> list[str]:
    """What a check found, for the log."""
    commit, base = short(changes["commit"]), changes["base_generation"]
    return [
        f"fetched {commit}: {len((changes['diff'] or '').splitlines())} lines of diff",
        f"evaluated against generation {base}: {len(changes['delta'])} changes, {len(changes['lint'])} warnings",
        "nothing is over a ceiling of this host",
    ]


def _needs_nobody(row: Proposal) -> bool:
    """Whether a checked proposal only takes from what its agent has now."""
    checked = row.state is State.CHECKED and row.delta is not None and bool(row.base_generation)
    return checked and is_pure_narrowing(map(from_json, row.delta or ()))


def _same_settings(row: Proposal, built: Settings) -> None:
    """What is built must be what was judged (an override may have come between)."""
    if row.settings is not None and built.to_json() != row.settings:
        raise Conflict(f"{row.agent}@{short(row.commit)} evaluates differently now; request it again")


def _fingerprint(commit: str, base: int, changes: list[dict[str, Any]]) -> str:
    """What an approval is bound to: SHA-256 over the commit, the generation it was judged against, and the delta."""
    return hashlib.sha256(json.dumps([commit, base, changes], sort_keys=True).encode()).hexdigest()
