"""Waiting for threads in the main thread, which alone hears a signal; and threads that stay."""

from __future__ import annotations

import os
import signal
import sys
import threading
import time
import traceback
from typing import Callable

import pytest

from tests.helpers import PATIENCE_S, no_thread_outlives
from transport import threads


def waits_for_all(thread: int) -> bool:
    """And not only for one to have started."""
    calls = [each.f_code.co_name for each, _ in traceback.walk_stack(sys._current_frames()[thread])]
    return calls[0] == "wait" and "start" not in calls


@pytest.mark.parametrize(
    "wait_for",
    [
        lambda work: threads.run_all(lambda _: work(), [1, 2], 2),
        lambda work: threads.side_by_side(work, work),
    ],
)
def test_a_silent_signal_is_heard(wait_for: Callable[[Callable[[], bool]], list[bool]]) -> None:
    """Another thread takes it, so that it does not end the wait of the main thread."""
    main, heard, over = threading.get_ident(), threading.Event(), threading.Event()
    before = signal.signal(signal.SIGTERM, lambda *_: heard.set())
    taker = threads.start(over.wait)
    mask = signal.pthread_sigmask(signal.SIG_BLOCK, [signal.SIGTERM])

    def work() -> bool:
        while not waits_for_all(main):
            time.sleep(0.001)
        os.kill(os.getpid(), signal.SIGTERM)
        return heard.wait(PATIENCE_S)

    try:
        assert list(wait_for(work)) == [True, True]
    finally:
        signal.pthread_sigmask(signal.SIG_SETMASK, mask)
        signal.signal(signal.SIGTERM, before)
        over.set()
        taker.result()


def test_a_thread_that_stays_is_seen() -> None:
    """By the guard of every test."""
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait, name="leaked", daemon=True)
    try:
        with pytest.raises(AssertionError, match=r"leaked.* outlives"), no_thread_outlives(0.01):
            thread.start()
    finally:
        may_end.set()
        thread.join()
