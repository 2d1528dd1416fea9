"""The pace of all calls to one service."""

from __future__ import annotations

import threading
from collections import deque

from core.clock import Clock
from transport.service import Quota, RateLimit

# Calls go this much slower than allowed: the network may squeeze six of them, sent over 1.06 s,
# into the one second in which the service takes five.
HEADROOM = 1.06
SPEED_UP = 0.00005  # of the set rate, times the calls gone well since the last refusal
SLOWEST = 0.5  # calls a second, however often the service refuses
LEAST_SHARE = 0.7  # of the present rate, which one refusal leaves
MEASURED_S = 1.0  # the latest time, in which what the service took shows what it takes


class Throttle:
    """Spaces the calls of all threads, and gives way when the service is asked too much.

    Calls start at least `1 / calls_per_second` apart. A refusal (429) makes every thread wait, and
    lowers the rate to what the service has taken in the last second, though never by much at once:
    we may have sent few calls then. Calls that go well raise it again, slowly at first, so that the
    share that another client leaves over is found without provoking many refusals.

    Where answers tell what is left of an `allowance`, calls also stay within what others do not
    take of it, as far as the answers of the last period show, and within our share of it.
    """

    def __init__(
        self, calls_per_second: float, clock: Clock, allowance: RateLimit | None = None
    ) -> None:
        self._full_rate = self._rate = calls_per_second
        self._clock = clock
        self._next_at = self._silent_until = clock.monotonic()
        self._good_calls = 0
        self._went_well_at: deque[float] = deque()
        self._allowance = allowance
        self._started_at: deque[float] = deque()  # the calls of the last period
        self._others: deque[tuple[float, int]] = deque()  # when seen, calls; the most comes first
        self._gap_s = 0.0  # which the allowance demands
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
                self._next_at = max(self._next_at, now + max(HEADROOM / self._rate, self._gap_s))
                if self._allowance:
                    self._started_at.append(now)

    def has_room(self) -> bool:
        return self._next_at < self._clock.monotonic()

    def refused(self, wait_s: float) -> None:
        """The service had too much, and wants `wait_s` seconds of silence."""
        with self._state:
            now = self._clock.monotonic()
            if now >= self._silent_until:  # else it was under way when the rate was lowered
                taken = self._taken(now) / MEASURED_S
                lowered = max(min(self._rate, taken), self._rate * LEAST_SHARE)
                self._rate = max(lowered, SLOWEST)
            self._silent_until = max(self._silent_until, now + wait_s)
            self._next_at = max(self._next_at, self._silent_until)
            self._good_calls = 0

    def went_well(self) -> None:
        with self._state:
            now = self._clock.monotonic()
            self._taken(now)
            self._went_well_at.append(now)
            self._good_calls += 1
            raised = self._rate + self._full_rate * SPEED_UP * self._good_calls
            self._rate = min(self._full_rate, raised)

    def update_from_headers(self, room: Quota) -> None:
        """An answer shows what is left of the allowance.

        What others took is what neither we did nor is left. An account may count by a rolling
        period or by the clock's: in the second case only the end of a period shows it all, so the
        most that was seen within one counts.
        """
        if not self._allowance:
            return
        period_s = self._allowance.period_s
        with self._state:
            now = self._clock.monotonic()
            while self._started_at and self._started_at[0] <= now - period_s:
                self._started_at.popleft()
            seen = room.limit - room.remaining - len(self._started_at)
            while self._others and self._others[0][0] <= now - period_s:
                self._others.popleft()
            while self._others and self._others[-1][1] <= seen:  # never the most again
                self._others.pop()
            self._others.append((now, seen))
            reserve = room.limit * self._allowance.for_others
            others = max(self._others[0][1], 0)
            ours = max(room.limit - reserve - others, SLOWEST * period_s)
            self._gap_s = period_s / ours
            missing = reserve - room.remaining
            if missing > 0:  # as long as the period takes to give as many back
                self._next_at = max(self._next_at, now + missing * period_s / room.limit)

    def _taken(self, now: float) -> int:
        """How many calls have gone well in the latest time."""
        while self._went_well_at and self._went_well_at[0] <= now - MEASURED_S:
            self._went_well_at.popleft()
        return len(self._went_well_at)
