"""The rehearsal model: the Messages API's shapes, scripts in prompts, and the play of `make run`."""

from __future__ import annotations

import http.client
import json
import threading
from collections.abc import Iterator
from typing import Any

import pytest

from hyperhive.rehearsal.play import play
from hyperhive.rehearsal.script import marked, scripted_step
from hyperhive.rehearsal.server import RehearsalServer


@pytest.fixture
def port() -> Iterator[int]:
    server = RehearsalServer(0, play)
    thread = threading.Thread(target=server.serve_forever)
    thread.start()
    yield server.port
    server.shutdown()
    thread.join()
    server.server_close()


def post(port: int, body: object, path: str = "/v1/messages") -> tuple[int, bytes]:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
    response = connection.getresponse()
    answer = response.status, response.read()
    connection.close()
    return answer


def asks(text: str, **more: Any) -> dict[str, Any]:
    return {"model": "haiku", "messages": [{"role": "user", "content": text}], **more}


def test_a_whole_answer_has_the_messages_apis_shape(port: int) -> None:
    status, body = post(port, asks(marked([{"text": "hello"}])))
    message = json.loads(body)
    assert status == 200
    assert (message["role"], message["stop_reason"]) == ("assistant", "end_turn")
    assert message["content"] == [{"type": "text", "text": "hello"}]
    assert set(message["usage"]) >= {"input_tokens", "output_tokens"}


def test_a_streamed_answer_adds_up_to_the_same(port: int) -> None:
    _, body = post(port, asks(marked([{"tool": "Bash", "input": {"command": "ls"}}]), stream=True))
    events = [json.loads(line[6:]) for line in body.decode().splitlines() if line.startswith("data: ")]
    kinds = [event["type"] for event in events]
    assert kinds[0] == "message_start" and kinds[-1] == "message_stop"
    parts = [event["delta"]["partial_json"] for event in events if event["type"] == "content_block_delta"]
    assert json.loads("".join(parts)) == {"command": "ls"}
    assert events[-2]["delta"]["stop_reason"] == "tool_use"


def test_a_script_gives_one_step_per_answer_and_repeats_the_last() -> None:
    prompt = {"role": "user", "content": marked([{"text": "1"}, {"text": "2"}])}
    answer = {"role": "assistant", "content": []}
    assert scripted_step([prompt]) == {"text": "1"}
    assert scripted_step([prompt, answer]) == {"text": "2"}
    assert scripted_step([prompt, answer, answer, answer]) == {"text": "2"}


def test_a_newer_mail_without_a_script_ends_the_old_one() -> None:
    old = {"role": "user", "content": marked([{"text": "1"}])}
    assert scripted_step([old, {"role": "user", "content": "[from bob, message 2]\nhi"}]) is None


@pytest.mark.parametrize(
    ("body", "path", "status"),
    [(b"{", "/v1/messages", 400), (b"{}", "/v1/models", 404), (b"{}", "/v1/messages/count_tokens", 200)],
)
def test_other_requests_get_what_the_api_would_say(port: int, body: bytes, path: str, status: int) -> None:
    assert post(port, body, path)[0] == status


def test_a_scripted_error_is_an_http_error(port: int) -> None:
    step = {"status": 529, "error": {"type": "overloaded_error", "message": "busy"}}
    status, body = post(port, asks(marked([step])))
    assert (status, json.loads(body)["error"]["type"]) == (529, "overloaded_error")


def conversation(name: str, role: str, mail: str, *calls: tuple[str, dict[str, Any], str, bool]) -> dict[str, Any]:
    """A request as Claude Code sends it: the mail, then each call with its result."""
    messages: list[dict[str, Any]] = [{"role": "user", "content": [{"type": "text", "text": mail}]}]
    for index, (tool, arguments, said, failed) in enumerate(calls):
        call = {"type": "tool_use", "id": f"t{index}", "name": tool, "input": arguments}
        answer = {"type": "tool_result", "tool_use_id": f"t{index}", "content": said, "is_error": failed}
        messages += [{"role": "assistant", "content": [call]}, {"role": "user", "content": [answer]}]
    return {"system": [{"type": "text", "text": f"… You are {name}, {role} of a hyperhive: …"}], "messages": messages}


def test_the_manager_passes_the_wish_on() -> None:
    step = play(conversation("manager", "the manager", "[from operator, message 1]\nhave worker compress its report"))
    assert (step["tool"], step["input"]["to"]) == ("mcp__hive__send", "worker")


def test_worker_tells_the_manager_of_a_denial_and_the_operator_of_success() -> None:
    mail = "[from manager, message 2]\nplease gzip your report"
    wrote = ("Write", {}, "ok", False)
    denied = conversation("worker", "an agent", mail, wrote, ("Bash", {}, "Permission … has been denied", True))
    assert play(denied)["input"]["to"] == "manager"
    done = conversation("worker", "an agent", mail, wrote, ("Bash", {}, "", False))
    assert play(done)["input"]["to"] == "operator"


def test_the_manager_requests_the_hash_that_git_printed() -> None:
    calls = [("Read", {}, "…", False), *[("Edit", {}, "ok", False)] * 2, ("Bash", {}, "committed", False)]
    mail = "[from worker, message 3]\nI lack a permission: gzip was denied"
    request = conversation("manager", "the manager", mail, *calls, ("Bash", {}, "ab" * 20 + "\n", False))
    step = play(request)
    assert step["tool"] == "mcp__hive__request_apply_commit"
    assert (step["input"]["agent"], step["input"]["commit"]) == ("worker", "ab" * 20)


def test_somebody_unknown_gets_a_polite_answer_that_says_it_is_rehearsed() -> None:
    assert "rehearsed" in play(conversation("stranger", "an agent", "[from bob, message 1]\nhi"))["text"]
