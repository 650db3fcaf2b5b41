"""A turn's row at the core: begun before the turn, told its events while it runs, ended after it."""

from __future__ import annotations

from dataclasses import dataclass

from hyperhive.errors import BadInput, TooLarge
from hyperhive.harness import notes
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.link import Link, say
from hyperhive.harness.outcome import Events, Verdict
from hyperhive.harness.turn import TurnHooks


@dataclass(frozen=True)
class Begun:
    """A turn that the core knows of, and what it wants to hear while it runs."""

    turn: int
    hooks: TurnHooks


def begin(
    link: Link, config: HarnessConfig, session: str, ids: list[int], *, purpose: str = "mail", noted: bool = False
) -> Begun:
    """Begin a turn over the messages `ids`; `noted`: the agent's notes stand in its prompt."""
    found = notes.read(config.state, notes.NOTES, first=notes.MOST) if noted else None
    version = None if found is None else notes.version(found.data)
    turn = link.insist(
        lambda: link.client.begin_turn(
            ids, session, config.settings.model, config.generation, notes=version, purpose=purpose
        )
    )
    hooks = TurnHooks(
        lines=lambda lines: link.report(lambda: link.reporter.add_events(turn, lines)),
        text=lambda text: link.report(lambda: link.reporter.show_text(turn, text)),
        tick=link.tick,
    )
    return Begun(turn, hooks)


def end(link: Link, turn: int, verdict: Verdict, events: Events) -> None:
    """End it, with what it used."""
    used = events.resources
    how = {
        "outcome": verdict.outcome,
        "detail": verdict.detail,
        "model": events.model,
        "usage": events.usage,
        "cost_usd": events.cost_usd,
        "cpu_seconds": None if used is None else used.cpu_seconds,
        "memory_peak": None if used is None else used.memory_peak,
    }
    try:
        link.insist(lambda: link.client.end_turn(turn, **how))
    except (BadInput, TooLarge) as error:
        say(f"the end of turn {turn} was not recorded: {error}")
