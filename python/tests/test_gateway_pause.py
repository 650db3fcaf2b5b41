"""A usage limit pauses the whole hive, until it resets and no longer; the operator is told once."""

from __future__ import annotations

import asyncio
import json
import time
from email.utils import formatdate
from pathlib import Path

import pytest
from gateway_rig import Seen, answer, plain, rig

from hyperhive.gateway import pause
from hyperhive.gateway.pause import Pause

LIMIT = b'{"type":"error","error":{"type":"rate_limit_error","message":"no more today"}}'


LATER = {
    "seconds": lambda at: {"retry-after": "3600"},
    "date": lambda at: {"retry-after": formatdate(at, usegmt=True)},
    "unified": lambda at: {
        "anthropic-ratelimit-unified-status": "rejected",
        "anthropic-ratelimit-unified-reset": str(int(at)),
        "retry-after": "5",
    },
}
"""How the API says when a limit resets."""


@pytest.mark.parametrize("how", LATER)
def test_a_limit_that_resets_later_is_asked_about_once(tmp_path: Path, how: str) -> None:
    headers = LATER[how](time.time() + 3600)

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answer(writer, 429, LIMIT, {"content-type": "application/json", **headers})

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            for _ in range(3):
                got = await hive.post()
                assert (got.status_code, got.headers["x-should-retry"]) == (429, "false")
                assert 3000 < int(got.headers["retry-after"]) <= 3600
                assert "usage limit reached (the model API's); it resets at 20" in got.json()["error"]["message"]
            assert len(hive.upstream.seen) == 1
            assert hive.told == ["the model API's"]
            view = hive.pause.view()
            assert view is not None and 3000 < view["until"] - time.time() <= 3600
            hive.pause.end()
            await hive.post()
            began, ended, again = hive.changes
            assert ended is None
            assert all(at is not None and 3000 < at - time.time() <= 3600 for at in (began, again))
            assert len(hive.upstream.seen) == 2, "what the operator ended is asked about again"

    asyncio.run(check())


def test_it_goes_on_by_itself(tmp_path: Path, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(pause, "SHORT", 0.5)
    answers = iter((True, False))

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        if next(answers):
            await answer(writer, 429, LIMIT, {"retry-after": "1"})
        else:
            await plain(seen, writer)

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            assert (await hive.post()).status_code == 429
            await asyncio.sleep(hive.pause.left())
            assert ((await hive.post()).status_code, hive.pause.view()) == (200, None)

    asyncio.run(check())


@pytest.mark.parametrize(
    "headers",
    [
        {},
        {"retry-after": "7"},
        {"retry-after": "soon"},
        {"retry-after": "nan"},
        {"retry-after": "-3600"},
        {"anthropic-ratelimit-unified-status": "rejected", "anthropic-ratelimit-unified-reset": "later"},
        {"anthropic-ratelimit-unified-status": "allowed", "anthropic-ratelimit-unified-reset": "9999999999"},
    ],
)
def test_a_moment_is_claudes_own_to_wait(tmp_path: Path, headers: dict[str, str]) -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answer(writer, 429, LIMIT, headers)

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            got = await hive.post()
            assert (got.status_code, got.content, hive.pause.view(), hive.told) == (429, LIMIT, None, [])

    asyncio.run(check())


def test_no_credit_is_tried_again_after_a_while(tmp_path: Path) -> None:
    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answer(writer, 400, b'{"error":{"message":"Your credit balance is too low to access the API"}}', {})

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            first, second = await hive.post(), await hive.post()
            assert (first.status_code, second.status_code, len(hive.upstream.seen)) == (400, 429, 1)
            assert hive.told[0] == "the key's credit balance is too low"
            assert 890 < hive.pause.left() <= 900

    asyncio.run(check())


@pytest.mark.parametrize(
    "said",
    [
        "Unexpected value(s) `your credit balance is too low` for the `anthropic-beta` header.",
        "messages.0.role: Input should be 'user' or 'assistant', not 'Your credit balance'",
        ["Your credit balance is too low"],
    ],
)
def test_no_agent_can_have_the_api_say_that_there_is_no_credit(tmp_path: Path, said: object) -> None:
    quoted = json.dumps({"type": "error", "error": {"type": "invalid_request_error", "message": said}}).encode()

    async def play(seen: Seen, writer: asyncio.StreamWriter) -> None:
        await answer(writer, 400, quoted)

    async def check() -> None:
        async with rig(play, tmp_path) as hive:
            got = await hive.post()
            assert (got.status_code, got.content, hive.pause.view(), hive.told) == (400, quoted, None, [])

    asyncio.run(check())


def test_a_step_of_the_clock_moves_no_pause_and_none_is_endless(monkeypatch: pytest.MonkeyPatch) -> None:
    async def check() -> None:
        made = Pause(lambda *_: asyncio.sleep(0))
        await made.begin(time.time() + 100, "x")
        real = time.time
        monkeypatch.setattr(time, "time", lambda: real() - 86400)
        assert 99 < made.left() <= 100
        await made.begin(real() + 1e12, "x")
        assert made.left() <= pause.LONGEST

    asyncio.run(check())
