"""The host's ceilings: what no agent may have."""

from __future__ import annotations

from typing import Any

import pytest
from settings_samples import sample

from hyperhive.policy.ceilings import Ceilings, violations
from hyperhive.settings import Budget


def test_without_ceilings_everything_is_under_them() -> None:
    assert violations(sample(bash={"allow": ["*"], "deny": []}, model="opus"), Ceilings()) == []


@pytest.mark.parametrize(
    ("ceilings", "change", "expected"),
    [
        (Ceilings(models=("haiku",)), {"model": "opus"}, "services.hyperhive.policy.models does not allow 'opus'"),
        (Ceilings(models=("haiku",)), {"fallbackModel": "opus"}, "policy.models does not allow 'opus'"),
        (Ceilings(bash=("git *",)), {"bash": {"allow": ["gzip *"], "deny": []}}, "policy.bash does not allow 'gzip *'"),
        (Ceilings(bash=()), {}, "policy.bash does not allow 'git status'"),
        (Ceilings(tools=("Read",)), {"tools": {"allow": ["Write"], "deny": []}}, "policy.tools does not allow 'Write'"),
        (Ceilings(network=("a.b:443",)), {"network": {"allow": ["a.b:80"]}}, "policy.network does not allow 'a.b:80'"),
        (
            Ceilings(bash=("git *",)),
            {"tools": {"allow": ["Bash"], "deny": []}},
            "services.hyperhive.policy.bash does not allow '*'",
        ),
    ],
)
def test_a_value_over_a_ceiling_names_the_option_and_the_value(
    ceilings: Ceilings, change: dict[str, Any], expected: str
) -> None:
    (found,) = violations(sample(**change), ceilings)
    assert expected in found and found.endswith("; leave it out, or ask the operator to allow it")


@pytest.mark.parametrize(
    ("ceilings", "change"),
    [
        (Ceilings(models=("haiku", "opus")), {"fallbackModel": "opus"}),
        (Ceilings(models=("*",)), {"model": "opus"}),
        (Ceilings(bash=("git *",)), {"bash": {"allow": ["git *", "git", "git status", "git log *"], "deny": []}}),
        (Ceilings(bash=()), {"bash": {"allow": [], "deny": ["rm *"]}}),
        (Ceilings(tools=("Read",)), {"tools": {"allow": ["Read", "Write"], "deny": ["Write"]}}),
        (Ceilings(network=("a.b:443",)), {"network": {"allow": ["a.b:443"]}}),
    ],
)
def test_a_value_under_its_ceiling_is_fine(ceilings: Ceilings, change: dict[str, Any]) -> None:
    assert violations(sample(**change), ceilings) == []


def test_a_budget_over_the_hosts_is_a_violation_and_one_without_a_bound_gets_the_hosts() -> None:
    ceilings = Ceilings(budget=Budget(tokensPerDay=1_000_000, costPerDay=2.5))
    asked = sample(budget={"tokensPerDay": 2_000_000, "costPerDay": 2.5})
    assert violations(asked, ceilings) == [
        "services.hyperhive.policy.budget.tokensPerDay allows at most 1,000,000, not 2,000,000; "
        "ask for less, or ask the operator to allow it"
    ]
    assert violations(sample(), ceilings) == []
    assert ceilings.bounded(Budget()) == ceilings.budget
    assert ceilings.bounded(Budget(tokensPerDay=5, costPerDay=9)) == Budget(tokensPerDay=5, costPerDay=2.5)
    assert Ceilings().bounded(Budget(costPerDay=9)) == Budget(costPerDay=9)
