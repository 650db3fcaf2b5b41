"""Valid settings for tests: `sample(model="x")` is the default agent with that change."""

from __future__ import annotations

from typing import Any

from hyperhive.settings import Settings, validate


def sample_json(**changes: Any) -> dict[str, Any]:
    """A settings object that the schema accepts, with the named keys replaced."""
    value: dict[str, Any] = {
        "schema": 1,
        "name": "worker",
        "role": "agent",
        "model": "haiku",
        "fallbackModel": None,
        "bash": {"allow": ["git status"], "deny": []},
        "tools": {"allow": ["Read", "Edit", "Write", "Grep", "Glob"], "deny": []},
        "prompt": "",
        "git": {"name": "worker", "email": "worker@hive.local"},
        "packages": [],
        "notes": {"enable": True, "maxBytes": 65536},
        "session": {"turnTimeout": 1800, "maxTurns": 80, "compactAt": 150000},
        "budget": {"tokensPerDay": None, "costPerDay": None},
        "network": {"allow": []},
    }
    return {**value, **changes}


def sample(**changes: Any) -> Settings:
    """The same as a Settings."""
    return validate(sample_json(**changes))
