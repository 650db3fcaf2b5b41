from __future__ import annotations

import asyncio
import json
import tracemalloc

import pytest

from hyperhive.hub import QUEUE, Event, Hub, Subscription

DEADLINE = 10


async def everything(subscription: Subscription) -> list[Event]:
    async with asyncio.timeout(DEADLINE):
        return [event async for event in subscription]


def test_every_listener_hears_what_happens_while_it_listens() -> None:
    async def run() -> None:
        hub = Hub()
        hub.publish("turn", {"turn": 0})
        async with hub.subscribe() as first:
            hub.publish("turn", {"turn": 1})
            async with hub.subscribe() as second:
                hub.publish("message", {"id": 2})
            hub.publish("turn", {"turn": 3})
            async with asyncio.timeout(DEADLINE):
                assert [await anext(first) for _ in range(3)] == [
                    Event("turn", {"turn": 1}),
                    Event("message", {"id": 2}),
                    Event("turn", {"turn": 3}),
                ]
                assert await anext(second) == Event("message", {"id": 2})

    asyncio.run(run())


def test_a_listener_that_waits_is_woken() -> None:
    async def run() -> None:
        hub = Hub()
        async with hub.subscribe() as listener, asyncio.timeout(DEADLINE):
            waiting = asyncio.ensure_future(anext(listener))
            await asyncio.sleep(0)
            assert not waiting.done()
            hub.publish("agent", {"name": "bob"})
            assert await waiting == Event("agent", {"name": "bob"})

    asyncio.run(run())


def test_a_listener_that_is_too_slow_is_dropped_and_the_others_hear_on() -> None:
    async def run() -> None:
        hub = Hub()
        async with hub.subscribe() as slow, hub.subscribe() as quick:
            for number in range(QUEUE + 5):
                hub.publish("turn", {"turn": number})
                assert (await anext(quick)).data == {"turn": number}
            heard = await everything(slow)
            assert [event.data["turn"] for event in heard] == list(range(QUEUE)), "in order, then the end"

    asyncio.run(run())


def test_what_waits_for_a_slow_listener_and_what_is_kept_take_only_so_much_memory() -> None:
    wide = "[" + "[]," * 80_000 + "1]"  # 240 KB of text, and 24 times as much of lists

    async def run() -> int:
        hub = Hub()
        tracemalloc.start()
        try:
            async with hub.subscribe() as slow:
                for _ in range(40):
                    hub.publish("turn_event", {"agent": "bob", "event": json.loads(wide)})
                assert len(await everything(slow)) < 40, "it was given up"
                return tracemalloc.get_traced_memory()[1]
        finally:
            tracemalloc.stop()

    most = asyncio.run(run())
    assert most < 100_000_000, f"{most} bytes"


def test_nobody_listens_any_more_some_time_after_the_block(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        hub = Hub()
        assert not hub.heard
        async with hub.subscribe():
            assert hub.heard
        assert hub.heard, "whoever listened may come back"
        monkeypatch.setattr("hyperhive.hub.REMEMBERED", 0.0)
        assert not hub.heard

    asyncio.run(run())


def test_who_comes_back_hears_what_was_missed_and_goes_on() -> None:
    async def run() -> None:
        hub = Hub()
        async with hub.subscribe() as first:
            hub.publish("turn", {"turn": 1})
            place = hub.position((await anext(first)).number)
        hub.publish("turn", {"turn": 2})
        hub.publish("turn_event", {"turn": 2, "agent": "bob"})
        async with (
            hub.subscribe(after=place, wanted=lambda event: event.kind == "turn") as again,
            asyncio.timeout(DEADLINE),
        ):
            assert again.whole
            hub.publish("turn", {"turn": 3})
            assert [(await anext(again)).data["turn"] for _ in range(2)] == [2, 3]

    asyncio.run(run())


@pytest.mark.parametrize("place", ["", "7", "beef-1", "other-", "-1", "x" * 5000])
def test_a_place_that_is_not_of_this_core_is_not_whole(place: str) -> None:
    async def run() -> None:
        async with Hub().subscribe(after=place) as listener:
            assert not listener.whole

    asyncio.run(run())


def test_a_place_ahead_of_the_newest_event_is_not_whole() -> None:
    async def run() -> None:
        hub = Hub()
        async with hub.subscribe(), hub.subscribe(after=hub.position(9)) as listener:
            assert not listener.whole

    asyncio.run(run())


@pytest.mark.parametrize("bound", ["KEPT", "KEPT_BYTES"])
def test_who_was_away_for_too_many_events_is_told_so(bound: str, monkeypatch: pytest.MonkeyPatch) -> None:
    monkeypatch.setattr(f"hyperhive.hub.{bound}", 200 if bound == "KEPT_BYTES" else 2)

    async def run() -> None:
        hub = Hub()
        async with hub.subscribe():
            places = [hub.position()]
            for number in range(4):
                hub.publish("turn", {"turn": number})
                places.append(hub.position())
        wholes = []
        for place in places:
            async with hub.subscribe(after=place) as listener:
                wholes.append(listener.whole)
        assert wholes == [False, False, True, True, True]

    asyncio.run(run())


def test_a_gap_in_which_nobody_listened_is_noticed(monkeypatch: pytest.MonkeyPatch) -> None:
    async def run() -> None:
        hub = Hub()
        async with hub.subscribe():
            place = hub.position()
        monkeypatch.setattr("hyperhive.hub.REMEMBERED", 0.0)
        hub.publish("turn", {"turn": 1})
        async with hub.subscribe(after=place) as listener:
            assert not listener.whole
        monkeypatch.setattr("hyperhive.hub.REMEMBERED", 600.0)
        async with hub.subscribe(after=place) as listener:
            assert not listener.whole, "nor later"

    asyncio.run(run())


def test_what_is_passed_on_has_no_place_and_is_not_kept_for_those_who_come_back() -> None:
    async def run() -> None:
        hub = Hub()
        async with hub.subscribe() as listener, asyncio.timeout(DEADLINE):
            before = hub.position()
            hub.pass_on("turn_text", {"text": "a"})
            hub.publish("turn", {"turn": 1})
            assert [(event.kind, event.number > 0) for event in [await anext(listener), await anext(listener)]] == [
                ("turn_text", False),
                ("turn", True),
            ]
            async with hub.subscribe(after=before) as late:
                assert (late.whole, (await anext(late)).kind) == (True, "turn")
            for _ in range(2 * QUEUE):
                hub.pass_on("turn_text", {"text": "flood"})
            hub.publish("turn", {"turn": 2})
            while (event := await anext(listener)).kind == "turn_text":
                pass
            assert event.data == {"turn": 2}, "who is slow misses pieces, and nothing else"

    asyncio.run(run())
