"""The fault matrix: what each cell of it came to, in words as well."""

from __future__ import annotations

import importlib
import re
from typing import Any

import pytest

from tests.fault_matrix import JOBS, Cell, keys, run_cell, table
from tests.helpers import ROOT, FakeClock
from tests.layers import scripts

pytestmark = pytest.mark.no_cover  # other tests reach the same lines

SERVICES = [importlib.import_module(path.stem).SERVICE for path in ROOT.glob("*_client.py")]
NAMES: dict[str, str] = {service.name.lower(): service.name for service in SERVICES}
CELLS = [
    (name, fault, call) for name, job in JOBS.items() for fault in job.faults for call in job.calls
]
WORDS = {
    "daily limit": "the daily limit is used up. Run it again after midnight",
    "429, Retry-After: 3600": r"Run it again after 21 Nov 2026, \d\d:\d\d UTC\.",
    "503, Retry-After next year": r"Run it again after 28 Nov 2026, \d\d:\d\d UTC\.",
    "402 credits used up": "402",
    "redirect": "elsewhere, and the keys must not go there",
    "reset after the work, always": "the connection broke .* after 6 tries",
    "500 always": "it could not answer, after 6 tries.*500 Internal",
}
# What the destination holds after a run that went well, and the line that the run ends with.
DONE = {
    "companies": (
        [f"shop-{n}.example" for n in (1, 2, 3)],
        "Done: followed 2 companies, unfollowed 2,",
    ),
    "subscribers": (
        {"jo": ("active", "New"), "al": ("active", "New"), "bo": ("unsubscribed", "Old")},
        "Done: created 1 person, updated 1",
    ),
}
# The same where the service says that it does not know what it is asked to add.
UNKNOWN = {
    ("companies", "404", "follow"): (
        ["shop-3.example"],
        "Done: followed 0 companies, unfollowed 2,",
    )
}
# Exit codes of the subscribers' job: 0 for what happens once, 1 for what lasts, and these. (Those
# of the companies' job are in the table of docs/design.md.)
CODES: dict[tuple[str, str], int] = {
    ("403", "a subscriber"): 4,
    ("500 always", "a subscriber"): 4,
    ("404", "a subscriber"): 4,
    ("HTML with 200", "a subscriber"): 4,
    ("results and data null", "a subscriber"): 4,
}


def rows(cell: Cell) -> list[dict[str, str]]:
    """Those of every change, whatever it is called."""
    lists = [each for each in cell.report.values() if isinstance(each, list)]
    return [row for rows in lists for row in rows if isinstance(row, dict) and "status" in row]


def assert_done(done: tuple[Any, str], cell: Cell) -> None:
    state, words = done
    assert cell.state == state
    assert cell.report["outcome"] == "synced"
    assert words in cell.out


def assert_nothing_written(_done: tuple[Any, str], cell: Cell) -> None:
    assert cell.writes == 0
    assert cell.report["outcome"] == "failed"
    assert "Nothing was changed.\n" in cell.err


def assert_partial(_done: tuple[Any, str], cell: Cell) -> None:
    assert cell.report["outcome"] == "partial"
    assert "Nothing was changed" not in cell.err
    assert "Done in part: " in cell.out
    left = [row for row in rows(cell) if row["error"]]
    assert left
    # Held back: a row that may be a company of which nobody knows whether it was followed.
    assert {row["status"] for row in left} <= {"failed", "not_reached", "held_back"}


CHECKS = {0: assert_done, 1: assert_nothing_written, 2: assert_nothing_written, 4: assert_partial}


def test_every_sync_has_its_faults() -> None:
    syncs = [name for name in scripts() if name.startswith("sync")]
    assert {importlib.import_module(name).main for name in syncs} == {
        job.main for job in JOBS.values()
    }


@pytest.mark.parametrize(("job", "fault", "call"), CELLS)
def test_cell(job: str, fault: str, call: str) -> None:
    cell = run_cell(job, fault, call)
    assert "Traceback" not in cell.err
    for key in keys(JOBS[job].make(FakeClock())):
        assert key not in cell.out + cell.err + str(cell.report)
    unknown = UNKNOWN.get((job, fault, call))
    CHECKS[cell.exit_code](unknown or DONE[job], cell)
    assert ("unknown" in {row["status"] for row in rows(cell)}) is (unknown is not None)
    assert cell.report["exit_code"] == cell.exit_code
    if cell.exit_code:
        assert re.search(f"{NAMES[JOBS[job].calls[call].service]}, .*{call}", cell.err)
        assert re.search(WORDS.get(fault, ""), cell.err)
    if job == "subscribers":
        assert cell.exit_code == CODES.get((fault, call), 0 if fault.endswith("once") else 1)
        assert cell.state["bo"] == ("unsubscribed", "Old")


def test_a_follow_phase_that_stopped_is_followed_by_no_unfollow() -> None:
    cell = run_cell("companies", "401", "follow")
    assert {row["status"] for row in cell.report["unfollow"]} <= {"planned", "not_reached"}
    assert set(cell.state) == {f"shop-{n}.example" for n in (3, 4, 5)}


def test_the_manual_shows_the_table() -> None:
    assert table() in (ROOT / "docs" / "design.md").read_text(encoding="utf-8")
