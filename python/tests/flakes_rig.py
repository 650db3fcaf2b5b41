"""Agents' repositories, honest and hostile, and a judge for agent.nix texts, for the tests of hyperhive.flakes."""

from __future__ import annotations

import asyncio
import os
import shutil
import tempfile
from collections.abc import Coroutine, Mapping
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest

from hyperhive.flakes.applied import HiveFile, render
from hyperhive.flakes.evaluate import Evaluator, default_evaluator
from hyperhive.flakes.repository import AppliedRepository
from hyperhive.process import run

ROOT = Path(__file__).parents[2]
STAND_IN = ROOT / "checks/stand-in/lib"
HIVE = HiveFile("worker", "agent")
PLAIN = "{ }\n"

needs_nix = pytest.mark.skipif(
    shutil.which("nix") is None or shutil.which("bwrap") is None, reason="nix or bwrap is not installed"
)
needs_bwrap = pytest.mark.skipif(shutil.which("bwrap") is None, reason="bwrap is not installed")


def wait[T](work: Coroutine[Any, Any, T]) -> T: ...
