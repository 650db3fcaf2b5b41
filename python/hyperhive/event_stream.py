"""The core's stream of events, as the operator's side reads it. Standard library only."""

from __future__ import annotations

import http.client
import json
import queue
import socket
import threading
from collections.abc import Iterator
from contextlib import contextmanager, suppress
from dataclasses import dataclass
from typing import Any


@dataclass(frozen=True)
class Event:
    """What happened: message, turn, turn_event, proposal or agent (or tick: nothing did)."""

    kind: str
    data: dict[str, Any]


@contextmanager
def reader(stream: socket.socket, response: http.client.HTTPResponse) -> Iterator[queue.SimpleQueue[Event | None]]:
    """A thread that reads the stream for the time of the block; None in its queue is the stream's end."""
    news: queue.SimpleQueue[Event | None] = queue.SimpleQueue()

    def read() -> None:
        # an error: the core was killed, or the block is over; either way the stream has ended
        with suppress(OSError, ValueError, http.client.HTTPException):
            for event in parse_events(response):
                news.put(event)
        news.put(None)

    thread = threading.Thread(target=read, name="events", daemon=True)
    try:
        thread.start()
        yield news
    finally:  # also of a Ctrl-C while the thread starts: one that reads on would abort the interpreter's exit
        with suppress(OSError):  # the other side has closed it already
            stream.shutdown(socket.SHUT_RDWR)
        if thread.is_alive():
            thread.join()
        response.close()


def until_end(news: queue.SimpleQueue[Event | None], tick: float | None) -> Iterator[Event]:
    """What comes, until the stream's end; with `tick` an Event("tick", {}) after so many seconds without news."""
    while True:
        try:
            event = news.get(timeout=tick)
        except queue.Empty:
            event = Event("tick", {})
        if event is None:
            return
        yield event


def parse_events(lines: Iterator[bytes] | http.client.HTTPResponse) -> Iterator[Event]:
    """Server-sent events as the core writes them: `event:` and one `data:` line of JSON, then an empty line.

    Comments are left out. Raises ValueError if data is not a JSON object.
    """
    kind, data = "", ""
    for raw in lines:
        text = raw.decode().rstrip("\r\n")
        if text.startswith("event: "):
            kind = text.removeprefix("event: ")
        elif text.startswith("data: "):
            data = text.removeprefix("data: ")
        elif not text and data:
            yield Event(kind, dict(json.loads(data)))
            kind, data = "", ""
