"""Carry out the writes of a plan, several at a time, and keep count of each."""

from __future__ import annotations

import logging
from collections import Counter
from typing import Callable, List, Mapping, NamedTuple, Optional, Sequence, TypeVar

import background
from command import Run
from errors import CallRejected, Interrupted, NotSent, ServiceError
from progress import Progress

STATUSES = ("done", "failed", "not_reached")
WRITERS = 20  # threads: enough for 10 calls a second when an answer takes 2 s

E = TypeVar("E")
log = logging.getLogger("crm_sync")


class NotWanted(Exception):
    """Raised by a change: the service shows that it must not be made. The text is the reason."""


class Result(NamedTuple):
    """`status` is one of STATUSES, or skipped after NotWanted; `error` says why it is not done."""

    status: str
    error: Optional[str]


def carry_out(
    run: Run, label: str, entries: Sequence[E], change: Callable[[E], None]
) -> List[Result]:
    """The result of each entry, in their order.

    A refusal concerns its entry alone. After a failure of the service, or when the run is to stop,
    no further change is sent; those under way finish.
    """
    with run.finishing_calls(), Progress(label, "done", run.clock, len(entries)) as progress:

        def work(entry: E) -> Result:
            result = _result_of(run, entry, change)
            progress.advance()
            return result

        return background.run_all(work, entries, WRITERS)


def _result_of(run: Run, entry: E, change: Callable[[E], None]) -> Result:
    try:
        change(entry)
    except NotWanted as reason:
        return Result("skipped", str(reason))
    except CallRejected as error:
        log.warning("%s", error)
        return Result("failed", str(error))
    except (NotSent, Interrupted) as error:
        return Result("not_reached", str(error))
    except ServiceError as error:
        run.wrote |= error.answer_lost
        return Result("failed", str(error))
    run.wrote = True
    return Result("done", None)


def conclude(
    run: Run, results: Mapping[str, Sequence[Result]], failure: Optional[Exception]
) -> int:
    """Note the results in the report's lists of the same names; return how many are open.

    Raises the failure of the service if nothing has been changed.
    """
    for key, group in results.items():
        for row, result in zip(run.report[key], group):
            row.update(result._asdict())
    statuses = Counter(result.status for group in results.values() for result in group)
    run.report["counts"].update({status: statuses[status] for status in STATUSES})
    if failure and not run.wrote:
        raise failure
    if failure:
        log.error("%s", failure)
    return statuses["failed"] + statuses["not_reached"]


def outcome_of(run: Run) -> str:
    """The outcome of a run that has changed what it could, with a word on what is open."""
    counts = run.report["counts"]
    if not counts["failed"] + counts["not_reached"]:
        return "synced"
    run.summarise(
        f"Not done: {counts['failed']:,} failed, {counts['not_reached']:,} not reached."
        " The next run tries them again."
    )
    return "partial"


def done(results: Sequence[Result]) -> int:
    return sum(result.status == "done" for result in results)
