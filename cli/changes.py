"""Apply the changes of a plan, several at a time, and say what came of each."""

from __future__ import annotations

import contextlib
import logging
import threading
from collections import Counter
from typing import Callable, Iterable, Protocol, Sequence, TypeVar

from cli.progress import Progress
from cli.run import Run
from core import errors
from core.log import log
from report.model import DONE, FAILED, NOT_REACHED, SKIPPED, Result
from transport import threads

WRITERS = 20  # threads: enough for 10 calls a second when an answer takes 2 s
FAILURES_IN_A_ROW = 3  # of different entries: from then on it is the service that fails

E = TypeVar("E")


class Skip(Exception):
    """Raised by a change: the service shows that it must not be made. The text is the reason."""


class HasStatus(Protocol):
    """A Result, or a change with what came of it."""

    @property
    def status(self) -> str: ...


class Changes:
    """The changes that one run makes to one service: call `apply` for each kind, in turn.

    What fails concerns its entry alone. Only when the service is down, or fails for several entries
    in a row, or when the run is to stop, no further change is sent; those under way finish.
    """

    def __init__(self, run: Run) -> None:
        self._run = run
        self._outage: errors.ServiceError | None = None  # why the service counts as down
        self._failures = 0  # in a row, of whichever thread
        self._lock = threading.Lock()

    def apply(
        self,
        label: str,
        entries: Sequence[E],
        change: Callable[[E], None],
        progress: Progress | None = None,
        was_refused: Callable[[E], bool] = lambda _entry: False,
    ) -> list[Result]:
        """The result of each entry, in their order. `progress`: of more entries than these. Of one
        that `was_refused` before, a refusal is no warning any more."""

        def work(entry: E) -> Result:
            outage = self._outage
            not_sent = outage and Result(NOT_REACHED, str(outage))
            result = not_sent or _make(entry, change, was_refused)
            self._note(result)
            counted.advance()
            return result

        run = self._run
        with contextlib.ExitStack() as stack:
            stack.enter_context(run.finishing_calls())
            counted = progress or stack.enter_context(
                Progress(label, "done", run.clock, len(entries))
            )
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
        return self._outage is not None

    def raise_if_nothing_written(self) -> None:
        """Raises what made the service count as down if nothing was changed; else it is logged."""
        if self._outage and not self._run.wrote:
            raise self._outage
        if self._outage:
            log.warning("%s", self._outage)

    def _note(self, result: Result) -> None:
        with self._lock:
            if isinstance(result.cause, errors.ServiceError):
                self._failures += 1
                is_down = isinstance(result.cause, errors.ServiceDown)
                if is_down or self._failures == FAILURES_IN_A_ROW:
                    self._outage = self._outage or result.cause
            elif result.status != NOT_REACHED:
                self._failures = 0


def _make(entry: E, change: Callable[[E], None], was_refused: Callable[[E], bool]) -> Result:
    try:
        change(entry)
    except Skip as reason:
        return Result(SKIPPED, str(reason))
    except (errors.NotSent, errors.Interrupted) as error:
        return Result(NOT_REACHED, str(error))
    except (errors.CallRejected, errors.ServiceError) as error:
        is_refusal = isinstance(error, (errors.CallRejected, errors.Forbidden))
        is_known = is_refusal and was_refused(entry)
        log.log(logging.INFO if is_known else logging.WARNING, "%s", error)
        return Result(FAILED, str(error), error.outcome_unknown, error)
    return Result(DONE, maybe_applied=True)


def conclude(run: Run, results: Iterable[HasStatus]) -> errors.Outcome:
    """Count what came of all changes, say what is open, and return the outcome."""
    statuses = Counter(result.status for result in results)
    run.report.counts.update({status: statuses[status] for status in (DONE, FAILED, NOT_REACHED)})
    if not statuses[FAILED] + statuses[NOT_REACHED]:
        return errors.Outcome.SYNCED
    run.summarise(
        f"Not done: {statuses[FAILED]:,} failed, {statuses[NOT_REACHED]:,} not reached."
        " Later runs try them again."
    )
    return errors.Outcome.PARTIAL


def in_part(results: Iterable[HasStatus]) -> str:
    is_open = any(result.status in (FAILED, NOT_REACHED) for result in results)
    return "Done in part" if is_open else "Done"
