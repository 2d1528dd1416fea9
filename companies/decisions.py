"""What is decided for a destination of companies, in a run or to explain one company, with all that
earlier runs have learnt; and what later runs should know."""

from __future__ import annotations

from typing import AbstractSet, NamedTuple, Sequence

from cli.changes import DONE, Changes
from cli.run import Run
from companies import explain as explaining
from companies import verdict
from companies.afterwards import Afterwards, Destination
from companies.apply import Application, Applied
from companies.evidence import Evidence
from companies.limits import Rules, leave
from companies.memory import CompanyMemory, Waiting
from companies.plan import (
    Difference,
    Listed,
    Plan,
    Wanted,
    WantedCompany,
    compare,
    found_under,
    make_plan,
    names_to_confirm,
)
from companies.source import CompanySource
from core.domains import normalise_domain
from core.errors import ServiceError
from core.log import log
from core.words import companies
from state.history import History

DOUBT = "doubt"  # noted beside the changes: see Afterwards.nameless


class Decided(NamedTuple):
    """`waiting`: what the destination did not take lately, and is not asked for again yet; `again`:
    the domains in the plan that it did not take before that."""

    wanted: Wanted
    difference: Difference
    waiting: Sequence[Waiting]
    plan: Plan
    again: AbstractSet[str]

    @property
    def keys(self) -> set[str]:
        """Of all that waits for a person."""
        return {*(each.key for each in self.plan.skipped), *(each.key for each in self.waiting)}


class Decisions:
    """What asks a service raises ServiceError, CallRejected."""

    def __init__(
        self,
        run: Run,
        source: CompanySource,
        destination: Destination,
        memory: CompanyMemory,
        history: History,
        rules: Rules,
    ) -> None:
        self._run, self._source, self._destination = run, source, destination
        self._memory, self._history, self._rules = memory, history, rules
        # Domains that the destination has accepted and does not list, and nobody can tell why:
        # lately, and for so long that they hold nothing back any more.
        self._nameless, self._given_up = memory.noted(DOUBT, rules.ask_again_days)

    def decide(self, wanted: Wanted, rows: Listed) -> Decided:
        """By what is wanted and what is listed; empties `rows`."""
        difference = self._compare(wanted, rows)
        waiting = self._waiting(difference)
        evidence = self._look_up(_to_remove(difference, waiting))
        not_now = {each.domain for each in waiting}
        unlisted = not_now.intersection(difference.missing, self._nameless)
        return self._decided(wanted, difference, waiting, evidence, unlisted)

    def _compare(self, wanted: Wanted, rows: Listed) -> Difference:
        difference = compare(wanted, rows, self._destination.lists)
        difference = found_under(difference, self._other_names(wanted), wanted)
        return leave(difference, self._run.args, self._rules)

    def _other_names(self, wanted: Wanted) -> dict[str, str]:
        """Under which other domains companies are listed; what was learnt long ago is asked again,
        one credit for each."""
        names, days = self._memory.other_names(), self._rules.ask_again_days
        stale = [] if self._run.dry_run else self._memory.stale_names(days)
        stale = [each for each in stale if each in wanted.companies and names[each] != each]
        for domain in stale:
            try:
                listed = list(map(normalise_domain, self._destination.listed_under(domain)))
            except ServiceError as error:
                log.info("%s The names that are known will do.", error)
                self._memory.remember_names({each: names[each] for each in stale if each in names})
                break
            if names[domain] in listed:
                self._memory.remember_names({domain: names[domain]})
            else:
                self._memory.forget_names([domain])
                del names[domain]
        return names

    def _waiting(self, difference: Difference) -> list[Waiting]:
        add, remove = self._refused()
        return [
            *(add[domain] for domain in difference.missing if domain in add),
            *(remove[domain] for domain in sorted(difference.surplus) if domain in remove),
        ]

    def _refused(self) -> tuple[dict[str, Waiting], dict[str, Waiting]]:
        """Domain -> what was not taken lately, of additions and of removals."""
        rules, waiting = self._rules, self._memory.waiting
        days = rules.ask_again_days
        return waiting(rules.adding.key, days), waiting(rules.removing.key, days)

    def _decided(
        self,
        wanted: Wanted,
        difference: Difference,
        waiting: Sequence[Waiting],
        evidence: Evidence,
        unlisted: AbstractSet[str],
    ) -> Decided:
        plan = make_plan(
            wanted,
            difference._replace(surplus=_to_remove(difference, waiting)),
            evidence,
            {each.domain for each in waiting},
            sorted(unlisted),
            self._destination.name,
        )
        refused = self._memory.refused
        again = refused(self._rules.adding.key) & {entry.domain for entry in plan.add}
        again |= refused(self._rules.removing.key) & {entry.domain for entry in plan.remove}
        return Decided(wanted, difference, waiting, plan, again)

    def _look_up(self, surplus: Listed) -> Evidence:
        """What HubSpot holds now of the companies that are listed and not wanted."""
        domains = names_to_confirm(surplus)
        if domains and not self._run.wrote:  # else it has been told
            done = self._rules.removing.done.lower()
            number = companies(len(domains))
            log.info("HubSpot: a second look at %s before any is %s.", number, done)
        return self._source.evidence(domains, self._memory.records(domains))

    def explain(self, domain: str, all_rows: Listed) -> explaining.Explained:
        """Why a company is listed, or is not; what the next run would do, limits aside."""
        names = self._memory.other_names()
        rows = explaining.related([domain], all_rows, names)
        domains = sorted({domain}.union(explaining.names_in(rows)))
        evidence = self._source.evidence(domains, self._memory.records(domains))
        wanted = Wanted(self._source.criteria)
        for company in evidence.companies():
            wanted.add(company)
        rows = explaining.related([domain, *wanted.all_domains()], all_rows, names)
        found = explaining.in_hubspot(domain, evidence, self._source.criteria)
        difference = self._compare(wanted, dict(rows))
        if not set(names_to_confirm(difference.surplus)) <= set(domains):
            evidence = self._look_up(difference.surplus)
        there, (refused, _) = explaining.names_in(all_rows), self._refused()
        unlisted = {each for each in self._nameless if names.get(each, each) not in there}
        decided = self._decided(
            wanted, difference, self._waiting(difference), evidence, unlisted & refused.keys()
        )
        waiting = {each.domain: each for each in decided.waiting}
        rows = explaining.related([domain], all_rows, names)
        keys, name = (self._rules.adding.key, self._rules.removing.key), self._destination.name
        return explaining.Explained(
            domain,
            explaining.next_of(domain, decided.plan, wanted, waiting, found, rows, keys, name),
            found,
            rows,
            self._memory.other_name(domain),
            waiting.get(domain),
            self._history.changes_of(domain),
            self._source.record_url(),
        )

    def apply(self, decided: Decided) -> tuple[Applied, Changes]:
        """What came of the plan; later runs will know."""
        wanted, plan, run, rules = decided.wanted, decided.plan, self._run, self._rules
        doubts, names = (self._nameless, self._given_up), self._memory.other_names()
        added: set[str] = set()
        destination = self._noting(plan, added)
        afterwards = Afterwards(destination, wanted, names, *doubts, run.clock)
        waiting = {each.domain for each in decided.waiting if each.status != verdict.UNLISTED}
        afterwards.refused = waiting.difference(self._nameless)  # these were perhaps taken
        application = Application(run, destination, wanted, self._look_up, afterwards)
        applied = application.apply(plan, rules.adding.title, rules.removing.title)
        self._judge(plan, applied, added)
        self._note(decided, applied, afterwards)
        return applied, application.changes

    def _noting(self, plan: Plan, added: set[str]) -> Destination:
        """Every change is noted before it is made, so that a run that is killed has left it.
        `added`: takes the domains of additions."""
        destination, note = self._destination, self._history.note_change
        removals = {entry.domain: entry for entry in plan.remove}

        def add(entry: WantedCompany) -> None:
            key = self._rules.adding.key
            note(key, entry.domain, entry.company, entry.hubspot_id, None)
            added.add(entry.domain)
            destination.add(entry)

        def remove(domain: str) -> None:
            key, entry = self._rules.removing.key, removals[domain]
            note(key, domain, entry.company, entry.hubspot_id, entry.reason)
            destination.remove(domain)

        return destination._replace(add=add, remove=remove)

    def _judge(self, plan: Plan, applied: Applied, added: AbstractSet[str]) -> None:
        """Let the history know what came of the changes. `added`: all domains that were added, also
        those that were listed before, and had to be added again."""
        came = dict(verdict.statuses(plan.add, applied.added))
        if applied.now:
            lost = {each: made.status for each, made in applied.lost.items() if made.status != DONE}
            present = set(applied.now.difference.unchanged)
            for domain in added - came.keys():
                came[domain] = DONE if domain in present else lost.get(domain, verdict.UNLISTED)
        self._history.set_statuses(self._rules.adding.key, came.items())
        removed = verdict.statuses(plan.remove, applied.removed)
        self._history.set_statuses(self._rules.removing.key, removed)

    def _note(self, decided: Decided, applied: Applied, afterwards: Afterwards) -> None:
        memory, now = self._memory, applied.now
        if now is None:
            return
        wanted, plan = decided.wanted.companies, decided.plan
        add, remove = self._rules.adding, self._rules.removing
        memory.remember_names(afterwards.found)
        memory.note(add.key, verdict.refused(plan.add, applied.added))
        memory.note(remove.key, verdict.refused(plan.remove, applied.removed))
        reason = (
            f"{self._destination.name} does not list it any more, since others were"
            f" {add.done.lower()}"
        )

        def vanished(domains: Sequence[str]) -> list[tuple[str, str | None, str, str]]:
            return [(each, wanted[each].company, verdict.UNLISTED, reason) for each in domains]

        # What only could not be added again is to be tried by the next run.
        tried = {domain for domain, result in applied.lost.items() if result.status != DONE}
        memory.note(add.key, vanished(now.lacks(set(plan.unchanged) - tried)))
        memory.note(DOUBT, vanished(afterwards.nameless(now)))
        self.remember(decided._replace(difference=now.difference))

    def remember(self, decided: Decided) -> None:
        """Which record each wanted domain came from; what has been taken waits no more."""
        present, surplus = set(decided.difference.unchanged), decided.difference.surplus
        wanted, memory = decided.wanted.companies, self._memory
        memory.remember_records(wanted.values())
        for key in (self._rules.adding.key, DOUBT):
            memory.forget(key, lambda each: each in present or each not in wanted)
        memory.forget(self._rules.removing.key, lambda each: each not in surplus)

    def news(self, decided: Decided) -> set[str]:
        """Of what waits for a person, the keys of what is to be told: all, but with --quiet only
        what is new or was told a week ago."""
        run, keys = self._run, decided.keys
        if not run.args.quiet:
            return keys
        due = self._memory.due(keys)
        run.screen.has_news = bool(due)
        return due

    def note_told(self, news: set[str], decided: Decided) -> None:
        """What the destination has refused in this run was told by it. A dry run tells nothing that
        the mail of the next run would then leave out."""
        if not self._run.dry_run:
            refused = [each for found in self._refused() for each in found.values()]
            before, now = decided.keys, decided._replace(waiting=refused).keys
            self._memory.note_told(news | (now - before), before | now)


def _to_remove(difference: Difference, waiting: Sequence[Waiting]) -> Listed:
    """The surplus that is to be removed now."""
    not_now = {each.domain for each in waiting}
    return {domain: difference.surplus[domain] for domain in difference.surplus.keys() - not_now}
