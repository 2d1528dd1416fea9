"""Changes made by many threads: each result in its place, and nothing of them lost."""

from __future__ import annotations

import sys
import threading
from typing import Callable, Iterator, Sequence

import pytest

from cli import command
from cli.changes import WRITERS, Changes, Skip, conclude
from cli.command import Run
from core.errors import CallRejected, Interrupted, NotSent, Outcome, ServiceDown, ServiceError
from report.model import DONE, FAILED, NOT_REACHED, PLANNED, SKIPPED, Result
from tests.helpers import FakeClock

REFUSED = CallRejected("refused", 400, "")
ERRORS = {
    DONE: None,
    SKIPPED: Skip("not now"),
    FAILED: REFUSED,
    NOT_REACHED: Interrupted("stopped"),
}


@pytest.fixture
def run(clock: FakeClock) -> Run:
    return Run("test", "A test", command.Flags("A script.").parse_args(["-q"]), clock)


@pytest.fixture
def _threads_switch_all_the_time() -> Iterator[None]:
    before = sys.getswitchinterval()
    sys.setswitchinterval(1e-6)
    yield
    sys.setswitchinterval(before)


def raise_it(error: Exception | None) -> None:
    if error:
        raise error


def change(status: str) -> None:
    raise_it(ERRORS[status])


@pytest.mark.usefixtures("_threads_switch_all_the_time")
def test_each_result_is_in_its_place(run: Run) -> None:
    entries = [list(ERRORS)[n * 7 % 4] for n in range(2_000)]
    changes = Changes(run)
    results = changes.apply("Change", entries, change)
    assert [result.status for result in results] == entries
    assert [result.maybe_applied for result in results] == [entry == DONE for entry in entries]
    assert run.wrote
    assert conclude(run, entries, ": all.") is Outcome.PARTIAL
    counts = {name: entries.count(name) for name in (DONE, FAILED, NOT_REACHED)}
    assert run.report.counts == counts
    assert run.report.summary == [
        "Done in part: all.",
        "500 changes failed. 500 changes were not attempted. Later runs will retry them.",
    ]


@pytest.mark.usefixtures("_threads_switch_all_the_time")
@pytest.mark.parametrize("place", range(WRITERS))
def test_one_write_among_many_refusals_is_never_lost(run: Run, place: int) -> None:
    """All threads come to their result at the same moment."""
    together = threading.Barrier(WRITERS)

    def meet(status: str) -> None:
        together.wait()
        change(status)

    entries = [DONE if n == place else FAILED for n in range(WRITERS)]
    Changes(run).apply("Change", entries, meet)
    assert run.wrote


@pytest.mark.parametrize(
    ("error", "result", "wrote"),
    [
        (None, Result(DONE, None, True), True),
        (Skip("gone"), Result(SKIPPED, "gone"), False),
        (REFUSED, Result(FAILED, "refused", cause=REFUSED), False),
        (Interrupted("stopped"), Result(NOT_REACHED, "stopped"), False),
        (NotSent("down"), Result(NOT_REACHED, "down"), False),
    ],
)
def test_what_comes_of_a_change(
    run: Run, error: Exception | None, result: Result, wrote: bool
) -> None:
    assert Changes(run).apply("Change", [error], raise_it) == [result]
    assert run.wrote is wrote


@pytest.mark.parametrize("outcome_unknown", [True, False])
@pytest.mark.parametrize("kind", [ServiceError, ServiceDown])
def test_after_a_failure_of_the_service_nothing_more_is_sent(
    run: Run, kind: Callable[[str, bool], ServiceError], outcome_unknown: bool
) -> None:
    sent: list[int] = []
    failure = kind("no answer", outcome_unknown)

    def fail(entry: int) -> None:
        sent.append(entry)
        raise failure

    changes = Changes(run)
    first = changes.apply("First", range(500), fail)
    second = changes.apply("Second", range(5), fail)
    assert 1 <= len(sent) <= WRITERS
    assert second == [Result(NOT_REACHED, "no answer")] * 5
    assert {result.status for result in first} == {FAILED, NOT_REACHED}
    assert run.wrote is outcome_unknown
    if outcome_unknown:
        changes.raise_if_nothing_written()
    else:
        with pytest.raises(ServiceError, match="no answer"):
            changes.raise_if_nothing_written()


NO_ANSWER = ServiceError("no answer")


@pytest.mark.parametrize(
    ("errors", "statuses"),
    [
        (
            [NO_ANSWER, NO_ANSWER, None, REFUSED, NO_ANSWER, None],
            "ffdffd",
        ),
        ([None, NO_ANSWER, NO_ANSWER, NO_ANSWER, None], "dfffn"),
        ([NO_ANSWER, NO_ANSWER, REFUSED, NO_ANSWER, None], "ffffd"),
        ([ServiceDown("401"), None], "fn"),
    ],
)
def test_one_failure_does_not_stop_the_others_and_three_in_a_row_do(
    run: Run,
    monkeypatch: pytest.MonkeyPatch,
    errors: Sequence[Exception | None],
    statuses: str,
) -> None:
    monkeypatch.setattr("cli.changes.WRITERS", 1)
    results = Changes(run).apply("Change", errors, raise_it)
    assert "".join(result.status[0] for result in results) == statuses


@pytest.mark.parametrize(
    ("statuses", "outcome", "words"),
    [
        ([], Outcome.IN_SYNC, "Done: all."),
        ([DONE, SKIPPED], Outcome.SYNCED, "Done: all."),
        ([DONE, SKIPPED, FAILED], Outcome.PARTIAL, "Done in part: all."),
        ([DONE, SKIPPED, NOT_REACHED], Outcome.PARTIAL, "Done in part: all."),
    ],
)
def test_the_sum_of_it(run: Run, statuses: Sequence[str], outcome: Outcome, words: str) -> None:
    assert (conclude(run, statuses, ": all."), run.report.summary[0]) == (outcome, words)


def test_what_a_result_adds_to_a_row_of_the_report() -> None:
    assert Result().as_row() == {"status": PLANNED, "error": None}
    assert Result(FAILED, "refused").as_row() == {"status": FAILED, "error": "refused"}


def working(entries: Sequence[int], apply: Callable[[int], None]) -> Callable[..., int]:
    def work(run: Run) -> Outcome:
        results = Changes(run).apply("Change", entries, apply)
        return conclude(run, [each.status for each in results], ": all.")

    return lambda argv, clock: command.main(
        "test", "A test", command.Flags("A script."), work, argv, clock
    )


def test_a_mistake_in_the_program_does_not_hide_what_was_written(clock: FakeClock) -> None:
    def apply(entry: int) -> None:
        if entry == 7:
            raise ZeroDivisionError("oops")

    outcome = clock.run(working(range(50), apply), None)
    assert (outcome.code, outcome.report["outcome"]) == (4, "partial")
    assert "ZeroDivisionError: oops" in outcome.err
    assert "Nothing was changed" not in outcome.err


def test_a_mistake_in_the_only_change_may_come_after_its_write(clock: FakeClock) -> None:
    def apply(_entry: int) -> None:
        raise ZeroDivisionError("oops")

    assert clock.run(working([1], apply), None).code == 4
