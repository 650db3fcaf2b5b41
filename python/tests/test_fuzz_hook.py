"""policy.sock under anything that asks: one whole answer, and no yes that the rules do not give."""

from __future__ import annotations

import json
from collections.abc import Iterator

import pytest
from core_rig import LACKING, SKIP_REASON
from fuzz_rig import (
    BROKEN,
    Served,
    changes,
    connected,
    cuts,
    fuzz,
    given_values,
    hive,
    hostile,
    in_pieces,
    objects,
    path_of,
    served,
)
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.core import Core

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served[Core]]:
    """A core whose agents never run; alice may `ls` and `git log`."""
    with served(lambda: hive(tmp_path_factory.mktemp("hive"))) as made:
        yield made


def decision(core: Served[Core], data: bytes, pieces: list[int]) -> str:
    """Ask, and say that this was all; the verdict, for which there is a reason."""
    with connected(path_of(core.rig, "alice", "policy.sock")) as client:
        client.send(*in_pieces(data, pieces))
        client.finish()
        (said,) = client.rest().splitlines()
    core.check()
    (told,) = json.loads(said).values()
    assert told["hookEventName"] == "PreToolUse" and 0 < len(told["permissionDecisionReason"]) < 1000, told
    verdict: str = told["permissionDecision"]
    assert verdict in ("allow", "deny")
    return verdict


WORDS = [
    "ls",
    "git",
    "log",
    "/root",
    "rm",
    "-rf",
    "\0",
    "\udc80",
    "\ud800",
    "💥",
    ";",
    "|",
    "&&",
    "$(",
    ")",
    "`",
    "'",
    '"',
]
WORDS += [
    "<(",
    "<<E",
    "\n",
    "E",
    "{",
    "}",
    "((",
    "))",
    "[[",
    "$'\\x00'",
    "${x:-",
    "$((",
    "\\",
    "#",
    "*",
    "\x1b",
    "if",
    "fi",
]
WORDS += ["((" * 2000, "$(" * 500, "x" * 65_000, "💥" * 17_000, "\\\n", "\r", "time", "coproc", "function", "eval"]
commands = st.lists(st.sampled_from(WORDS) | st.text(max_size=4), max_size=8).map(" ".join)
ALLOWED = given_values("ls", "ls -l", "git log", "ls && git log")


def questions(command: st.SearchStrategy[str]) -> st.SearchStrategy[str]:
    """The hook's question about a command."""
    call = objects({"command": command, "description": given_values("x")})
    cwd = given_values("/state/work", "/", "", "relative", "/state/\0", "/\ud800", "/" + "x" * 100_000)
    return objects({"tool_name": given_values("Bash"), "tool_input": call, "cwd": cwd, "session_id": given_values("s")})


@given(questions(commands.map(json.dumps) | ALLOWED | hostile), cuts)
@fuzz(120)
def test_any_command_gets_a_verdict(core: Served[Core], question: str, cuts: list[int]) -> None:
    decision(core, question.encode(), cuts)


@given(hostile | st.sampled_from(BROKEN) | st.just("x" * 300_000) | st.text(), cuts)
@fuzz(100)
def test_what_is_no_question_is_denied_and_leaves_no_trace(core: Served[Core], question: str, cuts: list[int]) -> None:
    before = changes(core, core.rig.database)
    assert decision(core, question.encode(errors="replace"), cuts) == "deny"
    assert changes(core, core.rig.database) == before


def test_what_the_rules_allow_is_allowed(core: Served[Core]) -> None:
    question = {"tool_name": "Bash", "tool_input": {"command": "ls -l"}, "cwd": "/state/work"}
    assert decision(core, json.dumps(question).encode(), [3, 40]) == "allow"
