"""The judge of a turn: by what the events say, as Claude Code really sends them."""

from __future__ import annotations

from typing import Any

import pytest

from hyperhive.harness.outcome import Events, Outcome, judge

INIT = {"type": "system", "subtype": "init", "mcp_servers": [{"name": "hive", "status": "connected"}]}


def verdict(*events: dict[str, Any], stderr: str = "") -> Outcome:
    seen = Events()
    for event in events:
        seen.take(event)
    return judge(seen, stderr).outcome


def result(**fields: Any) -> dict[str, Any]:
    return {"type": "result", "subtype": "success", "is_error": True, **fields}


@pytest.mark.parametrize(
    ("event", "outcome"),
    [
        (result(is_error=False, terminal_reason="completed"), Outcome.COMPLETED),
        (result(terminal_reason="prompt_too_long", api_error_status=400), Outcome.OVERFLOW),
        (result(terminal_reason="blocking_limit", result="Prompt is too long"), Outcome.OVERFLOW),
        (result(api_error_status=413), Outcome.OVERFLOW),
        (result(terminal_reason="aborted_streaming"), Outcome.INTERRUPTED),
        (result(subtype="error_max_turns"), Outcome.MAX_TURNS),
        (
            result(result="API Error: Claude's response exceeded the 32000 output token maximum. To configure …"),
            Outcome.MAX_OUTPUT,
        ),
        (result(api_error_status=401, result="Invalid API key"), Outcome.NOT_LOGGED_IN),
        (result(result="Not logged in · Please run /login"), Outcome.NOT_LOGGED_IN),
        (result(api_error_status=429), Outcome.OVERLOADED),
        (result(api_error_status=429, result="hyperhive: usage limit reached …"), Outcome.USAGE_LIMIT),
        (result(api_error_status=429, result="hyperhive: worker is over budget until 2026-…"), Outcome.OVER_BUDGET),
        (result(api_error_status=500), Outcome.OVERLOADED),
        (result(api_error_status=529), Outcome.OVERLOADED),
        (result(api_error_status=502), Outcome.UNREACHABLE),
        (result(result="Connection closed mid-response"), Outcome.UNREACHABLE),
        (result(api_error_status=404), Outcome.NO_MODEL),
        (result(api_error_status=403), Outcome.NO_MODEL),
        (result(api_error_status=400, result="API Error: 400 bad tool ids"), Outcome.REFUSED),
        (result(api_error_status=422, result="API Error: 422 unprocessable, says a proxy"), Outcome.REFUSED),
        (result(api_error_status=400, result="Credit balance is too low"), Outcome.USAGE_LIMIT),
        (result(stop_reason="refusal", result="API Error: … unable to respond …"), Outcome.REFUSED),
        (result(result="API Error: The model has reached its context window limit."), Outcome.OVERFLOW),
        (result(subtype="error_during_execution", errors=["No conversation found with …"]), Outcome.NO_SESSION),
    ],
)
def test_a_result_is_judged_by_its_error_and_reason(event: dict[str, Any], outcome: Outcome) -> None:
    assert verdict(INIT, event) is outcome


@pytest.mark.parametrize(
    "servers", [[], [{"name": "hive", "status": "failed"}], [{"name": "x", "status": "connected"}]]
)
def test_a_turn_without_the_hives_tools_is_no_turn_even_if_it_says_success(servers: list[dict[str, str]]) -> None:
    assert verdict({**INIT, "mcp_servers": servers}, result(is_error=False)) is Outcome.NO_MCP


def test_no_result_at_all_is_a_crash_or_a_lost_session() -> None:
    assert verdict(INIT) is Outcome.CRASHED
    assert verdict(stderr="Error: Session ID x is already in use.") is Outcome.NO_SESSION


def test_the_last_of_several_results_counts_and_their_usage_adds_up() -> None:
    seen = Events()
    for event in (
        INIT,
        result(is_error=False, usage={"input_tokens": 5, "output_tokens": 1}, total_cost_usd=0.1),
        result(is_error=False, usage={"input_tokens": 7, "service_tier": "standard"}, total_cost_usd=0.3),
    ):
        seen.take(event)
    assert judge(seen, "").outcome is Outcome.COMPLETED
    assert (seen.usage, seen.cost_usd) == ({"input_tokens": 12, "output_tokens": 1}, 0.3)
