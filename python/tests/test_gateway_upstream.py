"""How the key gets to the API, and what an agent reads when the API is out of reach."""

from __future__ import annotations

import asyncio
import logging
import socket
import ssl
from pathlib import Path

import httpx
import pytest
from gateway_rig import KEY, MESSAGE, MESSAGES, Seen, Upstream, plain, rig, serve_gateway

from hyperhive import process
from hyperhive.errors import BadInput, Unavailable
from hyperhive.gateway.model import create_model_app
from hyperhive.gateway.pause import Pause
from hyperhive.gateway.upstream import ModelApi
from hyperhive.store.usage import Use


async def nothing(agent: str, use: Use) -> None:
    """A record that keeps nothing."""


def test_the_operators_key_replaces_whatever_the_client_sent(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path) as hive:
            got = await hive.post(x_api_key="sk-mine", authorization="Bearer mine", cookie="a=b")
            assert (got.status_code, got.content) == (200, MESSAGE)
            headers = hive.upstream.seen[0].headers
            assert headers["x-api-key"] == KEY
            assert not {"authorization", "cookie"} & set(headers), headers
            assert "mine" not in str(hive.upstream.seen[0])

    asyncio.run(check())


def test_a_bearer_token_goes_as_authorization(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path, key=lambda: None, bearer=lambda: "tok\n") as hive:
            await hive.post()
            headers = hive.upstream.seen[0].headers
            assert (headers.get("authorization"), headers.get("x-api-key")) == ("Bearer tok", None)

    asyncio.run(check())


def test_a_rotated_key_counts_from_the_next_request(tmp_path: Path) -> None:
    file = tmp_path / "key"

    async def check() -> None:
        async with rig(plain, tmp_path, key=file.read_text) as hive:
            for key in ("sk-one", "sk-two"):
                file.write_text(key + "\n")
                await hive.post()
            assert [seen.headers["x-api-key"] for seen in hive.upstream.seen] == ["sk-one", "sk-two"]

    asyncio.run(check())


def test_a_path_before_v1_is_kept(tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path) as hive:
            path = tmp_path / "second.sock"
            gateway = create_model_app(ModelApi(hive.upstream.url + "/anthropic/"), nothing, hive.pause)
            transport = httpx.AsyncHTTPTransport(uds=str(path))
            async with serve_gateway(gateway, path), httpx.AsyncClient(transport=transport) as client:
                await client.post("http://hive" + MESSAGES, content=b"{}")
            assert hive.upstream.seen[0].target == "/anthropic" + MESSAGES

    asyncio.run(check())


def test_an_api_that_is_down_is_a_502_at_once(tmp_path: Path) -> None:
    with socket.socket() as unused:
        unused.bind(("127.0.0.1", 0))
        url = f"http://127.0.0.1:{unused.getsockname()[1]}"

        async def check() -> None:
            async with rig(plain, tmp_path, url=url) as hive, asyncio.timeout(5):
                got = await hive.post()
                assert got.status_code == 502
                assert got.json()["error"] == {
                    "type": "api_error",
                    "message": "hyperhive: the model API at 127.0.0.1 cannot be reached",
                }

        asyncio.run(check())


def test_an_api_that_hangs_up_without_an_answer_is_a_502(tmp_path: Path) -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        writer.transport.abort()

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            got = await hive.post()
            assert (got.status_code, got.json()["error"]["type"]) == (502, "api_error")

    asyncio.run(check())


@pytest.mark.parametrize("key", [None, "", " \n"])
def test_without_a_key_the_real_api_is_not_asked(key: str | None, tmp_path: Path) -> None:
    async def check() -> None:
        async with rig(plain, tmp_path, key=lambda: key, url="https://api.anthropic.com") as hive:
            got = await hive.post()
            assert (got.status_code, got.json()["error"]["type"]) == (401, "authentication_error")
            assert "the operator must set" in got.json()["error"]["message"]
            assert got.headers["x-should-retry"] == "false"

    asyncio.run(check())


def test_a_key_file_that_cannot_be_read_says_so_without_its_content(tmp_path: Path) -> None:
    def unreadable() -> str:
        return (tmp_path / "gone").read_text()

    async def check() -> None:
        for source, what in ((unreadable, "cannot be read"), (lambda: KEY + "\u00e9\r\nx: y", "characters")):
            async with rig(plain, tmp_path, key=source) as hive:
                got = await hive.post()
                assert got.status_code == 401
                assert what in got.text and "operators-own" not in got.text and "gone" not in got.text
                assert hive.upstream.seen == []

    asyncio.run(check())


def test_the_key_is_in_no_log(tmp_path: Path, caplog: pytest.LogCaptureFixture) -> None:
    caplog.set_level(logging.DEBUG)

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await plain(seen, writer) if len(seen.body) < 100 else writer.transport.abort()

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            await hive.post()
            await hive.post({"long": "x" * 100})

    asyncio.run(check())
    assert "broke the connection" in caplog.text
    assert KEY not in caplog.text


def test_https_is_spoken_and_its_certificate_is_checked(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    try:
        openssl = process.find("openssl", "install it")
    except Unavailable:
        pytest.skip("no openssl to make a certificate with")
    made = [openssl, "req", "-x509", "-newkey", "rsa:2048", "-nodes", "-days", "2", "-subj", "/CN=localhost"]
    names = ["-addext", "subjectAltName=DNS:localhost", "-keyout", "key.pem", "-out", "cert.pem"]
    asyncio.run(process.run([*made, *names], timeout=30, cwd=str(tmp_path)))
    context = ssl.SSLContext(ssl.PROTOCOL_TLS_SERVER)
    context.load_cert_chain(tmp_path / "cert.pem", tmp_path / "key.pem")

    async def status() -> int:
        upstream = Upstream(plain)
        server = await asyncio.start_server(upstream.serve, "127.0.0.1", 0, ssl=context)
        url = f"https://localhost:{server.sockets[0].getsockname()[1]}"
        async with rig(plain, tmp_path, url=url) as hive:
            got = (await hive.post()).status_code
        server.close()
        await server.wait_closed()
        return got

    assert asyncio.run(status()) == 502, "an unknown certificate must not be talked to"
    monkeypatch.setenv("SSL_CERT_FILE", str(tmp_path / "cert.pem"))
    assert asyncio.run(status()) == 200


@pytest.mark.parametrize("url", ["ftp://x", "127.0.0.1:80", "http://", "https://user:pw@x", "http://x?y", "http://x:y"])
def test_a_url_that_cannot_be_one_is_an_error_at_the_start(url: str) -> None:
    with pytest.raises(BadInput, match="the model API's URL"):
        create_model_app(ModelApi(url), nothing, Pause(lambda *_: asyncio.sleep(0)))
