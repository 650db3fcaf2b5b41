"""mcp.sock under a model that sends anything: each request has one answer, and a refused one has changed nothing."""

from __future__ import annotations

import json
from collections.abc import Iterator
from itertools import count
from typing import Any

import pytest
from core_rig import LACKING, SKIP_REASON
from fuzz_rig import (
    BROKEN,
    Connection,
    Served,
    Text,
    changes,
    connected,
    cuts,
    fuzz,
    given_values,
    hive,
    hostile,
    in_pieces,
    objects,
    path_of,
    served,
)
from hypothesis import given
from hypothesis import strategies as st

from hyperhive import controls
from hyperhive.api.mcp import MAX_LINE
from hyperhive.core import Core

pytestmark = pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON)

NUMBERS = count(1000)
HELLO = {"protocolVersion": "2025-06-18", "capabilities": {}, "clientInfo": {"name": "fuzz", "version": "1"}}
WHO = {"name": "whoami", "arguments": {}}


@pytest.fixture(scope="module")
def core(tmp_path_factory: pytest.TempPathFactory) -> Iterator[Served[Core]]:
    """A core whose agents never run, so that none waits for its harness."""
    with pytest.MonkeyPatch.context() as patch, served(lambda: hive(tmp_path_factory.mktemp("hive"))) as made:
        patch.setattr(controls, "CONNECT_TIME", 0.0)
        yield made


def line(method: str, params: object, number: object) -> bytes:
    """A request."""
    return json.dumps({"jsonrpc": "2.0", "id": number, "method": method, "params": params}).encode() + b"\n"


def begin(connection: Connection) -> None:
    """The handshake."""
    connection.send(line("initialize", HELLO, 0))
    assert "result" in json.loads(connection.file.readline())
    connection.send(b'{"jsonrpc":"2.0","method":"notifications/initialized"}\n')


def is_clear(said: dict[str, Any]) -> None:
    """A result, a tool's failure in words or a JSON-RPC error, but never one of the core's own."""
    assert said["jsonrpc"] == "2.0" and ("result" in said) != ("error" in said), said
    words = json.dumps(said.get("error") or said["result"])
    assert "internal error" not in words.lower(), said
    if "error" in said:
        assert -32768 <= said["error"]["code"] <= -32000 and said["error"]["message"], said
    elif said["result"].get("isError"):
        (part,) = said["result"]["content"]
        assert 0 < len(part["text"]) < 700, part["text"]


NAMES = ["alice", "boss", "nobody", "operator", "bob\n", "../alice", "x" * 31, "x" * 32]
names = given_values(*NAMES)
others = given_values(*(each for each in NAMES if each not in ("alice", "boss")))
"""Nobody of whom anything could be started."""
texts = given_values("hello", "ä", "x" * 600, "\n", "\0")
ARGUMENTS: dict[str, Text] = {
    "send": objects({"to": names, "body": texts, "reply_to": given_values(1, 2, 1.0)}),
    "inbox": objects({}),
    "ask_operator": objects(
        {
            "question": texts,
            "options": st.lists(texts | hostile, max_size=12).map(lambda each: f"[{','.join(each)}]"),
            "time_limit_minutes": given_values(1, 10080, 0, 1.0),
        }
    ),
    "notes_append": objects({"text": texts}),
    "whoami": objects({}),
    "list_agents": objects({}),
    "agent_status": objects({"name": names}),
    "request_apply_commit": objects(
        {"agent": others, "commit": given_values("abcdef1", "HEAD", "-x", "abcdef1\n"), "reason": texts}
    ),
    "proposals": objects({"agent": names}),
    "start_agent": objects({"name": others}),
    "stop_agent": objects({"name": others}),
    "restart_agent": objects({"name": others}),
    "nothing": objects({}),
}


def call(tool: str, arguments: str, number: int) -> bytes:
    """A call of a tool with these arguments, a JSON text."""
    params = f'{{"name":"{tool}","arguments":{arguments}}}'
    return f'{{"jsonrpc":"2.0","id":{number},"method":"tools/call","params":{params}}}\n'.encode()


def ask(core: Served[Core], agent: str, *pieces: bytes) -> list[dict[str, Any]]:
    """Send them, then a ping; all answers but the ping's, each of them clear, and nothing was logged."""
    ping = next(NUMBERS)
    with connected(path_of(core.rig, agent, "mcp.sock")) as client:
        begin(client)
        client.send(*pieces, line("ping", {}, ping))
        client.finish()
        found = [json.loads(said) for said in client.rest().splitlines()]
    core.check()
    for said in found:
        is_clear(said)
    whole = max(map(len, b"".join(pieces).split(b"\n"))) <= MAX_LINE
    assert whole == any(said["id"] == ping for said in found), "the connection did not last, or lasted too long"
    return [said for said in found if said["id"] != ping]


def is_refused(said: dict[str, Any]) -> bool:
    """Whether nothing was done."""
    return "error" in said or bool(said["result"].get("isError"))


@given(st.sampled_from(["alice", "boss"]), st.sampled_from(sorted(ARGUMENTS)), st.data(), cuts)
@fuzz(300)
def test_any_arguments_get_a_result_or_one_clear_failure(
    core: Served[Core], agent: str, tool: str, data: st.DataObject, cuts: list[int]
) -> None:
    before = changes(core, core.rig.database)
    number = next(NUMBERS)
    (said,) = ask(core, agent, *in_pieces(call(tool, data.draw(ARGUMENTS[tool]), number), cuts))
    assert said["id"] in (number, None)
    assert not is_refused(said) or changes(core, core.rig.database) == before, "a refused call changed something"


@given(objects({"agent": given_values("alice"), "commit": given_values("abcdef1", "0" * 40), "reason": texts}))
@fuzz(15)
def test_any_request_to_apply_is_taken_or_refused(core: Served[Core], arguments: str) -> None:
    ask(core, "boss", call("request_apply_commit", arguments, next(NUMBERS)))


METHODS = [
    "initialize",
    "ping",
    "tools/list",
    "tools/call",
    "resources/read",
    "completion/complete",
    "logging/setLevel",
]
METHODS += [
    "notifications/initialized",
    "notifications/cancelled",
    "notifications/progress",
    "prompts/get",
    "",
    "\ud800",
]
METHODS += ["tasks/list", "server/discover", "subscriptions/listen", "notifications/roots/list_changed", "rpc.discover"]
params = objects(
    {
        "name": given_values("whoami", "send"),
        "arguments": objects({}),
        "requestId": given_values(0, 1, "1"),
        "uri": given_values("file:///etc/passwd"),
        "cursor": given_values("x"),
        "level": given_values("debug"),
        "protocolVersion": given_values("2025-06-18", "9999-99-99"),
        "capabilities": objects({"roots": objects({}), "sampling": objects({})}),
        "clientInfo": objects({"name": texts, "version": texts}),
        "_meta": objects({"progressToken": given_values(1, "x")}),
    }
)
messages = objects(
    {
        "jsonrpc": given_values("2.0"),
        "id": given_values(0, 1, "1", " 1", -1, 2**63, ""),
        "method": st.sampled_from(METHODS).map(json.dumps),
        "params": params,
        "result": objects({}),
        "error": objects({"code": given_values(1, 2**70), "message": texts}),
    }
)


@given(st.lists(messages | hostile | st.sampled_from(BROKEN), min_size=1, max_size=6), cuts)
@fuzz(300)
def test_any_messages_are_answered_or_passed_over(core: Served[Core], lines: list[str], cuts: list[int]) -> None:
    data = "".join(f"{each}\n" for each in lines).encode(errors="replace")
    ask(core, "alice", *in_pieces(data, cuts))


@given(st.lists(st.binary(max_size=80) | messages.map(lambda text: text.encode(errors="replace")), max_size=4))
@fuzz(100)
def test_any_bytes_and_an_early_end_disturb_nobody(core: Served[Core], pieces: list[bytes]) -> None:
    with connected(path_of(core.rig, "alice", "mcp.sock")) as client:
        client.send(*pieces)
        client.finish()
        for said in client.rest().splitlines():
            is_clear(json.loads(said))
    core.check()
