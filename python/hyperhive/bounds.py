"""How much a hive takes and keeps (services.hyperhive.broker and .history)."""

from __future__ import annotations

from dataclasses import dataclass

from hyperhive.loop_guard import AGENT, EDGE, Rate


@dataclass(frozen=True)
class BrokerLimits:
    """Bounds of the mail: messages, bytes, days, rows per recipient, hops, deliveries, a minute's messages."""

    max_pending: int = 1000
    max_body: int = 64 * 1024
    retention_days: int = 30
    max_rows: int = 10_000
    max_hops: int = 16
    max_attempts: int = 5
    edge: Rate = EDGE
    agent: Rate = AGENT


@dataclass(frozen=True)
class HistoryLimits:
    """Bounds of what is kept besides mail: days, turns per agent, bytes of their events, proposals, days of usage."""

    retention_days: int = 30
    max_turns: int = 1000
    max_event_bytes: int = 256 * 1024 * 1024
    max_proposals: int = 1000
    usage_days: int = 400
