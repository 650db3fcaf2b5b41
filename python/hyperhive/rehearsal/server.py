"""The Messages API on loopback: streamed (server-sent events) and whole answers, made from steps."""

from __future__ import annotations

import json
import re
import sys
import threading
import time
from collections.abc import Callable, Iterator
from http.server import BaseHTTPRequestHandler, ThreadingHTTPServer
from typing import Any

from hyperhive.rehearsal.script import Step, notes_step, scripted_step

MAX_BODY = 64 * 1024 * 1024
Answerer = Callable[[dict[str, Any]], Step]


class RehearsalServer(ThreadingHTTPServer):
    """Serves on 127.0.0.1; `answer` gives the step for a request that carries no script of its own."""

    daemon_threads = True
    request_queue_size = 64

    def __init__(self, port: int, answer: Answerer) -> None:
        super().__init__(("127.0.0.1", port), _Handler)
        self.answer = answer
        self.count = 0
        self.last = 0.0
        self.messages = 0
        self._counting = threading.Lock()

    def number(self, request: dict[str, Any]) -> int:
        """Count a Messages request and return its number."""
        with self._counting:
            self.count += 1
            self.last = time.time()
            self.messages = len(request.get("messages") or [])
            return self.count

    def handle_error(self, request: Any, client_address: Any) -> None:  # noqa: ANN401  (as the base class has it)
        """A client that goes away is nothing to talk about."""
        if not isinstance(sys.exc_info()[1], ConnectionError):
            super().handle_error(request, client_address)

    @property
    def port(self) -> int:
        """The port that it listens on."""
        return int(self.server_address[1])


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    disable_nagle_algorithm = True  # an answer is many small writes: each would wait 40 ms for an acknowledgement
    server: RehearsalServer

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (the base class's name)
        """Say nothing."""

    def do_HEAD(self) -> None:
        """Claude Code asks whether anybody is there."""
        self._whole(200, b"")

    def do_GET(self) -> None:
        """/rehearsal tells how many Messages requests came, when the last one did (Unix seconds) and its length."""
        if self.path == "/rehearsal":
            seen = {"count": self.server.count, "last": self.server.last, "messages": self.server.messages}
            return self._whole(200, json.dumps(seen).encode())
        return self._error(404, "not_found_error", "the rehearsal serves POST /v1/messages only")

    def do_POST(self) -> None:
        """Answer a Messages request."""
        size = self.headers.get("content-length", "")
        if not size.isdecimal() or int(size) > MAX_BODY:
            self.close_connection = True  # what follows cannot be told from a request
            return self._error(413, "request_too_large", f"give a content-length of at most {MAX_BODY}")
        try:
            request = json.loads(self.rfile.read(int(size)))
        except ValueError:
            request = None
        if not isinstance(request, dict):
            return self._error(400, "invalid_request_error", "the body is not a JSON object")
        path = self.path.partition("?")[0]
        if path == "/v1/messages/count_tokens":
            return self._whole(200, json.dumps({"input_tokens": len(json.dumps(request)) // 4}).encode())
        if path != "/v1/messages":
            return self._error(404, "not_found_error", f"no {path[:80]}")
        number = self.server.number(request)
        step = notes_step(request) or scripted_step(request.get("messages") or []) or self.server.answer(request)
        try:
            self._answer(request, step, number)
        except (BrokenPipeError, ConnectionResetError):
            self.close_connection = True
        return None

    def _answer(self, request: dict[str, Any], step: Step, number: int) -> None:
        time.sleep(step.get("delay", 0))
        if "hang" in step:
            time.sleep(step["hang"])
            self.close_connection = True
            return
        if "status" in step and time.time() < step.get("until", float("inf")):
            error = step.get("error", {"type": "api_error", "message": "rehearsed error"})
            body = json.dumps({"type": "error", "error": error}).encode()
            self._whole(step["status"], body, headers=step.get("headers"))
            return
        message = _message(request, step, number)
        if request.get("stream"):
            self._stream(message, step)
        else:
            self._whole(200, json.dumps(message).encode())

    def _whole(self, status: int, body: bytes, headers: dict[str, str] | None = None) -> None:
        self.send_response(status)
        self.send_header("content-type", "application/json")
        self.send_header("content-length", str(len(body)))
        for name, value in (headers or {}).items():
            self.send_header(name, value)
        self.end_headers()
        self.wfile.write(body)

    def _error(self, status: int, kind: str, text: str) -> None:
        self._whole(status, json.dumps({"type": "error", "error": {"type": kind, "message": text}}).encode())

    def _stream(self, message: dict[str, Any], step: Step) -> None:
        garble = bool(step.get("garble"))
        self.send_response(200)
        self.send_header("content-type", "text/event-stream")
        self.send_header("transfer-encoding", "chunked")
        self.end_headers()
        for event in _events(message, by_word="pace" in step):
            if event["type"] == "content_block_delta":
                time.sleep(step.get("pace", 0))
            data = f"event: {event['type']}\ndata: {json.dumps(event)}\n\n".encode()
            self.wfile.write(b"%x\r\n%s\r\n" % (len(data), data))
            if step.get("cut"):
                self.close_connection = True
                return
            if garble:
                nonsense = b"event: content_block_delta\ndata: {no json\n\n"
                self.wfile.write(b"%x\r\n%s\r\n" % (len(nonsense), nonsense))
                garble = False
        self.wfile.write(b"0\r\n\r\n")


def _message(request: dict[str, Any], step: Step, number: int) -> dict[str, Any]:
    """The whole answer to a request, as the Messages API describes it."""
    calls = step.get("tools") or ([step] if "tool" in step else [])
    content: list[dict[str, Any]] = []
    if "thinking" in step:
        content.append({"type": "thinking", "thinking": step["thinking"], "signature": "cmVoZWFyc2Vk"})
    if "text" in step:
        content.append({"type": "text", "text": step["text"]})
    content += [
        {"type": "tool_use", "id": f"toolu_{number}_{index}", "name": call["tool"], "input": call.get("input", {})}
        for index, call in enumerate(calls)
    ]
    return {
        "id": f"msg_rehearsal_{number}",
        "type": "message",
        "role": "assistant",
        "model": request.get("model"),
        "content": content,
        "stop_reason": step.get("stop") or ("tool_use" if calls else "end_turn"),
        "stop_sequence": None,
        "usage": {"input_tokens": len(json.dumps(request)) // 4, "output_tokens": 20, **step.get("usage", {})},
    }


def _events(message: dict[str, Any], *, by_word: bool) -> Iterator[dict[str, Any]]:
    """The same answer as the events of a stream."""
    usage = message["usage"]
    started = {**message, "content": [], "stop_reason": None, "usage": {**usage, "output_tokens": 1}}
    yield {"type": "message_start", "message": started}
    for index, block in enumerate(message["content"]):
        empty, deltas = _block_deltas(block, by_word=by_word)
        yield {"type": "content_block_start", "index": index, "content_block": empty}
        for delta in deltas:
            yield {"type": "content_block_delta", "index": index, "delta": delta}
        yield {"type": "content_block_stop", "index": index}
    ended = {"stop_reason": message["stop_reason"], "stop_sequence": None}
    yield {"type": "message_delta", "delta": ended, "usage": usage}
    yield {"type": "message_stop"}


def _block_deltas(block: dict[str, Any], *, by_word: bool) -> tuple[dict[str, Any], list[dict[str, Any]]]:
    match block["type"]:
        case "text":
            pieces = re.findall(r"\s*\S+\s*$|\s*\S+", block["text"]) if by_word else [block["text"]]
            return {"type": "text", "text": ""}, [{"type": "text_delta", "text": piece} for piece in pieces]
        case "thinking":
            return {"type": "thinking", "thinking": "", "signature": ""}, [
                {"type": "thinking_delta", "thinking": block["thinking"]},
                {"type": "signature_delta", "signature": block["signature"]},
            ]
        case _:
            return {**block, "input": {}}, [{"type": "input_json_delta", "partial_json": json.dumps(block["input"])}]
