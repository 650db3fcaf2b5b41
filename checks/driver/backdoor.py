"""Commands in a machine: a unit there listens on a socket that lies in a directory both sides see.

Each connection is a fresh bash in the unit's cgroup, 2 ms a command; unlike with nsenter, what runs has the machine's
seccomp filter and capabilities.
"""

from __future__ import annotations

import base64
import os
import shlex
import socket
from contextlib import closing
from dataclasses import dataclass
from pathlib import Path

SHARED = "/run/driver"
"""The shared directory, as the machine sees it."""

UNIT = f"""\
[Unit]
Description=The test driver's commands
DefaultDependencies=no
After=sysinit.target dbus.socket
Conflicts=shutdown.target
Before=shutdown.target

[Service]
Environment=HOME=/root USER=root
Environment=PATH=/run/current-system/sw/bin:/usr/local/sbin:/usr/local/bin:/usr/sbin:/usr/bin
ExecStart=/usr/bin/socat UNIX-LISTEN:{SHARED}/backdoor.sock,fork,unlink-early EXEC:"/bin/bash --norc -s",stderr

[Install]
WantedBy=multi-user.target
"""

# Three lines: standard output, exit code, standard error.
_SCRIPT = """\
errors=$(mktemp)
{timeout} bash -c "$(echo {command} | base64 -d)" </dev/null 2>"$errors" | base64 -w0
code=${{PIPESTATUS[0]}}
echo; echo "$code"; base64 -w0 "$errors"; echo
rm -f "$errors"; exit
"""
GRACE = 10


class ConnectionLost(Exception):
    """The machine does not answer (yet, or any more)."""


@dataclass(frozen=True)
class Answer:
    """What a command left: exit code (124: it ran out of time), output and errors."""

    code: int
    output: str
    errors: str


def ask(shared: Path, command: str, timeout: float | None) -> Answer:
    """Run `command` under bash -euo pipefail in the machine that has `shared`. Raises ConnectionLost."""
    limit = "" if timeout is None else f"timeout {timeout:g}"
    encoded = shlex.quote(base64.b64encode(f"set -euo pipefail; {command}".encode()).decode())
    script = _SCRIPT.format(timeout=limit, command=encoded).encode()
    try:
        received = _exchange(shared, script, None if timeout is None else timeout + GRACE)
    except OSError as error:
        raise ConnectionLost(str(error)) from error
    lines = received.split(b"\n")
    if len(lines) != 4:
        raise ConnectionLost("it went down during the command")
    output, code, errors, _ = lines
    return Answer(int(code), _decode(output), _decode(errors))


def _exchange(shared: Path, script: bytes, timeout: float | None) -> bytes:
    directory = os.open(shared, os.O_PATH)  # the socket's own path may be longer than a socket's name may be
    try:
        with closing(socket.socket(socket.AF_UNIX)) as connection:
            connection.settimeout(timeout)
            connection.connect(f"/proc/self/fd/{directory}/backdoor.sock")
            connection.sendall(script)
            return b"".join(iter(lambda: connection.recv(65536), b""))
    finally:
        os.close(directory)


def _decode(text: bytes) -> str:
    return base64.b64decode(text).decode(errors="replace")
