"""core.json: refused in one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyperhive.bounds import BrokerLimits, HistoryLimits
from hyperhive.config import CoreConfig
from hyperhive.errors import BadInput
from hyperhive.loop_guard import Rate

RIGHT: dict[str, Any] = {"stateDir": "/s", "runtimeDir": "/r", "backend": "local", "modelApi": {"url": "http://h"}}


def test_the_least_that_is_needed_is_read(tmp_path: Path) -> None:
    path = tmp_path / "core.json"
    path.write_text(json.dumps(RIGHT))
    assert (CoreConfig.load(path).state_dir, CoreConfig.load(path).drain) == (Path("/s"), 60.0)


@pytest.mark.parametrize(
    "text",
    [
        "",
        "[]",
        "7",
        "[" * 100_000,
        *(json.dumps({**RIGHT, **wrong}) for wrong in ({"agents": 7}, {"broker": 7}, {"dashboard": {"proxy": 7}})),
        *(json.dumps({**RIGHT, **wrong}) for wrong in ({"modelApi": 7}, {"agents": {"No": {"role": "agent"}}})),
        json.dumps({**RIGHT, "backend": "x" * 100_000}),
    ],
    ids=lambda text: text[:10] + text[-30:],
)
def test_what_is_no_configuration_is_refused_in_a_line_that_names_the_file(tmp_path: Path, text: str) -> None:
    path = tmp_path / "core.json"
    path.write_text(text)
    with pytest.raises(BadInput) as caught:
        CoreConfig.load(path)
    said = str(caught.value)
    assert said.startswith(str(path)) and "\n" not in said and len(said) < 500


def test_every_bound_of_core_json_counts() -> None:
    broker = {"maxPending": 1, "retention": 2, "maxRows": 3, "maxHops": 4, "edgePerMinute": 5, "agentPerMinute": 12}
    history = {"retention": 4, "maxTurns": 5, "maxEvents": 6, "maxProposals": 7, "usage": 8}
    config = CoreConfig.from_json({**RIGHT, "broker": broker, "history": history})
    edge, agent = Rate(burst=2, per_minute=5), Rate(burst=6, per_minute=12)
    expected = BrokerLimits(max_pending=1, retention_days=2, max_rows=3, max_hops=4, edge=edge, agent=agent)
    assert config.broker == expected
    assert config.history == HistoryLimits(4, 5, 6 * 1024 * 1024, 7, 8)


def test_a_core_json_without_bounds_has_the_defaults() -> None:
    config = CoreConfig.from_json(RIGHT)
    assert (config.broker, config.history) == (BrokerLimits(), HistoryLimits())
