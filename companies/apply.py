"""Carry a plan out: add, read the list again, remove, read it once more; and judge what came of it.

Adding comes first: should the run break off, too many are listed rather than too few. The list that
was read last decides what is reported, whatever the writes were answered.
"""

from __future__ import annotations

from typing import AbstractSet, Callable, Collection, Iterator, Mapping, NamedTuple, Sequence

from cli.changes import Changes
from cli.run import Run
from companies.aliases import MOST_QUESTIONS, Aliases
from companies.answers import UNKNOWN, UNLISTED, Answers
from companies.destination import Action, Destination
from companies.lookup import HubSpotLookup
from companies.matching import Change, Matching
from companies.plan import Diff, Doubt, Plan, Rows, compare, judge_rows
from core.errors import AppError, CallRejected, Forbidden, Interrupted, NotFound, ServiceError
from core.log import log
from core.words import companies
from report.model import DONE, FAILED, NOT_REACHED, Result
from state.history import SENT, History

HELD_BACK = "held_back"  # of a removal: a matching company may be listed under this name
GONE = "no_longer_listed"  # of a removal: the row went without a call of ours

# While the list does not show a change, it is read again after so many seconds. Half a minute in
# all; other names are asked for before the last wait.
SOON_S, LATE_S = (1.0, 3.0), (26.0,)
CANNOT_READ = (CallRejected, ServiceError, Interrupted)


class Applied(NamedTuple):
    """`plan`: with what came of each change; `lost`: companies that were listed and are not any
    more, although they were added again; `now`: the list after the last write, None when it could
    not be read, for the reason `unchecked`. `refused`: the domains of changes that the destination
    did not take, so that asking on the next run would only bring the same."""

    plan: Plan
    lost: tuple[Change, ...]
    refused: frozenset[str]
    now: Diff | None
    unchecked: AppError | None

    def changes(self) -> list[Change]:
        return [*self.plan.add, *self.plan.remove, *self.lost]


class Application:
    """`look_up`: what HubSpot holds now of some rows; `aliases`: None where companies keep their
    domains."""

    def __init__(
        self,
        run: Run,
        destination: Destination,
        matching: Matching,
        answers: Answers,
        aliases: Aliases | None,
        history: History,
        look_up: Callable[[Rows], HubSpotLookup],
        refused_before: AbstractSet[str],
    ) -> None:
        self._run, self._destination, self._matching = run, destination, matching
        self._answers, self._aliases, self._history = answers, aliases, history
        self._look_up, self._refused_before = look_up, refused_before
        self.changes = Changes(run)
        self._results: dict[str, Result] = {}  # by domain
        self._shown: set[str] = set()  # matching domains that a list of this run has shown
        self._soon, self._late = iter(SOON_S), iter(LATE_S)

    def apply(self, plan: Plan) -> Applied:
        self._shown.update(plan.unchanged)
        lost: list[Change] = []
        now: Diff | None = None
        unchecked: AppError | None = None
        self._add(plan.add)
        try:
            now, to_remove = self._confirm(plan)
            self._remove(to_remove)
            sent = {each.domain for each in to_remove if self._was_sent(each.domain)}
            if sent or now is None:
                now = self._wait_for_removals(sent)
            now, lost = self._restore(plan, now, bool(sent))
        except CANNOT_READ as error:
            now, unchecked = None, error
        return self._judge(plan, lost, now, unchecked)

    def _add(self, changes: Sequence[Change]) -> None:
        action = self._destination.adding
        self._make(action, changes, self._destination.add)

    def _remove(self, changes: Sequence[Change]) -> None:
        action = self._destination.removing
        self._make(action, changes, lambda change: self._destination.remove(change.domain))

    def _make(
        self, action: Action, changes: Sequence[Change], make: Callable[[Change], None]
    ) -> None:
        def note_and_make(change: Change) -> None:  # noted first: a kill leaves what may be done
            name, hubspot_id = change.company, change.hubspot_id
            self._history.note_change(action.key, change.domain, name, hubspot_id, change.reason)
            make(change)

        def was_refused(change: Change) -> bool:
            return change.domain in self._refused_before

        results = self.changes.apply(action.title, changes, note_and_make, was_refused=was_refused)
        self._results.update((each.domain, result) for each, result in zip(changes, results))

    def _confirm(self, plan: Plan) -> tuple[Diff | None, Sequence[Change]]:
        """The list after the additions, None if there were none to be made; and the removals that
        must still be made, going by the list and by HubSpot as they are now."""
        if plan.matching == len(plan.unchanged):
            return None, plan.remove
        accepted = self._accepted(plan.add)
        refused: set[str] = set()
        if plan.remove and not self.changes.are_over:  # a row may be one of them
            refused = {each.domain for each in plan.add} - accepted
            refused |= {each.domain for each in plan.waiting if each.listed_as is None}
        before = {each.domain for each in plan.remove} | {each.domain for each in plan.kept}
        now = self._settle(accepted, refused, before)
        if self.changes.are_over:
            return now, plan.remove
        listed = [each.domain for each in plan.remove if each.domain in now.extra]
        rows = {domain: now.extra[domain] for domain in listed}
        unexplained = self._aliases.unexplained(now.missing, accepted) if self._aliases else ()
        doubt = Doubt(self._destination.name, set(now.unchanged), unexplained)
        remove, kept = judge_rows(rows, self._matching, self._look_up(rows), doubt)
        self._results.update((each.domain, Result(HELD_BACK, each.reason)) for each in kept)
        return now, remove

    def _settle(
        self, accepted: AbstractSet[str], refused: AbstractSet[str], before: AbstractSet[str]
    ) -> Diff:
        """The list once it shows what was accepted, or as it is half a minute later. `before`: the
        rows that stood for no matching company before these were added."""
        now = self._wait(self._fetch(), self._soon, lambda now: now.lacks(accepted))
        if self._aliases and self._aliases.ask(now, accepted, refused):
            now = self._fetch()
        now = self._wait(now, self._late, lambda now: now.lacks(accepted))
        if self._aliases and self._aliases.recognise(now, accepted, before):
            now = self._fetch()
        return now

    def _wait_for_removals(self, sent: AbstractSet[str]) -> Diff:
        waits = iter((*SOON_S, *LATE_S))
        removed = {domain for domain in sent if self._results[domain].maybe_applied}
        return self._wait(self._fetch(), waits, lambda now: removed & now.extra.keys())

    def _wait(
        self, now: Diff, waits: Iterator[float], open_in: Callable[[Diff], Collection[str]]
    ) -> Diff:
        """Read the list again while changes are `open_in` it, after each of the waits that are
        left."""
        while (left := open_in(now)) and (wait_s := next(waits, None)):
            if wait_s == SOON_S[0]:  # said once
                does_not_show = "does not show the change of"
                most_s = sum((*SOON_S, *LATE_S))
                log.info(
                    "%s %s %s yet: reading its list again for up to %d s.",
                    self._destination.name, does_not_show, companies(len(left)), most_s,
                )  # fmt: skip
            self._run.clock.sleep(wait_s)
            now = self._fetch()
        return now

    def _restore(self, plan: Plan, now: Diff, removed: bool) -> tuple[Diff, list[Change]]:
        """Add again what was listed and is missing, because a change took it along: the service
        knows both as one. After removals also what it accepted and never showed."""
        shown, before = set(self._shown), dict(self._results)
        expected = set(shown)
        if removed:
            expected |= self._accepted(plan.add)
            expected |= {each.domain for each in plan.waiting if each.status == UNLISTED}
        lost = now.lacks(expected)
        if not lost:
            return now, []
        again = [self._matching.companies[domain] for domain in lost]
        one_by_one = self._aliases and len(again) <= MOST_QUESTIONS  # tells whose row comes back
        for batch in [[each] for each in again] if one_by_one else [again]:
            self._add(batch)
            now = self._settle(self._accepted(batch), set(), now.extra.keys())
        # What was never shown was perhaps not lost: the first answer to it counts.
        self._results.update({each: before[each] for each in before.keys() - shown})
        planned = {each.domain for each in plan.add}
        left = shown.intersection(lost) - planned
        return now, [self._matching.companies[domain] for domain in now.lacks(left)]

    def _was_sent(self, domain: str) -> bool:
        return self._results[domain].status in (DONE, FAILED)

    def _accepted(self, changes: Sequence[Change]) -> set[str]:
        """The domains that may be listed now, if under another name."""
        return {each.domain for each in changes if self._results[each.domain].maybe_applied}

    def _fetch(self) -> Diff:
        if self._run.wrote:  # a service that changes nothing more must be read all the same
            self._destination.http.reopen()
        rows = self._destination.fetch_current(lambda _number: None).rows
        now = compare(self._matching, rows, self._answers.aliases(), self._destination.lists)
        self._shown.update(now.unchanged)
        return now

    def _judge(
        self,
        plan: Plan,
        lost: Sequence[Change],
        now: Diff | None,
        unchecked: AppError | None,
    ) -> Applied:
        """What came of each change; the history is told."""
        name, removals = self._destination.name, {each.domain for each in plan.remove}
        missing = set(now.missing) if now else None
        results = {
            domain: judge_addition(result, None if missing is None else domain not in missing, name)
            for domain, result in self._results.items()
            if domain not in removals
        }
        self._history.set_statuses(self._destination.adding.key, statuses(results))
        not_tried = Result(NOT_REACHED, str(unchecked) if unchecked else None)
        removed = {
            domain: judge_removal(self._results.get(domain, not_tried), domain, now, name)
            for domain in removals
        }
        self._history.set_statuses(self._destination.removing.key, statuses(removed))
        results.update(removed)

        def judged(changes: Sequence[Change]) -> tuple[Change, ...]:
            made = ((each, results[each.domain]) for each in changes)
            return tuple(each._replace(status=one.status, error=one.error) for each, one in made)

        refused = frozenset(domain for domain, result in results.items() if is_refusal(result))
        done = plan._replace(add=judged(plan.add), remove=judged(plan.remove))
        return Applied(done, judged(lost), refused, now, unchecked)


def statuses(results: Mapping[str, Result]) -> list[tuple[str, str]]:
    return [(domain, result.status) for domain, result in results.items()]


def judge_addition(result: Result, is_listed: bool | None, name: str) -> Result:
    """`is_listed`: by the list that was read last; None when it could not be read."""
    if is_listed:
        return Result(DONE)
    if result.status != DONE:
        is_unknown = isinstance(result.cause, NotFound)
        return result._replace(status=UNKNOWN) if is_unknown else result
    if is_listed is None:
        return result._replace(status=SENT)
    error = f"{name} has accepted it, and does not list it"
    return result._replace(status=UNLISTED, error=error)


def judge_removal(result: Result, domain: str, now: Diff | None, name: str) -> Result:
    """`now`: the list that was read last; None when it could not be read."""
    was_sent = result.status in (DONE, FAILED)
    if now is None:
        return result._replace(status=SENT) if result.status == DONE else result
    if domain in now.aliased:
        return Result(HELD_BACK, f"{name} lists {now.aliased[domain]} under this name")
    if domain not in now.extra:
        return Result(DONE if was_sent else GONE)
    if result.status == DONE:
        error = f"{name} has accepted it, and still lists the company"
        return result._replace(status=FAILED, error=error)
    return result


def is_refusal(result: Result) -> bool:
    """Whether it is the destination's answer to this one change, so that asking on the next run
    would only bring the same."""
    if result.status in (UNKNOWN, UNLISTED):
        return True
    is_fault = isinstance(result.cause, ServiceError) and not isinstance(result.cause, Forbidden)
    return result.status == FAILED and not is_fault
