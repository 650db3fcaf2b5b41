"""Advice on Bash patterns."""

from __future__ import annotations

import pytest
from settings_samples import sample

from hyperhive.policy import programs
from hyperhive.policy.lint import findings, lint

READER = {"allow": ["Read", "Grep"], "deny": []}
DOUBTFUL = {
    "*": "every command",
    "bash *": "interpreter",
    "/usr/bin/python3 *": "interpreter",
    "python3.11 *": "interpreter",
    "env *": "needs a rule of its own",
    "xargs *": "needs a rule of its own",
    "sudo *": "any other command",
    "ssh *": "any other command",
    "git *": "rewrites history",
    "git:*": "rewrites history",
    "git -c * *": "any program",
    "git config *": "settings",
    "git log --output=x *": "spells --output=x out",
    "git difftool *": "no subcommand of git that is known",
    "find *": "-exec",
    "find . -delete *": "spells -delete out",
    "sed *": "runs programs",
    "sed -i *": "spells -i out",
    "awk *": "runs programs",
    "tar *": "writes wherever",
    "tar -x --to-command=x *": "--to-command=x",
    "make *": "runs what a file",
    "nix *": "what an expression says",
    "nix run *": "spells run out",
    "docker *": "no rule of the agent",
    "curl *": "sends what the agent can read",
    "vim *": "interactive",
    "less *": "interactive",
    "cp *": "run later",
    "tee *": "run later",
    "rm *": "rely on",
    "sqlite3 *": "run any program",
    "gh *": "hooks",
    "* --version": "program's name",
    "git*": "program's name",
    "./*": "program's name",
}
NARROW = (
    "git status",
    "git status *",
    "git add *",
    "git log *",
    "ls *",
    "wc *",
    "gzip *",
    "findmnt *",
    "sed -n 5p a",
    "find . *",
)


@pytest.mark.parametrize(("pattern", "why"), DOUBTFUL.items())
def test_a_doubtful_pattern_gets_a_reason_an_example_and_a_safer_way(pattern: str, why: str) -> None:
    (found,) = findings(sample(bash={"allow": [pattern], "deny": []}, tools=READER))
    assert why in found.why and found.example and found.safer
    assert str(found).startswith(f'bash.allow "{pattern}": ')


@pytest.mark.parametrize("pattern", NARROW)
def test_a_narrow_pattern_gets_none(pattern: str) -> None:
    assert lint(sample(bash={"allow": [pattern], "deny": []})) == []


@pytest.mark.parametrize(
    "pattern", ["make test", "npm test", "./build.sh", "./build.sh *", "/state/work/x y", "pytest tests"]
)
def test_what_the_agent_can_write_and_then_run_is_said_if_it_can_write(pattern: str) -> None:
    (found,) = lint(sample(bash={"allow": [pattern], "deny": []}))
    assert "may write itself" in found
    assert lint(sample(bash={"allow": [pattern], "deny": []}, tools=READER)) == []


def test_every_entry_of_the_table_that_warns_says_all_of_it() -> None:
    for entry in programs.table():
        assert entry.names
        assert bool(entry.why) == bool(entry.example) == bool(entry.safer), entry
