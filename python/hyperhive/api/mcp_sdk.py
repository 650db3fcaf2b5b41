"""The MCP SDK's low-level server, in either of its majors: 2.x from PyPI, 1.x as nixos-26.05 has it.

Importing this loads the SDK, which is slow and large; only a running core does so.
"""

from __future__ import annotations

import json
import logging
from collections.abc import Awaitable, Callable
from contextlib import ExitStack
from dataclasses import dataclass
from typing import Any

import anyio
from anyio.streams.memory import MemoryObjectReceiveStream, MemoryObjectSendStream
from mcp import types
from mcp.server.lowlevel import Server
from mcp.shared.message import SessionMessage

from hyperhive import __version__
from hyperhive.api.mcp_catalogue import Tool
from hyperhive.api.mcp_tools import Arguments, Outcome

NAME = "hive"

# What differs between the majors is reached through Any: a type checker sees only the one that is installed.
_types: Any = types
_MODERN = hasattr(types, "jsonrpc_message_adapter")

ANSWERS_CANCELLED = not _MODERN
"""Whether a call that the client has cancelled is still answered."""

# The SDK warns of each message that it drops, with its text: an agent could fill the log.
logging.getLogger("mcp").setLevel(logging.ERROR)


@dataclass(frozen=True)
class Handlers:
    """What one connection's server answers with."""

    instructions: str
    list_tools: Callable[[], Awaitable[list[Tool]]]
    call_tool: Callable[[str, Arguments], Awaitable[Outcome]]


@dataclass(frozen=True)
class Envelope:
    """A parsed message. `id` is a request's or an answer's, `method` a request's or a notification's."""

    message: SessionMessage
    id: str | int | None
    method: str | None
    params: dict[str, Any]

    @classmethod
    def of(cls, message: SessionMessage) -> Envelope:
        """Look into a message of either major."""
        body: Any = message.message
        root = getattr(body, "root", body)
        params = getattr(root, "params", None) or {}
        return cls(message, getattr(root, "id", None), getattr(root, "method", None), params)


def same_id(value: object) -> str | int | None:
    """What the SDK takes all spellings of a request's id for, `"1"` for 1; None for what it takes for no id."""
    if isinstance(value, bool) or not isinstance(value, str | int):
        return None
    try:
        return int(value)
    except ValueError:
        return value


def parse(line: bytes) -> Envelope:
    """Read one line. Raises ValueError when it is not a JSON-RPC message."""
    message: Any = (
        _types.jsonrpc_message_adapter.validate_json(line, by_name=False)
        if _MODERN
        else _types.JSONRPCMessage.model_validate_json(line)
    )
    return Envelope.of(SessionMessage(message))


def dump(message: SessionMessage) -> bytes:
    """One line, its end included."""
    unset = {"exclude_unset": True} if _MODERN else {"exclude_none": True}
    body: Any = message.message
    text: str = body.model_dump_json(by_alias=True, **unset)
    return text.encode() + b"\n"


def failure(code: int, text: str, number: str | int | None = None) -> bytes:
    """An error answer as one line, for what does not reach the server."""
    answer = {"jsonrpc": "2.0", "id": number, "error": {"code": code, "message": text}}
    return json.dumps(answer).encode() + b"\n"


class Streams:
    """The two ways between a transport and the server, without buffers: the slower side sets the pace."""

    def __init__(self) -> None:
        self.inbound: MemoryObjectSendStream[SessionMessage | Exception]
        self.outbound: MemoryObjectReceiveStream[SessionMessage]
        self.inbound, self._server_reads = anyio.create_memory_object_stream[SessionMessage | Exception](0)
        self._server_writes, self.outbound = anyio.create_memory_object_stream[SessionMessage](0)

    async def serve(self, handlers: Handlers) -> None:
        """Run a server until `inbound` is closed."""
        server = _modern(handlers) if _MODERN else _classic(handlers)
        try:
            await server.run(self._server_reads, self._server_writes, server.create_initialization_options())
        finally:
            self.close()

    def close(self) -> None:
        """Close all four ends; more than once does no harm."""
        with ExitStack() as stack:
            for end in (self.inbound, self._server_reads, self._server_writes, self.outbound):
                stack.callback(end.close)


def _modern(handlers: Handlers) -> Any:  # noqa: ANN401  (a class with another signature in each major)
    async def list_tools(context: object, params: object) -> Any:  # noqa: ANN401
        return _listed(await handlers.list_tools())

    async def call_tool(context: object, params: Any) -> Any:  # noqa: ANN401
        return _called(await handlers.call_tool(params.name, params.arguments or {}))

    server: Any = Server
    return server(
        NAME,
        version=__version__,
        instructions=handlers.instructions,
        on_list_tools=list_tools,
        on_call_tool=call_tool,
    )


def _classic(handlers: Handlers) -> Any:  # noqa: ANN401
    async def list_tools(request: object) -> Any:  # noqa: ANN401
        return _types.ServerResult(_listed(await handlers.list_tools()))

    async def call_tool(request: Any) -> Any:  # noqa: ANN401
        called = await handlers.call_tool(request.params.name, request.params.arguments or {})
        return _types.ServerResult(_called(called))

    server: Any = Server(NAME, version=__version__, instructions=handlers.instructions)
    server.request_handlers[types.ListToolsRequest] = list_tools
    server.request_handlers[types.CallToolRequest] = call_tool
    return server


def _listed(tools: list[Tool]) -> types.ListToolsResult:
    return types.ListToolsResult(tools=[types.Tool.model_validate(_tool(tool)) for tool in tools])


def _tool(tool: Tool) -> dict[str, Any]:
    hints = {"readOnlyHint": tool.reads, "destructiveHint": False, "openWorldHint": False}
    return {
        "name": tool.name,
        "description": tool.description,
        "inputSchema": tool.schema,
        "annotations": hints,
    }


def _called(outcome: Outcome) -> types.CallToolResult:
    content = [{"type": "text", "text": outcome.text}]
    return types.CallToolResult.model_validate({"content": content, "isError": outcome.is_error})
