"""Settings and configurations out of any JSON: what is accepted is what it says, all else is one clear error."""

from __future__ import annotations

import json
from dataclasses import asdict
from pathlib import Path
from typing import Any

import pytest
from fuzz_rig import BROKEN, Text, fuzz, given_values, hostile, objects
from hypothesis import given
from hypothesis import strategies as st
from settings_samples import sample_json

from hyperhive.config import CoreConfig
from hyperhive.errors import BadInput, Rejected
from hyperhive.harness.config import HarnessConfig
from hyperhive.settings import Settings, validate
from hyperhive.sources import checked

STATE = Path("/nowhere")


def fields(value: dict[str, Any]) -> Text:
    """An object like that one, with what is hostile in any place of it."""
    return objects({name: fields(each) if isinstance(each, dict) else listed(each) for name, each in value.items()})


def listed(value: object) -> Text:
    """That value; for a list also one with something hostile in it."""
    right = st.just(json.dumps(value))
    if not isinstance(value, list):
        return right
    return right | st.lists(hostile, max_size=3).map(lambda each: f"[{','.join(each)}]")


@st.composite
def with_one_wrong(draw: st.DrawFn, value: dict[str, Any]) -> str:
    """The object with one value of it, at any depth, replaced."""
    changed = draw(st.sampled_from(sorted(value)))
    inner = value[changed]
    deeper = isinstance(inner, dict) and draw(st.booleans())
    parts = {name: json.dumps(each) for name, each in value.items()}
    parts[changed] = draw(with_one_wrong(inner)) if deeper and inner else draw(hostile)
    return "{" + ",".join(f"{json.dumps(name)}:{each}" for name, each in parts.items()) + "}"


def parsed(text: str) -> Any:
    """As JSON; what is none is null."""
    try:
        return json.loads(text)
    except (ValueError, RecursionError):
        return None


@given(with_one_wrong(sample_json()) | fields(sample_json()) | hostile)
@fuzz(400)
def test_any_settings_are_kept_as_they_are_or_rejected_in_a_line(text: str) -> None:
    value = parsed(text)
    try:
        settings = validate(value)
    except Rejected as error:
        assert str(error).startswith("settings") and len(str(error)) < 1000 and "\n" not in str(error)
        return
    assert settings.to_json() == value
    assert all(type(each) is int for each in asdict(settings.session).values()), settings.session
    json.dumps(settings.to_json(), ensure_ascii=False).encode()


CORE = {
    "stateDir": "/var/lib/hyperhive",
    "runtimeDir": "/run/hyperhive",
    "backend": "local",
    "modelApi": {"url": "http://127.0.0.1:1", "keyFile": None},
    "operators": ["ann"],
    "policy": {"bash": ["ls *"], "tools": None, "autoApprove": "narrowing"},
    "broker": {"maxPending": 10, "retention": 30, "maxRows": 100},
    "dashboard": {
        "enable": True,
        "port": 8420,
        "hosts": ["h"],
        "proxy": {"user": "p", "header": "X"},
        "terminalIdle": 9,
    },
    "agents": {"worker": {"role": "agent", "autoStart": True, "defaults": {"model": "haiku"}}},
    "claude": "claude",
    "health": 30,
    "drain": 60,
}


@pytest.fixture(scope="module")
def directory(tmp_path_factory: pytest.TempPathFactory) -> Path:
    """Where the files are."""
    return tmp_path_factory.mktemp("configurations")


@given(with_one_wrong(CORE) | fields(CORE) | hostile | st.sampled_from(BROKEN))
@fuzz(300)
def test_any_core_json_is_read_or_refused_in_a_line(directory: Path, text: str) -> None:
    path = directory / "core.json"
    path.write_text(text, errors="replace")
    try:
        CoreConfig.load(path)
    except BadInput as error:
        assert str(path) in str(error) and len(str(error)) < 1000 and "\n" not in str(error)


HARNESS = {
    "settings": "settings.json",
    "socket": "/run/hive/harness.sock",
    "generation": 1,
    "state": "/state",
    "private": "/private",
    "cage": {"argv": ["bwrap", "--"], "terminal": ["bwrap"], "terminalEnd": []},
    "claude": "claude",
    "drain": 60,
}


@given(
    with_one_wrong(HARNESS) | fields(HARNESS) | hostile | st.sampled_from(BROKEN),
    given_values(sample_json()) | with_one_wrong(sample_json()) | hostile | st.sampled_from(BROKEN),
)
@fuzz(300)
def test_any_harness_json_is_read_or_refused(directory: Path, text: str, settings: str) -> None:
    path, other = directory / "harness.json", directory / "settings.json"
    path.write_text(text.replace('"settings.json"', json.dumps(str(other))), errors="replace")
    other.write_text(settings, errors="replace")
    try:
        made = HarnessConfig.load(path)
    except BadInput:
        return
    assert made.refreshed(path) == made
    path.write_text(settings, errors="replace")
    made.refreshed(path)


@given(hostile)
@fuzz(60)
def test_any_sources_are_known_or_not(text: str) -> None:
    assert checked(parsed(text)) == {}


def test_the_samples_are_right(directory: Path) -> None:
    assert isinstance(validate(sample_json()), Settings)
    assert CoreConfig.from_json(CORE).agents[0].name == "worker"
