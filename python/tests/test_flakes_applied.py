"""hive.toml and flake.nix: data beside fixed text."""

from __future__ import annotations

import tomllib
from pathlib import Path

import pytest
from flakes_rig import ROOT
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.errors import BadInput
from hyperhive.flakes.applied import FLAKE_NIX, HiveFile, render
from hyperhive.settings import Role


def test_flake_nix_is_the_same_for_every_agent() -> None:
    hives = [HiveFile("a", "agent"), HiveFile("b", "manager", {"model": '"; evil = "'}, {"prompt": "${x}"})]
    assert {render(hive)["flake.nix"] for hive in hives} == {FLAKE_NIX}


def test_hive_toml_says_name_role_defaults_and_overrides() -> None:
    hive = HiveFile("worker", Role.MANAGER, {"session": {"maxTurns": 5}}, {"model": "opus"})
    assert tomllib.loads(hive.to_toml().decode()) == {
        "name": "worker",
        "role": "manager",
        "defaults": {"session": {"maxTurns": 5}},
        "overrides": {"model": "opus"},
    }


@given(st.text(st.characters(exclude_categories=["Cs"])))
def test_any_text_comes_back_from_hive_toml_as_it_was(text: str) -> None:
    hive = HiveFile("worker", "agent", {}, {"prompt": text})
    assert tomllib.loads(hive.to_toml().decode())["overrides"] == {"prompt": text}


@pytest.mark.parametrize(
    "hive",
    [
        HiveFile("../x", "agent"),
        HiveFile("operator", "agent"),
        HiveFile("worker", "agent", {}, {"fallbackModel": None}),
        HiveFile("worker", "agent", {}, {"prompt": "\udc80"}),
    ],
)
def test_what_hive_toml_cannot_say_is_bad_input(hive: HiveFile) -> None:
    with pytest.raises(BadInput):
        hive.to_toml()


def test_an_unknown_role_is_bad_input() -> None:
    with pytest.raises(BadInput, match="'boss' is not a role: agent or manager"):
        HiveFile("worker", "boss").to_toml()


def test_the_host_s_flake_stands_where_flake_nix_says() -> None:
    assert b'inputs.hyperhive.url = "path:/etc/hyperhive/flake";' in FLAKE_NIX
    assert Path(ROOT, "modules/lib/host-flake/flake.nix").is_file()
