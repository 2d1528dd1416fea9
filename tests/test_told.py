"""What waits for a person is told once, and then once a week."""

from __future__ import annotations

from pathlib import Path
from typing import Iterator

import pytest

from run import told
from run.store import Store
from tests.helpers import FakeClock

DAY_S = 86_400.0


@pytest.fixture
def memory(clock: FakeClock) -> Iterator[told.Told]:
    store = Store(Path.home() / "file", [told.SQL], "", dry_run=False)
    yield told.Told(store, clock)
    store.close()


def test_once_and_then_once_a_week(memory: told.Told, clock: FakeClock) -> None:
    assert memory.due({"a", "b"}) == {"a", "b"}
    memory.note({"a", "b"}, {"a", "b"})
    assert memory.due({"a", "b", "c"}) == {"c"}
    clock.now += 3 * DAY_S
    memory.note({"c"}, {"a", "b", "c"})
    clock.now += 4 * DAY_S
    assert memory.due({"a", "b", "c"}) == {"a", "b"}


def test_a_daily_run_keeps_to_its_day(memory: told.Told, clock: FakeClock) -> None:
    memory.note({"a"}, {"a"})
    clock.now += 7 * DAY_S - 60
    assert memory.due({"a"}) == {"a"}


def test_what_waits_again_is_news(memory: told.Told) -> None:
    memory.note({"a", "b"}, {"a", "b"})
    memory.note(set(), {"a"})
    assert memory.due({"a", "b"}) == {"b"}


def test_a_clock_that_was_ahead_swallows_nothing(memory: told.Told, clock: FakeClock) -> None:
    clock.now += 1000 * DAY_S
    memory.note({"a"}, {"a"})
    clock.now -= 1000 * DAY_S
    assert memory.due({"a"}) == {"a"}
