"""Advice on Bash patterns."""

from __future__ import annotations

import pytest
from settings_samples import sample

from hyperhive.policy.lint import RULES, lint

DOUBTFUL = {
    "*": "every command",
    "bash *": "interpreter",
    "sh*": "interpreter",
    "/usr/bin/python3 *": "interpreter",
    "python3.11 *": "interpreter",
    "env *": "runs any other command",
    "xargs *": "runs any other command",
    "sudo *": "runs any other command",
    "git *": "git runs any program",
    "git -C /hive/agents/* *": "git runs any program",
    "git log *": "writes any file",
    "git -C /repo diff *": "writes any file",
    "git fetch *": "runs any program",
    "git grep *": "runs any program",
    "find *": "-exec",
    "sed *": "runs any program",
    "tar *": "runs any program",
    "make *": "runs what a file",
    "nix *": "runs what a file",
    "curl *": "sends what the agent can read",
    "* --version": "leading *",
}


@pytest.mark.parametrize(("pattern", "why"), DOUBTFUL.items())
def test_a_doubtful_pattern_gets_one_sentence_with_a_safer_way(pattern: str, why: str) -> None:
    (found,) = lint(sample(bash={"allow": [pattern], "deny": []}))
    assert found.startswith(f'bash.allow "{pattern}": ') and why in found and "; " in found


@pytest.mark.parametrize(
    "pattern",
    [
        "git status",
        "git status *",
        "git add *",
        "git commit *",
        "ls *",
        "wc *",
        "gzip *",
        "make test",
        "findmnt *",
        "shuf *",
    ],
)
def test_a_narrow_pattern_gets_none(pattern: str) -> None:
    assert lint(sample(bash={"allow": [pattern], "deny": []})) == []


def test_the_bash_tool_itself_is_every_command() -> None:
    (found,) = lint(sample(tools={"allow": ["Bash"], "deny": []}))
    assert "every command" in found
    assert lint(sample(tools={"allow": ["Bash"], "deny": ["Bash"]})) == []


def test_every_rule_of_the_table_is_tried_here() -> None:
    assert [rule for rule in RULES if not any(rule.pattern.fullmatch(pattern) for pattern in DOUBTFUL)] == []
