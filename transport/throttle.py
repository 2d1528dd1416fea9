"""The pace of all calls to one service."""

from __future__ import annotations

import threading
from collections import deque

from core.clock import Clock

# Calls go this much slower than allowed: the network may squeeze six of them, sent over 1.06 s,
# into the one second in which the service takes five.
HEADROOM = 1.06
SLOWED = 1.25  # by which a refusal divides the rate
REGAINED = 0.00005  # of the set rate, times the calls gone well since the last refusal
SLOWEST = 0.25  # calls a second, however often the service refuses
FOR_OTHERS = 0.1  # of a quota
FADING = 0.995  # of what other apps were seen to take, with each answer


class Throttle:
    """Spaces the calls of all threads, and gives way when the service is asked too much.

    A refusal (429) makes every thread wait, and lowers the rate. Calls that go well raise it again,
    slowly at first, so that the share that another app leaves over is found without provoking many
    refusals. Where answers tell what is left of a quota, calls also keep to what others do not take
    of it, and leave them a share.
    """

    def __init__(
        self, calls_per_second: float, clock: Clock, quota_period_s: float | None = None
    ) -> None:
        self._clock = clock
        self._full_rate = self._rate = calls_per_second / HEADROOM
        self._next_at = self._silent_until = clock.monotonic()
        self._good_calls = 0
        self._quota_period_s = quota_period_s
        self._started_at: deque[float] = deque()  # the calls of the last period
        self._taken_by_others = 0.0
        self._fair_gap_s = 0.0  # which the quota demands
        self._turn = threading.Lock()  # held while waiting, so that one call is let go at a time
        self._state = threading.Lock()

    def wait(self) -> None:
        """Return when the next call may start; raises Interrupted when the run is to stop."""
        with self._turn:
            while (delay := self._next_at - self._clock.monotonic()) > 0:
                self._clock.sleep(delay)
            self._clock.check()
            with self._state:
                now = self._clock.monotonic()
                self._next_at = max(self._next_at, now + max(1 / self._rate, self._fair_gap_s))
                if self._quota_period_s:
                    self._started_at.append(now)

    def has_room(self) -> bool:
        return self._next_at < self._clock.monotonic()

    def slow_down(self, wait_s: float) -> None:
        """The service had too much, and wants `wait_s` seconds of silence."""
        with self._state:
            now = self._clock.monotonic()
            if now >= self._silent_until:  # else it was under way when the rate was lowered
                self._rate = max(self._rate / SLOWED, min(SLOWEST, self._full_rate))
            self._silent_until = max(self._silent_until, now + wait_s)
            self._next_at = max(self._next_at, self._silent_until)
            self._good_calls = 0

    def speed_up(self) -> None:
        """A call went well."""
        with self._state:
            self._good_calls += 1
            raised = self._rate + self._full_rate * REGAINED * self._good_calls
            self._rate = min(self._full_rate, raised)

    def update_from_quota(self, limit: int, remaining: int) -> None:
        """An answer shows how many calls all apps of the account have left.

        Others took what is neither left nor ours. A service that counts by the clock's minutes
        shows that only at their end, so the most that was seen fades slowly.
        """
        period_s = self._quota_period_s
        if not period_s:
            return
        with self._state:
            now = self._clock.monotonic()
            while self._started_at and self._started_at[0] <= now - period_s:
                self._started_at.popleft()
            seen = limit - remaining - len(self._started_at)
            self._taken_by_others = max(seen, self._taken_by_others * FADING)
            ours = limit * (1 - FOR_OTHERS) - self._taken_by_others
            self._fair_gap_s = period_s / max(ours, SLOWEST * period_s)
            missing = limit * FOR_OTHERS - remaining
            if missing > 0:  # as long as the period takes to give as many back
                self._next_at = max(self._next_at, now + missing * period_s / limit)
