"""The harness's ear for the core: what the operator asks of a running agent, done in the agent's cage.

One thread keeps the control connection; each request is done by a thread of its own, on a connection of its own.
Nothing here touches the turn: the loop in the main thread neither knows nor waits.
"""

from __future__ import annotations

import contextlib
import json
import socket
import threading
import time
from pathlib import Path
from typing import Any

from hyperhive.errors import BadInput
from hyperhive.harness import notes
from hyperhive.harness.config import HarnessConfig
from hyperhive.harness.terminal import run_terminal

RETRY = 2.0
MAX_REQUEST = 64 * 1024


def listen(path: Path) -> None:
    """Serve the core's requests until the process ends; `path` is harness.json."""
    threading.Thread(target=_keep, args=(path,), name="control", daemon=True).start()


def _keep(path: Path) -> None:
    """Hold the control connection; a core that is away, or does not know of it, is tried again."""
    while True:
        with contextlib.suppress(OSError, ValueError, BadInput, RuntimeError):  # no thread can be started now
            _serve(path)
        time.sleep(RETRY)


def _serve(path: Path) -> None:
    with _connect(path) as connection, connection.makefile("rb") as lines:
        connection.sendall(b'{"control": true}\n')
        while line := lines.readline(MAX_REQUEST):
            request = json.loads(line)
            threading.Thread(target=_answer, args=(path, request), name=str(request.get("do")), daemon=True).start()


def _connect(path: Path) -> socket.socket:
    address = HarnessConfig.load(path).socket.with_name("control.sock")
    connection = socket.socket(socket.AF_UNIX)
    try:
        connection.connect(str(address))
    except OSError:
        connection.close()
        raise
    return connection


def _answer(path: Path, request: dict[str, Any]) -> None:
    config = HarnessConfig.load(path)  # as it is now: a manager's cage grows with the hive
    try:
        with _connect(path) as connection:
            connection.sendall(json.dumps({"answer": request["id"]}).encode() + b"\n")
            match request:
                case {"do": "terminal", "columns": int(columns), "rows": int(rows)}:
                    run_terminal(config, connection, columns, rows)
                case {"do": "notes.read", "limit": int(limit)}:
                    _notes(config, connection, b"", "read", str(limit))
                case {"do": "notes.write", "size": int(size), "version": str(version)}:
                    _notes(config, connection, _receive(connection, size), "write", str(size), version)
                case {"do": "notes.append", "size": int(size), "most": int(most)}:
                    _notes(config, connection, _receive(connection, size), "append", str(size), str(most))
    except (OSError, KeyError):  # the core went away, or is of another version
        pass


def _notes(config: HarnessConfig, connection: socket.socket, given: bytes, *arguments: str) -> None:
    """Run notes.sh; answer with a line that says how it went, then what it printed."""
    done = notes.run(config, given, *arguments)
    found = notes.read(config.state, notes.NOTES)
    said = {"exit": done.exit, "error": done.error, "modified": None if found is None else found.modified}
    connection.sendall(json.dumps(said).encode() + b"\n" + done.out)


def _receive(connection: socket.socket, size: int) -> bytes:
    data = bytearray()
    while len(data) < size:
        part = connection.recv(min(65536, size - len(data)))
        if not part:
            raise ConnectionError("the core went away")
        data += part
    return bytes(data)
