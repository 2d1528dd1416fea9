"""What a script with a run history opens, asks and closes around its work."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Generic, Iterable, Sequence, TypeVar

from cli.checks import check_machine
from cli.run import Run
from core.emails import masked
from core.errors import AppError, Outcome
from report import history as past
from report.model import Finding
from state import lock
from state.history import History
from state.store import Store
from transport.http_client import HttpClient

S = TypeVar("S", bound=Store)


@dataclass(frozen=True)
class Job(Generic[S]):
    """The work of one script on one account, for `run_job`.

    `account`: names it, with its key: only a hash of it is kept. `clients`: of the services.
    `verbs`: the key of a change -> what is said of it once it was made. `check`: what `--check`
    finds of the services. `open_state`: the file of earlier runs; `try_state` opens and closes it,
    and raises AppError if it cannot be used. `sync` is the work itself; `explain` answers
    `--explain`.
    """

    account: str
    clients: Sequence[HttpClient]
    keep_history_days: int
    verbs: past.Verbs
    check: Callable[[], Iterable[Finding]]
    open_state: Callable[[Path], S]
    try_state: Callable[[Path], None]
    sync: Callable[[S, History], Outcome]
    explain: Callable[[S, History], Outcome]


def run_job(run: Run, job: Job[S]) -> Outcome:
    """Do what the flags ask for: `--check`, `--history`, `--explain`, or the work."""
    with run.using(job.account, *job.clients):
        if run.args.check:
            here = check_machine(run, job.account, job.try_state)  # first: `check` may build on it
            return run.show_findings([*job.check(), *here])
        with contextlib.closing(job.open_state(run.state_path(job.account))) as state:
            active = lock.holder(run.report.job, job.account)  # this run, or another one
            history = History(state, run.clock, active)
            if run.args.history:
                return _say_history(run, history, job.verbs)
            if run.args.explain:
                return job.explain(state, history)
            if run.wants_links:  # before the work: a run that fails shows them too
                run.report.recent = past.recent_runs(history, run.clock.time(), job.verbs)
            if run.dry_run:
                return job.sync(state, history)
            history.begin_run(job.keep_history_days)
            return _note_end(run, history, lambda: job.sync(state, history))


def _note_end(run: Run, history: History, work: Callable[[], Outcome]) -> Outcome:
    error: AppError | None = None
    try:
        outcome = work()
    except AppError as raised:
        error, outcome = raised, raised.outcome
    cause = masked(str(error)).replace("\n", " ") if error else run.report.error
    counts = run.report.counts.items()  # not those by reason: a reason may tell a value
    numbers = {key: found for key, found in counts if isinstance(found, int)}
    history.end_run(run.ended(outcome), cause, numbers)
    if error:
        raise error
    return outcome


def _say_history(run: Run, history: History, verbs: past.Verbs) -> Outcome:
    lines, sections = past.describe_runs(history, run.args.history, verbs)
    for line in lines:
        run.say(line)
    if not sections[0].rows:
        run.summarise("No run is known that changed something, failed or was refused.")
    return run.answer("What earlier runs did", sections)
