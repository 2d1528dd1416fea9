"""Work in threads that never keep the program alive."""

from __future__ import annotations

import itertools
import math
import threading
import time
from concurrent.futures import FIRST_COMPLETED, Future, wait
from typing import Any, Callable, Collection, Sequence, TypeVar

# Python handles signals in its main thread alone. One that comes right before this thread waits for
# another one is handled after the wait; on Windows every one is. So no wait is longer.
SIGNAL_HEARD_AFTER_S = 0.2

T = TypeVar("T")
R = TypeVar("R")


def start(work: Callable[[], R]) -> Future[R]:
    """Run `work` in a daemon thread, which unlike an executor's does not hold up the end of the
    program: a second Ctrl-C ends at once, even while a call hangs."""
    future: Future[R] = Future()

    def run() -> None:
        try:
            future.set_result(work())
        except BaseException as error:  # whoever asks for the result gets it
            future.set_exception(error)

    threading.Thread(target=run, daemon=True).start()
    return future


def wait_for_any(futures: Collection[Future[R]], timeout_s: float = math.inf) -> set[Future[R]]:
    """Those that have ended, as soon as one has; none after the timeout."""
    until = time.monotonic() + timeout_s
    ended: set[Future[R]] = set()
    while not ended and time.monotonic() < until:
        ended = wait(futures, min(timeout_s, SIGNAL_HEARD_AFTER_S), FIRST_COMPLETED).done
    return ended


def side_by_side(first: Callable[[], T], second: Callable[[], R]) -> tuple[T, R]:
    """What both return. Raises what fails first, at once, whatever the other still does."""
    both = start(first), start(second)
    pending: set[Future[Any]] = set(both)
    while pending:
        for ended in wait_for_any(pending):
            ended.result()
            pending.discard(ended)
    return both[0].result(), both[1].result()


def run_all(work: Callable[[T], R], items: Sequence[T], workers: int) -> list[R]:
    """What `work` returns for each item, in their order, made by up to `workers` threads at once.

    Raises what `work` raised, after all threads have ended; other items may have been worked on.
    """
    results: dict[int, R] = {}
    indexes = itertools.count()  # its next() is atomic

    def worker() -> None:
        while (index := next(indexes)) < len(items):
            results[index] = work(items[index])

    futures = [start(worker) for _ in range(min(workers, len(items)))]
    while wait(futures, SIGNAL_HEARD_AFTER_S).not_done:
        pass
    for future in futures:
        future.result()
    return [results[index] for index in range(len(items))]
