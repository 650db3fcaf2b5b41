from __future__ import annotations

import asyncio

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


def test_nobody_listens_any_more_after_the_block() -> None:
    async def run() -> None:
        hub = Hub()
        assert not hub.heard
        async with hub.subscribe():
            assert hub.heard
        assert not hub.heard

    asyncio.run(run())
