from __future__ import annotations

from typing import NamedTuple

import pytest

from core.errors import Interrupted
from sandbox.core import Window
from tests.helpers import FakeClock
from transport.service import Quota, RateLimit
from transport.throttle import HEADROOM, SLOWEST, Throttle


def starts(throttle: Throttle, clock: FakeClock, calls: int) -> list[float]:
    times = []
    for _ in range(calls):
        throttle.wait()
        times.append(clock.now)
    return times


def gaps(times: list[float]) -> list[float]:
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
    throttle = Throttle(5, clock)
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


def test_a_refusal_while_few_calls_were_made_does_not_stop_the_run(clock: FakeClock) -> None:
    """The service refuses because of others: what we took last says little of what it takes."""
    throttle = Throttle(10, clock)
    throttle.went_well()
    throttle.refused(1.0)
    assert gaps(starts(throttle, clock, 2)) == pytest.approx([HEADROOM / 7])


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


def test_where_no_allowance_is_declared_none_is_heeded(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    throttle.update_from_headers(Quota(100, 0))
    assert gaps(starts(throttle, clock, 2)) == pytest.approx([0.1 * HEADROOM])


def test_a_stop_ends_the_wait(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    clock.stop()
    with pytest.raises(Interrupted):
        throttle.wait()


# An allowance that all apps of an account share

ALLOWANCE = RateLimit(period_s=60.0, for_others=0.1)
LIMIT = 120


class FixedWindow(Window):
    """Counts by the clock's minutes."""

    def used(self, now: float) -> int:
        while self._times and self._times[0] // self.period < now // self.period:
            self._times.popleft()
        return len(self._times)


class Minutes(NamedTuple):
    """Of one run: calls taken, and refused, in each minute; and those of the other app."""

    ours: list[int]
    refused: int
    others: int
    others_refused: int


def beside_another_app(window: Window, others_per_s: float, minutes: int, begins: float) -> Minutes:
    """The other app calls evenly, from `begins` seconds before our first call on."""
    clock = FakeClock()
    throttle = Throttle(LIMIT / 60, clock, ALLOWANCE)
    start, others, others_refused, refused = clock.now, 0, 0, 0
    ours: list[int] = [0] * minutes
    next_at = start - begins if others_per_s else float("inf")
    while True:
        throttle.wait()
        while next_at <= clock.now:
            others, others_refused = others + 1, others_refused + (not window.take(LIMIT, next_at))
            next_at += 1 / others_per_s
        minute = int((clock.now - start) // 60)
        if minute >= minutes:
            return Minutes(ours, refused, others, others_refused)
        is_taken = window.take(LIMIT, clock.now)
        throttle.update_from_headers(Quota(LIMIT, max(0, LIMIT - window.used(clock.now))))
        if is_taken:
            ours[minute] += 1
            throttle.went_well()
        else:
            refused += 1
            throttle.refused(1.0)


WINDOWS = [Window, FixedWindow]


@pytest.mark.parametrize("kind", WINDOWS)
def test_a_tenth_of_the_allowance_is_left_to_others(kind: type[Window]) -> None:
    seen = beside_another_app(kind(60.0), 0.0, 10, begins=0)
    assert seen.refused == 0
    assert max(seen.ours) <= 109  # 108, and the one that a minute may begin with
    assert min(seen.ours) >= 105


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("begins", [0.0, 30.0, 60.0])
def test_an_app_at_half_the_allowance_is_hardly_refused(kind: type[Window], begins: float) -> None:
    seen = beside_another_app(kind(60.0), 1.0, 10, begins)
    assert seen.others_refused <= 0.02 * seen.others
    assert seen.refused <= 2
    assert min(seen.ours[5:]) >= 40  # of the 48 that are ours then
