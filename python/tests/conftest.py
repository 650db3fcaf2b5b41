"""Every test has its own HOME and git configuration, and the signals that a terminal would give it."""

from __future__ import annotations

import os
import signal
from pathlib import Path

import pytest
from checks.driver.images import cache

LONGEST = ("test_driver", "test_browser", "test_corpus", "test_turn")


@pytest.fixture(autouse=True)
def hermetic(tmp_path_factory: pytest.TempPathFactory, monkeypatch: pytest.MonkeyPatch) -> None:
    """Nothing of the developer's HOME, git configuration, credentials or running hive reaches a test."""
    home: Path = tmp_path_factory.mktemp("home")
    monkeypatch.setenv("HOME", str(home))
    monkeypatch.setenv("GIT_CONFIG_GLOBAL", "/dev/null")
    monkeypatch.setenv("GIT_CONFIG_NOSYSTEM", "1")
    for name in ("ANTHROPIC_API_KEY", "HYPERHIVE_SOCKET", "HYPERHIVE_DEBUG"):
        monkeypatch.delenv(name, raising=False)


def pytest_collection_modifyitems(items: list[pytest.Item]) -> None:
    """The files that wait longest begin first, so that no worker is left alone with one of them in the end."""
    items.sort(key=lambda item: not item.path.name.startswith(LONGEST))


def pytest_configure() -> None:
    """A shell that starts tests in the background ignores SIGINT for them; what they start must not inherit that."""
    signal.signal(signal.SIGINT, signal.default_int_handler)
    os.environ["HYPERHIVE_IMAGES"] = str(cache())  # of the developer's HOME
