"""Apply the changes of a plan, several at a time, and say what came of each."""

from __future__ import annotations

import contextlib
import threading
from collections import Counter
from typing import Callable, Iterable, Sequence, TypeVar

from cli import command, screen
from core import errors, log, words
from report.model import DONE, FAILED, NOT_REACHED, SKIPPED, Result
from transport import threads

WRITERS = 20  # threads: enough for 10 calls a second when an answer takes 2 s
FAILURES_IN_A_ROW = 3  # of different entries: from then on it is the service that fails

E = TypeVar("E")


class Skip(Exception):
    """Raised by a change: the service shows that it must not be made. The text is the reason."""


class Changes:
    """The changes that one run makes to one service: call `apply` for each kind, in turn.

    What fails concerns its entry alone. Only when the service is down, or fails for several entries
    in a row, or when the run is to stop, no further change is sent; those under way finish.
    """

    def __init__(self, run: command.Run) -> None:
        self._run = run
        self.outage: errors.ServiceError | None = None  # why the service counts as down
        self._failures = 0  # in a row, of whichever thread
        self._lock = threading.Lock()

    def apply(
        self,
        label: str,
        entries: Sequence[E],
        change: Callable[[E], None],
        progress: screen.Progress | None = None,
    ) -> list[Result]:
        """The result of each entry, in their order. `progress`: of more entries than these."""

        def work(entry: E) -> Result:
            outage = self.outage
            not_sent = outage and Result(NOT_REACHED, str(outage))
            result = not_sent or _make(entry, change)
            self._note(result)
            counted.advance()
            return result

        run = self._run
        with contextlib.ExitStack() as stack:
            stack.enter_context(run.finishing_calls())
            counted = progress or stack.enter_context(
                screen.Progress(label, "done", run.clock, len(entries))
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
        return self.outage is not None

    def raise_if_nothing_written(self) -> None:
        """Raises what made the service count as down if nothing was changed; else it is logged."""
        if self.outage and not self._run.wrote:
            raise self.outage
        if self.outage:
            log.warning("%s", self.outage)

    def _note(self, result: Result) -> None:
        with self._lock:
            if isinstance(result.cause, errors.ServiceError):
                self._failures += 1
                is_down = isinstance(result.cause, errors.ServiceDown)
                if is_down or self._failures == FAILURES_IN_A_ROW:
                    self.outage = self.outage or result.cause
            elif result.status != NOT_REACHED:
                self._failures = 0


def _make(entry: E, change: Callable[[E], None]) -> Result:
    try:
        change(entry)
    except Skip as reason:
        return Result(SKIPPED, str(reason))
    except (errors.NotSent, errors.Interrupted) as error:
        return Result(NOT_REACHED, str(error))
    except (errors.CallRejected, errors.ServiceError) as error:
        log.info("%s", error)  # no warning: the result lists it
        return Result(FAILED, str(error), error.outcome_unknown, error)
    return Result(DONE, maybe_applied=True)


def conclude(run: command.Run, statuses: Iterable[str], what: str) -> errors.Outcome:
    """Say `what` came of all changes, as words that follow "Done", and what is open; count it, and
    return the outcome: without any change all was in sync."""
    numbers = Counter(statuses)
    failed, not_reached = numbers[FAILED], numbers[NOT_REACHED]
    run.summarise(f"{'Done in part' if failed + not_reached else 'Done'}{what}")
    if not numbers:
        return errors.Outcome.IN_SYNC
    run.report.counts.update(done=numbers[DONE], failed=failed, not_reached=not_reached)
    if not failed + not_reached:
        return errors.Outcome.SYNCED
    open_ones = [f"{words.count(failed, 'change')} failed."] if failed else []
    if not_reached:
        was = "was" if not_reached == 1 else "were"
        open_ones.append(f"{words.count(not_reached, 'change')} {was} not attempted.")
    # What a service has rejected waits for some days first.
    retried = "Later runs" if failed else "The next run"
    them = "it" if failed + not_reached == 1 else "them"
    run.summarise(" ".join([*open_ones, f"{retried} will retry {them}."]))
    return errors.Outcome.PARTIAL
