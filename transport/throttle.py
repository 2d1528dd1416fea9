"""The pace of all calls to one service."""

from __future__ import annotations

import threading

from transport.clock import Clock

HEADROOM = 1.02  # calls go 2 % slower than allowed: the network may squeeze two together
SLOW_DOWN = 0.6  # of the present rate, when the service says that it is too much
SLOWEST = 0.05  # of the set rate, however often the service refuses
SPEED_UP = 0.0002  # of the set rate, times the calls gone well since: 63 calls undo one slow-down


class Throttle:
    """Spaces the calls of all threads, and gives way when the service is asked too much.

    Calls start at least `1 / calls_per_second` apart. A refusal (429) makes every thread wait and
    lowers the rate; calls that go well raise it again, slowly at first, so that the share that
    another client leaves over is found without provoking many refusals.
    """

    def __init__(self, calls_per_second: float, clock: Clock) -> None:
        self._full_rate = self._rate = calls_per_second
        self._clock = clock
        self._next_at = self._silent_until = clock.monotonic()
        self._good_calls = 0
        self._turn = threading.Lock()  # held while waiting, so that one call is let go at a time
        self._state = threading.Lock()

    def wait(self) -> None:
        """Return when the next call may start; raises Interrupted when the run is to stop."""
        with self._turn:
            while (delay := self._next_at - self._clock.monotonic()) > 0:
                self._clock.sleep(delay)
            self._clock.check()
            with self._state:
                free_at = self._clock.monotonic() + HEADROOM / self._rate
                self._next_at = max(self._next_at, free_at)

    def has_room(self) -> bool:
        return self._next_at < self._clock.monotonic()

    def refused(self, wait_s: float) -> None:
        """The service had too much, and wants `wait_s` seconds of silence."""
        with self._state:
            now = self._clock.monotonic()
            if now >= self._silent_until:  # else it was under way when the rate was lowered
                self._rate = max(self._rate * SLOW_DOWN, self._full_rate * SLOWEST)
            self._silent_until = max(self._silent_until, now + wait_s)
            self._next_at = max(self._next_at, self._silent_until)
            self._good_calls = 0

    def went_well(self) -> None:
        with self._state:
            self._good_calls += 1
            raised = self._rate + self._full_rate * SPEED_UP * self._good_calls
            self._rate = min(self._full_rate, raised)
