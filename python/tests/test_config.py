"""hyperhive.config: what stands in core.json is what the core works with."""

from __future__ import annotations

from hyperhive.bounds import BrokerLimits, HistoryLimits
from hyperhive.config import CoreConfig
from hyperhive.loop_guard import Rate

SMALLEST = {
    "backend": "local",
    "stateDir": "/state",
    "runtimeDir": "/run",
    "modelApi": {"url": "http://127.0.0.1:1", "keyFile": None},
}


def test_every_bound_of_core_json_counts() -> None:
    broker = {"maxPending": 1, "retention": 2, "maxRows": 3, "maxHops": 4, "edgePerMinute": 5, "agentPerMinute": 12}
    history = {"retention": 4, "maxTurns": 5, "maxEvents": 6, "maxProposals": 7, "usage": 8}
    config = CoreConfig.from_json({**SMALLEST, "broker": broker, "history": history})
    edge, agent = Rate(burst=2, per_minute=5), Rate(burst=6, per_minute=12)
    expected = BrokerLimits(max_pending=1, retention_days=2, max_rows=3, max_hops=4, edge=edge, agent=agent)
    assert config.broker == expected
    assert config.history == HistoryLimits(4, 5, 6 * 1024 * 1024, 7, 8)


def test_a_core_json_without_bounds_has_the_defaults() -> None:
    config = CoreConfig.from_json(SMALLEST)
    assert (config.broker, config.history) == (BrokerLimits(), HistoryLimits())
