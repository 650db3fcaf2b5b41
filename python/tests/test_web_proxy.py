"""The dashboard behind a real nginx, configured as docs/reverse-proxy.md says: page, login, events, terminal."""

from __future__ import annotations

import asyncio
import base64
import json
import os
import pwd
import re
import shutil
import socket
import ssl
import subprocess
from collections.abc import AsyncIterator
from contextlib import asynccontextmanager
from pathlib import Path

import pytest
from core_rig import LACKING, SKIP_REASON, until
from web_rig import PROMPT, Screen, Web, web
from websockets.asyncio.client import connect

from hyperhive.config import Dashboard

NGINX = shutil.which("nginx", path=f"{os.environ.get('PATH', '')}:/usr/sbin")
PAGE = Path(__file__).parents[2] / "docs/reverse-proxy.md"
NAME = "hive.example.org"
ME = pwd.getpwuid(os.getuid()).pw_name
pytestmark = [
    pytest.mark.skipif(LACKING is not None, reason=SKIP_REASON),
    pytest.mark.skipif(NGINX is None or shutil.which("openssl") is None, reason="nginx or openssl is not on PATH"),
]


@asynccontextmanager
async def behind(root: Path) -> AsyncIterator[tuple[Web, int]]:
    """A hive with the agent `worker`, and the port of an nginx before its dashboard; ann's password is `secret`."""
    dashboard = Dashboard(enable=True, port=0, hosts=(NAME,), proxy_user=ME)
    async with web(root, dashboard=dashboard) as made:
        await made.hive.create("worker")
        await until(made.listens)
        port = free_port()
        process = await asyncio.to_thread(start, root / "nginx", root / "run/dashboard.sock", port)
        try:
            await until(lambda: listens(port))
            yield made, port
        finally:
            process.terminate()
            process.wait()


def start(directory: Path, dashboard: Path, port: int) -> subprocess.Popen[bytes]:
    directory.mkdir()
    key, certificate = directory / "hive.key", directory / "hive.pem"
    subprocess.run(
        ["openssl", "req", "-x509", "-newkey", "ec", "-pkeyopt", "ec_paramgen_curve:P-256", "-nodes", "-days", "2",
         "-subj", f"/CN={NAME}", "-addext", f"subjectAltName=DNS:{NAME}", "-keyout", key, "-out", certificate],
        check=True, capture_output=True,
    )  # fmt: skip
    (directory / "hive.users").write_text("ann:{PLAIN}secret\n")
    (found,) = re.findall(r"```nginx\n(.*?)```", PAGE.read_text(), re.DOTALL)
    server = found.replace("/etc/nginx/", f"{directory}/").replace("listen 443", f"listen 127.0.0.1:{port}")
    server = server.replace("/run/hyperhive/dashboard.sock", str(dashboard))
    paths = "".join(f"{name}_temp_path {directory}/{name};" for name in ("proxy", "client_body"))
    config = directory / "nginx.conf"
    config.write_text(
        f"daemon off; {'user root;' if os.getuid() == 0 else ''} pid {directory}/pid; error_log {directory}/errors;"
        f" events {{}} http {{ access_log off; {paths}\n{server}\n}}"
    )
    assert NGINX
    return subprocess.Popen([NGINX, "-c", config, "-p", directory, "-e", directory / "errors"])


def free_port() -> int:
    with socket.socket() as found:
        found.bind(("127.0.0.1", 0))
        return int(found.getsockname()[1])


async def listens(port: int) -> bool:
    try:
        _, writer = await asyncio.open_connection("127.0.0.1", port)
    except OSError:
        return False
    writer.close()
    await writer.wait_closed()
    return True


def trust(root: Path) -> ssl.SSLContext:
    return ssl.create_default_context(cafile=root / "nginx/hive.pem")


def basic(user: str = "ann", password: str = "secret") -> str:
    return f"Basic {base64.b64encode(f'{user}:{password}'.encode()).decode()}"


async def ask(root: Path, port: int, method: str, path: str, body: object = None, **headers: str) -> tuple[int, str]:
    """One request as a browser sends it: the status and the body."""
    sent = {"Host": NAME, "Origin": f"https://{NAME}", "Connection": "close", "Authorization": basic()}
    sent |= {name.replace("_", "-"): value for name, value in headers.items()}
    data = b"" if body is None else json.dumps(body).encode()
    lines = [f"{method} {path} HTTP/1.1", *(f"{name}: {value}" for name, value in sent.items() if value)]
    lines += ["Content-Type: application/json", f"Content-Length: {len(data)}"]
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust(root), server_hostname=NAME)
    try:
        writer.write("\r\n".join(lines).encode() + b"\r\n\r\n" + data)
        async with asyncio.timeout(20):
            head = (await reader.readuntil(b"\r\n\r\n")).decode()
            return int(head.split()[1]), (await reader.read()).decode(errors="replace")
    finally:
        writer.close()


def test_nginx_logs_people_in_and_says_who_they_are(tmp_path: Path) -> None:
    async def go() -> None:
        async with behind(tmp_path) as (made, port):
            status, page = await ask(tmp_path, port, "GET", "/")
            assert (status, "<html" in page) == (200, True)
            status, said = await ask(tmp_path, port, "GET", "/v1/session", X_Remote_User="root")
            assert (status, '"user":"ann"' in said.replace(" ", "")) == (200, True), "a forged header must not count"
            assert (await ask(tmp_path, port, "GET", "/v1/session", Authorization=basic("ann", "wrong")))[0] == 401
            assert (await ask(tmp_path, port, "GET", "/v1/session", Authorization=""))[0] == 401
            assert (await ask(tmp_path, port, "GET", "/v1/session", Host="other.example.org"))[0] == 403
            mail = {"to": "worker", "body": "hello"}
            assert (await ask(tmp_path, port, "POST", "/v1/messages", mail, Origin="https://evil.example"))[0] == 403
            assert (await ask(tmp_path, port, "POST", "/v1/messages", mail))[0] == 200
            assert (await ask(tmp_path, port, "POST", "/v1/agents/worker/stop", {}))[0] == 200
            actors = await made.hive.core.database.read(
                lambda c: c.execute("SELECT DISTINCT actor FROM audit WHERE action LIKE 'agent.stop%'").fetchall()
            )
            assert actors == [("operator:ann",)]

    asyncio.run(go())


def test_events_come_at_once_and_resume_through_nginx(tmp_path: Path) -> None:
    async def go() -> None:
        async with behind(tmp_path) as (made, port):
            first = await stream(tmp_path, port, None)
            await made.hive.core.broker.send("operator", "worker", "one")
            last = await event(first, "one")
            first[1].close()
            await made.hive.core.broker.send("operator", "worker", "two")
            again = await stream(tmp_path, port, last)
            assert await event(again, "two") > last
            again[1].close()

    asyncio.run(go())


Stream = tuple[asyncio.StreamReader, asyncio.StreamWriter]


async def stream(root: Path, port: int, last: str | None) -> Stream:
    """An open stream of events, past its head."""
    reader, writer = await asyncio.open_connection("127.0.0.1", port, ssl=trust(root), server_hostname=NAME)
    resume = f"Last-Event-ID: {last}\r\n" if last else ""
    writer.write(f"GET /v1/events HTTP/1.1\r\nHost: {NAME}\r\nAuthorization: {basic()}\r\n{resume}\r\n".encode())
    async with asyncio.timeout(10):
        assert b" 200 " in await reader.readline()
        await reader.readuntil(b"\r\n\r\n")
    return reader, writer


async def event(opened: Stream, text: str) -> str:
    """Wait for the event that holds the text; its id."""
    number = ""
    async with asyncio.timeout(10):
        while text not in (line := (await opened[0].readline()).decode()):
            number = line.removeprefix("id: ").strip() if line.startswith("id: ") else number
    return number


def test_the_terminal_works_through_nginx(tmp_path: Path) -> None:
    async def go() -> None:
        async with behind(tmp_path) as (_, port):
            url = f"wss://{NAME}/v1/agents/worker/terminal?cols=80&rows=24"
            headers = {"Authorization": basic()}
            async with connect(
                url, host="127.0.0.1", port=port, ssl=trust(tmp_path), additional_headers=headers, compression=None,
                origin=f"https://{NAME}",  # type: ignore[arg-type]  # a NewType of str
            ) as socket:  # fmt: skip
                screen = Screen(socket)
                await screen.until(PROMPT)
                await screen.type("echo $((6 * 7))\n")
                await screen.until(b"42\r\n")

    asyncio.run(go())
