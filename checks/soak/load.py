"""The load: threads that send mail as the operator and as each agent, read the operator's inbox, and change agents."""

from __future__ import annotations

import errno
import random
import threading
import time
from collections.abc import Callable
from contextlib import closing
from pathlib import Path

from checks.driver.commands import run
from checks.soak.hive import AGENTS, MANAGER, Hive
from checks.soak.ledger import Ledger, Sent
from hyperhive.errors import HyperhiveError, Unavailable
from hyperhive.harness.client import HarnessClient
from hyperhive.process import ProcessFailed


class Load:
    """Started for the time of a `with` block; `pause` lets nothing new begin."""

    def __init__(self, hive: Hive, ledger: Ledger, seed: int) -> None:
        self._hive = hive
        self._ledger = ledger
        self._seed = seed
        self._ended = threading.Event()
        self._threads: list[threading.Thread] = []
        self.failure: BaseException | None = None

    def __enter__(self) -> Load:
        self._run("operator", self._operator)
        self._run("reader", self._reader)
        self._run("proposer", self._proposer)
        for name in AGENTS:
            self._run(f"agent {name}", self._agent)
        return self

    def __exit__(self, *_: object) -> None:
        self._ended.set()
        for thread in self._threads:
            thread.join()
        if self.failure is not None:
            raise self.failure

    def _run(self, name: str, step: Callable[[str, random.Random], float]) -> None:
        """A thread that does `step` (agent's name, chance) again and again; it gives the seconds until the next."""

        def loop() -> None:
            chance = random.Random(f"{self._seed} {name}")  # noqa: S311  (a plan, not a secret)
            try:
                while not self._ended.is_set():
                    self._ended.wait(step(name.removeprefix("agent "), chance))
            except BaseException as error:
                self.failure = error

        thread = threading.Thread(target=loop, name=name)
        self._threads.append(thread)
        thread.start()

    def _operator(self, name: str, chance: random.Random) -> float:
        to, body = chance.choice(AGENTS), _body(name, chance)
        self._send(name, to, body, lambda: self._hive.client.send(to, body))
        return chance.uniform(0.05, 0.25)

    def _agent(self, name: str, chance: random.Random) -> float:
        to, body = chance.choice([each for each in (*AGENTS, "operator") if each != name]), _body(name, chance)
        socket = self._hive.runtime / "agents" / name / "harness.sock"
        with closing(HarnessClient(socket, timeout=20)) as client:
            self._send(name, to, body, lambda: client.send(to, body))
        return chance.uniform(0.3, 1.1)

    def _send(self, sender: str, to: str, body: str, call: Callable[[], int]) -> None:
        try:
            self._ledger.accept(Sent(call(), sender, to, body))
        except Unavailable as error:
            if _was_refused(error):
                self._ledger.refuse("the disk is full")
            else:
                self._ledger.leave_open(body)
        except HyperhiveError as error:
            self._ledger.refuse(type(error).__name__)

    def _reader(self, _: str, chance: random.Random) -> float:
        """The operator reads what came; what was marked before a kill is not shown again."""
        try:
            for message in self._hive.client.inbox(limit=20):
                self._hive.client.mark_read(message["id"])
        except Unavailable:
            return 0.2
        return chance.uniform(0.05, 0.2)

    def _proposer(self, _: str, chance: random.Random) -> float:
        agent = chance.choice(AGENTS)
        try:
            self._decide(chance)
            if chance.random() < 0.5:
                commit = commit_change(self._hive.state / "agents" / agent / "config", change(chance))
                made = self._hive.client.request_apply(agent, commit, f"change {commit[:8]}")
                self._ledger.decide("request", made["id"])
        except Unavailable as error:
            if _was_refused(error):
                self._ledger.refuse("the disk is full")
            return 0.2
        except ProcessFailed:  # a full disk lets git say many things
            self._ledger.refuse("the manager's git")
        except OSError as error:
            if error.errno != errno.ENOSPC:
                raise
        except HyperhiveError as error:
            self._ledger.wonder(f"proposer: {error}")
        return chance.uniform(0.1, 0.5)

    def _decide(self, chance: random.Random) -> None:
        """Approve or deny what waits; a conflict (superseded, judged anew) is an answer like any other."""
        for waiting in self._hive.client.proposals(state="checked"):
            number = waiting["id"]
            shown = self._hive.client.proposal(number)
            what = chance.choice(["approve", "approve", "approve", "deny", "leave"])
            try:
                if what == "approve":
                    self._hive.client.approve(number, shown["fingerprint"] or "")
                elif what == "deny":
                    self._hive.client.deny(number, "not now")
                else:
                    continue
            except Unavailable:
                raise
            except HyperhiveError as error:
                self._ledger.refuse(type(error).__name__)
            else:
                self._ledger.decide(what, number)


def _body(sender: str, chance: random.Random) -> str:
    """A body that no other message has; some are longer."""
    unique = f"{sender} {time.monotonic_ns()} {chance.getrandbits(64):016x}"
    return unique if chance.random() < 0.9 else f"{unique} {'x' * chance.randrange(4096)}"


def _was_refused(error: Unavailable) -> bool:
    """Whether the hive itself said that nothing was stored, rather than that it is away."""
    return "nothing was stored" in str(error) or "disk" in str(error)


def change(chance: random.Random) -> str:
    """An agent.nix: mostly a new prompt, at times one that is refused, or one that does not live; some let each session
    of the real CLI be compacted after its turn.
    """
    number, kind = chance.getrandbits(32), chance.random()
    if kind < 0.1:
        return f'{{ hyperhive.agent = {{ nonsense = "{number}"; }}; }}\n'
    if kind < 0.2:
        return f'{{ hyperhive.agent = {{ prompt = "{number}"; git.name = "broken"; }}; }}\n'
    long = "session.compactAt = 10000;" if kind < 0.5 else ""
    return f'{{ hyperhive.agent = {{ prompt = "change {number}"; {long} }}; }}\n'


def commit_change(repository: Path, text: str) -> str:
    """Commit a new agent.nix as the manager would; returns the full hash."""
    (repository / "agent.nix").write_text(text)
    identity = ["-c", f"user.name={MANAGER}", "-c", f"user.email={MANAGER}@hive.local"]
    run("git", "-C", repository, *identity, "commit", "--quiet", "--all", "--allow-empty", "-m", "a change")
    return run("git", "-C", repository, "rev-parse", "HEAD").text
