"""Which pattern allows all that another one does."""

from __future__ import annotations

import asyncio
import re
import time
from collections.abc import Sequence

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from settings_samples import sample

from hyperhive.policy.bash import decide
from hyperhive.policy.contain import Patterns, covers
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
        ("git *", "git -C src status *", True),
        ("git *", "git config --get x", True),
        ("git *", "git config --get *", False),
        ("git commit * -m *", "git commit x -m *", True),
        ("sort *", "sort * -- -o *", False),
        ("sort *", "sort * x", True),
        ("tar *", "tar * xI", False),
        ("s* *", "s* -o *", False),
        ("s* *", "sort *", True),
        ("A=1 git *", "A=1 git log", True),
        ("A=1 git *", "A=1 git -c *", False),
        ("A=1 git *", "A=1", False),
        ("A=1 *", "A=1 B=2 git", False),
        ("git *", "A=1 git *", False),
        ("* ls", "LD_PRELOAD=./x ls", False),
        ("cp *", "cp * b", True),
        ("cp *", "cp x .git/hooks/pre-commit", False),
        ("cd *", "cd /etc", False),
        ("printf *", "printf -v x y", False),
        ("xargs *", "xargs -I x sh -c x", False),
        (" *", "*", False),
        ("*", " *", False),
        (" *", "sort -o *", False),
        ("*", "sort -o *", True),
        ("*", "env -S x", False),
        ("*", "eval *", False),
        ("*", "LD_PRELOAD=./x *", False),
        ("''", "git", False),
        ("git", "''", False),
        (" ", "git", False),
        ("git", " ", False),
    ],
)
def test_a_pattern_covers_only_what_it_plainly_gives(wide: str, narrow: str, expected: bool) -> None:
    assert covers(wide, narrow) is expected


def reference(pattern: str) -> re.Pattern[str]:
    """The meaning of a pattern as one expression over words that end in a newline each."""
    held = pattern.split()
    last = held.pop() if held[-1] == "*" else None
    one = "".join(re.escape(token).replace(r"\*", r"[^\n]*") + r"\n" for token in held)
    return re.compile(one + (r"(?:[^\n]*\n)*" if last else "") + r"\Z")


WORDS = ("a", "b", "ab", "src/a", "git", "status", "log", "-c", "-x", "--output=f")
TOKENS = st.sampled_from((*WORDS, "*", "a*", "src/*", "*b", "*a*", "s*/*a"))
PATTERNS = st.lists(TOKENS, min_size=1, max_size=4).map(" ".join)
COMMANDS = st.lists(st.sampled_from(WORDS), min_size=1, max_size=4)


@given(PATTERNS, COMMANDS)
def test_a_pattern_matches_as_its_words_are_documented(pattern: str, command: list[str]) -> None:
    expected = reference(pattern).match("".join(f"{word}\n" for word in command)) is not None
    assert matches(pattern, [Word(word) for word in command]) is expected


@given(PATTERNS, PATTERNS, COMMANDS)
def test_what_matches_the_narrow_pattern_matches_the_wide_one(wide: str, narrow: str, command: list[str]) -> None:
    text = "".join(f"{word}\n" for word in command)
    if covers(wide, narrow) and reference(narrow).match(text):
        assert reference(wide).match(text)


RISKY = ("-o", "-c", "-C", "--", "-exec", "-I", "--get", "-e", "config", ".git/x", "x", "/etc", "A=1")
PROGRAMS = ("git", "sort", "tar", "cp", "cd", "find", "bash -c", "A=1 git", "s*", "*")


@st.composite
def tighter(draw: st.DrawFn) -> tuple[str, str, str]:
    """A pattern, one that says more, and a command that this one is about."""
    program = draw(st.sampled_from(PROGRAMS))
    more = draw(st.lists(st.sampled_from((*RISKY, "*")), max_size=3))
    end = draw(st.sampled_from(["", " *"]))
    filled = [draw(st.sampled_from(RISKY)) if word == "*" else word for word in more]
    if end:
        filled += draw(st.lists(st.sampled_from(RISKY), max_size=2))
    command = " ".join([program.replace("s*", "sort").replace("*", "tar"), *filled])
    return f"{program} *", " ".join([program, *more]) + end, command


@settings(max_examples=150, deadline=None)
@given(tighter(), st.sampled_from([[], ["tar -x *"]]), st.booleans())
def test_a_covered_rule_allows_no_command_that_was_denied(
    case: tuple[str, str, str], deny: list[str], everything: bool
) -> None:
    wide, narrow, command = ("*" if everything else case[0]), case[1], case[2]
    if covers(wide, narrow) and asyncio.run(_allowed(command, wide, narrow, deny=deny)):
        assert asyncio.run(_allowed(command, wide, deny=deny)), (wide, narrow, command)


async def _allowed(command: str, *rules: str, deny: Sequence[str] = ()) -> bool:
    return (await decide(command, sample(bash={"allow": list(rules), "deny": list(deny)}))).allowed


@pytest.mark.parametrize(
    ("wide", "command"),
    [
        ("git *", "git -c alias.x=!./pwn x"),
        ("git *", "git log --output=f"),
        ("sort *", "sort -o x y"),
        ("sed *", "sed 1e a"),
        ("cp *", "cp x .git/hooks/pre-commit"),
        ("cd *", "cd /etc"),
        ("* ls", "LD_PRELOAD=./x ls"),
        ("A=1 git *", "A=1 git -c x=y z"),
    ],
)
def test_what_an_exact_rule_adds_is_not_covered(wide: str, command: str) -> None:
    assert not asyncio.run(_allowed(command, wide)) and asyncio.run(_allowed(command, wide, command))
    assert not covers(wide, command)


def test_a_rule_before_the_star_takes_nothing_from_it() -> None:
    command = "cp x .git/hooks/y"
    assert asyncio.run(_allowed(command, "cp *", "*", deny=["rm *"]))
    assert asyncio.run(_allowed(command, "*", deny=["rm *"]))


def test_no_pattern_makes_matching_slow() -> None:
    began = time.process_time()
    assert not matches("a*" * 99 + "b", [Word("a" * 5000)])
    assert not covers("a*" * 99 + "b x", "a" * 199 + " x")
    assert time.process_time() - began < 0.5


def test_the_widest_of_several_covers_is_named() -> None:
    held = Patterns(["git log *", "git *", "git log -1", "ls *"])
    assert held.cover_of("git log -1") == "git *"
    assert held.cover_of("git *") is None
    assert held.cover_of("wc") is None
    assert held.covered_by("git *") == ["git log *", "git *", "git log -1"]
    assert Patterns(["git x *", "ls *"]).covered_by("*") == ["git x *", "ls *"]
