"""core.json: refused in one line that names the file."""

from __future__ import annotations

import json
from pathlib import Path
from typing import Any

import pytest

from hyperhive.config import CoreConfig
from hyperhive.errors import BadInput

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
