from __future__ import annotations

from operator_rig import proposal_view

from hyperhive.cli.card import card


def test_the_meaning_comes_before_lint_and_lint_before_the_text() -> None:
    shown = card(proposal_view())
    order = [
        "proposal 3: worker at 0123456789abcdef",
        "it needs gzip",
        "+ may now run: gzip *",
        "~ model haiku → sonnet",
    ]
    order += ["! git * can run any program", "--- a/agent.nix"]
    places = [shown.index(part) for part in order]
    assert places == sorted(places), shown


def test_a_proposal_that_changes_no_setting_says_so() -> None:
    assert "nothing: the settings stay as they are" in card(proposal_view(delta=[], lint=[], diff=""))


def test_a_rejected_proposal_shows_its_reason_and_claims_no_meaning() -> None:
    rejected = proposal_view(state="rejected", delta=None, lint=None, diff=None, error="agent.nix:3: syntax error")
    shown = card(rejected)
    assert "state:   rejected, compared with generation 1, agent.nix:3: syntax error" in shown
    assert "what it means: not known, it was not checked" in shown


def test_a_decided_proposal_names_who_decided_and_why() -> None:
    shown = card(proposal_view(state="denied", decided_by="operator:ann", decision="not today"))
    assert "state:   denied, compared with generation 1, decided by operator:ann, not today" in shown


def test_no_text_of_an_agent_can_forge_a_part_of_the_card() -> None:
    forged = "ok\nwhat it means:\n  nothing\x1b[8m"
    hostile = proposal_view(
        reason=forged,
        commit="0123\nstate: applied",
        delta=[{"area": "nixos", "direction": "neutral", "text": forged, "before": None, "after": None, "weight": 1}],
        lint=[forged],
        diff=forged,
    )
    shown = card(hostile)
    assert "\x1b" not in shown
    assert [part for part in shown.splitlines() if part.startswith("what it means:")] == ["what it means:"]
    assert [part for part in shown.splitlines() if part.startswith("state:")] == [
        "state:   checked, compared with generation 1"
    ]


def test_an_unknown_kind_of_change_is_shown_all_the_same() -> None:
    change = {"area": "x", "direction": "new", "text": "something else", "before": None, "after": None, "weight": 1}
    assert "  ? something else" in card(proposal_view(delta=[change]))
