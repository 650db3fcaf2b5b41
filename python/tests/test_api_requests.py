from __future__ import annotations

import asyncio
import json
import logging
from collections.abc import Awaitable, Callable
from typing import Any

import pytest
from starlette.exceptions import HTTPException
from starlette.requests import ClientDisconnect

from hyperhive.api import requests
from hyperhive.errors import BadInput, Conflict, TooLarge


def receiver(*messages: dict[str, Any]) -> Callable[[], Awaitable[dict[str, Any]]]:
    """ASGI's receive: these messages, then silence."""
    left = list(messages)

    async def receive() -> dict[str, Any]:
        if not left:
            await asyncio.Event().wait()
        return left.pop(0)

    return receive


def chunk(body: bytes, *, more: bool = False) -> dict[str, Any]:
    return {"type": "http.request", "body": body, "more_body": more}


def body_of(*messages: dict[str, Any], limit: int = 10, headers: list[tuple[bytes, bytes]] | None = None) -> bytes:
    scope = {"type": "http", "headers": headers or []}
    return asyncio.run(requests.receive_body(scope, receiver(*messages), limit))


def test_a_body_is_put_together_from_its_pieces() -> None:
    assert body_of(chunk(b"abc", more=True), chunk(b"", more=True), chunk(b"defghij")) == b"abcdefghij"


def test_a_body_over_the_limit_is_refused_as_soon_as_it_is() -> None:
    with pytest.raises(TooLarge, match="the request is larger than 10 bytes"):
        body_of(chunk(b"12345678", more=True), chunk(b"901", more=True))


@pytest.mark.parametrize("length", [b"11", b"99999999999999999999999999", b"-1", b"x"])
def test_a_body_that_is_announced_as_too_large_is_refused_before_it_comes(length: bytes) -> None:
    with pytest.raises(TooLarge):
        body_of(headers=[(b"content-length", length)])


def test_a_body_that_never_ends_is_given_up(monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(requests, "BODY_TIME", 0.05)
    with pytest.raises(BadInput, match=r"the request was not complete within 0\.05 s"):
        body_of(chunk(b"abc", more=True))


def test_a_client_that_goes_away_in_its_body_is_noticed() -> None:
    with pytest.raises(ClientDisconnect):
        body_of(chunk(b"abc", more=True), {"type": "http.disconnect"})


@pytest.mark.parametrize(
    ("body", "words"),
    [
        (b"{", "the request is not JSON: Expecting"),
        (b"[1]", "the request must be a JSON object"),
        (b'"text"', "the request must be a JSON object"),
        (b'{"body": "\xff"}', "the request is not valid UTF-8"),
        (b'{"a": ' * 100_000, "the request is not JSON"),
        (b'{"a": ' * 101 + b"1" + b"}" * 101, "the request is nested deeper than 100 levels"),
        (b'{"a": ' + b"9" * 5000 + b"}", "the request is not JSON"),
    ],
    ids=["cut off", "a list", "a string", "latin", "very deep", "deep", "a huge number"],
)
def test_what_is_no_json_object_is_refused_in_one_line(body: bytes, words: str) -> None:
    with pytest.raises(BadInput, match=words) as caught:
        requests.parse_json(body)
    assert "\n" not in str(caught.value) and len(str(caught.value)) < 200


@pytest.mark.parametrize("literal", ["NaN", "Infinity", "-Infinity", "1e999"])
def test_a_number_that_no_other_reader_of_json_knows_is_refused(literal: str) -> None:
    with pytest.raises(BadInput, match="is not a number"):
        requests.parse_json(f'{{"usage": {{"x": {literal}}}}}'.encode())
    assert requests.parse_json(b'{"x": 1.5e3, "y": "NaN"}') == {"x": 1500.0, "y": "NaN"}


def test_json_may_be_long_and_a_hundred_levels_deep() -> None:
    for body in (b'{"a": ' * 100 + b"1" + b"}" * 100, b'{"a": [' + b"[]," * 1000 + b"{}]}"):
        assert json.dumps(requests.parse_json(body)).encode() == body.replace(b",", b", ")


def test_an_empty_body_is_an_empty_object() -> None:
    assert requests.parse_json(b" \n") == {}
    assert requests.parse_json('{"a": "é"}'.encode()) == {"a": "é"}


@pytest.mark.parametrize(
    ("value", "words"),
    [(None, "to is missing"), (5, "to must be a string"), ("\ud83d", "to is not valid Unicode text")],
)
def test_a_text_that_is_none_is_refused_by_name(value: object, words: str) -> None:
    with pytest.raises(BadInput, match=words):
        requests.text({"to": value}, "to")


def test_text_is_any_valid_text() -> None:
    assert requests.text({"to": "é 😀"}, "to") == "é 😀"
    assert requests.optional_text({"to": None}, "to") is None
    assert requests.optional_text({"to": "x"}, "to") == "x"


@pytest.mark.parametrize("value", [None, "1", 1.0, True, -1, 11, float("nan")])
def test_what_is_no_whole_number_in_bounds_is_refused_by_name(value: object) -> None:
    assert requests.integer({"max": 10}, "max", minimum=0, maximum=10) == 10
    with pytest.raises(BadInput, match="max must be a whole number from 0 to 10"):
        requests.integer({"max": value}, "max", minimum=0, maximum=10)


def test_an_optional_whole_number_may_be_left_out_but_not_wrong() -> None:
    assert requests.optional_integer({}, "max") is None
    with pytest.raises(BadInput, match="max must be"):
        requests.optional_integer({"max": "1"}, "max")


@pytest.mark.parametrize("value", ["1", True, -0.1, 60.1, float("nan"), float("inf"), None, [1]])
def test_what_is_no_number_in_bounds_is_refused_by_name(value: object) -> None:
    assert requests.number({"wait": 1.5}, "wait", 0, minimum=0, maximum=60) == 1.5
    assert requests.number({}, "wait", 7, minimum=0, maximum=60) == 7.0
    with pytest.raises(BadInput, match="wait must be a number from 0 to 60"):
        requests.number({"wait": value}, "wait", 0, minimum=0, maximum=60)


@pytest.mark.parametrize("value", [None, 1, "12", [1, "2"], [True], [0] * 1001, [-1], [2**60]])
def test_what_is_no_list_of_whole_numbers_is_refused_by_name(value: object) -> None:
    assert requests.integers({"ids": [3, 1]}, "ids") == [3, 1]
    with pytest.raises(BadInput, match="ids must be"):
        requests.integers({"ids": value}, "ids")


def test_an_error_is_its_words_and_code_and_an_unexpected_one_is_for_the_log(caplog: pytest.LogCaptureFixture) -> None:
    answers = [requests.explain(error) for error in (Conflict("twice"), HTTPException(405, "no"), ClientDisconnect())]
    assert answers[:2] == [(409, {"error": "twice", "code": "conflict"}), (405, {"error": "no", "code": "http"})]
    assert caplog.records == []
    with caplog.at_level(logging.ERROR):
        response = requests.error_response(ZeroDivisionError("secret"))
    assert response.status_code == 500
    assert json.loads(bytes(response.body)) == {"error": "internal error; the core's log has it", "code": "internal"}
    assert "secret" in caplog.text
