"""`python -m hyperhive.rehearsal` as a process."""

from __future__ import annotations

import http.client
import json
import os
import signal
import socket
import subprocess
import sys

import pytest


def start(*arguments: str) -> subprocess.Popen[str]:
    return subprocess.Popen(
        [sys.executable, "-m", "hyperhive.rehearsal", *arguments],
        stdout=subprocess.PIPE, stderr=subprocess.PIPE, text=True, env={**os.environ, "PYTHONPATH": "python"},
    )  # fmt: skip


@pytest.mark.parametrize(("number", "code"), [(signal.SIGTERM, 0), (signal.SIGINT, 130)])
def test_it_says_its_port_serves_and_ends_quietly_when_told(number: int, code: int) -> None:
    with start("--port", "0") as child:
        assert child.stdout and child.stderr
        port = json.loads(child.stdout.readline())["port"]
        connection = http.client.HTTPConnection("127.0.0.1", port, timeout=10)
        connection.request("POST", "/v1/messages", '{"messages": [{"role": "user", "content": "hi"}]}')
        assert connection.getresponse().status == 200
        connection.close()
        child.send_signal(number)
        assert child.wait(timeout=10) == code
        assert child.stderr.read() == ""


def test_a_port_in_use_is_one_clear_line() -> None:
    with socket.create_server(("127.0.0.1", 0)) as taken:
        port = taken.getsockname()[1]
        with start("--port", str(port)) as child:
            out, err = child.communicate(timeout=10)
    assert (child.returncode, out) == (1, "")
    assert err == f"error: port {port} of 127.0.0.1 cannot be used: Address already in use; choose another\n"
