"""What runs did: noted as it happens, judged in the end, kept for a while."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Iterator

import pytest

from core.clock import DAY_S
from core.errors import Outcome
from state.history import BROKEN_OFF, SQL, History
from state.store import Store
from tests.helpers import START, FakeClock

BEGAN_AT = START.timestamp()


@contextlib.contextmanager
def history(path: Path, clock: FakeClock) -> Iterator[History]:
    with contextlib.closing(Store(path, [SQL], "", dry_run=False)) as store:
        yield History(store, clock)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


def a_run(path: Path, clock: FakeClock, domain: str = "shop.example", days: int = 400) -> None:
    with history(path, clock) as runs:
        runs.begin(days)
        runs.note("follow", domain, "Shop", 7, None, "sent")
        runs.judge("follow", [(domain, "done")])
        runs.end(Outcome.SYNCED, None, {"follow": 1}, total=12)


def test_a_run_and_its_changes(path: Path, clock: FakeClock) -> None:
    a_run(path, clock)
    with history(path, clock) as runs:
        (run,) = runs.runs()
        (change,) = runs.changes_of("shop.example")
        assert runs.changes_in(run.id) == [change]
        assert runs.changes_of("other.example") == []
    assert run[1:] == (BEGAN_AT, "synced", None, {"follow": 1}, 12)
    assert change[1:] == (BEGAN_AT, "follow", "shop.example", "Shop", 7, None, "done")


def test_a_run_that_was_killed_leaves_its_changes(path: Path, clock: FakeClock) -> None:
    with history(path, clock) as runs:
        runs.begin(400)
        runs.note("unfollow", "shop.example", None, None, "it was deleted in HubSpot", "sent")
    with history(path, clock) as runs:
        (run,) = runs.runs()
        (change,) = runs.changes_of("shop.example")
    assert (run.outcome, run.counts) == (BROKEN_OFF, {})
    assert (change.reason, change.status) == ("it was deleted in HubSpot", "sent")


def test_the_run_under_way_is_no_past_run(path: Path, clock: FakeClock) -> None:
    a_run(path, clock)
    with history(path, clock) as runs:
        runs.begin(400)
        assert [run.outcome for run in runs.runs()] == ["synced"]


def test_what_is_older_than_it_is_kept_is_forgotten(path: Path, clock: FakeClock) -> None:
    for domain in ("old.example", "new.example"):
        a_run(path, clock, domain, days=10)
        clock.now += 9 * DAY_S
    with history(path, clock) as runs:
        runs.begin(10)
        assert len(runs.runs()) == 1
        assert runs.changes_of("old.example") == []
        assert len(runs.changes_of("new.example")) == 1
