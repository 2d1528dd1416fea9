"""What a script with a run history opens, asks and closes around its work."""

from __future__ import annotations

import contextlib
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Generic, Iterable, Protocol, Sequence, TypeVar

from cli.checks import check_machine
from cli.run import Run
from core.emails import masked
from core.errors import AppError, Outcome
from core.words import count, format_moment, local
from report import history as past
from report.model import Finding
from state import lock
from state.history import History, RunEntry
from state.store import Rows
from transport.http_client import HttpClient


class StateFile(Rows, Protocol):
    def close(self) -> None: ...


S = TypeVar("S", bound=StateFile)


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
    """Do what the flags ask for: `--check`, `--history`, `--explain`, or the work, which is noted
    as one run of the history."""
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
            try:
                outcome = job.sync(state, history)
            except AppError as error:
                cause = masked(str(error)).replace("\n", " ")
                history.end_run(run.ended(error.outcome), cause, _numbers(run))
                raise
            history.end_run(run.ended(outcome), run.report.error, _numbers(run))
            return outcome


def _numbers(run: Run) -> dict[str, int]:
    """The counts, without those by reason: a reason may tell a value."""
    return {key: found for key, found in run.report.counts.items() if isinstance(found, int)}


def _say_history(run: Run, history: History, verbs: past.Verbs) -> Outcome:
    """The last runs that changed something, failed or were refused, the newest first; the others
    are counted between them."""
    shown: list[RunEntry] = []
    quiet = 0

    def say_quiet() -> None:
        if quiet:
            run.say(f"  {count(quiet, 'run')} with nothing to do")

    for entry in history.runs():
        if len(shown) == run.args.history:
            break
        if past.changed_nothing(entry):
            quiet += 1
            continue
        say_quiet()
        quiet = 0
        shown.append(entry)
        words = past.describe_run(entry, history.changes_in(entry.id), verbs)
        run.say(f"{format_moment(local(entry.began_at))}  {words}")
    say_quiet()
    if not shown:
        run.summarise("No run is known that changed something, failed or was refused.")
    return run.answer("What earlier runs did", past.sections(shown, history))
