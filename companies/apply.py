"""Carry a plan out: add, read the list again, remove, read it once more; and judge what came of it.

Adding comes first: should the run break off, too many are listed rather than too few. The list that
was read last decides what is reported, whatever the writes were answered.
"""

from __future__ import annotations

from typing import AbstractSet, Callable, Collection, Iterator, NamedTuple, Sequence

from cli.changes import Changes
from companies import aliases, destination
from companies.job import CompanyJob
from companies.matching import Change, Matching
from companies.plan import UNKNOWN, UNLISTED, Diff, Doubt, Plan, judge_rows
from core import errors, log, words
from report.model import DONE, FAILED, NOT_REACHED, Result
from state.history import SENT

HELD_BACK = "held_back"  # of a removal: a matching company may be listed under this name
GONE = "no_longer_listed"  # of a removal: the row went without a call of ours

# While the list does not show a change, it is read again after so many seconds, half a minute in
# all; other names are asked for before the last wait.
SOON_S, LATE_S = (1.0, 3.0), (26.0,)


class Applied(NamedTuple):
    """`plan`: with what came of each change; `lost`: companies that were listed and are not any
    more, although they were added again; `refused`: the domains of changes that the destination did
    not take, so that asking on the next run would only bring the same. `now`: the list after the
    last write, None when it could not be read, for the reason `unchecked`."""

    plan: Plan
    lost: list[Change]
    refused: set[str]
    now: Diff | None
    unchecked: errors.AppError | None

    def changes(self) -> list[Change]:
        return [*self.plan.add, *self.plan.remove, *self.lost]


class Application:
    def __init__(self, job: CompanyJob, matching: Matching) -> None:
        self._job, self._matching = job, matching
        self._destination, self._aliases = job.destination, job.aliases
        self.changes = Changes(job.run)
        self._results: dict[str, Result] = {}  # by domain
        self._shown: set[str] = set()  # matching domains that a list of this run has shown
        self._soon, self._late = iter(SOON_S), iter(LATE_S)
        self._said = False  # how long the list is waited for

    @property
    def needs_payment(self) -> bool:
        """Whether credits or the like have ended: what is not done waits for them."""
        return isinstance(self.changes.outage, errors.PaymentRequired)

    def apply(self, plan: Plan) -> Applied:
        self._shown.update(plan.unchanged)
        lost: list[str] = []
        now: Diff | None = None
        unchecked: errors.AppError | None = None
        accepted = self._add(plan.add)
        try:
            now, to_remove = self._confirm(plan, accepted)
            remove = self._destination.remove
            self._send(self._destination.removing, to_remove, lambda change: remove(change.domain))
            results = {each.domain: self._results[each.domain] for each in to_remove}
            is_sent = any(each.status in (DONE, FAILED) for each in results.values())
            if is_sent or now is None:
                removed = {domain for domain, each in results.items() if each.maybe_applied}
                waits = iter((*SOON_S, *LATE_S))
                now = self._wait(self._fetch(), waits, lambda now: removed & now.extra.keys())
            now, lost = self._restore(plan, now, accepted, is_sent)
        except (errors.CallRejected, errors.ServiceError, errors.Interrupted) as error:
            now, unchecked = None, error
        return self._judge(plan, lost, now, unchecked)

    def _add(self, changes: Sequence[Change]) -> set[str]:
        """The domains that may be listed now, if under another name."""
        self._send(self._destination.adding, changes, self._destination.add)
        return {each.domain for each in changes if self._results[each.domain].maybe_applied}

    def _send(
        self, action: destination.Action, changes: Sequence[Change], send: Callable[[Change], None]
    ) -> None:
        def note_and_send(change: Change) -> None:
            self._job.history.note_change(action.key, *change[:4])
            send(change)

        results = self.changes.apply(action.doing.capitalize(), changes, note_and_send)
        self._results.update((each.domain, result) for each, result in zip(changes, results))

    # Reading the list again

    def _confirm(self, plan: Plan, accepted: set[str]) -> tuple[Diff | None, Sequence[Change]]:
        """The list after the additions, None if there were none to be made; and the removals that
        must still be made, going by the list and by HubSpot as they are now."""
        if plan.matching == len(plan.unchanged):
            return None, plan.remove
        refused: set[str] = set()
        if plan.remove and not self.changes.are_over:  # a row may be one of them
            refused = {each.domain for each in plan.add} - accepted
            refused |= {each.domain for each in plan.waiting if each.listed_as is None}
        before = {each.domain for each in plan.remove} | {each.domain for each in plan.kept}
        now = self._settle(accepted, refused)
        unexplained: dict[str, str] = {}
        if self._aliases:
            self._aliases.suspect(now, accepted, before)
            unexplained = self._aliases.unexplained(now.missing, accepted)
        if self.changes.are_over:
            return now, plan.remove
        planned = {each.domain for each in plan.remove}
        rows = {domain: now.extra[domain] for domain in planned & now.extra.keys()}
        doubt = Doubt(self._destination.name, set(now.unchanged), unexplained)
        keep = self._job.options.keep
        lookup = self._job.look_up(rows, self._matching)
        remove, kept = judge_rows(rows, self._matching, lookup, doubt, keep)
        self._results.update((each.domain, Result(HELD_BACK, each.reason)) for each in kept)
        return now, remove

    def _settle(self, accepted: AbstractSet[str], refused: AbstractSet[str] = frozenset()) -> Diff:
        """The list once it shows what was accepted, or as it is half a minute later."""
        now = self._wait(self._fetch(), self._soon, lambda now: now.lacks(accepted))
        if self._aliases and self._aliases.ask(now, accepted, refused):
            now = self._fetch()
        return self._wait(now, self._late, lambda now: now.lacks(accepted))

    def _wait(
        self, now: Diff, waits: Iterator[float], open_in: Callable[[Diff], Collection[str]]
    ) -> Diff:
        """Read the list again while changes are `open_in` it, after each of the waits left."""
        while (still_open := open_in(now)) and (wait_s := next(waits, None)):
            if not self._said:
                self._said = True
                name, number = self._destination.name, words.companies(len(still_open))
                text = (
                    "%s does not show the changes to %s yet. Its list is read again for up to %d s."
                )
                log.info(text, name, number, sum((*SOON_S, *LATE_S)))
            self._job.run.clock.sleep(wait_s)
            now = self._fetch()
        return now

    def _fetch(self) -> Diff:
        if self._job.run.wrote or self.needs_payment:  # it can be read all the same
            self._destination.http.reopen()
        rows = self._destination.fetch_current(lambda _number: None).rows
        now = self._job.compare(self._matching, rows)
        self._shown.update(now.unchanged)
        return now

    def _restore(
        self, plan: Plan, now: Diff, accepted: set[str], removed: bool
    ) -> tuple[Diff, list[str]]:
        """Add again what was listed and is missing, because a change took it along: the service
        knows both as one. After removals also what it accepted and never showed. Returns what is
        missing all the same, but for what this run has added."""
        shown, before = set(self._shown), dict(self._results)
        unlisted = accepted | {each.domain for each in plan.waiting if each.status == UNLISTED}
        lost = now.lacks(shown | unlisted if removed else shown)
        self._soon, self._late = iter(SOON_S), iter(LATE_S)
        again = [self._matching.companies[domain] for domain in lost]
        # Tells whose row comes back.
        one_by_one = self._aliases and len(again) <= aliases.MOST_QUESTIONS
        for batch in [[each] for each in again] if one_by_one else filter(None, [again]):
            accepted, last = self._add(batch), now
            now = self._settle(accepted)
            if self._aliases and self._aliases.recognise(now, accepted, last):
                now = self._fetch()
        # A row that went may have been one that still nobody can tell: not the same on every run.
        self._job.answers.begin_again(now.lacks(set(lost)))
        # What was never shown was perhaps not lost: the first answer to it counts.
        self._results.update({each: before[each] for each in before.keys() - shown})
        planned = {each.domain for each in plan.add}
        return now, now.lacks(shown.intersection(lost) - planned)

    # What came of it

    def _judge(
        self, plan: Plan, lost: Sequence[str], now: Diff | None, unchecked: errors.AppError | None
    ) -> Applied:
        name, missing = self._destination.name, set(now.missing if now else ())
        not_tried = Result(NOT_REACHED, str(unchecked) if unchecked else None)
        removed = {
            domain: judge_removal(self._results.pop(domain, not_tried), domain, now, name)
            for domain in (each.domain for each in plan.remove)
        }
        added = {
            domain: judge_addition(result, domain not in missing if now else None, name)
            for domain, result in self._results.items()
        }
        actions = (self._destination.adding, self._destination.removing)
        for action, part in zip(actions, (added, removed)):
            statuses = [(domain, each.status) for domain, each in part.items()]
            self._job.history.set_statuses(action.key, statuses)
        results = {**added, **removed}
        refused = {domain for domain, result in results.items() if is_refusal(result)}
        if self.needs_payment:
            unpaid = {k for k, each in results.items() if each.status in (FAILED, NOT_REACHED)}
            reason = str(self.changes.outage)
            results.update((k, results[k]._replace(error=reason)) for k in unpaid)
            refused |= unpaid
        # What was listed, and could not be added again, is to be tried by the next run.
        refused -= {each for each in self._shown & refused if results[each].status != UNLISTED}

        def judged(change: Change) -> Change:
            status, error, *_ = results[change.domain]
            return change._replace(status=status, error=error)

        plan = plan._replace(
            add=tuple(map(judged, plan.add)), remove=tuple(map(judged, plan.remove))
        )
        again = [judged(self._matching.companies[domain]) for domain in lost]
        return Applied(plan, again, refused, now, unchecked)


def judge_addition(result: Result, is_listed: bool | None, name: str) -> Result:
    """`is_listed`: by the list that was read last; None when it could not be read."""
    if is_listed:
        return Result(DONE)
    if result.status != DONE:
        is_unknown = isinstance(result.cause, errors.NotFound)
        return result._replace(status=UNKNOWN) if is_unknown else result
    if is_listed is None:
        return result._replace(status=SENT)
    error = f"{name} accepted it but does not list it yet"
    return result._replace(status=UNLISTED, error=error)


def judge_removal(result: Result, domain: str, now: Diff | None, name: str) -> Result:
    """`now`: the list that was read last; None when it could not be read."""
    if now is None:
        return result._replace(status=SENT) if result.status == DONE else result
    if domain in now.aliased:
        return Result(HELD_BACK, f"{name} lists {now.aliased[domain]} under this domain")
    if domain not in now.extra:
        return Result(DONE if result.status in (DONE, FAILED) else GONE)
    if result.status == DONE:
        error = f"{name} accepted it but still lists the company"
        return result._replace(status=FAILED, error=error)
    return result


def is_refusal(result: Result) -> bool:
    """Whether it is the destination's answer to this one change, so that asking on the next run
    would only bring the same."""
    is_fault = isinstance(result.cause, errors.ServiceError) and not isinstance(
        result.cause, errors.Forbidden
    )
    return result.status in (UNKNOWN, UNLISTED) or (result.status == FAILED and not is_fault)
