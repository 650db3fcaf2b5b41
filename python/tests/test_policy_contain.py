"""Which pattern allows all that another one does."""

from __future__ import annotations

import asyncio

import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_samples import sample

from hyperhive.policy.bash import decide
from hyperhive.policy.contain import covers
from hyperhive.policy.match import matches
from hyperhive.policy.words import Word


@pytest.mark.parametrize(
    ("wide", "narrow", "expected"),
    [
        ("git *", "git status *", True),
        ("git *", "git", True),
        ("git *", "git add * b", True),
        ("git:*", "git status", True),
        ("git *", "git:*", True),
        ("git status", "git status", True),
        ("git * main", "git push main", True),
        ("ls src/*", "ls src/a", True),
        ("ls src/*", "ls src/a*", True),
        ("*", "anything *", True),
        ("git *", "git*", False),
        ("git *", "gitk", False),
        ("git *", "*", False),
        ("git *", "* git x", False),
        ("git *", "/usr/bin/git x", False),
        ("git status", "git status *", False),
        ("git * main", "git push main *", False),
        ("* --version", "ls --version *", False),
        ("ls src/*", "ls srcs", False),
        ("git *", "git -c alias.x=!./pwn x", False),
        ("git *", "git -c *", False),
        ("git *", "git config *", False),
        ("git *", "git nosuch *", False),
        ("git log *", "git log --output=*", False),
        ("sort *", "sort -o x y", False),
        ("sed *", "sed -i *", False),
        ("sed *", "sed 1e a", False),
        ("timeout *", "timeout 5 ./pwn", False),
        ("bash *", "bash -c ./pwn", False),
        ("find *", "find . -exec ./pwn ;", False),
        ("find *", "find . -delete", False),
    ],
)
def test_a_pattern_covers_only_what_it_plainly_gives(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected


WORDS = ("a", "b", "ab", "src/a", "git", "status", "log", "-c", "-x", "--output=f")
TOKENS = st.sampled_from((*WORDS, "*", "a*", "src/*", "*b"))
PATTERNS = st.lists(TOKENS, min_size=1, max_size=4).map(" ".join)
COMMANDS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)


@given(PATTERNS, PATTERNS, COMMANDS)
def test_what_matches_the_narrow_pattern_matches_the_wide_one(wide: str, narrow: str, command: list[str]) -> None:
    words = [Word(word) for word in command]
    if covers(wide, narrow) and matches(narrow, words):
        assert matches(wide, words)


@pytest.mark.parametrize("command", ["git -c alias.x=!./pwn x", "git log --output=f", "sort -o x y", "sed 1e a"])
def test_what_an_exact_rule_adds_is_not_covered(command: str) -> None:
    wide = f"{command.split(maxsplit=1)[0]} *"

    async def allowed(*rules: str) -> bool:
        return (await decide(command, sample(bash={"allow": list(rules), "deny": []}))).allowed

    assert not asyncio.run(allowed(wide)) and asyncio.run(allowed(wide, command))
    assert not covers(wide, command)
