"""What runs did: noted as it happens, judged in the end, kept for a while."""

from __future__ import annotations

import contextlib
import threading
from pathlib import Path
from typing import Iterator

import pytest

import sync
from core.clock import DAY_S
from core.errors import Outcome
from report.history import recent_runs
from sandbox import Request
from state.history import BROKEN_OFF, RUNNING, SQL, History
from state.store import Store
from tests.helpers import FAST, PATIENCE_S, START, FakeClock, real_time, start

BEGAN_AT = START.timestamp()


@contextlib.contextmanager
def history(path: Path, clock: FakeClock, holder: str | None = "process 1") -> Iterator[History]:
    with contextlib.closing(Store(path, SQL, "", dry_run=False)) as store:
        yield History(store, clock, holder)


@pytest.fixture
def path(tmp_path: Path) -> Path:
    return tmp_path / "history.sqlite3"


def a_run(path: Path, clock: FakeClock, domain: str = "shop.example", days: int = 400) -> None:
    with history(path, clock) as runs:
        runs.begin_run(days)
        runs.note_change("follow", domain, "Shop", 7, None)
        runs.set_statuses("follow", [(domain, "done")])
        runs.end_run(Outcome.SYNCED, None, {"follow": 1}, "https://hub.example/")


def test_a_run_and_its_changes(path: Path, clock: FakeClock) -> None:
    a_run(path, clock)
    with history(path, clock) as runs:
        (run,) = runs.runs()
        (change,) = runs.changes_of("shop.example")
        assert run.changes == [change]
        assert runs.changes_of("other.example") == []
    assert run[:-1] == (BEGAN_AT, "synced", None, {"follow": 1}, "https://hub.example/")
    assert change == (BEGAN_AT, "follow", "shop.example", "Shop", 7, None, "done")


@pytest.mark.parametrize(
    ("holder", "outcome"),
    [("process 1", RUNNING), ("process 2", BROKEN_OFF), (None, BROKEN_OFF)],
)
def test_a_run_that_has_not_ended_leaves_its_changes(
    path: Path, clock: FakeClock, holder: str | None, outcome: str
) -> None:
    with history(path, clock) as runs:
        runs.begin_run(400)
        runs.note_change("unfollow", "shop.example", None, None, "it was deleted in HubSpot")
    with history(path, clock, holder) as runs:
        (run,) = runs.runs()
        (change,) = runs.changes_of("shop.example")
    assert (run.outcome, run.counts) == (outcome, {})
    assert (change.reason, change.status) == ("it was deleted in HubSpot", "sent")


def test_recent_runs_changed_something_or_may_have(path: Path, clock: FakeClock) -> None:
    a_run(path, clock, "long-ago.example")
    clock.now += 31 * DAY_S
    with history(path, clock) as runs:
        runs.begin_run(400)
        runs.note_change("unfollow", "shop.example", None, 7, "it was deleted in HubSpot")
        runs.end_run(Outcome.INTERRUPTED, None, {})
        runs.begin_run(400)
        runs.note_change("follow", "refused.example", None, None, None)
        runs.set_statuses("follow", [("refused.example", "failed")])
        runs.end_run(Outcome.PARTIAL, None, {})
    with history(path, clock) as runs:
        (run,) = recent_runs(runs, clock.time(), {"unfollow": "no longer followed"}).rows
    assert (run["outcome"], run["counts"]) == ("interrupted", {"sent, not confirmed": 1})
    assert run["changes"] == [
        {
            "name": "shop.example",
            "action": "perhaps no longer followed (no answer came)",
            "reason": "it was deleted in HubSpot",
            "hubspot_id": 7,
        }
    ]


def test_the_run_under_way_is_no_past_run(path: Path, clock: FakeClock) -> None:
    a_run(path, clock)
    with history(path, clock) as runs:
        runs.begin_run(400)
        assert [run.outcome for run in runs.runs()] == ["synced"]


def test_what_is_older_than_it_is_kept_is_forgotten(path: Path, clock: FakeClock) -> None:
    for domain in ("old.example", "new.example"):
        a_run(path, clock, domain, days=10)
        clock.now += 9 * DAY_S
    with history(path, clock) as runs:
        runs.begin_run(10)
        assert len(list(runs.runs())) == 1
        assert runs.changes_of("old.example") == []
        assert len(runs.changes_of("new.example")) == 1


@pytest.mark.usefixtures("_in_berlin")
def test_a_run_is_running_until_it_is_killed(clock: FakeClock) -> None:
    """In a process of its own, which hangs in its third follow."""
    reached, go_on = threading.Event(), threading.Event()
    seen: list[Request] = []

    def hang(request: Request) -> None:
        seen.extend([request] if request.path.endswith("/follow") else [])
        if len(seen) == 3:
            reached.set()
            go_on.wait(PATIENCE_S)

    with real_time([1, 2, 3, 4], []) as sandbox:
        sandbox.on_request = hang
        process = start("sync.py", sandbox)
        try:
            assert reached.wait(PATIENCE_S)
            running = clock.run(sync.main, sandbox, "--history", **FAST)
            dry = clock.run(sync.main, sandbox, "--dry-run", "--report", "page.html", **FAST)
        finally:
            process.kill()
            go_on.set()
        process.communicate()
        killed = clock.run(sync.main, sandbox, "--history", **FAST)
    assert dry.code == 0
    began, words = running.out.splitlines()[0].split("  ")
    assert began.endswith(f"{words[14:19]} CET")
    assert words[:14] + words[19:] in {
        f"running since : up to {number} changes so far" for number in (3, 4)
    }
    assert [row["outcome"] for row in running.report["runs"]] == ["running"]
    assert killed.out.splitlines()[0].split("  ")[1] in {
        f"broken off: up to {number} changes may have been made" for number in (3, 4)
    }
