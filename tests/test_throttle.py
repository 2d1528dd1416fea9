from __future__ import annotations

from typing import NamedTuple

import pytest

from sandbox.core import Window
from tests.helpers import FakeClock
from transport.throttle import HEADROOM, SLOWED, SLOWEST, Throttle


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


def test_a_refusal_silences_and_slows_all(clock: FakeClock) -> None:
    throttle = Throttle(5, clock)
    refused_at = clock.now
    throttle.slow_down(3.0)
    throttle.slow_down(2.0)  # a call that was under way then: neither slower nor sooner
    first, second = starts(throttle, clock, 2)
    assert first == pytest.approx(refused_at + 3.0)
    assert second - first == pytest.approx(0.2 * HEADROOM * SLOWED)


def test_the_pace_climbs_back_to_what_was_set(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    throttle.slow_down(1.0)
    for _ in range(200):
        throttle.wait()
        throttle.speed_up()
    assert gaps(starts(throttle, clock, 2)) == pytest.approx([0.1 * HEADROOM])


class Taken(NamedTuple):
    """Of one run: calls taken and refused."""

    ours: int
    refused: int


def paced(throttle: Throttle, clock: FakeClock, window: Window, limit: int, until: float) -> Taken:
    """A service that refuses without a Retry-After, so that each wait is the client's own."""
    ours = refused = 0
    while clock.now < until:
        throttle.wait()
        if window.take(limit, clock.now):
            ours += 1
            throttle.speed_up()
        else:
            refused += 1
            throttle.slow_down(4.0)
    return Taken(ours, refused)


def test_it_finds_twenty_calls_a_minute_and_the_way_up_again(clock: FakeClock) -> None:
    throttle, window, start = Throttle(10, clock), Window(60.0), clock.now
    paced(throttle, clock, window, 20, start + 600)
    found = paced(throttle, clock, window, 20, start + 1_800)
    assert found.ours >= 0.7 * 20 * 20
    assert found.refused <= 0.15 * found.ours
    free = paced(throttle, clock, window, 10**6, clock.now + 600)
    assert free.ours > 2_000
    assert gaps(starts(throttle, clock, 2)) == pytest.approx([0.1 * HEADROOM])


def test_it_never_stands_still(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    for _ in range(100):
        throttle.slow_down(1.0)
        throttle.wait()
    assert gaps(starts(throttle, clock, 2)) == pytest.approx([1 / SLOWEST])


def test_room_while_nobody_calls(clock: FakeClock) -> None:
    throttle = Throttle(10, clock)
    throttle.wait()
    assert not throttle.has_room()
    clock.now += 1
    assert throttle.has_room()


# A quota that all apps of an account share

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
    throttle = Throttle(LIMIT / 60, clock, quota_period_s=60.0)
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
        throttle.update_from_quota(LIMIT, max(0, LIMIT - window.used(clock.now)))
        if is_taken:
            ours[minute] += 1
            throttle.speed_up()
        else:
            refused += 1
            throttle.slow_down(1.0)


WINDOWS = [Window, FixedWindow]


@pytest.mark.parametrize("kind", WINDOWS)
def test_a_tenth_of_the_quota_is_left_to_others(kind: type[Window]) -> None:
    seen = beside_another_app(kind(60.0), 0.0, 10, begins=0)
    assert seen.refused == 0
    assert max(seen.ours) <= 109  # 108, and the one that a minute may begin with
    assert min(seen.ours) >= 105


@pytest.mark.parametrize("kind", WINDOWS)
@pytest.mark.parametrize("begins", [0.0, 30.0, 60.0])
def test_an_app_at_half_the_quota_is_hardly_refused(kind: type[Window], begins: float) -> None:
    seen = beside_another_app(kind(60.0), 1.0, 10, begins)
    assert seen.others_refused <= 0.02 * seen.others
    assert seen.refused <= 2
    assert min(seen.ours[5:]) >= 40  # of the 48 that are ours then
