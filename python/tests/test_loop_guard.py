from __future__ import annotations

from hyperhive.loop_guard import MAX_CHAINS, LoopGuard, Rate, Trip


class Clock:
    def __init__(self) -> None:
        self.now = 1000.0

    def __call__(self) -> float:
        return self.now


def guard(clock: Clock, *, burst: int = 3, agent: int = 1000) -> LoopGuard:
    return LoopGuard(max_hops=4, edge=Rate(burst, 60), agent=Rate(agent, 120), clock=clock)


def flood(judged: LoopGuard, count: int, *, to: str = "bob") -> list[Trip | None]:
    return [judged.judge("alice", to, 0, 0) for _ in range(count)]


def told(trips: list[Trip | None]) -> list[bool]:
    return [trip.first for trip in trips if trip]


def test_a_burst_passes_and_what_is_beyond_it_trips_and_is_told_once() -> None:
    trips = flood(guard(Clock()), 6)
    assert trips[:3] == [None, None, None]
    assert told(trips[3:]) == [True, False, False]
    assert trips[3] and trips[3].reason == "more than 60 messages a minute"


def test_an_edge_is_one_sender_to_one_recipient() -> None:
    judged = guard(Clock())
    flood(judged, 4)
    assert flood(judged, 3, to="carol") == [None, None, None]
    assert judged.judge("bob", "alice", 0, 0) is None


def test_the_bucket_refills_with_time_but_never_beyond_its_burst() -> None:
    clock = Clock()
    judged = guard(clock)
    flood(judged, 4)
    clock.now += 2.0
    assert [trip is None for trip in flood(judged, 3)] == [True, True, False]
    clock.now += 3600
    assert [trip is None for trip in flood(judged, 4)] == [True, True, True, False]


def test_a_flood_that_goes_on_is_one_trip_and_the_next_one_after_a_rest_is_another() -> None:
    clock = Clock()
    judged = guard(clock)
    seen = []
    for _ in range(50):  # ten a second: one in ten passes, nine do not
        seen += flood(judged, 1)
        clock.now += 0.1
    assert told(seen).count(True) == 1
    clock.now += 3
    assert told(flood(judged, 5)) == [True, False]


def test_an_exchange_beyond_its_hops_trips_once_for_each_chain() -> None:
    judged = guard(Clock(), burst=100)
    assert judged.judge("alice", "bob", 7, 4) is None
    trips = [judged.judge("alice", "bob", chain, 5) for chain in (7, 7, 8)]
    assert told(trips) == [True, False, True]
    assert trips[0] and trips[0].reason == "an exchange of 5 answers in a row, the bound is 4"


def test_long_exchanges_that_take_turns_are_told_once_each() -> None:
    judged = guard(Clock())
    chains = [*range(1, 6)] * 3
    assert told([judged.judge("alice", "bob", chain, 5) for chain in chains]) == [True] * 5 + [False] * 10
    for chain in range(2 * MAX_CHAINS):
        judged.judge("alice", "bob", chain, 5)
    assert len(judged._chains["alice", "bob"]) == MAX_CHAINS


def test_a_message_parked_for_its_hops_takes_no_token() -> None:
    judged = guard(Clock(), burst=1)
    assert judged.judge("alice", "bob", 7, 5) is not None
    assert judged.judge("alice", "bob", 0, 0) is None


def test_all_edges_of_a_sender_together_have_a_bucket_too() -> None:
    clock = Clock()
    judged = guard(clock, agent=5)
    trips = [trip for to in ("bob", "carol", "dave") for trip in flood(judged, 2, to=to)]
    assert trips[:5] == [None] * 5
    assert trips[5] == Trip("more than 120 messages a minute from alice to all others together", first=True)
    assert told(flood(judged, 1, to="erin")) == [False]
    assert judged.judge("bob", "alice", 0, 0) is None, "another's bucket is another"
    clock.now += 0.5
    assert [trip is None for trip in flood(judged, 2, to="frank")] == [True, False]


def test_what_the_operator_forgives_is_told_again() -> None:
    judged = guard(Clock(), burst=1)
    assert told(flood(judged, 3)) == [True, False]
    assert told([judged.judge("alice", "bob", 7, 5) for _ in range(2)]) == [True, False]
    judged.forgive("alice", "bob")
    assert told(flood(judged, 2)) == [True, False]
    assert told([judged.judge("alice", "bob", 7, 5) for _ in range(2)]) == [True, False]
