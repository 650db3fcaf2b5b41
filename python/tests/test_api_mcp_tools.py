"""What each tool does, who may call it, and what a model reads when it cannot."""

from __future__ import annotations

import asyncio
import json
import time
import tracemalloc
from dataclasses import replace
from pathlib import Path
from typing import Any

import pytest
from database_rig import within
from mail_rig import FREE, Mail, mail
from mcp_rig import FOR_ALL, FOR_MANAGERS, Hive, Letter, Letters, settings

from hyperhive.api.mcp_catalogue import TOOLS
from hyperhive.api.mcp_tools import MAX_RESULT, HiveTools
from hyperhive.errors import NotFound
from hyperhive.settings import Notes, Role

COMMIT = "0123456789abcdef0123456789abcdef01234567"


class Setting:
    """A hive in a directory, and calls as one agent of it."""

    def __init__(self, directory: Path) -> None:
        self.hive = Hive(directory)
        self.letters = Letters()
        self.tools = HiveTools(self.letters, self.hive)
        self.hive.hold.set()

    def well(self, agent: str, tool: str, /, **arguments: object) -> Any:
        """Call a tool that must succeed."""
        outcome = asyncio.run(self.tools.call(agent, tool, arguments))
        assert not outcome.is_error, outcome.text
        return json.loads(outcome.text)

    def badly(self, agent: str, tool: str, /, **arguments: object) -> str:
        """Call a tool that must fail; its message."""
        outcome = asyncio.run(self.tools.call(agent, tool, arguments))
        assert outcome.is_error, outcome.text
        assert "\n" not in outcome.text
        return outcome.text


@pytest.fixture
def hive(tmp_path: Path) -> Setting:
    """Worker, an agent, and boss, a manager."""
    return Setting(tmp_path)


def test_a_message_goes_out_under_the_sockets_name(hive: Setting) -> None:
    assert hive.well("worker", "send", to="boss", body="may I gzip?") == {"id": 1}
    assert hive.well("boss", "send", to="worker", body="soon", reply_to=1) == {"id": 2}
    assert hive.letters.sent == [
        Letter(1, "worker", "boss", "may I gzip?", None, "mail"),
        Letter(2, "boss", "worker", "soon", 1, "mail"),
    ]


def test_a_sender_cannot_be_claimed(hive: Setting) -> None:
    said = hive.badly("worker", "send", to="boss", body="x", sender="operator")
    assert said == "send: unknown sender; it takes body, reply_to, to"
    assert hive.letters.sent == []


def test_a_complaint_about_many_arguments_is_short(hive: Setting) -> None:
    many = {f"x{number}": 1 for number in range(10_000)}
    said = hive.badly("worker", "send", to="boss", body="x", **many)
    assert said == "send: unknown x0, x1, x10, x100, x1000, …; it takes body, reply_to, to"


def test_the_first_wrong_argument_is_enough(hive: Setting) -> None:
    said = hive.badly("worker", "ask_operator", question="x", options=[{}] * 250_000)
    assert said == "ask_operator: options breaks the rule maxItems 10"
    assert "options.0 must be of type string" in hive.badly("worker", "ask_operator", question="x", options=[1, 2])


def test_a_number_that_no_message_has_is_refused(hive: Setting) -> None:
    assert "reply_to breaks the rule maximum" in hive.badly("worker", "send", to="boss", body="x", reply_to=10**30)


def test_mail_to_nobody_says_so(hive: Setting) -> None:
    assert hive.badly("worker", "send", to="nobody", body="x") == "there is no agent 'nobody'"


def test_the_inbox_is_a_peek_with_previews(hive: Setting) -> None:
    for number in range(30):
        hive.well("boss", "send", to="worker", body=f"{number} " + "x" * 1000)
    for _ in range(2):
        peek = hive.well("worker", "inbox")
        assert (peek["waiting"], len(peek["messages"])) == (30, 20)
        assert peek["messages"][0]["from"] == "boss" and len(peek["messages"][0]["body"]) < 600


def test_many_peeks_at_long_mail_at_once_cost_the_core_little_memory(tmp_path: Path) -> None:
    async def peek() -> int:
        async with mail(tmp_path, **FREE) as hive:
            body = "\N{COLLISION SYMBOL}" + "x" * 65_500  # four bytes of memory for each character
            await asyncio.gather(*(hive.broker.send("alice", "bob", body) for _ in range(100)))
            tools = HiveTools(hive.broker, Hive(tmp_path))
            tracemalloc.start()
            try:
                outcomes = await asyncio.gather(*(tools.call("bob", "inbox", {}) for _ in range(8)))
                _, most = tracemalloc.get_traced_memory()
            finally:
                tracemalloc.stop()
            shown = json.loads(outcomes[0].text)
            assert shown["waiting"] == 100 and "65501 characters in all" in shown["messages"][0]["body"]
            return most

    most = within(peek())
    assert most < 20_000_000, f"{most} bytes"


def test_an_agent_that_peeks_very_often_does_not_hold_up_the_mail_of_others(tmp_path: Path) -> None:
    async def wait(hive: Mail, peeks: int) -> float:
        """How long a message takes while bob peeks so often."""
        tools = HiveTools(hive.broker, Hive(tmp_path))
        calls = [asyncio.create_task(tools.call("bob", "inbox", {})) for _ in range(peeks)]
        await asyncio.sleep(0)
        started = time.perf_counter()
        await hive.broker.send("bob", "alice", "hi")
        took = time.perf_counter() - started
        for call in calls:
            call.cancel()
        await asyncio.gather(*calls, return_exceptions=True)
        return took

    async def test() -> None:
        async with mail(tmp_path, **FREE) as hive:
            body = "\N{COLLISION SYMBOL}" + "x" * 65_500
            await asyncio.gather(*(hive.broker.send("alice", "bob", body) for _ in range(100)))
            one = min([await wait(hive, 1) for _ in range(3)])
            many = min([await wait(hive, 64) for _ in range(3)])
            assert many < 16 * one, f"{many} s instead of {one} s"

    within(test())


def test_a_question_is_a_message_of_its_own_kind_with_its_options(hive: Setting) -> None:
    asked = hive.well("worker", "ask_operator", question="Which?", options=["this", "that"])
    assert asked["id"] == 1
    assert hive.letters.sent == [Letter(1, "worker", "operator", "Which?\n\n1. this\n2. that", None, "question")]


def test_notes_grow_until_their_bound(hive: Setting) -> None:
    kept = hive.well("worker", "notes_append", text="two cores")
    assert kept == {"bytes": len((hive.hive.directory / "worker.md").read_bytes()), "maxBytes": 1024}
    assert "make the file shorter first" in hive.badly("worker", "notes_append", text="x" * 1024)
    assert hive.well("worker", "whoami")["notes"]["bytes"] == kept["bytes"]


def test_notes_that_are_switched_off_are_not_written(hive: Setting) -> None:
    hive.hive.agents["worker"] = replace(settings("worker"), notes=Notes(False, 1024))
    assert "switched off" in hive.badly("worker", "notes_append", text="x")
    assert not (hive.hive.directory / "worker.md").exists()


def test_an_agent_learns_who_it_is_and_what_it_may(hive: Setting) -> None:
    known = hive.well("worker", "whoami")
    assert (known["name"], known["role"], known["model"]) == ("worker", "agent", "haiku")
    assert known["bash"] == {"allow": ["ls *"], "deny": []}


def test_a_manager_sees_more_and_steers(hive: Setting) -> None:
    assert hive.well("boss", "list_agents") == {"agents": [{"name": "worker"}, {"name": "boss"}]}
    assert hive.well("boss", "agent_status", name="worker")["model"] == "haiku"
    for verb in ("start", "stop", "restart"):
        assert hive.well("boss", f"{verb}_agent", name="worker") == {"name": "worker", "state": "running"}
    assert hive.hive.done == [(verb, "worker", "boss") for verb in ("start", "stop", "restart")]


def test_an_apply_is_requested_in_the_managers_name(hive: Setting) -> None:
    got = hive.well("boss", "request_apply_commit", agent="worker", commit=COMMIT, reason="gzip")
    assert (got["id"], got["state"]) == (7, "requested")
    assert "diff" not in got and "error" not in got
    assert hive.hive.done == [("apply", "worker", COMMIT, "gzip", "boss")]


@pytest.mark.parametrize(
    "commit", ["main", "HEAD", "abc123", COMMIT + "0", COMMIT.upper(), "--upload-pack=x", COMMIT + "\n"]
)
def test_a_commit_must_be_a_hash(commit: str, hive: Setting) -> None:
    said = hive.badly("boss", "request_apply_commit", agent="worker", commit=commit, reason="x")
    assert "7 to 40 hex digits, never a branch name" in said
    assert hive.hive.done == []


def test_proposals_are_listed_for_all_or_one_agent(hive: Setting) -> None:
    assert hive.well("boss", "proposals") == {"proposals": [{"id": 7, "state": "denied", "decision": "no"}]}
    hive.well("boss", "proposals", agent="worker")
    assert hive.hive.done == [("proposals", "None"), ("proposals", "worker")]


def test_an_agent_neither_sees_nor_calls_a_managers_tools(hive: Setting) -> None:
    offered = {agent: asyncio.run(hive.tools.offered(agent)) for agent in ("worker", "boss")}
    assert sorted(tool.name for tool in offered["worker"]) == FOR_ALL
    assert sorted(tool.name for tool in offered["boss"]) == FOR_MANAGERS
    for name in set(FOR_MANAGERS) - set(FOR_ALL):
        arguments = {"agent": "boss", "name": "boss", "commit": COMMIT, "reason": "x"}
        wanted = next(tool for tool in TOOLS if tool.name == name).properties
        said = hive.badly("worker", name, **{key: arguments[key] for key in wanted})
        assert said == f"{name} is for managers only; ask the manager with send"
    assert hive.hive.done == []


def test_the_role_is_looked_up_at_each_call(hive: Setting) -> None:
    hive.well("boss", "start_agent", name="worker")
    hive.hive.promote("boss", Role.AGENT)
    assert "managers only" in hive.badly("boss", "start_agent", name="worker")
    assert len(hive.hive.done) == 1


def test_nothing_offered_can_approve(hive: Setting) -> None:
    assert not [tool.name for tool in TOOLS if "approve" in tool.name or "rollback" in tool.name]
    assert "no tool 'approve'" in hive.badly("boss", "approve", proposal=7)


@pytest.mark.parametrize(
    ("tool", "arguments", "said"),
    [
        ("send", {"to": "boss"}, "send: missing body"),
        ("send", {}, "send: missing body, to"),
        ("send", {"to": 1, "body": "x"}, "send: to must be of type string"),
        ("send", {"to": "boss", "body": ""}, "send: body must not be empty"),
        ("send", {"to": "boss", "body": "x", "reply_to": "1"}, "send: reply_to must be of type integer"),
        ("send", {"to": "boss", "body": "x", "reply_to": 0}, "send: reply_to breaks the rule minimum 1"),
        ("send", {"to": "x" * 32, "body": "x"}, "send: to breaks the rule maxLength 31"),
        ("inbox", {"wait": 1}, "inbox: unknown wait; it takes no arguments"),
        ("ask_operator", {"question": "?", "options": [1]}, "ask_operator: options.0 must be of type string"),
        ("ask_operator", {"question": "?", "options": []}, "ask_operator: options must not be empty"),
    ],
)
def test_wrong_arguments_are_named_and_nothing_is_done(
    tool: str, arguments: dict[str, object], said: str, hive: Setting
) -> None:
    assert hive.badly("worker", tool, **arguments) == said
    assert hive.letters.sent == []


def test_an_unexpected_failure_is_logged_and_tells_nothing(hive: Setting, caplog: pytest.LogCaptureFixture) -> None:
    assert hive.badly("boss", "stop_agent", name="broken").startswith("internal error")
    assert "a secret of the core's" in caplog.text


def test_an_agent_that_is_gone_is_told_so(hive: Setting) -> None:
    assert hive.badly("ghost", "list_agents") == "there is no agent 'ghost'"
    with pytest.raises(NotFound):
        asyncio.run(hive.tools.offered("ghost"))


def test_a_long_answer_is_cut(hive: Setting, monkeypatch: pytest.MonkeyPatch) -> None:
    async def endless() -> list[dict[str, Any]]:
        return [{"name": "x" * 100}] * 10_000

    monkeypatch.setattr(hive.hive, "list_agents", endless)
    outcome = asyncio.run(hive.tools.call("boss", "list_agents", {}))
    assert len(outcome.text) < MAX_RESULT + 100
    assert outcome.text.endswith("characters in all)")


def test_every_tool_does_something_and_explains_itself(hive: Setting) -> None:
    assert {tool.name for tool in TOOLS} == set(hive.tools._verbs)
    for tool in TOOLS:
        assert tool.description.endswith("."), tool.name
        assert all("description" in rules for rules in tool.properties.values()), tool.name
    assert "manager: you improve" in asyncio.run(hive.tools.instructions("boss"))
    assert "manager: you improve" not in asyncio.run(hive.tools.instructions("worker"))
