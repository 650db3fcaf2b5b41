"""A scripted operator.sock for tests of the client and the command line: it answers as told and records what came."""

from __future__ import annotations

import json
import os
import socketserver
import sys
import threading
import time
from collections.abc import Callable, Iterator, Sequence
from contextlib import contextmanager
from dataclasses import dataclass, field
from http.server import BaseHTTPRequestHandler
from pathlib import Path
from typing import Any

DEADLINE = 20.0
COMMAND = [sys.executable, "-c", "import sys; from hyperhive.cli.main import main; sys.exit(main())"]

Answer = tuple[int, object]
Scripted = Answer | Callable[[dict[str, Any] | None], Answer]


@dataclass
class FakeCore:
    """What the fake core answers, by `METHOD target`; 404 for everything else. `requests` is what it was asked."""

    path: Path
    answers: dict[str, Scripted] = field(default_factory=dict)
    requests: list[tuple[str, Any]] = field(default_factory=list)
    stream: list[tuple[str, dict[str, Any]]] = field(default_factory=list)
    stream_opened: threading.Event = field(default_factory=threading.Event)
    stream_may_end: threading.Event = field(default_factory=threading.Event)

    def answer(self, request: str, value: object, status: int = 200) -> None:
        """Answer `request` (e.g. `GET /v1/status`) with that JSON value; bytes are sent as they are."""
        self.answers[request] = (status, value)

    def fail(self, request: str, status: int, code: str, error: str) -> None:
        """Answer `request` with an error as the core words it."""
        self.answers[request] = (status, {"error": error, "code": code})

    def asked(self, request: str) -> list[Any]:
        """The bodies that came with that request."""
        return [body for asked, body in self.requests if asked == request]


class _Handler(BaseHTTPRequestHandler):
    protocol_version = "HTTP/1.1"
    server: _Server

    def do_any(self) -> None:
        core = self.server.core
        raw = self.rfile.read(int(self.headers.get("Content-Length", "0")))
        body = json.loads(raw) if raw else None
        request = f"{self.command} {self.path}"
        core.requests.append((request, body))
        if request == "GET /v1/events" and request not in core.answers:
            self._stream(core)
            return
        scripted = core.answers.get(request, (404, {"error": f"the fake core has no {request}", "code": "not_found"}))
        status, value = scripted(body) if callable(scripted) else scripted
        self._send(status, value if isinstance(value, bytes) else json.dumps(value).encode())

    do_GET = do_POST = do_PUT = do_DELETE = do_any  # noqa: N815  (http.server's names)

    def _send(self, status: int, body: bytes) -> None:
        self.send_response(status)
        self.send_header("Content-Length", str(len(body)))
        self.end_headers()
        self.wfile.write(body)

    def _stream(self, core: FakeCore) -> None:
        self.send_response(200)
        self.send_header("Transfer-Encoding", "chunked")
        self.end_headers()
        self._chunk(": the hive's events from now on\n\n")
        core.stream_opened.set()
        for kind, data in core.stream:
            self._chunk(f"event: {kind}\ndata: {json.dumps(data)}\n\n")
        core.stream_may_end.wait(DEADLINE)
        self.wfile.write(b"0\r\n\r\n")

    def _chunk(self, text: str) -> None:
        data = text.encode()
        self.wfile.write(f"{len(data):x}\r\n".encode() + data + b"\r\n")
        self.wfile.flush()

    def log_message(self, format: str, *args: object) -> None:  # noqa: A002  (http.server's name)
        """Say nothing."""


class _Server(socketserver.ThreadingMixIn, socketserver.UnixStreamServer):
    daemon_threads = True
    block_on_close = False

    def __init__(self, core: FakeCore) -> None:
        self.core = core
        super().__init__(str(core.path), _Handler)

    def get_request(self) -> tuple[Any, Any]:
        request, _ = super().get_request()
        return request, ("operator", 0)

    def handle_error(self, request: object, client_address: object) -> None:
        """A client that went away in the middle is none of the server's business."""


@contextmanager
def fake_core(directory: Path) -> Iterator[FakeCore]:
    """A fake core behind `directory`/operator.sock for the time of the block."""
    core = FakeCore(directory / "operator.sock")
    with _Server(core) as server:
        thread = threading.Thread(target=server.serve_forever, kwargs={"poll_interval": 0.01})
        thread.start()
        try:
            yield core
        finally:
            core.stream_may_end.set()
            server.shutdown()
            thread.join()


def until(condition: Callable[[], bool]) -> None:
    """Wait for a condition. Raises AssertionError if it does not come true in time."""
    deadline = time.monotonic() + DEADLINE
    while not condition():
        assert time.monotonic() < deadline, "the condition did not come true in time"
        time.sleep(0.005)


def environment(**more: str) -> dict[str, str]:
    """What a program of ours needs of the environment, and nothing of the caller's hive."""
    kept = {name: os.environ[name] for name in ("PATH", "HOME") if name in os.environ}
    return {**kept, "PYTHONPATH": str(Path(__file__).parents[1]), "LANG": "C.UTF-8", **more}


def agent_view(name: str = "worker", **changes: Any) -> dict[str, Any]:
    """An AgentView as the core sends it."""
    view = {
        "name": name,
        "role": "agent",
        "state": "running",
        "desired": "running",
        "generation": 1,
        "model": "haiku",
        "unread": 0,
        "last_turn": None,
        "activity": "idle",
        "trouble": None,
        "over_budget": None,
    }
    return {**view, **changes}


def agent_details(name: str = "worker", **changes: Any) -> dict[str, Any]:
    """What GET /v1/agents/{name} sends, with one generation and no settings but those that are shown."""
    details = {
        "settings": {
            "bash": {"allow": ["ls *"], "deny": []},
            "tools": {"allow": ["Read"], "deny": []},
            "packages": [],
            "network": {"allow": []},
        },
        "sources": {"model": "default", "bash.allow": "agent.nix"},
        "overrides": {},
        "generations": [
            {"number": 1, "commit": "c" * 40, "proposal": None, "reason": "created", "healthy": True, "created_at": 1.0}
        ],
        "usage": [
            {
                "day": "2026-11-23",
                "model": "haiku",
                "requests": 2,
                "input_tokens": 30,
                "output_tokens": 4,
                "cost_usd": 0.5,
            }
        ],
    }
    return {**agent_view(name), **details, **changes}


def proposal_view(number: int = 3, state: str = "checked", **changes: Any) -> dict[str, Any]:
    """A ProposalView as the core sends it."""
    view = {
        "id": number,
        "agent": "worker",
        "commit": "0123456789abcdef0123456789abcdef01234567",
        "reason": "it needs gzip for its report",
        "requester": "manager",
        "state": state,
        "base_generation": 1,
        "settings": {},
        "delta": [
            _change("bash", "widening", "may now run: gzip *"),
            _change("model", "neutral", "model haiku → sonnet"),
        ],
        "lint": ["git * can run any program"],
        "diff": '--- a/agent.nix\n+++ b/agent.nix\n+    "gzip *"\n',
        "fingerprint": "f" * 64,
        "generation": None,
        "error": None,
        "decided_by": None,
        "decision": None,
        "created_at": 1.0,
        "updated_at": 2.0,
    }
    return {**view, **changes}


def _change(area: str, direction: str, text: str) -> dict[str, Any]:
    return {"area": area, "direction": direction, "text": text, "before": None, "after": None, "weight": 1}


def message_view(number: int = 7, body: str = "the report is ready", **changes: Any) -> dict[str, Any]:
    """A message of the inbox as the core sends it."""
    view = {
        "id": number,
        "sender": "worker",
        "recipient": "operator",
        "kind": "mail",
        "body": body,
        "reply_to": None,
        "sent_at": 1.0,
        "read_at": None,
        "replied": False,
    }
    return {**view, **changes}


def words(core: FakeCore, arguments: Sequence[str]) -> list[str]:
    """The arguments of `hyperhive` that make it talk to that core."""
    return ["--socket", str(core.path), *arguments]
