"""HTTP over the harness's unix socket, on one kept connection."""

from __future__ import annotations

import http.client
import json
import socket
from pathlib import Path
from typing import Any

from hyperhive.errors import BadInput, Unavailable


class _UnixConnection(http.client.HTTPConnection):
    def __init__(self, path: Path, timeout: float) -> None:
        super().__init__("hive", timeout=timeout)
        self._path = path

    def connect(self) -> None:
        self.sock = socket.socket(socket.AF_UNIX)
        self.sock.settimeout(self.timeout)
        self.sock.connect(str(self._path))


class HarnessClient:
    """The calls of harness.sock. Raises Unavailable while the core is away or fails, BadInput for its refusals.

    Not for two threads: each makes its own.
    """

    def __init__(self, socket_path: Path, *, timeout: float = 90.0) -> None:
        self._socket = socket_path
        self._timeout = timeout
        self._connection: _UnixConnection | None = None

    def recv(self, wait: float, *, most: int = 20, lease: float, restarted: bool = False) -> list[dict[str, Any]]:
        """Lease a batch of messages (for `lease` seconds), waiting at most `wait` seconds for the first.

        `restarted` ends the leases that this agent's harness held before: nobody works on them any more.
        """
        body = {"max": most, "wait": wait, "lease": lease, "restarted": restarted}
        messages: list[dict[str, Any]] = self._post("/v1/recv", body)["messages"]
        return messages

    def ack(self, ids: list[int]) -> int:
        """Say that the turn over these messages is done."""
        return int(self._post("/v1/ack", {"ids": ids})["acked"])

    def put_back(self, ids: list[int]) -> None:
        """Let these wait again; that they were given out does not count."""
        self._post("/v1/put-back", {"ids": ids})

    def give_up(self, ids: list[int], reason: str) -> int:
        """Say that these messages could not be handled: they become dead letters."""
        return int(self._post("/v1/give-up", {"ids": ids, "reason": reason})["parked"])

    def send(self, to: str, body: str, reply_to: int | None = None) -> int:
        """Send mail as this agent."""
        return int(self._post("/v1/send", {"to": to, "body": body, "reply_to": reply_to})["id"])

    def heartbeat(self, generation: int, state: str, pid: int, trouble: str | None = None) -> float:
        """Say that this harness lives; `state` is idle, turn, compacting or waiting, `trouble` why it waits.

        Returns for how many seconds the whole hive is paused from now on.
        """
        body = {"generation": generation, "state": state, "pid": pid, "trouble": trouble}
        return float(self._post("/v1/heartbeat", body).get("paused", 0))

    def begin_turn(
        self, message_ids: list[int], session_id: str, model: str, generation: int, *, notes: str | None = None,
        purpose: str = "mail",
    ) -> int:  # fmt: skip
        """Announce a turn and return its id; `notes` is the version of notes.md in its prompt, if it has them."""
        body = {"message_ids": message_ids, "session_id": session_id, "model": model, "generation": generation}
        return int(self._post("/v1/turns", {**body, "notes": notes, "purpose": purpose})["turn"])

    def add_events(self, turn: int, lines: bytes) -> None:
        """Hand on Claude Code's events, NDJSON, at most a MiB."""
        self._request(f"/v1/turns/{turn}/events", lines)

    def show_text(self, turn: int, text: str) -> None:
        """Show a piece of what is being written to whoever looks; it is not kept."""
        self._post(f"/v1/turns/{turn}/text", {"text": text})

    def end_turn(self, turn: int, **how: Any) -> None:  # noqa: ANN401
        """Record how the turn ended: outcome, detail, model, usage, cost_usd, cpu_seconds, memory_peak (bytes)."""
        self._post(f"/v1/turns/{turn}/end", how)

    def close(self) -> None:
        """Close the connection; the next call opens another."""
        if self._connection is not None:
            self._connection.close()
            self._connection = None

    def _post(self, path: str, body: dict[str, Any]) -> dict[str, Any]:
        return self._request(path, json.dumps(body).encode())

    def _request(self, path: str, body: bytes) -> dict[str, Any]:
        """One request; a kept connection that the core has closed meanwhile is opened again, once."""
        kept = self._connection is not None
        try:
            return self._exchange(path, body)
        except (http.client.RemoteDisconnected, BrokenPipeError, ConnectionResetError) as error:
            self.close()
            if not kept:
                raise Unavailable(f"the core ended the connection ({error})") from error
        except (OSError, http.client.HTTPException) as error:
            self.close()
            raise Unavailable(f"no core answers at {self._socket}: {error}") from error
        return self._request(path, body)

    def _exchange(self, path: str, body: bytes) -> dict[str, Any]:
        if self._connection is None:
            self._connection = _UnixConnection(self._socket, self._timeout)
        self._connection.request("POST", path, body)
        response = self._connection.getresponse()
        try:
            answer = json.loads(response.read())
        except ValueError:
            answer = None
        if not isinstance(answer, dict):
            raise Unavailable(f"the core answered nonsense to {path}")
        if response.status != 200:
            said = str(answer.get("error", f"status {response.status}"))
            raise BadInput(said) if response.status < 500 else Unavailable(f"the core cannot serve {path}: {said}")
        return answer
