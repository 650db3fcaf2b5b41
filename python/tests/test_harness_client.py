"""The harness's client: over the core's real socket, and against one that hangs, breaks off or talks nonsense."""

from __future__ import annotations

import contextlib
import socket
import threading
import time
from collections.abc import Callable, Iterator
from pathlib import Path

import pytest

from hyperhive.errors import BadInput, Unavailable
from hyperhive.harness.client import HarnessClient

Served = Callable[[socket.socket], None]


@contextlib.contextmanager
def served(path: Path, *answers: Served) -> Iterator[list[int]]:
    """A socket whose Nth connection is served by the Nth function; yields how many came."""
    count: list[int] = []
    with socket.socket(socket.AF_UNIX) as listener:
        listener.bind(str(path))
        listener.listen()

        def accept() -> None:
            for answer in answers:
                try:
                    connection, _ = listener.accept()
                except OSError:
                    return
                count.append(1)
                with connection:
                    answer(connection)

        thread = threading.Thread(target=accept)
        thread.start()
        try:
            yield count
        finally:
            listener.shutdown(socket.SHUT_RDWR)
            thread.join()


def request(connection: socket.socket) -> bytes:
    """One whole request (each of the client's ends with a JSON object); empty at the end of the connection."""
    data = b""
    while not data.endswith(b"}") and (more := connection.recv(65536)):
        data += more
    return data


def says(status: str, body: bytes) -> Served:
    """Answer every request of the connection."""

    def answer(connection: socket.socket) -> None:
        while request(connection):
            connection.sendall(b"HTTP/1.1 %s\r\ncontent-length: %d\r\n\r\n%s" % (status.encode(), len(body), body))

    return answer


def says_once(body: bytes) -> Served:
    """Answer one request, then close the connection though it promised to keep it."""

    def answer(connection: socket.socket) -> None:
        request(connection)
        connection.sendall(b"HTTP/1.1 200 OK\r\ncontent-length: %d\r\n\r\n%s" % (len(body), body))

    return answer


def hangs(connection: socket.socket) -> None:
    while connection.recv(65536):
        pass


def breaks_off(connection: socket.socket) -> None:
    request(connection)


def test_no_core_is_unavailable_and_names_the_socket(tmp_path: Path) -> None:
    with pytest.raises(Unavailable, match=r"no core answers at .*harness\.sock"):
        HarnessClient(tmp_path / "harness.sock").ack([1])


def test_a_core_that_comes_back_is_reached_by_the_same_client(tmp_path: Path) -> None:
    client = HarnessClient(tmp_path / "s")
    with pytest.raises(Unavailable):
        client.ack([1])
    with served(tmp_path / "s", says("200 OK", b'{"acked": 1}')):
        assert client.ack([1]) == 1
        client.close()


def test_calls_share_one_connection(tmp_path: Path) -> None:
    with served(tmp_path / "s", says("200 OK", b'{"acked": 1}')) as count:
        client = HarnessClient(tmp_path / "s")
        assert [client.ack([1]), client.ack([2])] == [1, 1]
        assert len(count) == 1
        client.close()


def test_a_kept_connection_that_the_core_closed_is_opened_again(tmp_path: Path) -> None:
    with served(tmp_path / "s", says_once(b'{"acked": 1}'), says_once(b'{"acked": 2}')) as count:
        client = HarnessClient(tmp_path / "s")
        assert [client.ack([1]), client.ack([2])] == [1, 2]
        assert len(count) == 2
        client.close()


def test_a_core_that_breaks_off_is_unavailable_and_not_asked_for_ever(tmp_path: Path) -> None:
    with served(tmp_path / "s", breaks_off, breaks_off) as count:
        with pytest.raises(Unavailable):
            HarnessClient(tmp_path / "s").ack([1])
        assert len(count) == 1


def test_a_core_that_hangs_is_unavailable_when_the_time_is_over(tmp_path: Path) -> None:
    with served(tmp_path / "s", hangs):
        started = time.monotonic()
        with pytest.raises(Unavailable, match="timed out"):
            HarnessClient(tmp_path / "s", timeout=0.2).ack([1])
        assert time.monotonic() - started < 5


@pytest.mark.parametrize("body", [b"", b"<html>", b"[]", b"null", b"\xff"])
def test_nonsense_is_unavailable(tmp_path: Path, body: bytes) -> None:
    with served(tmp_path / "s", says("200 OK", body)):
        client = HarnessClient(tmp_path / "s")
        with pytest.raises(Unavailable, match="answered nonsense to /v1/ack"):
            client.ack([1])
        client.close()


@pytest.mark.parametrize(
    ("status", "error"),
    [("400 Bad Request", BadInput), ("404 Not Found", BadInput), ("500 Oops", Unavailable), ("503 Full", Unavailable)],
)
def test_a_refusal_is_the_callers_fault_and_a_failure_is_not(
    tmp_path: Path, status: str, error: type[Exception]
) -> None:
    with served(tmp_path / "s", says(status, b'{"error": "the reason", "code": "x"}')):
        client = HarnessClient(tmp_path / "s")
        with pytest.raises(error, match="the reason"):
            client.ack([1])
        client.close()
