"""The play of `make run`: each role's next step, decided from the conversation alone."""

from __future__ import annotations

import json
from typing import Any

import pytest

from hyperhive.rehearsal.play import COMMAND, play

Call = tuple[str, dict[str, Any], str, bool]
WISH = "[from operator, message 1]\nhave worker compress its report"
LACK = "[from worker, message 3]\nI lack a permission: gzip was denied"
GZIP = "[from manager, message 2]\nplease gzip your report"
WROTE: Call = ("Write", {}, "ok", False)
SENT: Call = ("mcp__hive__send", {}, '{"id": 4}', False)
NIX = 'model = "haiku"; bash.allow = [ "ls *" "wc *" ];'


def conversation(name: str, role: str, mail: str, *calls: Call) -> dict[str, Any]:
    """A request as Claude Code sends it: the mail, then each call with its result."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": mail}]}]
    for index, (tool, arguments, said, failed) in enumerate(calls):
        call = {"type": "tool_use", "id": f"t{index}", "name": tool, "input": arguments}
        answer = {"type": "tool_result", "tool_use_id": f"t{index}", "content": said, "is_error": failed}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [answer]}]
    return {"system": [{"type": "text", "text": f"… You are {name}, {role} of a hyperhive: …"}], "messages": messages}


def manager(mail: str, *calls: Call) -> dict[str, Any]:
    return play(conversation("manager", "the manager", mail, *calls))


def worker(mail: str, *calls: Call) -> dict[str, Any]:
    return play(conversation("worker", "an agent", mail, *calls))


def mail_to(step: dict[str, Any], to: str) -> str:
    """The body of the mail that the step sends to that one."""
    assert (step.get("tool"), step.get("input", {}).get("to")) == ("mcp__hive__send", to), step
    body: str = step["input"]["body"]
    return body


def test_the_manager_passes_the_wish_on_once() -> None:
    assert COMMAND in mail_to(manager(WISH), "worker")
    assert "tool" not in manager(WISH, SENT)


def test_worker_writes_the_report_then_tries_to_compress_it() -> None:
    assert worker(GZIP)["tool"] == "Write"
    assert worker(GZIP, WROTE)["input"]["command"] == COMMAND


@pytest.mark.parametrize(
    "denial",
    [
        "Permission to use Bash with command gzip … has been denied.",
        "This command requires approval",
        "… because Claude Code is running in don't ask mode …",
    ],
)
def test_worker_tells_the_manager_of_a_denial(denial: str) -> None:
    said = mail_to(worker(GZIP, WROTE, ("Bash", {}, denial, True)), "manager")
    assert "permission" in said and denial in said


def test_worker_tells_the_operator_of_success_and_says_that_it_is_rehearsed() -> None:
    assert "rehearsed" in mail_to(worker(GZIP, WROTE, ("Bash", {}, "", False)), "operator")
    assert "tool" not in worker(GZIP, WROTE, ("Bash", {}, "", False), SENT)


def test_a_command_that_fails_without_a_denial_is_no_matter_for_the_manager() -> None:
    said = mail_to(worker(GZIP, WROTE, ("Bash", {}, "gzip: report.txt: No such file", True)), "operator")
    assert "No such file" in said


def test_worker_only_compresses_when_it_may_at_last() -> None:
    assert worker("[from manager, message 9]\nPlease try again: gzip …")["tool"] == "Bash"


def test_the_manager_edits_commits_and_requests_the_hash_that_git_printed() -> None:
    calls: list[Call] = []
    results = [NIX, "ok", "ok", "committed", "ab" * 20 + "\n"]
    tools = []
    for said in results:
        step = manager(LACK, *calls)
        tools.append(step["tool"])
        calls.append((step["tool"], step["input"], said, False))
    assert tools == ["Read", "Edit", "Edit", "Bash", "Bash"]
    step = manager(LACK, *calls)
    assert step["tool"] == "mcp__hive__request_apply_commit"
    assert (step["input"]["agent"], step["input"]["commit"]) == ("worker", "ab" * 20)
    assert "tool" not in manager(LACK, *calls, (step["tool"], step["input"], "{}", False))


def test_a_change_that_is_committed_already_is_requested_again_without_an_edit() -> None:
    read: Call = ("Read", {}, NIX.replace("]", '"gzip *" ]'), False)
    assert "rev-parse" in manager(LACK, read)["input"]["command"]
    step = manager(LACK, read, ("Bash", {}, "cd" * 20, False))
    assert step["input"]["commit"] == "cd" * 20


def test_a_change_that_fails_is_told_to_the_operator_and_nothing_is_requested() -> None:
    calls: list[Call] = [("Read", {}, NIX, False), ("Edit", {}, "String to replace not found", True)]
    assert "String to replace not found" in mail_to(manager(LACK, *calls), "operator")
    assert "tool" not in manager(LACK, *calls, SENT)


def test_after_the_apply_worker_is_asked_to_try_again() -> None:
    mail = '[from system, message 5]\n{"event": "apply_result", "agent": "worker", "state": "applied"}'
    assert "try again" in mail_to(manager(mail), "worker")
    assert "tool" not in manager(mail, SENT)


def test_a_denied_change_is_told_to_the_operator_with_its_reason() -> None:
    result = {"event": "apply_result", "agent": "worker", "state": "denied", "reason": 'not "today"'}
    said = mail_to(manager(f"[from system, message 5]\n{json.dumps(result)}"), "operator")
    assert 'not "today"' in said and "rehearsed" in said


@pytest.mark.parametrize("name", ["manager", "worker", "stranger"])
def test_other_words_of_the_operator_get_one_polite_answer_that_says_it_is_rehearsed(name: str) -> None:
    mail = "[from operator, message 1]\nwhat is the weather like?"
    assert "rehearsed" in mail_to(play(conversation(name, "an agent", mail)), "operator")
    assert "tool" not in play(conversation(name, "an agent", mail, SENT))


@pytest.mark.parametrize("name", ["manager", "worker", "stranger"])
def test_other_words_of_an_agent_get_no_mail_back(name: str) -> None:
    assert "tool" not in play(conversation(name, "an agent", "[from bob, message 1]\nhi"))


@pytest.mark.parametrize("request_", [{}, {"messages": []}, {"system": "x", "messages": [{"role": "user"}]}])
def test_a_request_without_a_conversation_gets_words(request_: dict[str, Any]) -> None:
    assert play(request_)["text"]
