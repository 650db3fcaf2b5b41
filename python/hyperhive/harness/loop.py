"""The loop of a harness: wait for mail, run one turn over the whole batch, acknowledge it; and what failures get."""

from __future__ import annotations

import contextlib
import random
import time
from collections import Counter
from collections.abc import Callable, Collection, Iterator
from dataclasses import dataclass, replace
from pathlib import Path
from types import FrameType
from typing import Any

from hyperhive.errors import Unavailable
from hyperhive.harness import record, room, transcript
from hyperhive.harness.compaction import compact
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.link import HEARTBEAT, Link, say
from hyperhive.harness.outcome import Events, Outcome, Verdict
from hyperhive.harness.prompt import DECLINED, GO_ON, GREW, mail_prompt, notes_prompt
from hyperhive.harness.session import Session, SessionFile, Unwritten
from hyperhive.harness.startup import Proof, check_cage, lock
from hyperhive.harness.turn import run_turn
from hyperhive.orphans import end_orphans

POLL = 55.0
"""Seconds that an idle harness waits for mail in one request (at most 60); it says that it lives before each."""
LEASE_MARGIN = 900.0
TRIES = 3
"""How often a message is tried that grows too long, or is refused, even in a fresh session."""
CRASHES = 5
"""How often a batch is tried over which Claude Code crashes."""
LEFT = {Outcome.OVERFLOW: GREW, Outcome.REFUSED: DECLINED}
"""What leaves a session that cannot be gone on with, and what the prompt of the next one says."""
PAUSES = {
    Outcome.USAGE_LIMIT: 60.0,
    Outcome.NOT_LOGGED_IN: 60.0,
    Outcome.NO_MODEL: 60.0,
    Outcome.DISK_FULL: 10.0,
}
"""Seconds to wait where somebody else has to act first, or time."""


@dataclass(frozen=True)
class _Turn:
    """A turn that is over: its number, the prompt with its mail, whether that left the notes out, how, and in which
    session.
    """

    number: int
    prompt: str
    bare: bool
    verdict: Verdict
    events: Events
    session: Session


class StopRequested(BaseException):
    """SIGTERM came while the harness was waiting."""


class Harness:
    """One agent's harness. `run` returns when SIGTERM was heeded."""

    def __init__(self, path: Path, *, check_time: float = 60.0) -> None:
        self._path = path
        self._check_time = check_time
        self._config = HarnessConfig.load(path)
        self._link = Link(self._config.socket)
        self._link.generation = self._config.generation
        self._session = SessionFile(self._config.private, self._config.state)
        self._proof = Proof(self._config.private / "proven")
        self._waiting = False
        self._interrupted = False
        """The last turn was."""
        self._aside = False
        """Claude Code did not begin with the session that is kept: try another one."""
        self._unwritten = Unwritten(self._config.private)

    def run(self) -> None:
        """Check that the cage works, then serve mail until told to stop.

        A generation's first heartbeat is its proof, so it comes after the check; a generation that has given it before
        says at once that it is back. Raises Conflict if another harness runs this agent, HyperhiveError if the cage or
        Claude Code does not start.
        """
        with lock(self._config.private / "harness.lock"):
            end_orphans(self._config.state)
            if self._proof.holds(self._config.generation):
                self._link.report(lambda: self._link.beat("idle", self._link.reporter))
            try:
                check_cage(self._config, self._check_time, self._interruptible())
                self._proof.give(self._config.generation)
                self._work()
            except StopRequested:
                pass
            except Unavailable as error:
                if self._link.stop_at is None:
                    raise
                say(f"stopped while the core is away: {error}")

    def _work(self) -> None:
        restarted = True
        while self._link.stop_at is None:
            batch = self._idle(restarted=restarted)  # no answer: it may have been lost, with the mail that it leased
            restarted = batch is None or (bool(batch) and not self._serve(batch))
            if batch and restarted and self._link.stop_at is not None and not self._interrupted:
                self._put_back(batch)

    def _put_back(self, batch: list[dict[str, Any]]) -> None:
        """Told to stop when no turn over the batch ran: the next harness gets it as if it had never been given out."""
        self._link.report(lambda: self._link.reporter.put_back([message["id"] for message in batch]))

    def terminate(self, signum: int, frame: FrameType | None) -> None:
        """The SIGTERM handler: end at once if idle; else after the turn, at most `drain` seconds later; twice: now."""
        again = self._link.stop_at is not None
        self._link.stop_at = time.monotonic() + (0 if again else self._config.drain)
        if self._waiting:
            raise StopRequested

    def _idle(self, *, restarted: bool) -> list[dict[str, Any]] | None:
        """Say that we live and wait for mail; empty if none came in time, None if the core is away."""
        try:
            with self._interruptible():
                self._link.beat("idle")
                lease = self._config.settings.session.turnTimeout + LEASE_MARGIN
                return self._link.client.recv(POLL, lease=lease, restarted=restarted)
        except Unavailable as error:
            say(f"{error}; trying again")
            self._link.pause(1.0 + random.random())  # noqa: S311  (jitter, not a secret)
            return None
        except StopRequested:
            return None

    @contextlib.contextmanager
    def _interruptible(self) -> Iterator[None]:
        """A wait that SIGTERM ends at once, by StopRequested; also one that came just before."""
        self._waiting = True
        try:
            if self._link.stop_at is not None:
                raise StopRequested
            yield
        finally:
            self._waiting = False

    def _serve(self, batch: list[dict[str, Any]], *, again: str = "") -> bool:
        """Run turns over the batch until it is done with: acknowledged, or given up as dead letters.

        False: told to stop, so that it comes again, or over budget, so that the core has taken it back. `again`: why
        the session in which it was begun was left.
        """
        failures: Counter[Outcome] = Counter()
        turn: _Turn | None = None
        while self._link.stop_at is None:
            turn = self._turn(batch, turn, again=again)
            outcome = turn.verdict.outcome
            if outcome is Outcome.COMPLETED:
                self._finish(batch)
                if turn.events.context >= self._config.settings.session.compactAt:
                    self._compact(turn.session, must=lambda _: False)
                return True
            if outcome is Outcome.OVER_BUDGET or (outcome is Outcome.INTERRUPTED and self._link.stop_at is not None):
                return False
            failures[outcome] += 1
            if outcome not in LEFT:
                goes_on = self._answer(turn, failures[outcome])
            elif self._leave(batch, turn):
                again = LEFT[outcome]
                goes_on = failures[outcome] < TRIES and not (turn.session.fresh and len(batch) > 1)
            else:
                failures[outcome] -= 1
                goes_on = True
            if not goes_on:
                return self._part(batch, turn, again=again)
        return False

    def _part(self, batch: list[dict[str, Any]], turn: _Turn, *, again: str) -> bool:
        """What no turn over the whole batch ended well for: one over each half of it, at last one over each message.

        The one that fails alone is given up: the operator is told, and may requeue it.
        """
        if len(batch) > 1:
            half = len(batch) // 2
            return self._serve(batch[:half], again=again) and self._serve(batch[half:], again=again)
        reason = f"turn {turn.number} ended with {turn.verdict.outcome}: {turn.verdict.detail}"
        self._link.well()
        self._link.insist(lambda: self._link.client.give_up([batch[0]["id"]], reason))
        return True

    def _leave(self, batch: list[dict[str, Any]], turn: _Turn) -> bool:
        """A session that cannot be gone on with becomes notes; one that was refused, as far as the batch. Returns what
        `_compact` does.
        """
        if self._config.settings.notes.enable and room.is_full(self._config.state):  # no notes to ask the model for
            verdict = room.none_left(self._config.state)
            self._link.tell_once(verdict)
            self._link.wait(verdict, PAUSES[Outcome.DISK_FULL])
            return False
        if turn.verdict.outcome is Outcome.OVERFLOW:
            return self._compact(turn.session, must=lambda _: True)
        ids = [message["id"] for message in batch]
        if transcript.before(transcript.read_blocks(self._config.state, turn.session.id), ids):
            return self._compact(turn.session, must=lambda _: True, before=ids)
        self._session.forget()
        return True

    def _answer(self, turn: _Turn, count: int) -> bool:
        """What a failure gets, the `count`th time in a row; True: try the batch again now."""
        verdict, begun = turn.verdict, turn.events.init is not None
        match verdict.outcome:
            case Outcome.MAX_TURNS | Outcome.MAX_OUTPUT | Outcome.TIMEOUT | Outcome.OUT_OF_MEMORY if begun:
                return False
            case Outcome.TIMEOUT | Outcome.OUT_OF_MEMORY if not turn.session.fresh:
                self._set_aside(turn.session)
            case Outcome.CRASHED | Outcome.INTERRUPTED if begun:
                self._link.wait(verdict, count)
                return count < CRASHES
            case outcome if outcome in PAUSES:
                self._link.tell_once(verdict)
                if not self._wait_for_hive(verdict):
                    self._link.wait(verdict, PAUSES[outcome])
            case Outcome.UNREACHABLE | Outcome.OVERLOADED:
                self._link.wait(verdict, min(2.0 ** min(count, 9), 300) * (0.5 + random.random() / 2))  # noqa: S311
                self._wait_for_hive(verdict)
            case _:  # Claude Code does not even begin, with any mail: somebody must mend it
                if verdict.outcome is Outcome.NO_SESSION:
                    self._session.forget()
                if count >= TRIES:
                    self._link.tell_once(verdict)
                if not begun and count % TRIES == 0:
                    self._set_aside(turn.session)
                self._link.wait(verdict, min(count - 1, 60))
        return True

    def _set_aside(self, session: Session) -> None:
        """Claude Code did not begin with it. If it begins so as to make it notes, it was the session; else a fresh one
        is tried, without leaving this one.
        """
        known = self._config.settings.notes.enable and transcript.read_blocks(self._config.state, session.id)
        self._aside = not (known and self._compact(session, must=lambda events: events.init is not None))

    def _wait_for_hive(self, verdict: Verdict) -> bool:
        """While the whole hive is paused (a usage limit), begin no turn: it would fail like the others'. False if it
        is not.
        """
        self._link.wait(verdict, 0)  # and ask
        paused = False
        while self._link.stop_at is None and (left := self._link.paused_until - time.monotonic()) > 0:
            paused = True
            self._link.wait(verdict, min(left, HEARTBEAT / 2))
        return paused

    def _finish(self, batch: list[dict[str, Any]]) -> None:
        self._link.well()
        self._link.insist(lambda: self._link.client.ack([message["id"] for message in batch]))

    def _turn(self, batch: list[dict[str, Any]], before: _Turn | None, *, again: str) -> _Turn:
        """One turn over the batch, recorded at the core; `before`: the last try. A fresh session that was refused may
        have been so for the notes: the next one only says where they are.
        """
        self._config = self._config.refreshed(self._path)
        config, session = self._config, self._session.current(aside=self._aside)
        self._aside = False
        refused = before is not None and before.session.fresh and before.verdict.outcome is Outcome.REFUSED
        bare = refused or (before is not None and before.bare and before.verdict.outcome is not Outcome.OVERFLOW)
        given = ""
        if session.fresh:
            given = notes_prompt(config.settings, config.state, self._unwritten.text, again=again, bare=bare)
        asked = prompt = given + mail_prompt(batch)
        if before and before.session.id == session.id and transcript.holds(config.state, session.id, before.prompt):
            asked, prompt = GO_ON, before.prompt
        ids = [message["id"] for message in batch]
        noted = config.settings.notes.enable and session.fresh and not bare
        begun = record.begin(self._link, config, session.id, ids, noted=noted)
        self._link.enter("turn")
        try:
            verdict, events = run_turn(config, session, asked, begun.hooks)
        except OSError as error:
            verdict, events = Verdict(Outcome.CRASHED, str(error)), Events()
        if verdict.outcome is Outcome.CRASHED and room.is_full(config.state):
            verdict = room.none_left(config.state)
        if events.init is not None and verdict.outcome not in (Outcome.NO_SESSION, Outcome.NO_MCP):
            verdict = self._remember(session, verdict)
        record.end(self._link, begun.turn, verdict, events)
        self._interrupted = verdict.outcome is Outcome.INTERRUPTED
        return _Turn(begun.turn, prompt, bare, verdict, events, session)

    def _compact(self, session: Session, *, must: Callable[[Events], bool], before: Collection[int] = ()) -> bool:
        """Turn the session into notes and begin a fresh one next time; `must`: whether it cannot go on as it is, by
        what Claude Code said now. `before`: only what stands before the mail with these messages.

        False: it is not turned into notes (now), and stays; told to stop, no room, or it need not be.
        """
        if not self._config.settings.notes.enable:
            self._session.forget()
            return True
        begun = record.begin(self._link, self._config, session.id, [], purpose="compaction")
        self._link.enter("compacting")
        try:
            done = compact(
                self._config,
                session.id,
                begun.hooks,
                must=lambda events: must(events) and self._link.stop_at is None,
                before=before,
                unwritten=self._unwritten.text,
            )
        except OSError as error:
            verdict = Verdict(Outcome.CRASHED, str(error))
            record.end(self._link, begun.turn, verdict, Events())
            self._link.wait(verdict, PAUSES[Outcome.DISK_FULL])
            return False
        record.end(self._link, begun.turn, replace(done.verdict, detail=done.detail), done.events)
        full = room.is_full(self._config.state)
        if not done.written and (not done.text or (full and not must(done.events))):
            return False
        if not self._unwritten.keep(b"" if done.written else done.text) and not done.written:  # no room anywhere
            self._link.wait(room.none_left(self._config.state), PAUSES[Outcome.USAGE_LIMIT])
            return False
        if not done.written:  # the agent has put something in the way, or its disk is full now
            self._link.tell(f"My notes cannot be written ({done.detail}). They stand in my next prompt instead.")
        self._session.forget()
        return True

    def _remember(self, session: Session, verdict: Verdict) -> Verdict:
        """Resume this session in the next turn; Claude Code says nothing when it could not store it, so look."""
        if self._session.keep(session) or verdict.outcome is not Outcome.COMPLETED:
            return verdict
        return replace(verdict, detail="the session could not be stored; the next turn will not remember this one")
