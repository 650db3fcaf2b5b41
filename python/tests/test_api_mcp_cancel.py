"""Cancelling calls over MCP: by whichever spelling of the id the SDK takes, and by nothing else."""

from __future__ import annotations

import asyncio
import json
from pathlib import Path

import pytest
from mcp_rig import Client, rig

from hyperhive.api import mcp
from hyperhive.api.mcp_sdk import ANSWERS_CANCELLED

SLOW = {"name": "restart_agent", "arguments": {"name": "worker"}}


def ask_as(client: Client, number: object, method: str = "tools/call", params: object = SLOW) -> None:
    """A request with that id."""
    asked = {"jsonrpc": "2.0", "id": number, "method": method, "params": params}
    client.writer.write(json.dumps(asked).encode() + b"\n")


def cancel(client: Client, number: object) -> None:
    """Say that the answer to that id is not wanted any more."""
    said = {"jsonrpc": "2.0", "method": "notifications/cancelled", "params": {"requestId": number}}
    client.writer.write(json.dumps(said).encode() + b"\n")


@pytest.mark.skipif(ANSWERS_CANCELLED, reason="this SDK answers what is cancelled")
@pytest.mark.parametrize(("number", "cancelled"), [(1, "1"), ("1", 1), (1, " 01"), ("x", "x")])
def test_a_call_that_is_cancelled_by_another_spelling_of_its_id_frees_its_place(
    tmp_path: Path, number: object, cancelled: object
) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("boss") as client:
            for _ in range(mcp.MAX_CALLS + 1):
                ask_as(client, number)
                await hive.hive.started.acquire()
                cancel(client, cancelled)
                await hive.hive.cancelled.acquire()
            ask_as(client, 7, "ping", {})
            assert (await client.answer())["id"] == 7

    asyncio.run(check())


@pytest.mark.parametrize(("number", "named"), [("True", True), ("1.0", 1.0), ("None", None), ("[]", []), (1, [1])])
def test_cancelling_what_is_no_id_frees_no_place(tmp_path: Path, number: object, named: object) -> None:
    async def check() -> None:
        async with rig(tmp_path) as hive, hive.client("boss") as client:
            ask_as(client, number)
            await hive.hive.started.acquire()
            cancel(client, named)
            ask_as(client, number)
            assert (await client.answer())["error"]["message"] == "this id is in use"
            hive.hive.hold.set()
            assert "result" in await client.answer()

    asyncio.run(check())
