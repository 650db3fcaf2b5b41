"""MCP on the socket: the protocol works, and a hostile client ends nothing but its own connection."""

from __future__ import annotations

import asyncio
import gc
import logging
import os
import socket
import tracemalloc
from collections.abc import Callable, Coroutine
from pathlib import Path
from typing import Any, cast

import pytest
import uvloop
from mcp_rig import FOR_ALL, FOR_MANAGERS, Client, Rig, rig

from hyperhive.api import mcp
from hyperhive.errors import Unavailable
from hyperhive.settings import Role

Runner = Callable[[Coroutine[Any, Any, None]], None]


@pytest.fixture(params=["asyncio", "uvloop"])
def run(request: pytest.FixtureRequest) -> Runner:
    """Runs a test's coroutine on either loop; an exception that nobody took fails the test."""
    loose: list[dict[str, Any]] = []

    def runner(main: Coroutine[Any, Any, None]) -> None:
        factory = uvloop.new_event_loop if request.param == "uvloop" else None
        with asyncio.Runner(loop_factory=factory) as running:
            running.get_loop().set_exception_handler(lambda _, context: loose.append(context))
            running.run(main)
            gc.collect()
        assert loose == []

    return runner


async def works(hive: Rig) -> None:
    """A new connection is served."""
    async with hive.client("worker") as client:
        assert (await client.call("whoami"))[0]


def test_a_session_begins_with_who_one_is_and_what_one_may(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive:
            for agent, offered in (("worker", FOR_ALL), ("boss", FOR_MANAGERS)):
                async with hive.client(agent, hello=False) as client:
                    said = await client.hello()
                    assert said["serverInfo"]["name"] == "hive"
                    assert f"You are {agent}," in said["instructions"]
                    tools = await client.tools()
                    assert sorted(tools) == offered
                    schema = tools["send"]["inputSchema"]
                    assert schema["required"] == ["to", "body"] and not schema["additionalProperties"]
                    assert tools["inbox"]["annotations"]["readOnlyHint"]

    run(check())


def test_identity_is_the_socket(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("worker") as worker, hive.client("boss") as boss:
            assert await worker.call("send", to="boss", body="from worker") == (True, {"id": 1})
            assert await boss.call("send", to="worker", body="from boss") == (True, {"id": 2})
            assert [(letter.sender, letter.body) for letter in hive.letters.sent] == [
                ("worker", "from worker"),
                ("boss", "from boss"),
            ]

    run(check())


def test_a_failure_is_an_error_result_the_model_can_read(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("worker") as client:
            assert await client.call("send", to="nobody", body="x") == (False, "there is no agent 'nobody'")
            assert await client.call("send", to="boss") == (False, "send: missing body")
            assert (await client.call("restart_agent", name="boss"))[0] is False
            assert await client.call("nothing") == (False, "there is no tool 'nothing'")

    run(check())


def test_a_role_that_changes_changes_an_open_connection(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("boss") as client:
            assert (await client.call("list_agents"))[0]
            hive.hive.promote("boss", Role.AGENT)
            assert (await client.call("list_agents"))[0] is False
            assert sorted(await client.tools()) == FOR_ALL

    run(check())


def test_what_is_no_message_gets_an_error_and_the_connection_goes_on(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("worker") as client:
            for line in (
                b"hello",
                b"{}",
                b"[]",
                b"\xff\xfe",
                b"[" * 100_000,
                b'{"jsonrpc":"1.0","id":1,"method":"ping"}',
                b'{"jsonrpc":"2.0","id":9,"method":"tools/call","params":{"name":"\\ud800"}}',
                os.urandom(1000).replace(b"\n", b""),
            ):
                client.writer.write(line + b"\n")
                assert "error" in await client.answer(), line[:80]
            client.writer.write(b'\n\r\n{"jsonrpc":"2.0","id":{},"method":"ping"}\n')  # taken for notifications
            assert (await client.call("whoami"))[0]

    run(check())


def test_wrong_calls_get_a_json_rpc_error(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("worker") as client:
            for method, params in (
                ("resources/list", {}),
                ("no/such", {}),
                ("tools/call", {}),
                ("tools/call", {"name": "send", "arguments": [1]}),
                ("tools/call", {"name": 7}),
            ):
                asked = client.ask(method, params)
                answer = await client.answer()
                assert answer["id"] == asked and "error" in answer, answer
            assert (await client.call("whoami"))[0]

    run(check())


def test_a_line_over_the_limit_ends_the_connection(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("worker") as client:
            client.writer.write(b"x" * (mcp.MAX_LINE + 1) + b"\n")
            assert "at most 1048576 bytes" in (await client.answer())["error"]["message"]
            assert await client.reader.read() == b""
            await works(hive)

    run(check())


def test_half_a_line_and_an_early_end_disturb_nobody(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive:
            for half in (b"", b'{"jsonrpc":"2.0","id":1,"me', b"\xff" * 100_000):
                async with hive.client("worker", hello=False) as client:
                    client.writer.write(half)
                    client.writer.write_eof()
                    assert await client.reader.read() == b""
            hanging = await Client.connect(hive.path("worker"))
            hanging.writer.write(b'{"jsonrpc"')
            await works(hive)
            hanging.writer.close()

    run(check())


def test_a_call_is_answered_although_the_client_has_closed_its_side(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("worker") as client:
            client.ask("tools/call", {"name": "send", "arguments": {"to": "boss", "body": "last words"}})
            client.writer.write_eof()
            assert "result" in await client.answer()
            assert await client.reader.read() == b""
            assert hive.letters.sent[0].body == "last words"

    run(check())


def test_a_client_that_goes_in_mid_call_ends_alone(
    run: Runner, tmp_path: Path, monkeypatch: pytest.MonkeyPatch, caplog: pytest.LogCaptureFixture
) -> None:
    monkeypatch.setattr(mcp, "DRAIN", 0.1)

    async def check() -> None:
        async with rig(tmp_path) as hive:
            for abrupt in (True, False):
                async with hive.client("boss") as client:
                    client.ask("tools/call", {"name": "restart_agent", "arguments": {"name": "worker"}})
                    await client.call("whoami")
                    if abrupt:
                        client.writer.transport.abort()
                await hive.hive.cancelled.acquire()
            await works(hive)

    with caplog.at_level(logging.WARNING):
        run(check())
    assert caplog.records == []


def test_a_client_that_asks_and_never_reads_is_held_up(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("boss") as greedy, hive.client("worker") as other:
            cast(asyncio.Transport, greedy.writer.transport).pause_reading()
            for number in range(1000):
                greedy.writer.write(b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\n' % (number + 10))
            for _ in range(500):  # time enough, in turns of the other, to answer each of the thousand
                assert (await other.call("inbox"))[0]
            assert hive.hive.asked["boss"] < 200, "the server answered a client that reads nothing"

    run(check())


def test_calls_that_nobody_reads_the_answers_of_hold_little_memory(run: Runner, tmp_path: Path) -> None:
    wide = b'{"jsonrpc":"2.0","id":%d,"method":"ping","params":{"x":[' + b"[]," * 300_000 + b"1]}}\n"

    async def ask(hive: Rig, client: Client, lines: list[bytes]) -> int:
        """Send these from a client that reads nothing; how many of them were begun."""
        before = hive.hive.asked["boss"]
        cast(asyncio.Transport, client.writer.transport).pause_reading()
        client.writer.writelines(lines)
        async with hive.client("worker") as other:
            for _ in range(500):
                assert (await other.call("inbox"))[0]
        return hive.hive.asked["boss"] - before

    async def check() -> None:
        lists = [b'{"jsonrpc":"2.0","id":%d,"method":"tools/list"}\n' % number for number in range(10, 1000)]
        async with rig(tmp_path) as hive:
            async with hive.client("boss") as client:
                begun = await ask(hive, client, lists)
            async with hive.client("boss") as client:
                tracemalloc.start()
                try:
                    await ask(hive, client, lists[: begun - 6] + [wide % number for number in range(1000, 1008)])
                    held, _ = tracemalloc.get_traced_memory()
                finally:
                    tracemalloc.stop()
        assert held < 30_000_000, f"{held} bytes"

    run(check())


def test_an_id_that_is_in_use_is_refused(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("boss") as client:
            slow = client.ask("tools/call", {"name": "restart_agent", "arguments": {"name": "worker"}})
            client._next = slow - 1
            client.ask("ping")
            refused = await client.answer()
            assert (refused["id"], refused["error"]["message"]) == (slow, "this id is in use")
            hive.hive.hold.set()
            assert (await client.answer())["id"] == slow

    run(check())


def test_calls_in_flight_are_bounded_and_go_on_when_one_ends(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("boss") as client:
            slow = {"name": "restart_agent", "arguments": {"name": "worker"}}
            asked = [client.ask("tools/call", slow) for _ in range(mcp.MAX_CALLS)]
            asked.append(client.ask("tools/call", {"name": "send", "arguments": {"to": "worker", "body": "x"}}))
            await works(hive)  # another connection goes on meanwhile
            assert hive.letters.sent == []
            hive.hive.hold.set()
            answered = [(await client.answer())["id"] for _ in asked]
            assert sorted(answered) == asked
            assert len(hive.letters.sent) == 1

    run(check())


def test_a_cancelled_call_stops_and_frees_its_place(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("boss") as client:
            for _ in range(mcp.MAX_CALLS + 1):
                slow = client.ask("tools/call", {"name": "restart_agent", "arguments": {"name": "worker"}})
                await hive.hive.started.acquire()
                cancel = b'{"jsonrpc":"2.0","method":"notifications/cancelled","params":{"requestId":%d}}\n'
                client.writer.write(cancel % slow)
            asked = client.ask("ping")
            while (await client.answer())["id"] != asked:
                pass  # the 1.x SDK answers a cancelled call with an error, 2.x not at all
            for _ in range(mcp.MAX_CALLS + 1):
                await hive.hive.cancelled.acquire()

    run(check())


def test_an_agent_has_a_bounded_number_of_connections(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive:
            held = [await Client.connect(hive.path("worker")) for _ in range(mcp.MAX_CONNECTIONS)]
            for client in held:
                await client.hello()
            async with hive.client("worker", hello=False) as over:
                assert "16 MCP connections" in (await over.answer())["error"]["message"]
                assert await over.reader.read() == b""
            async with hive.client("boss") as other:
                assert (await other.call("whoami"))[0]
            held[0].writer.close()
            assert await held[0].reader.read() == b""
            for client in held[1:]:
                client.writer.close()

    run(check())


def test_a_closed_socket_ends_its_connections_and_leaves_no_file(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("worker") as client:
            client.ask("tools/call", {"name": "restart_agent", "arguments": {"name": "worker"}})
            await hive.listener.close(hive.path("worker"))
            await client.reader.read()
            assert not hive.path("worker").exists()
            with pytest.raises(OSError, match="No such file"):
                await Client.connect(hive.path("worker"))

    run(check())


def test_a_stale_socket_is_replaced_with_the_wanted_mode(run: Runner, tmp_path: Path) -> None:
    path = tmp_path / "stale.sock"
    with socket.socket(socket.AF_UNIX) as stale:
        stale.bind(str(path))

    async def check() -> None:
        async with rig(tmp_path) as hive:
            await hive.listener.listen(path, "worker", mode=0o660)
            assert path.stat().st_mode & 0o777 == 0o660
            client = await Client.connect(path)
            assert (await client.hello())["serverInfo"]["name"] == "hive"
            client.writer.close()

    run(check())


def test_a_path_that_no_socket_can_have_is_said_so(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive:
            with pytest.raises(Unavailable, match="too long for a socket"):
                await hive.listener.listen(tmp_path / ("x" * 108), "worker")
            (tmp_path / "file").write_text("kept")
            with pytest.raises(Unavailable, match="cannot be bound"):
                await hive.listener.listen(tmp_path / "file", "worker")
            assert (tmp_path / "file").read_text() == "kept"

    run(check())


def test_an_agent_that_does_not_exist_is_not_served(run: Runner, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive:
            path = tmp_path / "ghost.sock"
            await hive.listener.listen(path, "ghost")
            client = await Client.connect(path)
            assert await client.reader.read() == b""
            client.writer.close()

    run(check())
