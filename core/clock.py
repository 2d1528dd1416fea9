"""Time for one run, and the wish to stop it: tests hand in a clock of their own."""

from __future__ import annotations

import copy
import math
import threading
import time
from datetime import datetime, timezone

from core.errors import Interrupted

DAY_S = 86_400.0


class Clock:
    def __init__(self) -> None:
        self._stop = threading.Event()
        self._end = math.inf

    def monotonic(self) -> float:
        """Seconds; only differences mean something."""
        return time.monotonic()

    def utcnow(self) -> datetime:
        return datetime.now(timezone.utc)

    def time(self) -> float:
        """Seconds since 1970."""
        return self.utcnow().timestamp()

    def sleep(self, seconds: float) -> None:
        """Raises Interrupted as soon as the run is to stop."""
        self._stop.wait(seconds)
        self.check()

    def is_stopped(self) -> bool:
        return self._stop.is_set()

    def limit(self, minutes: int) -> None:
        """From now on; 0: none. A run that takes longer ends as if somebody had stopped it."""
        self._end = self.monotonic() + 60 * minutes if minutes else math.inf

    def restarted(self) -> Clock:
        """The same time, without a wish to stop."""
        other = copy.copy(self)
        other._stop, other._end = threading.Event(), math.inf
        return other

    def check(self) -> None:
        if self.monotonic() >= self._end:
            self.stop()
            raise Interrupted("the run took longer than MAX_RUN_MINUTES allows")
        if self.is_stopped():
            raise Interrupted("stopped on request")

    def stop(self) -> None:
        """Every wait ends, and no new call begins; calls under way finish."""
        self._stop.set()
