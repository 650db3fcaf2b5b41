"""The command line of Claude Code: what an agent's settings become."""

from __future__ import annotations

import json

import pytest
from settings_samples import sample

from hyperhive.harness.claude import allowed, command, environment, tools
from hyperhive.harness.session import Session

FRESH = Session("11111111-1111-1111-1111-111111111111", fresh=True)
KNOWN = Session("11111111-1111-1111-1111-111111111111", fresh=False)


def value_of(argv: list[str], flag: str) -> str:
    return argv[argv.index(flag) + 1]


def test_nothing_but_our_flags_configures_the_agent() -> None:
    argv = command("claude", sample(), FRESH)
    assert value_of(argv, "--setting-sources") == ""
    assert "--strict-mcp-config" in argv
    assert value_of(argv, "--permission-mode") == "dontAsk"
    assert list(json.loads(value_of(argv, "--mcp-config"))["mcpServers"]) == ["hive"]
    assert json.loads(value_of(argv, "--mcp-config"))["mcpServers"]["hive"]["alwaysLoad"] is True


def test_the_first_turn_names_the_session_and_later_ones_resume_it() -> None:
    assert value_of(command("claude", sample(), FRESH), "--session-id") == FRESH.id
    assert "--resume" not in command("claude", sample(), FRESH)
    assert value_of(command("claude", sample(), KNOWN), "--resume") == KNOWN.id


def test_the_model_limits_and_fallback_are_the_settings() -> None:
    settings = sample(
        model="sonnet", fallbackModel="haiku", session={"turnTimeout": 60, "maxTurns": 7, "compactAt": 20000}
    )
    argv = command("claude", settings, FRESH)
    assert (value_of(argv, "--model"), value_of(argv, "--fallback-model")) == ("sonnet", "haiku")
    assert value_of(argv, "--max-turns") == "7"
    assert "--fallback-model" not in command("claude", sample(), FRESH)


def test_bash_patterns_are_rules_and_denials_are_named() -> None:
    settings = sample(
        bash={"allow": ["git *", "ls"], "deny": ["git push *"]}, tools={"allow": ["Read"], "deny": ["Grep"]}
    )
    argv = command("claude", settings, FRESH)
    assert argv[argv.index("--allowedTools") + 1 :] == ["mcp__hive", "Bash(git *)", "Bash(ls)"]
    denied = argv[argv.index("--disallowedTools") + 1 : argv.index("--allowedTools")]
    assert denied == ["Grep", "Bash(git push *)"]
    assert tools(settings) == ["Read", "Bash"]


def test_without_a_bash_pattern_there_is_no_bash() -> None:
    assert "Bash" not in tools(sample(bash={"allow": [], "deny": []}, tools={"allow": ["Read", "Bash"], "deny": []}))


def test_file_tools_reach_the_agents_own_files_only() -> None:
    rules = allowed(sample())
    assert "Edit(//state/work/**)" in rules
    assert not {"Edit", "Write", "Read"} & set(rules)
    assert not any("/hive/agents" in rule for rule in rules)


def test_a_manager_may_edit_the_config_repos() -> None:
    assert {"Edit(//hive/agents/**)", "Read(//hive/agents/**)"} <= set(allowed(sample(role="manager")))


def test_an_agent_that_may_not_write_gets_no_edit_rule() -> None:
    assert [rule for rule in allowed(sample(tools={"allow": ["Read"], "deny": []})) if rule.startswith("Edit")] == []


@pytest.mark.parametrize("role", ["agent", "manager"])
def test_the_system_prompt_says_who_it_is_and_ends_with_its_purpose(role: str) -> None:
    prompt = value_of(command("claude", sample(role=role, prompt="You keep the log."), FRESH), "--append-system-prompt")
    assert prompt.startswith("You are worker, " + ("the manager" if role == "manager" else "an agent"))
    assert prompt.endswith("You keep the log.")
    assert ("request_apply_commit" in prompt) is (role == "manager")


def test_the_key_in_the_environment_is_no_key_and_the_identity_is_the_agents() -> None:
    variables = environment(sample(git={"name": "Bee", "email": "bee@hive.local"}))
    assert variables["ANTHROPIC_API_KEY"] == "the-gateway-adds-the-key"
    assert variables["ANTHROPIC_BASE_URL"].startswith("http://127.0.0.1:")
    assert (variables["GIT_AUTHOR_NAME"], variables["GIT_COMMITTER_EMAIL"]) == ("Bee", "bee@hive.local")
    assert variables["DISABLE_AUTO_COMPACT"] == "1"
