"""Carry out the writes of a plan, several at a time, and keep count of each."""

from __future__ import annotations

import logging
from typing import Callable, List, NamedTuple, Optional, Sequence, TypeVar

import background
from command import Run
from errors import CallRejected, Interrupted, NotSent, ServiceError
from progress import Progress

STATUSES = ("done", "failed", "not_reached")
WRITERS = 20  # threads: enough for 10 calls a second when an answer takes 2 s

E = TypeVar("E")
log = logging.getLogger("crm_sync")


class Result(NamedTuple):
    """`status` is one of STATUSES; `error` says why it is not done."""

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
