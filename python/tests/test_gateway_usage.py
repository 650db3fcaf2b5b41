"""Tokens are counted from whatever an answer looks like."""

from __future__ import annotations

import json
from typing import Any

from hyperhive.gateway.usage import MAX_LINE, Meter
from hyperhive.store.usage import Use

START = {
    "type": "message_start",
    "message": {
        "type": "message",
        "model": "claude-haiku-4-5-20251001",
        "usage": {
            "input_tokens": 5,
            "cache_creation_input_tokens": 20,
            "cache_read_input_tokens": 300,
            "output_tokens": 1,
        },
    },
}
DELTA = {"type": "message_delta", "delta": {"stop_reason": "end_turn"}, "usage": {"output_tokens": 42}}


def event(value: dict[str, Any]) -> bytes:
    return f"event: {value['type']}\ndata: {json.dumps(value)}\n\n".encode()


def counted(meter: Meter) -> tuple[str, int, int]:
    return (meter.use.model, meter.use.input_tokens, meter.use.output_tokens)


def test_a_stream_counts_cache_as_input_and_the_last_output() -> None:
    meter = Meter()
    meter.feed(event(START) + event(DELTA) + event({**DELTA, "usage": {"output_tokens": 50}}))
    assert counted(meter) == ("claude-haiku-4-5-20251001", 325, 50)


def test_a_stream_counts_the_same_wherever_it_is_cut() -> None:
    stream = event(START) + event(DELTA)
    meter = Meter()
    for byte in stream:
        meter.feed(bytes([byte]))
    assert counted(meter) == ("claude-haiku-4-5-20251001", 325, 42)


def test_a_delta_that_repeats_the_input_replaces_it() -> None:
    meter = Meter()
    meter.feed(event(START) + event({**DELTA, "usage": {"input_tokens": 7, "output_tokens": 3}}))
    assert counted(meter)[1:] == (7 + 20 + 300, 3)


def test_what_costs_more_is_seen_wherever_the_answer_says_it() -> None:
    dear = {
        "cache_creation_input_tokens": 20,
        "cache_creation": {"ephemeral_5m_input_tokens": 5, "ephemeral_1h_input_tokens": 15},
        "speed": "fast",
    }
    searched = {"output_tokens": 3, "server_tool_use": {"web_search_requests": 2, "web_fetch_requests": 1}}
    meter = Meter()
    meter.feed(event({"type": "message_start", "message": {"type": "message", "model": "m", "usage": dear}}))
    meter.feed(event({**DELTA, "usage": searched}))
    assert meter.use == Use("m", 0, 20, 0, 3, hour_tokens=15, searches=2, fast=True)
    odd = {"cache_creation": [1], "server_tool_use": {"web_search_requests": -1}, "speed": 6}
    whole = Meter()
    whole.whole(json.dumps({"type": "message", "model": "m", "usage": odd}).encode())
    assert whole.use == Use("m", 0, 0, 0, 0)


def test_what_the_api_summarised_or_asked_another_model_counts_too() -> None:
    steps = [
        {"type": "compaction", "input_tokens": 1000, "output_tokens": 100},
        {"type": "message", "input_tokens": 20, "output_tokens": 5},
        {"type": "advisor_message", "model": "claude-opus-4-8", "input_tokens": 800, "output_tokens": 60},
        {"type": "message", "input_tokens": 30, "output_tokens": 7},
    ]
    usage = {"input_tokens": 50, "output_tokens": 12, "iterations": steps}
    streamed, whole = Meter(), Meter()
    streamed.feed(event({"type": "message_start", "message": {"type": "message", "model": "m", "usage": {}}}))
    streamed.feed(event({**DELTA, "usage": usage}))
    whole.whole(json.dumps({"type": "message", "model": "m", "usage": usage}).encode())
    for meter in (streamed, whole):
        assert meter.use == Use("m", 1050, 0, 0, 112)
        assert meter.advice == [Use("claude-opus-4-8", 800, 0, 0, 60)]
    odd = Meter()
    odd.whole(json.dumps({"type": "message", "model": "m", "usage": {**usage, "iterations": [7, {}]}}).encode())
    assert (odd.use, odd.advice) == (Use("m", 50, 0, 0, 12), [])


def test_broken_events_count_nothing_and_the_next_ones_count() -> None:
    meter = Meter()
    meter.feed(b'data: {"type":"message_start","mess\n\n')
    meter.feed(b'data: "message_start"\n\ndata: ["message_delta"]\n\n\xff\xfe\x00\n')
    meter.feed(b'data: {"type":"message_start","message":{"usage":"message_start"}}\n\n')
    meter.feed(b'data: {"type":"message_delta","usage":{"output_tokens":-1,"input_tokens":true}}\n\n')
    meter.feed(b"data: " + b"[" * 200_000 + b'"message_start"\n\n')
    assert counted(meter) == ("", 0, 0)
    meter.feed(event(START))
    assert counted(meter) == ("claude-haiku-4-5-20251001", 325, 1)


def test_text_that_quotes_an_event_is_not_one() -> None:
    delta = {"type": "content_block_delta", "delta": {"type": "text_delta", "text": event(START).decode()}}
    meter = Meter()
    meter.feed(event(delta))
    assert (meter.seen, meter.use.input_tokens) == (False, 0)


def test_an_endless_line_is_not_kept() -> None:
    meter = Meter()
    for _ in range(MAX_LINE // 65536 * 4):
        meter.feed(b"x" * 65536)
        assert len(meter._line) <= MAX_LINE
    meter.feed(b"\n" + event(START))
    assert counted(meter) == ("claude-haiku-4-5-20251001", 325, 1)


def test_a_whole_answer_is_counted() -> None:
    meter = Meter()
    meter.whole(json.dumps({**START["message"], "usage": {"input_tokens": 2, "output_tokens": 9}}).encode())  # type: ignore[dict-item]
    assert (meter.seen, *counted(meter)) == (True, "claude-haiku-4-5-20251001", 2, 9)


def test_an_error_or_a_token_count_is_no_use() -> None:
    for body in (b'{"input_tokens": 10}', b'{"type": "error", "error": {}}', b"<html>", b""):
        meter = Meter()
        meter.whole(body)
        assert not meter.seen, body


def delta(text: str) -> bytes:
    return event({"type": "content_block_delta", "index": 0, "delta": {"type": "text_delta", "text": text}})


def test_what_passed_before_a_stream_broke_off_is_estimated() -> None:
    meter = Meter()
    meter.feed(event(START) + delta("word " * 100) * 200)
    assert 20_000 < meter.use.output_tokens < 30_000
    meter.feed(event(DELTA))
    assert meter.use.output_tokens == 42


def test_what_the_api_did_by_itself_before_a_stream_broke_off_counts() -> None:
    meter = Meter()
    meter.feed(event(START))
    for number, name in enumerate(["web_search", "advisor", "web_search"]):
        asked = {"type": "server_tool_use", "id": f"srvtoolu_{number}", "name": name, "input": {}}
        found = {"type": f"{name}_tool_result", "tool_use_id": asked["id"], "content": "word " * 10_000}
        for block in (asked, found):
            meter.feed(event({"type": "content_block_start", "index": number, "content_block": block}))
    assert meter.use.searches == 2
    assert meter.use.output_tokens > 30_000, "what was found was read, too"
    assert meter.advice == [Use("", 325, 0, 0, 0)]
    meter.feed(event({**DELTA, "usage": {"output_tokens": 42, "server_tool_use": {"web_search_requests": 1}}}))
    assert (meter.use.searches, meter.use.output_tokens, meter.advice) == (1, 42, [])
