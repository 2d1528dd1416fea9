"""The guard of every test: that it sees a thread that stays."""

from __future__ import annotations

import threading

import pytest

from tests.helpers import PATIENCE_S, no_thread_outlives


def test_a_thread_that_stays_is_seen() -> None:
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait, name="leaked", daemon=True)
    try:
        with pytest.raises(AssertionError, match=r"leaked.* outlives"), no_thread_outlives(0.01):
            thread.start()
    finally:
        may_end.set()
        thread.join()


def test_a_thread_that_is_about_to_end_is_waited_for() -> None:
    may_end = threading.Event()
    with no_thread_outlives():
        threading.Thread(target=lambda: may_end.wait(PATIENCE_S), daemon=True).start()
        threading.Timer(0.05, may_end.set).start()
    assert may_end.is_set()


def test_a_thread_from_before_may_stay() -> None:
    may_end = threading.Event()
    thread = threading.Thread(target=may_end.wait, daemon=True)
    thread.start()
    try:
        with no_thread_outlives(0.0):
            pass
    finally:
        may_end.set()
        thread.join()
