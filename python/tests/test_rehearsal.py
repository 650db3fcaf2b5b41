"""The rehearsal model: the Messages API's shapes, scripts in prompts, and what it does with bad clients."""

from __future__ import annotations

import contextlib
import http.client
import json
import socket
import subprocess
import sys
import threading
import time
from collections.abc import Iterator
from concurrent.futures import ThreadPoolExecutor
from typing import Any

import pytest

from hyperhive.rehearsal.play import play
from hyperhive.rehearsal.script import marked, scripted_step
from hyperhive.rehearsal.server import RehearsalServer


@pytest.fixture
def port() -> Iterator[int]:
    server = RehearsalServer(0, play)
    thread = threading.Thread(target=server.serve_forever, args=(0.01,))
    thread.start()
    yield server.port
    server.shutdown()
    thread.join()
    server.server_close()


def post(port: int, body: object, path: str = "/v1/messages") -> tuple[int, bytes]:
    with contextlib.closing(http.client.HTTPConnection("127.0.0.1", port, timeout=10)) as connection:
        connection.request("POST", path, body if isinstance(body, bytes) else json.dumps(body))
        response = connection.getresponse()
        return response.status, response.read()


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


@pytest.mark.parametrize("body", [b"[]", b"null", b"7", b'"x"', b"\xff"])
def test_a_body_that_is_no_object_is_refused(port: int, body: bytes) -> None:
    assert post(port, body)[0] == 400


@pytest.mark.parametrize("length", ["x", "-1", str(1 << 40)])
def test_a_length_that_cannot_be_is_refused_at_once(port: int, length: str) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=10) as connection:
        connection.sendall(f"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: {length}\r\n\r\n".encode())
        assert connection.makefile("rb").readline() == b"HTTP/1.1 413 Request Entity Too Large\r\n"


@pytest.mark.parametrize("script", ["e30=", "W10=", "WzFd", "no-base64", "AAAA"])
def test_a_mark_without_a_list_of_steps_is_only_text(script: str) -> None:
    assert scripted_step([{"role": "user", "content": f"REHEARSE:{script}"}]) is None


def test_somebody_asks_whether_anybody_is_there(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    connection.request("HEAD", "/")
    response = connection.getresponse()
    assert (response.status, response.read()) == (200, b"")
    connection.request("GET", "/v1/models")
    assert connection.getresponse().status == 404
    connection.close()


def test_the_steps_keys_shape_the_answer(port: int) -> None:
    step = {
        "thinking": "hm",
        "text": "so",
        "tools": [{"tool": "Read", "input": {"file_path": "/a"}}, {"tool": "Bash"}],
        "usage": {"input_tokens": 199_000},
    }
    message = json.loads(post(port, asks(marked([step])))[1])
    assert [block["type"] for block in message["content"]] == ["thinking", "text", "tool_use", "tool_use"]
    assert message["content"][2]["id"] != message["content"][3]["id"]
    assert message["usage"]["input_tokens"] == 199_000
    assert json.loads(post(port, asks(marked([{"text": "no", "stop": "refusal"}])))[1])["stop_reason"] == "refusal"


def test_a_cut_stream_ends_after_its_first_event(port: int) -> None:
    with pytest.raises(http.client.IncompleteRead) as cut:
        post(port, asks(marked([{"text": "never whole", "cut": True}]), stream=True))
    assert b"message_start" in cut.value.partial
    assert b"content_block" not in cut.value.partial


def test_an_errors_headers_are_sent(port: int) -> None:
    connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
    step = {"status": 429, "headers": {"retry-after": "3600"}}
    connection.request("POST", "/v1/messages", json.dumps(asks(marked([step]))))
    response = connection.getresponse()
    assert (response.status, response.headers["retry-after"]) == (429, "3600")
    response.read()
    connection.close()


def test_a_slow_answer_holds_up_nobody_else(port: int) -> None:
    with socket.create_connection(("127.0.0.1", port), timeout=30) as slow:
        body = json.dumps(asks(marked([{"hang": 2}]))).encode()
        slow.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
        with ThreadPoolExecutor(20) as pool:
            answers = list(pool.map(lambda n: post(port, asks(marked([{"text": str(n)}]))), range(20)))
        texts = [json.loads(body)["content"][0]["text"] for _, body in answers]
        assert texts == [str(number) for number in range(20)]
        slow.setblocking(False)
        with pytest.raises(BlockingIOError):  # it hangs still
            slow.recv(1)
        slow.setblocking(True)
        assert slow.recv(1) == b""


def test_a_client_that_goes_away_is_nothing_to_talk_about(port: int, capsys: pytest.CaptureFixture[str]) -> None:
    body = json.dumps(asks(marked([{"delay": 0.2, "text": "x" * 1_000_000}]), stream=True)).encode()
    with socket.create_connection(("127.0.0.1", port), timeout=10) as hasty:
        hasty.setsockopt(socket.SOL_SOCKET, socket.SO_LINGER, b"\1\0\0\0\0\0\0\0")
        hasty.sendall(b"POST /v1/messages HTTP/1.1\r\nhost: x\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))
    deadline = time.monotonic() + 10
    while any("process_request" in thread.name for thread in threading.enumerate()):
        assert time.monotonic() < deadline
    assert post(port, asks("hi"))[0] == 200
    assert "Traceback" not in capsys.readouterr().err


def test_a_scripted_error_is_an_http_error(port: int) -> None:
    step = {"status": 529, "error": {"type": "overloaded_error", "message": "busy"}}
    status, body = post(port, asks(marked([step])))
    assert (status, json.loads(body)["error"]["type"]) == (529, "overloaded_error")


def test_a_port_in_use_is_one_clear_line(port: int) -> None:
    done = subprocess.run(
        [sys.executable, "-m", "hyperhive.rehearsal", "--port", str(port)],
        capture_output=True, text=True, timeout=20, check=False,
    )  # fmt: skip
    assert done.returncode == 1
    assert done.stderr == f"error: port {port} of 127.0.0.1 cannot be used: Address already in use; choose another\n"
