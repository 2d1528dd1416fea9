"""The fault matrix: what each cell of it came to, in words as well."""

from __future__ import annotations

import re
from pathlib import Path

import pytest

from tests.fault_matrix import CALLS, FAULTS, Cell, run_cell, table

WANTED = [f"shop-{n}.example" for n in (1, 2, 3)]
SERVICES = {"hubspot": "HubSpot", "predictleads": "PredictLeads"}
WORDS = {
    "daily limit": "Nothing more today: run it again after midnight",
    "429, Retry-After: 3600": r"Run it again after 2026-11-21 \d\d:\d\d\.",
    "503, Retry-After next year": r"Run it again after 2026-11-28 \d\d:\d\d\.",
    "402 credits used up": "402",
    "redirect": "a redirect. It is not followed",
    "reset after the work, always": "the connection broke .* after 6 tries",
    "500 always": "500, after 6 tries",
}
SECRETS = (
    "pat-made-up-token-of-the-sandbox",
    "made-up-key-of-the-sandbox",
    "made-up-token-of-the-sandbox",
)


def assert_nothing_leaks(cell: Cell) -> None:
    assert "Traceback" not in cell.err
    for secret in SECRETS:
        assert secret not in cell.out + cell.err + str(cell.report)


def assert_done(cell: Cell) -> None:
    assert cell.followed == WANTED
    assert cell.report["outcome"] == "synced"
    assert "Done: 2 companies newly followed, 2 no longer followed" in cell.out


def assert_nothing_written(cell: Cell) -> None:
    assert cell.writes == 0
    assert cell.report["outcome"] == "failed"
    assert "Nothing has been changed.\n" in cell.err


def assert_partial(cell: Cell) -> None:
    assert cell.report["outcome"] == "partial"
    assert "Done in part: " in cell.out
    left = [row for row in cell.report["follow"] + cell.report["unfollow"] if row["error"]]
    assert left
    assert {row["status"] for row in left} <= {"failed", "not_reached"}


CHECKS = {0: assert_done, 1: assert_nothing_written, 4: assert_partial}


@pytest.mark.parametrize("call", CALLS)
@pytest.mark.parametrize("fault", FAULTS)
def test_cell(fault: str, call: str) -> None:
    cell = run_cell(fault, call)
    assert_nothing_leaks(cell)
    CHECKS[cell.exit_code](cell)
    assert cell.report["exit_code"] == cell.exit_code
    if cell.exit_code:
        assert re.search(f"{SERVICES[CALLS[call][0]]}, .*{call}", cell.err)
        assert re.search(WORDS.get(fault, ""), cell.err)


def test_a_follow_phase_that_stopped_is_followed_by_no_unfollow() -> None:
    cell = run_cell("reset after the work, always", "follow")
    assert {row["status"] for row in cell.report["unfollow"]} == {"not_reached"}
    assert set(cell.followed) == {f"shop-{n}.example" for n in (1, 2, 3, 4, 5)}


def test_the_readme_shows_the_table() -> None:
    assert table() in (Path(__file__).parent.parent / "README.md").read_text(encoding="utf-8")
