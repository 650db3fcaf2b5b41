"""A whole soak: start a hive, load it, kill its parts round after round, let it drain, stop it, prove."""

from __future__ import annotations

import time
from collections.abc import Callable
from dataclasses import dataclass, field
from pathlib import Path

from checks.soak import proof, proof_apply
from checks.soak.hive import AGENTS, Hive, SoakError
from checks.soak.ledger import Ledger
from checks.soak.load import Load
from checks.soak.model import Claude, real_claude, rehearsal
from checks.soak.variants import STRIKERS, Variant

DRAIN = 180.0
Say = Callable[[str], None]


@dataclass(frozen=True)
class Plan:
    """What is asked: so many rounds, the choices of a seed, in this directory."""

    rounds: int
    seed: int
    root: Path
    variant: Variant = Variant.KILL
    claude: Claude = Claude.STAND_IN


@dataclass
class Report:
    """What was done and measured; `wrong` is empty if every invariant holds."""

    variant: str
    rounds: int
    seed: int
    seconds: float = 0.0
    kills: dict[str, int] = field(default_factory=dict)
    counts: dict[str, int] = field(default_factory=dict)
    refused: dict[str, int] = field(default_factory=dict)
    wrong: list[str] = field(default_factory=list)


def soak(plan: Plan, say: Say) -> Report:
    """Run it. Raises SoakError if the hive does not come back or does not end."""
    if plan.claude is Claude.STAND_IN:
        return _soak(plan, say, Hive(plan.root))
    with rehearsal() as url:
        return _soak(plan, say, Hive(plan.root, claude=real_claude(), model_url=url))


def _soak(plan: Plan, say: Say, hive: Hive) -> Report:
    began, ledger = time.monotonic(), Ledger()
    striker = STRIKERS[plan.variant](hive, plan.seed)
    hive.start()
    try:
        hive.wait_until_up()
        hive.create_agents()
        proof.watch(hive)
        with Load(hive, ledger, plan.seed):
            for number in range(1, plan.rounds + 1):
                victim = striker.round()
                if number % 10 == 0 or number == plan.rounds:
                    say(f"round {number}: {victim}; {len(ledger.accepted)} accepted, {time.monotonic() - began:.0f} s")
            hive.wait_until_up()
        hive.set_clock(0)
        finish(hive)
        hive.start()  # once more: a start clears what the killed left, and changes nothing else
        hive.wait_until_up()
        finish(hive)
        hive.wait_until_gone()
        striker.condemned.look()
    finally:
        if hive.core is not None:
            hive.kill(everything=True)
    report = Report(plan.variant, plan.rounds, plan.seed, kills=dict(striker.kills))
    report.wrong = [*striker.condemned.wrong, *wrongs(hive, ledger)]
    report.counts = measured(hive, ledger)
    report.counts |= {"held": striker.held, "early": striker.early, "aimed": striker.aimed}
    report.counts["processes that had to end"] = striker.condemned.count
    report.refused = dict(ledger.refused)
    report.seconds = round(time.monotonic() - began, 1)
    return report


def finish(hive: Hive) -> None:
    """Drain and stop. Raises SoakError."""
    drain(hive)
    if code := hive.stop():
        raise SoakError(f"the core ended with {code}: {hive.last_words()}")


def drain(hive: Hive) -> None:
    """Until no mail waits and no proposal moves; the operator reads what is left, and starts what was given up."""

    def quiet() -> bool:
        for message in hive.client.inbox(limit=100):
            hive.client.mark_read(message["id"])
        hive.revive()
        waiting = hive.query("SELECT count(*) FROM messages WHERE delivered_at IS NULL AND dead_at IS NULL")[0][0]
        marks = ", ".join("?" * len(proof_apply.MOVING))
        moving = hive.query(f"SELECT count(*) FROM proposals WHERE state IN ({marks})", *proof_apply.MOVING)[0][0]  # noqa: S608
        return not waiting and not moving and all(a["activity"] == "idle" for a in hive.client.agents())

    hive.wait(quiet, DRAIN, lambda: f"not drained: {undone(hive)}")


def undone(hive: Hive) -> str:
    """What keeps the hive from being quiet."""
    mail = hive.query("SELECT id, recipient, attempts FROM messages WHERE delivered_at IS NULL AND dead_at IS NULL")
    moving = hive.query("SELECT id, agent, state FROM proposals WHERE state NOT IN ('applied', 'failed', 'denied')")
    states = [(agent["name"], agent["state"], agent["activity"]) for agent in hive.client.agents()]
    return f"{len(mail)} messages {mail[:5]}, proposals {moving[-5:]}, agents {states}"


def wrongs(hive: Hive, ledger: Ledger) -> list[str]:
    """Everything that an invariant forbids."""
    return [
        *proof.mail(hive, ledger),
        *proof.prompts(hive),
        *proof.turns(hive),
        *proof.notes(hive),
        *proof_apply.proposals(hive, ledger),
        *proof_apply.generations(hive),
        *proof.chain(hive),
        *proof.leftovers(hive),
        *(f"{what} ({count} times)" for what, count in ledger.odd.items()),
    ]


def measured(hive: Hive, ledger: Ledger) -> dict[str, int]:
    """What went through the hive."""

    def count(sql: str) -> int:
        return int(hive.query(sql)[0][0])

    def runs(kind: str) -> int:
        return sum(1 for name in AGENTS for _ in (hive.state / "agents" / name / "state/soak").glob(f"*.{kind}"))

    states = hive.query("SELECT state, count(*) FROM proposals GROUP BY state ORDER BY state")
    compacted = hive.query("SELECT outcome, count(*) FROM turns WHERE purpose = 'compaction' GROUP BY 1 ORDER BY 1")
    return {
        "accepted": len(ledger.accepted),
        "no answer": len(ledger.open_),
        "messages": count("SELECT count(*) FROM messages"),
        "redelivered": count("SELECT count(*) FROM messages WHERE attempts > 1"),
        "prompts": runs("prompt"),
        "turns": count("SELECT count(*) FROM turns"),
        "turns lost": count("SELECT count(*) FROM turns WHERE outcome = 'lost'"),
        "generations": count("SELECT count(*) FROM generations"),
        "audit entries": count("SELECT count(*) FROM audit"),
        "sessions that overflowed": runs("overflow"),
        "sessions that were refused": runs("refused"),
        "lines in the notes": runs("noted"),
        **{f"compactions {outcome}": number for outcome, number in compacted},
        **{f"proposals {state}": number for state, number in states},
    }
