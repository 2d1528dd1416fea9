"""How far a long read or write has come: a bar in a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
from typing import ContextManager, Iterable, TypeVar

from tqdm import tqdm

from core.clock import Clock
from core.log import log

LINE_EVERY_S = 30.0
tqdm.monitor_interval = 0  # else it starts a thread of its own
tqdm.set_lock(threading.RLock())  # else it makes one for several processes

T = TypeVar("T")


class Progress:
    """Counts up to `total`, if that is known. Use it as a context; any thread may `advance`."""

    def __init__(self, label: str, unit: str, clock: Clock, total: int | None = None) -> None:
        self._label, self._unit, self._clock = label, unit, clock
        hide = not wants_bars()
        self._bar = tqdm(None, label, total, leave=False, unit=f" {unit}", disable=hide)
        self._done = 0
        self._line_at = clock.monotonic() + LINE_EVERY_S
        self._lock = threading.Lock()

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        self._bar.close()

    def expect(self, total: int) -> None:
        self._bar.total = total

    def count(self, items: Iterable[T]) -> list[T]:
        """All items, each of them counted as it comes."""
        found: list[T] = []
        for item in items:
            found.append(item)
            self.advance()
        return found

    def advance(self, steps: int = 1) -> None:
        with self._lock:
            self._done += steps
            self._bar.update(steps)
            now = self._clock.monotonic()
            if self._bar.disable and now >= self._line_at:
                self._line_at = now + LINE_EVERY_S
                of_all = f" of {self._bar.total:,}" if self._bar.total else ""
                log.info("%s: %s%s %s so far", self._label, f"{self._done:,}", of_all, self._unit)


def wants_bars() -> bool:
    return sys.stderr.isatty() and log.isEnabledFor(logging.INFO)


def above_bars() -> ContextManager[None]:
    """Within it stderr may be written without tearing a bar."""
    return tqdm.external_write_mode(sys.stderr)
