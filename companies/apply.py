"""Apply a plan to a destination of companies: add, look again, remove, and look once more.

Adding comes first: should the run break off, too many are listed rather than too few. The list may
show a company under another name than it was added by, and other companies under new names since
then; so it is read again before the first removal, and HubSpot is asked again. What came of it all
is judged by a list that was read after the last write.
"""

from __future__ import annotations

from typing import (
    AbstractSet,
    Callable,
    Mapping,
    NamedTuple,
    Sequence,
)

from cli.changes import NOT_REACHED, Changes, Result
from cli.run import Run
from companies import verdict
from companies.afterwards import Afterwards, Destination, ListNow
from companies.evidence import Evidence
from companies.plan import Doubt, Listed, Plan, Wanted, WantedCompany, held_back
from core.errors import AppError, CallRejected, Interrupted, ServiceError

MOST_REFUSED = 20  # of which it is asked how they are listed: that has its price
CANNOT_READ = (CallRejected, ServiceError, Interrupted)


class Applied(NamedTuple):
    """What came of the plan, in its order. `now`: the list after the last write; None when it could
    not be read, for the reason `unchecked`. `lost`: the wanted domains that a removal took
    along, and that are not listed again; with what came of adding them again."""

    added: list[Result]
    removed: list[Result]
    now: ListNow | None
    unchecked: AppError | None
    lost: Mapping[str, Result]

    def news(self, plan: Plan, again: AbstractSet[str]) -> list[Result]:
        """All but what was not taken before, `again`, and is not taken now."""
        domains = [*(each.domain for each in plan.add), *(each.domain for each in plan.remove)]
        made = [
            result
            for domain, result in zip(domains, (*self.added, *self.removed))
            if domain not in again or not verdict.is_refusal(result)
        ]
        return [*made, *self.lost.values()]


class Application:
    """`look_up`: what HubSpot holds now of some listed rows."""

    def __init__(
        self,
        run: Run,
        destination: Destination,
        wanted: Wanted,
        look_up: Callable[[Listed], Evidence],
        afterwards: Afterwards,
    ) -> None:
        self._run, self._destination, self._wanted = run, destination, wanted
        self._look_up, self._afterwards = look_up, afterwards
        self.changes = Changes(run)
        self._shown: set[str] = set()  # wanted domains that the list has shown
        self._before: set[str] = set()  # rows that it had when the plan was made, and not wanted

    def apply(self, plan: Plan, adding: str, removing: str) -> Applied:
        """`adding`, `removing`: labels of the progress."""
        self._before = {each.domain for each in plan.remove}
        self._before |= {each.domain for each in plan.protected}
        added = self._add(adding, plan.add)
        present = verdict.perhaps_added(plan.add, added).union(plan.unchanged)
        self._afterwards.refused |= verdict.not_added(plan.add, added)
        self._shown = set(plan.unchanged)
        removed = self._remove(removing, plan, present)
        try:
            now, again = self._check(adding, plan, present, removed)
        except CANNOT_READ as error:
            return Applied(added, verdict.in_order(plan.remove, removed), None, error, {})
        added = [again.pop(each.domain, result) for each, result in zip(plan.add, added)]
        return Applied(
            verdict.of_additions(plan.add, added, now.difference, self._destination.name),
            verdict.of_removals(plan.remove, removed, now.difference, self._destination.name),
            now,
            None,
            {domain: again[domain] for domain in now.lacks(again.keys())},
        )

    def _add(self, label: str, entries: Sequence[WantedCompany]) -> list[Result]:
        return self.changes.apply(label, entries, self._destination.add)

    def _remove(self, label: str, plan: Plan, present: set[str]) -> dict[str, Result]:
        """What came of the removals, by domain; those whose row has gone meanwhile are left out."""
        rows = {entry.domain for entry in plan.remove}
        held: dict[str, str] = {}
        if plan.remove and plan.wanted > len(plan.unchanged) and not self.changes.are_over:
            try:
                rows, held = self._recheck(plan, present)
            except CANNOT_READ as error:
                return {domain: Result(NOT_REACHED, str(error)) for domain in rows}
        entries = [each for each in plan.remove if each.domain in rows.difference(held)]
        results = self.changes.apply(
            label, entries, lambda entry: self._destination.remove(entry.domain)
        )
        found = {entry.domain: result for entry, result in zip(entries, results)}
        return {**found, **{each: Result(verdict.HELD_BACK, held[each]) for each in held}}

    def _recheck(self, plan: Plan, present: set[str]) -> tuple[set[str], dict[str, str]]:
        """The rows to remove that are still listed, and why some of all must stay."""
        after, planned = self._afterwards, {entry.domain for entry in plan.remove}
        now = after.look(present)
        self._shown = present.difference(now.lacks(present))
        surplus = {
            domain: names for domain, names in now.difference.surplus.items() if domain in planned
        }
        evidence = self._look_up(surplus)
        nameless = after.nameless(now)
        if surplus:  # one of them may be a company that was refused under this name only
            added = {each.domain for each in plan.add}
            refused = [*now.lacks(added), *now.lacks(after.refused - added)]
            now = after.locate(now, refused[:MOST_REFUSED])
        now, others = after.recognise(now, [*sorted(surplus), *self._new(now)])
        if nameless:  # any row may be one of them, whatever it is called
            others = set()
        expected, unlisted = set(now.difference.unchanged), after.nameless(now)
        doubt = Doubt(expected, unlisted, self._destination.name, others)
        held = held_back(plan.remove, now.difference, self._wanted, evidence, doubt)
        return set(surplus), held

    def _check(
        self, label: str, plan: Plan, present: set[str], removed: dict[str, Result]
    ) -> tuple[ListNow, dict[str, Result]]:
        """The list after the last write. Where a change took a wanted company along, because the
        destination knows both as one, that is added again; what came of that, by domain."""
        gone = {domain for domain, result in removed.items() if result.maybe_applied}
        now = self._afterwards.look(present, gone)
        lost = now.lacks(present if gone else self._shown.union(plan.unchanged))
        again: dict[str, Result] = {}
        if lost:
            self._afterwards.forget(self._shown.intersection(lost))
            results = self._add(label, [self._wanted.companies[domain] for domain in lost])
            again = {each: made for each, made in zip(lost, results) if each in self._shown}
            now = self._afterwards.look(present, gone)
        return self._afterwards.recognise(now, self._new(now))[0], again

    def _new(self, now: ListNow) -> list[str]:
        """The rows that were not listed before: one that was added may be among them."""
        return sorted(now.difference.surplus.keys() - self._before)
