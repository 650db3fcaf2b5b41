"""The privilege delta: every change in words, the weightiest first."""

from __future__ import annotations

import json
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_samples import sample

from hyperhive.policy.delta import Change, delta
from hyperhive.settings import Settings

BASE = sample()


def lists(*allow: str, deny: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """An allow and deny pair as in settings."""
    return {"allow": list(allow), "deny": list(deny)}


def said(old: Settings | None, new: Settings, nixos: str | None = None) -> list[tuple[str, str]]:
    """Kind and text of each change, in order."""
    return [(change.kind, change.text) for change in delta(old, new, nixos_changed=nixos)]


def test_equal_settings_mean_nothing() -> None:
    assert delta(BASE, sample()) == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bash": lists("git status", "gzip *")}, ("gain", "may now run: gzip *")),
        ({"bash": lists()}, ("loss", "may no longer run: git status")),
        ({"bash": lists("git status", deny=("rm *",))}, ("loss", "is now denied: rm *")),
        (
            {"tools": lists("Read", "Edit", "Write", "Grep", "Glob", "WebFetch")},
            ("gain", "may now use the tool WebFetch"),
        ),
        ({"tools": lists("Read", "Edit", "Write", "Grep")}, ("loss", "may no longer use the tool Glob")),
        ({"network": {"allow": ["a.b:443"]}}, ("gain", "may now reach a.b:443")),
        ({"packages": ["ripgrep"]}, ("gain", "has ripgrep on its PATH now")),
        ({"model": "sonnet"}, ("change", "model haiku → sonnet")),
        ({"fallbackModel": "opus"}, ("change", "fallback model none → opus")),
        (
            {"role": "manager"},
            ("gain", "becomes a manager: may steer the other agents and ask for their changes to be applied"),
        ),
        (
            {"session": {"turnTimeout": 60, "maxTurns": 80, "compactAt": 150000}},
            ("change", "a turn may take 1800 → 60 s"),
        ),
        ({"notes": {"enable": False, "maxBytes": 65536}}, ("change", "its notes are in the prompt: yes → no")),
        (
            {"git": {"name": "Boss", "email": "b@x.org"}},
            ("change", "commits as worker <worker@hive.local> → Boss <b@x.org>"),
        ),
        ({"prompt": "Be kind."}, ("change", "its prompt is:\n@@ -0,0 +1 @@\n+Be kind.")),
    ],
)
def test_a_change_is_said_in_words(change: dict[str, Any], expected: tuple[str, str]) -> None:
    assert said(BASE, sample(**change)) == [expected]


def test_what_is_denied_no_longer_is_gained() -> None:
    old = sample(bash=lists("git status", deny=("rm *",)), tools=lists("Read", deny=("Write",)))
    new = sample(bash=lists("git status"), tools=lists("Read"))
    assert said(old, new) == [("gain", "is no longer denied: rm *"), ("gain", "is no longer denied the tool Write")]


def test_the_weightiest_change_comes_first_and_losses_last() -> None:
    new = sample(
        role="manager",
        model="sonnet",
        bash=lists("gzip *"),
        tools=lists("Read", "Edit", "Write", "Grep", "WebFetch"),
        network={"allow": ["a.b:443"]},
        packages=["ripgrep"],
        prompt="x",
        session={"turnTimeout": 60, "maxTurns": 80, "compactAt": 150000},
    )
    changes = delta(BASE, new, nixos_changed="{ }")
    assert [(change.area, change.kind) for change in changes] == [
        ("role", "gain"),
        ("nixos", "change"),
        ("bash", "gain"),
        ("tools", "gain"),
        ("network", "gain"),
        ("model", "change"),
        ("packages", "gain"),
        ("session", "change"),
        ("prompt", "change"),
        ("bash", "loss"),
        ("tools", "loss"),
    ]
    assert [change.weight for change in changes] == sorted((change.weight for change in changes), reverse=True)


def test_the_first_generation_gains_all_that_it_has() -> None:
    new = sample(bash=lists("ls *"), tools=lists("Read"), packages=["jq"], prompt="Be kind.")
    assert said(None, new) == [
        ("gain", "may now run: ls *"),
        ("gain", "may now use the tool Read"),
        ("change", "thinks with the model haiku"),
        ("gain", "has jq on its PATH now"),
        ("change", "its prompt is:\n@@ -0,0 +1 @@\n+Be kind."),
    ]
    assert said(None, sample(role="manager"))[0][0] == "gain"


def test_the_guest_s_nixos_configuration_is_shown_with_its_text() -> None:
    changes = delta(BASE, BASE, nixos_changed="{ services.x.enable = true; }")
    assert [(c.area, c.text, c.after) for c in changes] == [
        ("nixos", "the guest's NixOS configuration changes", "{ services.x.enable = true; }")
    ]
    assert [c.after for c in delta(BASE, BASE, nixos_changed="")] == [""]


def test_a_manager_that_becomes_an_agent_loses() -> None:
    assert said(sample(role="manager"), BASE) == [("loss", "is no longer a manager")]


def test_a_prompt_s_change_is_a_short_diff_with_both_texts() -> None:
    old, new = sample(prompt="one\ntwo\nthree\nfour"), sample(prompt="one\n2\nthree\nfour")
    (change,) = delta(old, new)
    assert change.text == "the prompt changes:\n@@ -1,3 +1,3 @@\n one\n-two\n+2\n three"
    assert (change.before, change.after) == (old.prompt, new.prompt)


def test_a_prompt_s_long_change_is_cut_and_says_so() -> None:
    (change,) = delta(BASE, sample(prompt="\n".join(f"{n}" * 300 for n in range(100))))
    lines = change.text.split("\n")
    assert len(lines) == 42 and lines[-1] == "… 61 more lines" and max(map(len, lines)) <= 200


def test_a_pattern_that_is_listed_twice_is_one_privilege() -> None:
    assert said(BASE, sample(bash=lists("git status", "git status"))) == []


def test_a_change_is_json() -> None:
    assert json.loads(json.dumps(Change("bash", "gain", "t", None, "x", 90).to_json())) == {
        "area": "bash",
        "kind": "gain",
        "text": "t",
        "before": None,
        "after": "x",
        "weight": 90,
    }


PATTERNS = st.lists(st.sampled_from(["a *", "b", "c *", "d"]), unique=True)


@given(PATTERNS, PATTERNS, PATTERNS, PATTERNS)
def test_going_back_turns_every_gain_into_a_loss(
    allow: list[str], deny: list[str], later_allow: list[str], later_deny: list[str]
) -> None:
    old = sample(bash=lists(*allow, deny=tuple(deny)))
    new = sample(bash=lists(*later_allow, deny=tuple(later_deny)))
    there, back = delta(old, new), delta(new, old)
    opposite = {"gain": "loss", "loss": "gain"}
    assert sorted((opposite[c.kind], str(c.after), str(c.before)) for c in there) == sorted(
        (c.kind, str(c.before), str(c.after)) for c in back
    )
