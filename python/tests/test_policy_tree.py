"""The shell's tree: what is not known is refused, and nothing that is typed breaks the verdict."""

from __future__ import annotations

import asyncio
import copy
import json
import shutil
import subprocess
from typing import Any

import pytest
from hypothesis import given, settings
from hypothesis import strategies as st
from settings_samples import sample

from hyperhive.errors import Unavailable
from hyperhive.policy.bash import decide
from hyperhive.policy.script import NotUnderstood, Script
from hyperhive.policy.shell import MAX_COMMAND, parse
from hyperhive.policy.tree import flatten

pytestmark = pytest.mark.skipif(shutil.which("shfmt") is None, reason="shfmt is not installed")

EVERYTHING = sample(bash={"allow": ["a *", "ls *", "cat *"], "deny": []})


def tree(command: str) -> dict[str, Any]:
    done = subprocess.run(["shfmt", "--to-json"], input=command.encode(), capture_output=True, check=True)
    found: dict[str, Any] = json.loads(done.stdout)
    return found


def script(command: str) -> Script:
    return asyncio.run(parse(command))


def words(command: str) -> list[list[tuple[str, bool, bool, bool]]]:
    """Each command's words as head, whole, one, option."""
    return [
        [(word.head, word.whole, word.one, word.option) for word in simple.words] for simple in script(command).commands
    ]


@pytest.mark.parametrize(
    ("command", "expected"),
    [
        ("a 'b c'", ("b c", True, True, False)),
        ('a "b c"', ("b c", True, True, False)),
        (r"a b\ c", ("b c", True, True, False)),
        (r'a "b\c\$"', (r"b\c$", True, True, False)),
        ("a b''c", ("bc", True, True, False)),
        ("a $'b'", ("b", True, True, False)),
        (r"a $'\x2d'", ("", False, True, True)),
        ("a $x", ("", False, False, True)),
        ('a "$x"', ("", False, True, True)),
        ('a "b$x"', ("b", False, True, False)),
        ("a b$x", ("b", False, False, True)),
        ('a "-$x"', ("-", False, True, True)),
        ('a "--b=$x"', ("--b=", False, True, False)),
        ("a *.c", ("", False, False, True)),
        ("a b*.c", ("b", False, False, False)),
        ("a b{c,d}", ("b", False, False, False)),
        ("a {}", ("{}", True, True, False)),
        ("a ~", ("/", False, True, False)),
        ("a $HOME/x", ("/state/x", True, True, False)),
        ("HOME=x; a $HOME", ("", False, True, False)),
        ("for x in b c; do a $x; done", ("", False, True, False)),
        ("for x in b -c; do a $x; done", ("", False, False, True)),
        ('for x in b*; do a "$x"; done', ("", False, True, False)),
        ("for x in b*; do a $x; done", ("", False, False, True)),
        ('a "$@"', ("", False, False, True)),
        ("a $?", ("", False, True, False)),
        ("a $((1 + 2))", ("", False, True, False)),
    ],
)
def test_a_word_says_what_could_become_of_it(command: str, expected: tuple[str, bool, bool, bool]) -> None:
    assert words(command)[-1][1] == expected


def test_every_simple_command_of_a_command_is_found() -> None:
    command = 'a1 && { a2; } | (a3) & if a4; then a5 "$(a6 `a7`)"; fi; while a8; do a9 <(a10); done <<< "$(a11)"'
    found = [simple[0][0] for simple in words(command)]
    assert sorted(found, key=lambda name: int(name[1:])) == [f"a{number}" for number in range(1, 12)]


def nodes(value: Any) -> list[dict[str, Any]]:
    if isinstance(value, list):
        return [node for item in value for node in nodes(item)]
    if not isinstance(value, dict):
        return []
    inner = [node for item in value.values() for node in nodes(item)]
    return inner if set(value) == {"Offset", "Line", "Col"} else [value, *inner]


COMMAND = """
X=1 ls "$x" ${y:-z} ${y/a/b} ${y:1:2} $((1 + 2)) > out <<< 'a' && for i in 1 2; do cat <(ls) `a`; done
[[ -f a && ! (b == c) ]] || { case a in b) c;; esac; }; while [[ -n x ]]; do ((i = 1, i++)); done
"""


def test_a_field_that_nobody_knows_is_refused_wherever_it_stands() -> None:
    whole = tree(COMMAND)
    refused = 0
    for number in range(len(nodes(whole))):
        changed = copy.deepcopy(whole)
        node = nodes(changed)[number]
        node["Surprise"] = {"Parts": []}
        try:
            flatten(changed, COMMAND.encode())
        except NotUnderstood:
            refused += 1
        else:
            assert node is changed or "Value" in node or "Expr" in node, node
    assert refused > 40


def test_a_kind_of_node_that_nobody_knows_is_refused_wherever_it_stands() -> None:
    whole = tree(COMMAND)
    typed = [number for number, node in enumerate(nodes(whole)) if "Type" in node and node["Type"] != "File"]
    for number in typed:
        changed = copy.deepcopy(whole)
        nodes(changed)[number]["Type"] = "Surprise"
        with pytest.raises((NotUnderstood, KeyError)):
            flatten(changed, COMMAND.encode())


@pytest.mark.parametrize(
    ("command", "why"),
    [
        ("{ " * 300 + "ls" + "; }" * 300, "nested more than"),
        ("ls" + " && ls" * 300, "more than 150 parts"),
        ("ls " + "x" * MAX_COMMAND, "bytes"),
        ("ls \udcff", "not valid Unicode"),
        ("ls \ud800", "not valid Unicode"),
        ("ls \x00", "U\\+0000"),
        ("$(" * 3000, "not Bash|not understood"),
        ("f() { ls; }", "function"),
        ("coproc ls", "coprocess"),
        ("select x in a; do ls; done", "select"),
        ("ls !(a)", "extended glob"),
        ('ls $"a"', "locale"),
        ("", "nothing"),
    ],
)
def test_what_is_not_decided_says_why(command: str, why: str) -> None:
    if not command:
        assert script(command) == Script()
        return
    with pytest.raises(NotUnderstood, match=why):
        script(command)


PIECES = [
    *("ls", "cat", "rm", "a", " ", " ", ";", "&&", "|", "$(", ")", "(", "`", "'", '"', "$x", "${", "}", "{", "<", ">"),
    *("<<E\n", "\n", "E\n", "\\", "$((", "))", "[[", "]]", "if", "then", "fi", "for", "in", "do", "done", "=", "x"),
    *("*", "~", "#", "&", "!", "1", "-", "--"),
]


@given(st.lists(st.sampled_from(PIECES), max_size=14).map("".join))
@settings(max_examples=300, deadline=None)
def test_whatever_is_typed_there_is_a_verdict_and_rm_never_runs(command: str) -> None:
    decision = asyncio.run(decide(command, EVERYTHING))
    assert isinstance(decision.allowed, bool) and decision.reason
    if decision.allowed:
        assert all(verdict.command.split()[0] != "rm" for verdict in decision.verdicts if verdict.command.split())


@pytest.mark.parametrize("command", ["xargs -I '' ls", "xargs -I", "env", "timeout", "find . -exec", "sh -c"])
def test_a_wrapper_that_is_cut_short_is_denied(command: str) -> None:
    assert not asyncio.run(decide(command, EVERYTHING)).allowed


def test_without_shfmt_nothing_is_decided(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setenv("PATH", "/nowhere")
    with pytest.raises(Unavailable, match="shfmt cannot be run"):
        script("ls")
