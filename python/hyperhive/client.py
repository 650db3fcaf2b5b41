"""The operator's side of operator.sock: one method per call of its HTTP API, errors as our own exceptions.

Standard library only. What comes back are the API's JSON objects; times in them are Unix seconds.
"""

from __future__ import annotations

import http.client
import json
import os
import socket
from collections.abc import Iterator
from contextlib import closing, contextmanager
from pathlib import Path
from typing import Any
from urllib.parse import quote, urlencode

from hyperhive import errors
from hyperhive.errors import BadInput, Forbidden, HyperhiveError, Unavailable
from hyperhive.event_stream import Event, reader, until_end

Json = dict[str, Any]

LOCAL_SOCKET = Path(".hive/run/operator.sock")
SYSTEM_SOCKET = Path("/run/hyperhive/operator.sock")
LONGEST_SOCKET_PATH = 107  # sun_path of unix(7) without its closing NUL
ANSWER = 30.0
LIFECYCLE = 600.0  # a start waits for a heartbeat, a stop for a running turn

_ERRORS = {
    kind.code: kind for kind in vars(errors).values() if isinstance(kind, type) and issubclass(kind, HyperhiveError)
}
_START_ONE = "start one with `hyperhive run` (or `systemctl start hive-c0re` on NixOS)"


def find_socket(explicit: Path | None = None) -> Path:
    """The operator's socket: `explicit`, $HYPERHIVE_SOCKET, the nearest .hive above, or the system's.

    A .hive/run/operator.sock counts only if it belongs to root or to the caller, so that a directory which
    somebody else prepared cannot pose as the hive. Raises Unavailable if there is none.
    """
    if explicit is not None:
        return explicit
    if named := os.environ.get("HYPERHIVE_SOCKET"):
        return Path(named)
    here = Path.cwd()
    for directory in (here, *here.parents):
        if _is_ours(directory / LOCAL_SOCKET):
            return directory / LOCAL_SOCKET
    if SYSTEM_SOCKET.parent.is_dir():
        return SYSTEM_SOCKET
    raise Unavailable(
        f"no core is running: there is no {LOCAL_SOCKET} in this directory or above and no {SYSTEM_SOCKET}; "
        f"{_START_ONE}, or name a socket with --socket"
    )


def _is_ours(path: Path) -> bool:
    try:
        return path.stat().st_uid in (0, os.getuid())
    except OSError:
        return False


class _Connection(http.client.HTTPConnection):
    """HTTP over a unix socket. `timeout` in seconds bounds each wait for the peer; None: no bound."""

    def __init__(self, path: Path, timeout: float | None) -> None:
        super().__init__("localhost", timeout=timeout)
        self._path = path
        self._wait = timeout

    def connect(self) -> None:
        """Connect. Raises OSError."""
        self.sock = socket.socket(socket.AF_UNIX, socket.SOCK_STREAM)
        self.sock.settimeout(self._wait)
        self.sock.connect(_short(self._path))


def _short(path: Path) -> str:
    """`path`, or where its links lead if it is too long for a socket's address. Raises BadInput."""
    for candidate in (str(path), os.path.realpath(path)):
        if len(os.fsencode(candidate)) <= LONGEST_SOCKET_PATH:
            return candidate
    raise BadInput(f"{path} is too long for a socket (at most {LONGEST_SOCKET_PATH} bytes); use a shorter path")


def call(path: Path, method: str, target: str, body: Json | None = None, *, timeout: float = ANSWER) -> Json:
    """One request to the unix socket `path`; returns the JSON object of the answer. `timeout` is in seconds.

    Raises Unavailable (nobody answers), Forbidden (it may not be used) and what the answer's `code` says.
    """
    with closing(_Connection(path, timeout)) as connection, _said_in_words(path, timeout):
        headers = {} if body is None else {"Content-Type": "application/json"}
        connection.request(method, target, None if body is None else json.dumps(body), headers)
        response = connection.getresponse()
        return _answer(path, response.status, response.read())


@contextmanager
def _said_in_words(path: Path, timeout: float | None) -> Iterator[None]:
    """What goes wrong with a connection, as an error that a person can act on."""
    try:
        yield
    except PermissionError as error:
        raise Forbidden(
            f"you may not use {path}; become a user of services.hyperhive.operators, or its owner"
        ) from error
    except (FileNotFoundError, NotADirectoryError, ConnectionRefusedError) as error:
        raise Unavailable(f"no core is running behind {path}; {_START_ONE}") from error
    except TimeoutError as error:
        raise Unavailable(f"the core behind {path} did not answer within {timeout:g} s; see its log") from error
    except (OSError, http.client.HTTPException) as error:
        reason = str(error) or type(error).__name__
        raise Unavailable(f"the core behind {path} ended the connection ({reason}); see its log") from error


def _answer(path: Path, status: int, body: bytes) -> Json:
    try:
        value = json.loads(body)
    except ValueError as error:
        raise Unavailable(f"{path} answers with something that is not JSON; is it a hyperhive core?") from error
    if not isinstance(value, dict):
        raise Unavailable(f"{path} answers with something that is not an object; is it a hyperhive core?")
    if status >= 400:
        kind = _ERRORS.get(str(value.get("code")), HyperhiveError)
        raise kind(str(value.get("error", f"HTTP status {status}")))
    return value


class Client:
    """A core's operator API. Methods raise Unavailable when no core answers, else what the core says."""

    def __init__(self, path: Path, *, timeout: float = ANSWER) -> None:
        self.path = path
        self._timeout = timeout

    def status(self) -> Json:
        """The hive at a glance."""
        return self._get("/v1/status")

    def resume(self) -> bool:
        """Go on before a usage limit resets; returns whether the hive was paused."""
        return bool(self._post("/v1/resume", {})["paused"])

    def dashboard_link(self) -> str:
        """An address that logs a browser in to the dashboard, once. Raises Unavailable if there is none."""
        return str(self._post("/v1/dashboard", {})["url"])

    def sessions(self) -> list[Json]:
        """The browsers that are logged in to the dashboard, the last used first."""
        return self._list("/v1/sessions", "sessions")

    def end_sessions(self, user: str | None = None, *, everybody: bool = False) -> list[Json]:
        """Log the user's browsers out, one's own if none is named, or everybody's; which they were. Raises BadInput."""
        given = {name: value for name, value in (("user", user), ("all", int(everybody) or None)) if value is not None}
        target = "/v1/sessions" + (f"?{urlencode(given, errors='surrogateescape')}" if given else "")
        ended: list[Json] = self._call("DELETE", target, None, self._timeout)["sessions"]
        return ended

    def agents(self) -> list[Json]:
        """Every agent at a glance, by name."""
        return self._list("/v1/agents", "agents")

    def agent(self, name: str) -> Json:
        """Everything about one agent. Raises NotFound."""
        return self._get(f"/v1/agents/{_part(name)}")

    def create_agent(self, name: str, *, role: str = "agent", source: str | None = None) -> Json:
        """Create an agent, from the absolute directory `source`, and start it. Raises Conflict, Rejected."""
        body: Json = {"name": name, "role": role}
        return self._post("/v1/agents", body if source is None else {**body, "source": source}, LIFECYCLE)

    def start(self, name: str) -> Json:
        """Start an agent and wait for its heartbeat."""
        return self._post(f"/v1/agents/{_part(name)}/start", {}, LIFECYCLE)

    def stop(self, name: str) -> Json:
        """Stop an agent after its running turn."""
        return self._post(f"/v1/agents/{_part(name)}/stop", {}, LIFECYCLE)

    def restart(self, name: str) -> Json:
        """Stop and start an agent."""
        return self._post(f"/v1/agents/{_part(name)}/restart", {}, LIFECYCLE)

    def destroy(self, name: str, *, purge: bool = False) -> int:
        """Forget an agent; with `purge` its files go too. Returns how many messages to it became dead letters."""
        path = f"/v1/agents/{_part(name)}?purge={int(purge)}"
        return int(self._call("DELETE", path, None, LIFECYCLE)["dead_letters"])

    def logs(self, name: str, lines: int = 100) -> str:
        """The end of an agent's log."""
        return str(self._get(f"/v1/agents/{_part(name)}/logs", lines=lines)["log"])

    def shell(self, name: str) -> list[str]:
        """The command that opens a shell in the agent's container."""
        return [str(word) for word in self._get(f"/v1/agents/{_part(name)}/shell")["argv"]]

    def turns(self, name: str, limit: int = 20) -> list[Json]:
        """An agent's turns, newest first. Raises NotFound."""
        return self._list(f"/v1/agents/{_part(name)}/turns", "turns", limit=limit)

    def notes(self, name: str) -> Json:
        """An agent's notes, with size, age and version. Raises Conflict if it does not run."""
        return self._get(f"/v1/agents/{_part(name)}/notes")

    def write_notes(self, name: str, text: str, version: str) -> Json:
        """Replace an agent's notes, if they are still of that version. Raises Conflict, TooLarge."""
        return self._call("PUT", f"/v1/agents/{_part(name)}/notes", {"text": text, "version": version}, ANSWER)

    def set_model(self, name: str, model: str | None) -> Json:
        """Override an agent's model; None takes the override away."""
        return self._call("PUT", f"/v1/agents/{_part(name)}/model", {"model": model}, LIFECYCLE)

    def set_budget(self, name: str, tokens: int | None, cost: float | None) -> Json:
        """Override what an agent may use in a day; None is what its configuration says."""
        body = {"tokens_per_day": tokens, "cost_per_day": cost}
        return self._call("PUT", f"/v1/agents/{_part(name)}/budget", body, LIFECYCLE)

    def roll_back(self, name: str, generation: int | None = None) -> Json:
        """Let an agent run an earlier generation (None: the healthy one before the present)."""
        body = {} if generation is None else {"generation": generation}
        return self._post(f"/v1/agents/{_part(name)}/rollback", body, LIFECYCLE)

    def proposals(self, *, agent: str | None = None, state: str | None = None, limit: int = 100) -> list[Json]:
        """The newest proposals, newest first, without settings and diff."""
        return self._list("/v1/proposals", "proposals", agent=agent, state=state, limit=limit)

    def proposal(self, proposal: int) -> Json:
        """One proposal with its delta, lint, diff and fingerprint. Raises NotFound."""
        return self._get(f"/v1/proposals/{proposal}")

    def request_apply(self, agent: str, commit: str, reason: str) -> Json:
        """Request an apply; the check runs on after this returns."""
        return self._post("/v1/proposals", {"agent": agent, "commit": commit, "reason": reason})

    def approve(self, proposal: int, fingerprint: str) -> Json:
        """Approve exactly what was shown. Raises Conflict if it is something else by now."""
        return self._post(f"/v1/proposals/{proposal}/approve", {"fingerprint": fingerprint})

    def deny(self, proposal: int, reason: str) -> Json:
        """Deny a proposal; the requester gets the reason."""
        return self._post(f"/v1/proposals/{proposal}/deny", {"reason": reason})

    def withdraw(self, proposal: int) -> Json:
        """Take a request back."""
        return self._post(f"/v1/proposals/{proposal}/withdraw", {})

    def inbox(self, *, all_: bool = False, limit: int = 100) -> list[Json]:
        """The operator's unread messages, or all of them."""
        return self._list("/v1/inbox", "messages", all=int(all_), limit=limit)

    def mark_read(self, message: int) -> None:
        """Mark a message of the inbox as read."""
        self._post(f"/v1/inbox/{message}/read", {})

    def reply(self, message: int, body: str) -> int:
        """Answer a message of the inbox; returns the answer's id."""
        return int(self._post(f"/v1/inbox/{message}/reply", {"body": body})["id"])

    def send(self, to: str, body: str) -> int:
        """Send a message as the operator; returns its id once it is durable."""
        return int(self._post("/v1/messages", {"to": to, "body": body})["id"])

    def dead_letters(self) -> list[Json]:
        """The messages that were given up."""
        return self._list("/v1/dead-letters", "messages")

    def dead_letter(self, message: int) -> Json:
        """One of them. Raises NotFound."""
        return self._get(f"/v1/dead-letters/{message}")

    def requeue(self, message: int) -> Json:
        """Have a message that was given up delivered after all. Raises NotFound, Conflict, MailboxFull."""
        return self._post(f"/v1/dead-letters/{message}/requeue", {})

    def drop(self, message: int) -> None:
        """Delete a message that was given up. Raises NotFound."""
        self._call("DELETE", f"/v1/dead-letters/{message}", None, self._timeout)

    def explain(self, name: str, command: str, cwd: str | None = None) -> Json:
        """Whether the agent may run a command, and why, for each simple command in it. Raises NotFound, Conflict."""
        body: Json = {"command": command}
        return self._post(f"/v1/agents/{_part(name)}/explain", body if cwd is None else {**body, "cwd": cwd})

    def audit(self, *, agent: str | None = None, since: float | None = None, limit: int = 200) -> list[Json]:
        """The audit log's newest entries, of that agent and since that time (Unix seconds)."""
        seconds = None if since is None else int(since)
        return self._list("/v1/audit", "entries", agent=agent, since=seconds, limit=limit)

    def verify_audit(self) -> Json:
        """`entries`, `head` (a hash) and `broken` (`id`, `what`; None if the log is whole)."""
        return self._get("/v1/audit/verify")

    @contextmanager
    def events(self, *, tick: float | None = None) -> Iterator[Iterator[Event]]:
        """What happens from now on, until the core ends the stream.

        With `tick` an Event("tick", {}) comes whenever so many seconds went by without news.
        """
        with closing(_Connection(self.path, None)) as connection:
            with _said_in_words(self.path, None):
                connection.request("GET", "/v1/events")
                stream = connection.sock.dup()  # http.client may let go of its own one
            with stream:
                with _said_in_words(self.path, None):
                    response = connection.getresponse()
                    if response.status != 200:
                        _answer(self.path, response.status, response.read())
                with reader(stream, response) as news:
                    yield until_end(news, tick)

    def _get(self, target: str, **query: str | int | None) -> Json:
        given = urlencode({n: v for n, v in query.items() if v is not None}, errors="surrogateescape")
        return self._call("GET", f"{target}?{given}" if given else target, None, self._timeout)

    def _list(self, target: str, key: str, **query: str | int | None) -> list[Json]:
        found: list[Json] = self._get(target, **query)[key]
        return found

    def _post(self, target: str, body: Json, timeout: float | None = None) -> Json:
        return self._call("POST", target, body, timeout or self._timeout)

    def _call(self, method: str, target: str, body: Json | None, timeout: float) -> Json:
        return call(self.path, method, target, body, timeout=timeout)


def _part(name: str) -> str:
    """`name` as one segment of a path: an empty one or dots would name something else. Raises BadInput."""
    if name in ("", ".", "..") or not name.isprintable():
        raise BadInput(f"{name[:40]!r} is not an agent's name")
    return quote(name, safe="")
