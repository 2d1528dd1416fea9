from __future__ import annotations

from typing import List

import pytest

from basics.errors import Interrupted
from tests.helpers import FakeClock
from transport.throttle import HEADROOM, SLOWEST, Throttle


def starts(throttle: Throttle, clock: FakeClock, calls: int) -> List[float]:
    times = []
    for _ in range(calls):
        throttle.wait()
        times.append(clock.now)
    return times


def gaps(times: List[float]) -> List[float]:
    return [later - earlier for earlier, later in zip(times, times[1:])]


def test_calls_keep_their_distance(clock: FakeClock) -> None:
    throttle = Throttle(5, clock)
    assert gaps(starts(throttle, clock, 20)) == pytest.approx([0.2 * HEADROOM] * 19)
    assert min(gaps(starts(throttle, clock, 20))) >= 0.2


def test_time_spent_elsewhere_counts(clock: FakeClock) -> None:
    throttle = Throttle(5, clock)
    throttle.wait()
    clock.now += 10
    throttle.wait()
    assert clock.slept == []


def test_a_refusal_silences_and_slows_all(clock: FakeClock) -> None:
    """To the four calls that went well in the last second."""
    throttle = Throttle(10, clock)
    for went_well_at in (0.0, 0.9, 1.0, 1.1, 1.2):
        clock.now = 1000.0 + went_well_at
        throttle.went_well()
    clock.now = refused_at = 1001.5
    throttle.refused(3.0)
    throttle.refused(2.0)  # a call that was under way then: neither slower nor sooner
    first, second = starts(throttle, clock, 2)
    assert first == pytest.approx(refused_at + 3.0)
    assert second - first == pytest.approx(HEADROOM / 4)


def test_one_stray_refusal_at_full_pace_costs_next_to_nothing(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    for _ in range(20):
        throttle.wait()
        throttle.went_well()
    throttle.refused(1.0)
    assert gaps(starts(throttle, clock, 2)) <= [0.112 * HEADROOM]


def test_where_nothing_went_well_the_rate_is_halved(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    throttle.refused(1.0)
    assert gaps(starts(throttle, clock, 2)) == pytest.approx([0.2 * HEADROOM])


def test_the_rate_climbs_back_to_what_was_set(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    throttle.refused(1.0)
    for _ in range(250):
        throttle.wait()
        throttle.went_well()
    assert gaps(starts(throttle, clock, 2)) == pytest.approx([0.1 * HEADROOM])


def test_it_never_stands_still(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    for _ in range(100):
        throttle.refused(1.0)
        throttle.wait()
    assert gaps(starts(throttle, clock, 2)) == pytest.approx([HEADROOM / SLOWEST])


def test_room_while_nobody_calls(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    throttle.wait()
    assert not throttle.has_room()
    clock.now += 1
    assert throttle.has_room()


def test_a_stop_ends_the_wait(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    clock.stop()
    with pytest.raises(Interrupted):
        throttle.wait()
