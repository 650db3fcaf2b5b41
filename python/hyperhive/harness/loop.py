"""The loop of a harness: wait for mail, run one turn over the whole batch, acknowledge it; and what failures get."""

from __future__ import annotations

import contextlib
import fcntl
import os
import random
import sys
import time
from collections.abc import Callable
from dataclasses import replace
from pathlib import Path
from types import FrameType
from typing import IO, Any, TypeVar

from hyperhive import process
from hyperhive.errors import BadInput, Conflict, HyperhiveError, Unavailable
from hyperhive.harness.client import HarnessClient
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.orphans import end_orphans
from hyperhive.harness.outcome import Events, Outcome, Verdict
from hyperhive.harness.prompt import mail_prompt, notes_prompt
from hyperhive.harness.session import Session, SessionFile
from hyperhive.harness.turn import TurnHooks, in_cage, run_turn

HEARTBEAT = 10.0
POLL = 30.0
"""Seconds that an idle harness waits for mail in one request; it says that it lives before each."""
LEASE_MARGIN = 900.0
CORE_TIME = 5.0
"""Seconds that a running turn waits for a core that hangs, before it reads on without it."""
TRIES = 3
FINAL = frozenset({Outcome.COMPLETED, Outcome.MAX_TURNS, Outcome.TIMEOUT})


T = TypeVar("T")


class StopRequested(BaseException):
    """SIGTERM came while the harness was waiting."""


class Harness:
    """One agent's harness. `run` returns when SIGTERM was heeded."""

    def __init__(self, path: Path, *, check_time: float = 60.0) -> None:
        self._path = path
        self._check_time = check_time
        self._config = HarnessConfig.load(path)
        self._client = HarnessClient(self._config.socket)
        self._reporter = HarnessClient(self._config.socket, timeout=CORE_TIME)
        self._session = SessionFile(self._config.private, self._config.state)
        self._proven = self._config.private / "proven"
        self._waiting = False
        self._stop_at: float | None = None
        self._beat_at = 0.0
        self._silent_until = 0.0
        self._told: set[Outcome] = set()

    def run(self) -> None:
        """Check that the cage works, then serve mail until told to stop.

        A generation's first heartbeat is its proof, so it comes after the check; a generation that has given it before
        says at once that it is back. Raises Conflict if another harness runs this agent, HyperhiveError if the cage or
        Claude Code does not start.
        """
        with _lock(self._config.private / "harness.lock"):
            end_orphans(self._config.state)
            if self._is_proven():
                self._report(lambda: self._heartbeat(self._reporter, "idle"))
            self._check_cage()
            with contextlib.suppress(OSError):  # a full disk: the next start takes a little longer
                self._proven.write_text(f"{self._config.generation}\n")
            try:
                self._work()
            except StopRequested:
                pass
            except Unavailable as error:
                if self._stop_at is None:
                    raise
                _say(f"stopped while the core is away: {error}")

    def _work(self) -> None:
        restarted = True
        while self._stop_at is None:
            batch = self._idle(restarted=restarted)
            if batch is not None:
                restarted = bool(batch) and not self._serve(batch)

    def terminate(self, signum: int, frame: FrameType | None) -> None:
        """The SIGTERM handler: end at once if idle; else after the turn, at most `drain` seconds later; twice: now."""
        again = self._stop_at is not None
        self._stop_at = time.monotonic() + (0 if again else self._config.drain)
        if self._waiting:
            raise StopRequested

    def _is_proven(self) -> bool:
        """Whether this generation has passed the check before; the file holds the number of the last that did."""
        try:
            return self._proven.read_text() == f"{self._config.generation}\n"
        except (OSError, ValueError):
            return False

    def _check_cage(self) -> None:
        argv = [*in_cage(self._config, {}), self._config.claude, "--version"]
        try:
            with process.Popen(argv, stdin=process.DEVNULL, stdout=process.PIPE, stderr=process.PIPE) as child:
                try:
                    out, err = child.communicate(timeout=self._check_time)
                except process.TimeoutExpired as error:
                    child.kill()
                    raise Unavailable(f"`claude --version` gave no answer within {self._check_time:g} s") from error
        except OSError as error:
            raise Unavailable(f"the cage does not start: {argv[0]}: {error.strerror}") from error
        if child.returncode != 0:
            said = (err or out).decode(errors="replace").strip().splitlines()[-1:] or ["no message"]
            raise HyperhiveError(f"the cage does not start (exit {child.returncode}): {said[0]}")

    def _idle(self, *, restarted: bool) -> list[dict[str, Any]] | None:
        """Say that we live and wait for mail; empty if none came in time, None if the core is away."""
        self._waiting = True
        try:
            self._heartbeat(self._client, "idle")
            lease = self._config.settings.session.turnTimeout + LEASE_MARGIN
            return self._client.recv(POLL, lease=lease, restarted=restarted)
        except Unavailable as error:
            _say(f"{error}; trying again")
            self._pause(1.0 + random.random())  # noqa: S311  (jitter, not a secret)
            return None
        except StopRequested:
            return None
        finally:
            self._waiting = False

    def _heartbeat(self, client: HarnessClient, state: str) -> None:
        client.heartbeat(self._config.generation, state, os.getpid())
        self._beat_at = time.monotonic()

    def _serve(self, batch: list[dict[str, Any]]) -> bool:
        """Run turns over the batch until it is done with; True if it is acknowledged.

        False gives it back: it comes again with its attempt counted, and in the end becomes a dead letter.
        """
        failures: dict[Outcome, int] = {}
        while self._stop_at is None:
            verdict = self._turn(batch)
            if verdict.outcome in FINAL:
                self._finish(batch, verdict)
                return True
            if verdict.outcome is Outcome.INTERRUPTED:
                return False
            failures[verdict.outcome] = failures.get(verdict.outcome, 0) + 1
            if not self._answer(verdict, failures[verdict.outcome]):
                if verdict.outcome is Outcome.OVERFLOW:
                    self._finish(batch, verdict)
                    return True
                return False
        return False

    def _answer(self, verdict: Verdict, count: int) -> bool:
        """What a failure gets, the `count`th time in a row; True: try the batch again now."""
        match verdict.outcome:
            case Outcome.OVERFLOW | Outcome.NO_SESSION:
                self._session.forget()
                return count < 2
            case Outcome.USAGE_LIMIT:
                self._tell_once(verdict)
                self._pause(300)
            case Outcome.NOT_LOGGED_IN | Outcome.NO_MODEL:
                self._tell_once(verdict)
                self._pause(60)
            case Outcome.REFUSED:  # by the API or the model; what it saw stands in the session
                self._tell_once(verdict)
                self._session.forget()
                return False
            case Outcome.OVER_BUDGET:  # the core has taken the mail back and tells the operator; it gives it out again
                return False
            case Outcome.UNREACHABLE:
                self._pause(min(2.0**count, 300) * (0.5 + random.random() / 2))  # noqa: S311
            case _:
                self._pause(count)
                return count < TRIES
        return True

    def _finish(self, batch: list[dict[str, Any]], verdict: Verdict) -> None:
        """Tell the operator of a turn that failed for good, then acknowledge its mail."""
        self._told.clear()
        if verdict.outcome is not Outcome.COMPLETED:
            self._tell(f"A turn ended with {verdict.outcome}: {verdict.detail}. Its mail is not tried again.")
        self._with_core(lambda: self._client.ack([message["id"] for message in batch]))

    def _turn(self, batch: list[dict[str, Any]]) -> Verdict:
        """One turn over the batch, recorded at the core."""
        self._config = self._config.refreshed(self._path)
        config, session = self._config, self._session.current()
        notes = notes_prompt(config.settings, config.state) if session.fresh else ""
        ids = [message["id"] for message in batch]
        model, generation = config.settings.model, config.generation
        turn = self._with_core(lambda: self._client.begin_turn(ids, session.id, model, generation))
        self._beat_at = 0.0
        hooks = TurnHooks(
            lines=lambda lines: self._report(lambda: self._reporter.add_events(turn, lines)), tick=self._tick
        )
        try:
            verdict, events = run_turn(config, session, notes + mail_prompt(batch), hooks)
        except OSError as error:
            verdict, events = Verdict(Outcome.CRASHED, str(error)), Events()
        if events.init is not None and verdict.outcome is not Outcome.NO_SESSION:
            verdict = self._remember(session, verdict)
        self._end_turn(turn, verdict, events)
        return verdict

    def _remember(self, session: Session, verdict: Verdict) -> Verdict:
        """Resume this session in the next turn; Claude Code says nothing when it could not store it, so look."""
        if self._session.keep(session) or verdict.outcome is not Outcome.COMPLETED:
            return verdict
        return replace(
            verdict, detail="Claude Code did not store the session; the next turn will not remember this one"
        )

    def _end_turn(self, turn: int, verdict: Verdict, events: Events) -> None:
        try:
            self._with_core(
                lambda: self._client.end_turn(
                    turn, outcome=verdict.outcome, detail=verdict.detail, usage=events.usage, cost_usd=events.cost_usd
                )
            )
        except BadInput as error:
            _say(f"the end of turn {turn} was not recorded: {error}")

    def _tick(self) -> bool:
        """Once a second in a turn: the heartbeat, and whether the turn must end."""
        if time.monotonic() - self._beat_at > HEARTBEAT:
            self._report(lambda: self._heartbeat(self._reporter, "turn"))
            self._beat_at = time.monotonic()
        return self._stop_at is not None and time.monotonic() >= self._stop_at

    def _report(self, call: Callable[[], object]) -> None:
        """Tell the core something that it can do without. One that is away or hangs must not hold up the turn: after
        a failure it is left alone for as long as that took.
        """
        started = time.monotonic()
        if started < self._silent_until:
            return
        try:
            call()
        except HyperhiveError as error:
            _say(f"not reported: {error}")
            self._silent_until = 2 * time.monotonic() - started

    def _with_core(self, call: Callable[[], T]) -> T:
        """Make a call that must not be lost: while the core is away, wait for it (until told to stop)."""
        while True:
            try:
                return call()
            except Unavailable as error:
                if self._stop_at is not None:
                    raise
                _say(f"{error}; trying again")
                self._pause(1.0 + random.random())  # noqa: S311

    def _tell_once(self, verdict: Verdict) -> None:
        if verdict.outcome not in self._told:
            self._told.add(verdict.outcome)
            self._tell(f"I cannot think: {verdict.outcome} ({verdict.detail}). My mail waits; I try again.")

    def _tell(self, text: str) -> None:
        try:
            self._with_core(lambda: self._client.send("operator", text))
        except HyperhiveError as error:
            _say(f"the operator could not be told ({error}): {text}")

    def _pause(self, seconds: float) -> None:
        """Wait, with heartbeats, but not past a request to stop."""
        until = time.monotonic() + seconds
        while self._stop_at is None and time.monotonic() < until:
            time.sleep(min(0.2, max(0.0, until - time.monotonic())))
            if seconds > HEARTBEAT:
                self._tick()


def _lock(path: Path) -> IO[str]:
    """Hold the lock of this agent's harness until the file is closed. Raises Conflict."""
    path.parent.mkdir(mode=0o700, parents=True, exist_ok=True)
    file = path.open("a")
    try:
        fcntl.flock(file, fcntl.LOCK_EX | fcntl.LOCK_NB)
    except OSError as error:
        file.close()
        raise Conflict(f"another harness runs this agent ({path} is locked)") from error
    return file


def _say(text: str) -> None:
    print(text, file=sys.stderr, flush=True)


def check_role(config: HarnessConfig, role: str) -> None:
    """Raises BadInput if the settings are not of that role."""
    if config.settings.role != role:
        program = "hive-m1nd" if role == "agent" else "hive-ag3nt"
        raise BadInput(f"{config.settings.name} is of role {config.settings.role}; start it with {program}")
