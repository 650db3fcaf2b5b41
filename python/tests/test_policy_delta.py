"""The privilege delta: every change in words, the weightiest first."""

from __future__ import annotations

import json
import time
from typing import Any

import pytest
from hypothesis import given
from hypothesis import strategies as st
from settings_samples import sample

from hyperhive.policy.delta import Change, Direction, delta, is_pure_narrowing
from hyperhive.settings import Settings

BASE = sample()


def lists(*allow: str, deny: tuple[str, ...] = ()) -> dict[str, list[str]]:
    """An allow and deny pair as in settings."""
    return {"allow": list(allow), "deny": list(deny)}


def said(old: Settings | None, new: Settings, nixos: str | None = None) -> list[tuple[str, str]]:
    """Direction and text of each change, in order."""
    return [(change.direction, change.text) for change in delta(old, new, nixos_changed=nixos)]


def test_equal_settings_mean_nothing() -> None:
    assert delta(BASE, sample()) == ()


@pytest.mark.parametrize(
    ("change", "expected"),
    [
        ({"bash": lists("git status", "gzip *")}, ("widening", "may now run: gzip *")),
        ({"bash": lists()}, ("narrowing", "may no longer run: git status")),
        ({"bash": lists("git status", deny=("rm *",))}, ("narrowing", "is now denied: rm *")),
        (
            {"tools": lists("Read", "Edit", "Write", "Grep", "Glob", "WebFetch")},
            ("widening", "may now use the tool WebFetch"),
        ),
        ({"tools": lists("Read", "Edit", "Write", "Grep")}, ("narrowing", "may no longer use the tool Glob")),
        ({"network": {"allow": ["a.b:443"]}}, ("widening", "may now reach a.b:443")),
        ({"packages": ["ripgrep"]}, ("widening", "has ripgrep on its PATH now")),
        ({"model": "sonnet"}, ("widening", "model haiku → sonnet (dearer)")),
        ({"fallbackModel": "opus"}, ("widening", "fallback model none → opus")),
        (
            {"role": "manager"},
            ("widening", "becomes a manager: may steer the other agents and ask for their changes to be applied"),
        ),
        (
            {"session": {"turnTimeout": 60, "maxTurns": 80, "compactAt": 150000}},
            ("narrowing", "a turn may take 1800 → 60 s"),
        ),
        ({"notes": {"enable": False, "maxBytes": 65536}}, ("neutral", "its notes are in the prompt: yes → no")),
        (
            {"git": {"name": "Boss", "email": "b@x.org"}},
            ("neutral", "commits as worker <worker@hive.local> → Boss <b@x.org>"),
        ),
        ({"prompt": "Be kind."}, ("neutral", "its prompt is:\n@@ -0,0 +1 @@\n+Be kind.")),
    ],
)
def test_a_change_is_said_in_words(change: dict[str, Any], expected: tuple[str, str]) -> None:
    assert said(BASE, sample(**change)) == [expected]


def test_what_is_denied_no_longer_is_gained() -> None:
    old = sample(bash=lists("git status", deny=("rm *",)), tools=lists("Read", deny=("Write",)))
    new = sample(bash=lists("git status"), tools=lists("Read"))
    assert said(old, new) == [
        ("widening", "is no longer denied: rm *"),
        ("widening", "is no longer denied the tool Write"),
    ]


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
    assert [(change.area, change.direction) for change in changes] == [
        ("role", "widening"),
        ("nixos", "widening"),
        ("bash", "widening"),
        ("tools", "widening"),
        ("network", "widening"),
        ("model", "widening"),
        ("packages", "widening"),
        ("session", "narrowing"),
        ("prompt", "neutral"),
        ("bash", "narrowing"),
        ("tools", "narrowing"),
    ]
    assert [change.weight for change in changes] == sorted((change.weight for change in changes), reverse=True)


def test_the_first_generation_gains_all_that_it_has() -> None:
    new = sample(bash=lists("ls *"), tools=lists("Read"), packages=["jq"], prompt="Be kind.")
    assert said(None, new) == [
        ("widening", "may now run: ls *"),
        ("widening", "may now use the tool Read"),
        ("widening", "thinks with the model haiku"),
        ("widening", "has jq on its PATH now"),
        ("neutral", "its prompt is:\n@@ -0,0 +1 @@\n+Be kind."),
    ]
    assert said(None, sample(role="manager"))[0][0] == "widening"


def test_the_guest_s_nixos_configuration_is_shown_with_its_text() -> None:
    changes = delta(BASE, BASE, nixos_changed="{ services.x.enable = true; }")
    assert [(c.area, c.text, c.after) for c in changes] == [
        ("nixos", "the guest's NixOS configuration changes", "{ services.x.enable = true; }")
    ]
    assert [c.after for c in delta(BASE, BASE, nixos_changed="")] == [""]


def test_a_manager_that_becomes_an_agent_loses() -> None:
    assert said(sample(role="manager"), BASE) == [("narrowing", "is no longer a manager")]


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
    assert json.loads(json.dumps(Change("bash", Direction.WIDENING, "t", None, "x", 90).to_json())) == {
        "area": "bash",
        "direction": "widening",
        "text": "t",
        "before": None,
        "after": "x",
        "weight": 90,
    }


PATTERNS = st.lists(st.sampled_from(["a *", "b", "c *", "d"]), unique=True)


@given(PATTERNS, PATTERNS, PATTERNS, PATTERNS)
def test_going_back_turns_every_widening_into_a_narrowing(
    allow: list[str], deny: list[str], later_allow: list[str], later_deny: list[str]
) -> None:
    old = sample(bash=lists(*allow, deny=tuple(deny)))
    new = sample(bash=lists(*later_allow, deny=tuple(later_deny)))
    there, back = delta(old, new), delta(new, old)
    opposite = {"widening": "narrowing", "narrowing": "widening"}
    assert sorted((opposite[c.direction], str(c.after), str(c.before)) for c in there) == sorted(
        (c.direction, str(c.before), str(c.after)) for c in back
    )


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        (["git *"], ["git *", "git log *"], [("neutral", "lists git log *, which git * allowed already")]),
        (["git *", "git log *"], ["git *"], [("neutral", "no longer lists git log *, which git * still allows")]),
        (["git *"], ["git log *"], [("narrowing", "may run only git log * of what git * allowed")]),
        (
            ["git *"],
            ["git log", "ls"],
            [("widening", "may now run: ls"), ("narrowing", "may run only git log of what git * allowed")],
        ),
        (
            ["git log *"],
            ["git *"],
            [("widening", "may now run: git * (until now only git log *)")],
        ),
        (["git *"], ["git *", "git -c *"], [("widening", "may now run: git -c *")]),
    ],
)
def test_a_pattern_that_holds_another_says_what_that_means(
    before: list[str], after: list[str], expected: list[tuple[str, str]]
) -> None:
    assert said(sample(bash=lists(*before)), sample(bash=lists(*after))) == expected


def test_a_denial_that_holds_another_says_what_that_means() -> None:
    wide, narrow = sample(bash=lists("*", deny=("git *",))), sample(bash=lists("*", deny=("git log *",)))
    both = sample(bash=lists("*", deny=("git *", "git log *")))
    assert said(wide, narrow) == [("widening", "is denied only git log * of what git * denied")]
    assert said(narrow, wide) == [("narrowing", "is now denied: git * (until now only git log *)")]
    assert said(wide, both) == [("neutral", "is now denied: git log *, as git * was already")]
    assert said(both, wide) == [("neutral", "is no longer denied: git log * by name; git * is")]


@pytest.mark.parametrize(
    ("before", "after", "expected"),
    [
        ("opus", "haiku", ("narrowing", "model opus → haiku (cheaper)")),
        ("claude-sonnet-5", "sonnet", ("neutral", "model claude-sonnet-5 → sonnet")),
        ("haiku", "gpt-9", ("widening", "model haiku → gpt-9 (of another price)")),
        ("opus", "haiku-opus", ("widening", "model opus → haiku-opus (of another price)")),
        ("gpt-9", "haiku", ("widening", "model gpt-9 → haiku (of another price)")),
        (
            "us.anthropic.claude-opus-5",
            "claude-sonnet-5[1m]",
            ("narrowing", "model us.anthropic.claude-opus-5 → claude-sonnet-5[1m] (cheaper)"),
        ),
    ],
)
def test_a_model_is_weighed_by_its_price(before: str, after: str, expected: tuple[str, str]) -> None:
    assert said(sample(model=before), sample(model=after)) == [expected]


@pytest.mark.parametrize(
    ("change", "pure"),
    [
        ({"bash": lists()}, True),
        ({"tools": lists("Read")}, True),
        ({"session": {"turnTimeout": 60, "maxTurns": 80, "compactAt": 10000}}, True),
        ({}, False),
        ({"notes": {"enable": False, "maxBytes": 65536}}, False),
        ({"bash": lists("git status", "ls")}, False),
        ({"bash": lists("ls")}, False),
        ({"bash": lists(), "prompt": "Be kind."}, False),
        ({"bash": lists(), "git": {"name": "Boss", "email": "b@x.org"}}, False),
        ({"bash": lists(), "model": "opus"}, False),
        ({"bash": lists(), "packages": ["jq"]}, False),
        ({"tools": lists("Read", "WebFetch")}, False),
    ],
)
def test_only_what_takes_and_gives_nothing_is_a_pure_narrowing(change: dict[str, Any], pure: bool) -> None:
    assert is_pure_narrowing(delta(BASE, sample(**change))) is pure


def test_the_guests_nixos_text_is_never_a_narrowing() -> None:
    assert not is_pure_narrowing(delta(BASE, sample(bash=lists()), nixos_changed="{ }"))


def test_a_replaced_pattern_is_one_change_that_says_by_what() -> None:
    wide, narrow = sample(bash=lists("git *")), sample(bash=lists("git log *", "git diff *"))
    (change,) = delta(wide, narrow)
    assert (change.direction, change.before, change.after) == ("narrowing", "git *", ["git log *", "git diff *"])
    (back,) = delta(narrow, wide)
    assert (back.direction, back.before, back.after) == ("widening", ["git log *", "git diff *"], "git *")


def test_many_patterns_in_the_place_of_one_are_counted() -> None:
    many = sample(bash=lists(*(f"git log -{number}" for number in range(30))))
    ((_, text),) = said(sample(bash=lists("git log *")), many)
    assert text.startswith("may run only git log -0, git log -1, ")
    assert text.endswith("git log -9 and 20 more of what git log * allowed")


@pytest.mark.parametrize(
    "added", ["cp x .git/hooks/pre-commit", "LD_PRELOAD=./x ls", "git -c *", "sort -o *", "cd /etc"]
)
def test_a_narrowing_hides_no_rule_that_gives_what_a_wider_one_does_not(added: str) -> None:
    held = ("cp *", "git *", "sort *", "cd *", "* ls")
    changes = delta(sample(bash=lists(*held, "wc *")), sample(bash=lists(*held, added)))
    assert [(change.direction, change.after) for change in changes] == [("widening", added), ("narrowing", None)]
    assert not is_pure_narrowing(changes)


@pytest.mark.parametrize(
    "pattern", ["tool{} *", "git sub{} *", "git sub{} * x{}*", "git -C src log --max-count={} --format=x *"]
)
def test_the_delta_of_large_settings_is_quick(pattern: str) -> None:
    patterns = [pattern.replace("{}", str(number)) for number in range(750)]
    old = sample(bash=lists(*patterns[:500], deny=tuple(patterns[:500])))
    new = sample(bash=lists(*patterns[250:], deny=tuple(patterns[250:])))
    began = time.process_time()
    changes = delta(old, new)
    assert len(changes) == 1000
    assert time.process_time() - began < 1.0


@pytest.mark.parametrize(
    ("before", "after", "direction", "text"),
    [
        (None, 5, "narrowing", "may use any number of → 5 US dollars a day"),
        (5, None, "widening", "may use 5 → any number of US dollars a day"),
        (5, 7.5, "widening", "may use 5 → 7.5 US dollars a day"),
        (7.5, 5, "narrowing", "may use 7.5 → 5 US dollars a day"),
    ],
)
def test_a_larger_budget_is_a_widening(before: object, after: object, direction: str, text: str) -> None:
    old, new = (sample(budget={"tokensPerDay": 1000, "costPerDay": value}) for value in (before, after))
    (change,) = delta(old, new)
    assert (change.area, change.direction, change.text) == ("budget", direction, text)
    assert is_pure_narrowing([change]) is (direction == "narrowing")


def test_a_first_generations_budget_is_a_bound_of_what_it_may() -> None:
    first = delta(None, sample(budget={"tokensPerDay": 1000, "costPerDay": None}))
    (change,) = [each for each in first if each.area == "budget"]
    assert (change.direction, change.text) == ("narrowing", "may use any number of → 1,000 tokens a day")
