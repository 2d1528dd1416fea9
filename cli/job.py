"""What a script with a run history does around its work: check, answer, open, judge, note."""

from __future__ import annotations

import contextlib
import hashlib
import os
from dataclasses import dataclass
from pathlib import Path
from typing import Callable, Generic, Iterable, Mapping, Sequence, TypeVar

from cli.command import Run
from core import limits, words
from core.addresses import masked
from core.errors import AppError, CallRejected, Forbidden, NotSent, Outcome
from report import history as past
from report.model import Finding
from state import files, lock, store
from state.history import History, Who
from transport.http_client import HttpClient

S = TypeVar("S", bound=store.Store)
# A change in words, further lines of which are not shown -> as the run history keeps it: the same
# words or, of a person, a hash.
Changes = Mapping[str, Who]


@dataclass(frozen=True)
class Job(Generic[S]):
    """The work of one script on one account.

    `account`: names it, with its key: only a hash of it is kept. `clients`: of the services.
    `verbs`: the key of a change -> what is said of it once it was made. `check`: what `--check`
    finds of the services. `open_state`: the file of earlier runs; it raises AppError if that
    cannot be used. `sync` is the work itself; `explain` answers `--explain`.
    """

    account: str
    clients: Sequence[HttpClient]
    keep_history_days: int
    verbs: past.Verbs
    check: Callable[[], Iterable[Finding]]
    open_state: Callable[[Path], S]
    sync: Callable[[S, History], Outcome]
    explain: Callable[[S, History], Outcome]


def run_job(run: Run, job: Job[S]) -> Outcome:
    """Do what the flags ask for: `--check`, `--history`, `--explain`, or the work."""
    with run.using(job.account, *job.clients):
        if run.args.check:
            here = check_machine(run, job.account, job.open_state)  # first: `check` builds on it
            hooks = run.hooks.findings() if run.hooks else ()
            return run.show_findings([*job.check(), *here, *hooks])
        with contextlib.closing(job.open_state(run.state_path(job.account))) as state:
            active = lock.holder(run.report.job, job.account)  # this run, or another one
            history = History(state, run.clock, active)
            if run.args.history:
                return _say_history(run, history, job.verbs)
            if run.args.explain:
                return job.explain(state, history)
            if run.args.report:  # before the work: a run that fails shows them too
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
    refused = " ".join(each.reason for each in run.report.refusals)
    cause = masked(str(error)).replace("\n", " ") if error else run.report.error or refused or None
    counts = run.report.counts.items()  # not those by reason: a reason may tell a value
    numbers = {key: found for key, found in counts if isinstance(found, int)}
    history.end_run(run.ended(outcome), cause, numbers, run.report.record_url)
    if error:
        raise error
    return outcome


def _say_history(run: Run, history: History, verbs: past.Verbs) -> Outcome:
    lines, sections, run.report.cards = past.describe_runs(history, run.args.history, verbs)
    for line in lines:
        run.say(line)
    if not sections[0].rows:
        run.summarise("The run history has no run that changed anything.")
    return run.answer("What earlier runs did", sections)


def judge_plan(
    run: Run, changes: Changes, refusals: Sequence[limits.Refusal], history: History
) -> list[limits.Refusal]:
    """What keeps the plan from being carried out. Its id is made of its changes alone: the plan
    that `--approve` names goes past all limits; any other is refused, with what is different."""
    digest = hashlib.sha256("\n".join(sorted(changes)).encode()).hexdigest()
    plan, approved = f"{digest[:4]}-{digest[4:8]}", run.args.approve
    run.report.plan = plan if changes else ""
    found = [each for each in refusals if not (approved and each.by_plan)]
    if approved not in (None, plan) and changes:
        difference = _describe_difference(changes, history.planned(approved))
        text = f"The plan is not {approved} any more, it is {plan} now.{difference}"
        found.append(limits.Refusal(text, f"--approve {plan}"))
    if found and not run.dry_run:
        history.note_plan(plan, changes.values())
    return found


def _describe_difference(changes: Changes, before: set[Who]) -> str:
    """Nothing where the other plan is unknown: a dry run leaves nothing behind."""
    if not before:
        return ""
    new = [text.split("\n")[0] for text, who in changes.items() if who not in before]
    gone = before.difference(changes.values())
    names = sorted(each for each in gone if isinstance(each, str))
    names += [words.count(len(gone), "change")] if gone and not names else []
    parts = [("New", new), ("No longer planned", names)]
    return "".join(f" {title}: {words.listing(texts)}." for title, texts in parts if texts)


def collect_findings(*checks: Callable[[], Finding]) -> list[Finding]:
    """What the checks of one service find; an error of the service is a finding too.

    After a missing right the next check is made, so that all missing rights are found together;
    after any other failure the rest would only find the same.
    """
    found: list[Finding] = []
    for check in checks:
        try:
            found.append(check())
        except NotSent:  # what keeps it from being sent has been found before
            break
        except AppError as error:
            found.append(Finding(False, str(error)))
            if not isinstance(error, (CallRejected, Forbidden)):
                break
    return found


def require_ok(findings: Iterable[Finding], kind: type[AppError] = AppError) -> None:
    """Raises an error of that kind with the remedies of all findings that are not OK."""
    problems = [finding.text for finding in findings if not finding.ok]
    if problems:
        raise kind("\n".join(problems))


def check_machine(
    run: Run, account: str, open_state: Callable[[Path], store.Store]
) -> list[Finding]:
    """The folder, the file of earlier runs and the lock of the job on this account, and where
    reports go; looking leaves nothing behind."""
    named = "Point --state to a file that can be written."
    remedy = named if run.args.state else files.OTHER_PLACE

    def folder() -> Finding:
        path = files.state_folder()
        there = next(each for each in (path, *path.parents) if os.path.exists(each))
        _require_writable(there, files.OTHER_PLACE)
        access = ""
        if there == path:
            files.require_private(path)
            access = f" ({files.describe_access(path)})"
        return Finding(True, f"The run history is kept in {path}{access}.")

    def state() -> Finding:
        path = run.state_path(account)
        if run.args.state:
            _require_writable(path.parent, remedy)
        if not os.path.exists(path):
            return Finding(True, f"No run history yet; the first run creates {path}.")
        if not os.access(path, os.W_OK):
            raise AppError(f"Cannot write {path}. {remedy}")
        open_state(path).close()
        return Finding(True, f"The run history can be used: {path}.")

    def other_run() -> Finding:
        active = lock.holder(run.report.job, account)
        text = f"Another run is active: {active}." if active else "No other run is active."
        return Finding(True, text)

    found = [Finding(True, f"Settings come from {run.settings_from}.")]
    found += [each for check in (folder, state, other_run) for each in collect_findings(check)]
    return found + [Finding(True, f"Reports are written to {path}.") for path in run.args.report]


def _require_writable(folder: Path, remedy: str) -> None:
    """Raises AppError if nothing can be written into it: the disk may be full, or read-only."""
    try:
        files.try_writing(folder)
    except OSError as error:
        raise files.unusable(f"the folder {folder}", error, remedy) from None
