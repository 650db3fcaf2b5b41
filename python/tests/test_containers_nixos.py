"""The NixOS backend, where no systemd is needed."""

from __future__ import annotations

import asyncio
from pathlib import Path
from types import SimpleNamespace
from typing import Any, cast

import pytest
from settings_samples import sample

from hyperhive.containers import Applied, ContainerState
from hyperhive.containers.nixos import NixosBackend


def backend(root: Path, state: ContainerState) -> NixosBackend:
    """One whose agent worker has the generations 1 and 2 built, and is in that state."""
    for number in (1, 2):
        (root / f"store/system-{number}").mkdir(parents=True)
        (root / "systems/worker").mkdir(parents=True, exist_ok=True)
        (root / f"systems/worker/{number}").symlink_to(root / f"store/system-{number}")
    watch = cast("Any", SimpleNamespace(state=lambda _: state))
    none = cast("Any", None)
    return NixosBackend(state_dir=root, builder=none, watch=watch, spawn=none, profiles=root / "profiles")


def run(root: Path, number: int) -> None:
    """Let worker's profile point to that generation, as Nix does: by a link of its own."""
    profile = root / "profiles/worker"
    profile.mkdir(parents=True)
    (profile / "system-7-link").symlink_to(root / f"store/system-{number}")
    (profile / "system").symlink_to("system-7-link")


def adopted(made: NixosBackend, number: int) -> bool:
    return asyncio.run(made.adopt(Applied("worker", number, sample(), {})))


@pytest.mark.parametrize("state", [ContainerState.RUNNING, ContainerState.STARTING])
def test_a_container_that_runs_is_adopted(tmp_path: Path, state: ContainerState) -> None:
    made = backend(tmp_path, state)
    run(tmp_path, 1)
    assert adopted(made, 1)


@pytest.mark.parametrize("state", [ContainerState.STOPPED, ContainerState.FAILED])
def test_one_that_does_not_run_is_not(tmp_path: Path, state: ContainerState) -> None:
    made = backend(tmp_path, state)
    run(tmp_path, 1)
    assert not adopted(made, 1)


def test_one_that_runs_another_generation_since_its_change_ended_with_the_core_is_not(tmp_path: Path) -> None:
    made = backend(tmp_path, ContainerState.RUNNING)
    run(tmp_path, 2)
    assert not adopted(made, 1)


def test_one_of_which_nobody_can_say_what_it_runs_is_left_alone(tmp_path: Path) -> None:
    assert adopted(backend(tmp_path, ContainerState.RUNNING), 1)
