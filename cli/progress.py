"""How far a long read or write has come: a bar in a terminal, a log line now and then elsewhere."""

from __future__ import annotations

import logging
import sys
import threading
from typing import Any, Iterable, TypeVar

from core.clock import Clock
from core.log import log

LINE_EVERY_S = 30.0

T = TypeVar("T")


class Progress:
    """Counts up to `total`, if that is known. Use it as a context; any thread may `advance`."""

    def __init__(self, label: str, unit: str, clock: Clock, total: int | None = None) -> None:
        self._label, self._unit, self._clock = label, unit, clock
        self._total = total
        self._done = 0
        self._line_at = clock.monotonic() + LINE_EVERY_S
        self._lock = threading.Lock()
        self._bar = _bar(label, unit, total) if wants_bars() else None

    def __enter__(self) -> Progress:
        return self

    def __exit__(self, *_: object) -> None:
        if self._bar is not None:
            self._bar.close()

    def expect(self, total: int) -> None:
        self._total = total
        if self._bar is not None:
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
            if self._bar is not None:
                self._bar.update(steps)
            elif self._clock.monotonic() >= self._line_at:
                self._line_at = self._clock.monotonic() + LINE_EVERY_S
                of_all = f" of {self._total:,}" if self._total else ""
                log.info("%s: %s%s %s so far", self._label, f"{self._done:,}", of_all, self._unit)


def wants_bars() -> bool:
    return sys.stderr.isatty() and log.isEnabledFor(logging.INFO)


def _bar(label: str, unit: str, total: int | None) -> Any:
    from tqdm import tqdm

    return tqdm(desc=label, unit=f" {unit}", total=total, leave=False, dynamic_ncols=True)
