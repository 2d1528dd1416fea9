"""Apply the changes of a plan, several at a time, and say what came of each."""

from __future__ import annotations

import threading
from collections import Counter
from typing import Any, Callable, Mapping, NamedTuple, Sequence, TypeVar

from cli.progress import Progress
from cli.run import Run
from core.errors import (
    AppError,
    CallRejected,
    Interrupted,
    NotSent,
    Outcome,
    ServiceDown,
    ServiceError,
)
from core.log import log
from report.model import Row
from transport import threads

WRITERS = 20  # threads: enough for 10 calls a second when an answer takes 2 s
FAILURES_IN_A_ROW = 3  # of different entries: from then on it is the service that fails

PLANNED, DONE, SKIPPED = "planned", "done", "skipped"
FAILED, NOT_REACHED = "failed", "not_reached"

E = TypeVar("E")


class NotWanted(Exception):
    """Raised by a change: the service shows that it must not be made. The text is the reason."""


class Result(NamedTuple):
    """What came of one change.

    `status`: DONE, SKIPPED (see NotWanted), FAILED or NOT_REACHED; `error` says why it is not done.
    `maybe_applied`: nothing says that the service was left as it was. `cause`: why it failed: a
    ServiceError may concern the changes after it as well."""

    status: str
    error: str | None = None
    maybe_applied: bool = False
    cause: AppError | None = None


class Changes:
    """The changes that one run makes to one service: call `apply` for each kind, in turn.

    What fails concerns its entry alone. Only when the service is down, or fails for several entries
    in a row, or when the run is to stop, no further change is sent; those under way finish.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._outage = _Outage()

    def apply(self, label: str, entries: Sequence[E], change: Callable[[E], None]) -> list[Result]:
        """The result of each entry, in their order."""

        def work(entry: E) -> Result:
            down = self._outage.error
            result = _not_reached(down) if down else _result_of(entry, change)
            self._outage.note(result)
            progress.advance()
            return result

        run, total = self._run, len(entries)
        with run.finishing_calls(), Progress(label, "done", run.clock, total) as progress:
            try:
                results = threads.run_all(work, entries, WRITERS)
            except Exception:  # a mistake in the program: nobody knows how far its changes came
                run.wrote = True
                raise
        run.wrote = run.wrote or any(result.maybe_applied for result in results)
        return results

    @property
    def are_over(self) -> bool:
        """Whether no further change is sent, because the service counts as down."""
        return self._outage.error is not None

    def raise_if_nothing_written(self) -> None:
        """Raises what made the service count as down if nothing has been changed; else it is only
        told."""
        down = self._outage.error
        if down and not self._run.wrote:
            raise down
        if down:
            log.warning("%s", down)


class _Outage:
    """Whether the service is down, as the latest results show; any thread may note one."""

    def __init__(self) -> None:
        self.error: ServiceError | None = None
        self._in_a_row = 0
        self._lock = threading.Lock()

    def note(self, result: Result) -> None:
        with self._lock:
            if isinstance(result.cause, ServiceError):
                self._in_a_row += 1
                is_down = isinstance(result.cause, ServiceDown)
                if is_down or self._in_a_row == FAILURES_IN_A_ROW:
                    self.error = self.error or result.cause
            elif result.status != NOT_REACHED:
                self._in_a_row = 0


def _result_of(entry: E, change: Callable[[E], None]) -> Result:
    try:
        change(entry)
    except NotWanted as reason:
        return Result(SKIPPED, str(reason))
    except (NotSent, Interrupted) as error:
        return _not_reached(error)
    except (CallRejected, ServiceError) as error:
        log.warning("%s", error)
        return Result(FAILED, str(error), error.outcome_unknown, error)
    return Result(DONE, maybe_applied=True)


def _not_reached(error: AppError) -> Result:
    return Result(NOT_REACHED, str(error))


def done(results: Sequence[Result] | None) -> int:
    return sum(result.status == DONE for result in results or ())


def conclude(run: Run, results: Sequence[Result]) -> Outcome:
    """Count what came of all changes, say what is open, and return the outcome."""
    statuses = Counter(result.status for result in results)
    run.report.counts.update({status: statuses[status] for status in (DONE, FAILED, NOT_REACHED)})
    if not statuses[FAILED] + statuses[NOT_REACHED]:
        return Outcome.SYNCED
    run.summarise(
        f"Not done: {statuses[FAILED]:,} failed, {statuses[NOT_REACHED]:,} not reached."
        " Later runs try them again."
    )
    return Outcome.PARTIAL


def in_part(results: Sequence[Result]) -> str:
    is_open = any(result.status in (FAILED, NOT_REACHED) for result in results)
    return "Done in part" if is_open else "Done"


def rows_of(entries: Sequence[Mapping[str, Any]], results: Sequence[Result] | None) -> list[Row]:
    """Rows of the report: entries with what came of each; None while they are only planned."""
    if results is None:
        return [{**entry, "status": PLANNED, "error": None} for entry in entries]
    return [
        {**entry, "status": result.status, "error": result.error}
        for entry, result in zip(entries, results)
    ]
