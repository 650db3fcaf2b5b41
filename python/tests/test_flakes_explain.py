"""One line from nix's stderr, as nix 2.8 and 2.34 write it."""

from __future__ import annotations

import json

import pytest
from hypothesis import given
from hypothesis import strategies as st

from hyperhive.flakes.explain import MAX_REASON, explain

STORE = "/tmp/store/nix/store/" + "a" * 32 + "-source"
GIB = 1024**3


def event(raw: str | None = None, msg: str = "", level: int = 0, **more: object) -> bytes:
    """One line of `--log-format internal-json`."""
    value = {"action": "msg", "level": level, "msg": msg, **({"raw_msg": raw} if raw is not None else {}), **more}
    return b"@nix " + json.dumps(value).encode() + b"\n"


WARNING = event(msg="\x1b[35;1mwarning:\x1b[0m not writing modified lock file", level=1)
START = b'@nix {"action":"start","id":1,"level":4,"text":"copying","type":0}\n'


@pytest.mark.parametrize(
    "file",
    [f"{STORE}/agent/sub/x.nix", f"{STORE}/agent/sub/x.nix:3:7", f"{STORE}/agent/sub/x.nix:3".removesuffix(":3")],
)
def test_the_place_is_relative_to_the_agent_s_tree(file: str) -> None:
    stderr = WARNING + START + event("undefined variable '\x1b[35;1mfoo\x1b[0m'", file=file, line=3, column=7)
    assert explain(stderr, GIB) == "sub/x.nix:3:7: undefined variable 'foo'"


def test_a_place_in_the_host_s_own_files_is_not_the_agent_s_fault() -> None:
    stderr = event("bad", file=f"{STORE}/nixpkgs-lib/modules.nix", line=3, column=7)
    assert explain(stderr, GIB) == "agent.nix: bad"


def test_paths_in_the_message_are_relative_too() -> None:
    stderr = event(f"A definition is wrong:\n- In `{STORE}/agent/agent.nix': 3\n- In `{STORE[10:]}/modules/agent.nix'")
    assert explain(stderr, GIB) == ("agent.nix: A definition is wrong: - In `agent.nix': 3 - In `hyperhive/agent.nix'")


def test_the_last_error_counts_and_traces_do_not() -> None:
    stderr = event("first") + event("second") + event(msg="trace: error: not this") + event(msg="(use '--show-trace')")
    assert explain(stderr, GIB) == "agent.nix: second"


@pytest.mark.parametrize(
    ("stderr", "expected"),
    [
        (b"error: stack overflow (possible infinite recursion)\n", "agent.nix: infinite recursion: "),
        (event(msg="\x1b[31;1merror:\x1b[0m out of memory"), "agent.nix: the evaluation needs more than 1024 MiB;"),
        (b"GC Warning: Out of Memory! Heap size: 384 MiB.\n", "agent.nix: the evaluation needs more than 1024 MiB;"),
        (b"", "agent.nix: nix failed without a message"),
        (b"@nix {broken\n@nix 3\n@nix []\n", "agent.nix: nix failed without a message"),
        (b"\xff\xfe\n", "agent.nix: nix failed without a message"),
    ],
)
def test_a_death_without_a_proper_message_is_explained(stderr: bytes, expected: str) -> None:
    assert explain(WARNING + stderr, GIB).startswith(expected)


@given(st.text(), st.text(), st.one_of(st.none(), st.integers()))
def test_whatever_the_agent_throws_is_one_bounded_printable_line(message: str, file: str, line: int | None) -> None:
    found = explain(event(message, file=f"{STORE}/agent/{file}", line=line, column=1), GIB)
    assert found.isprintable() and 0 < len(found) <= MAX_REASON


@given(st.binary(max_size=300))
def test_any_stderr_is_explained(stderr: bytes) -> None:
    assert explain(stderr, GIB).isprintable()
