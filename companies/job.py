"""What all steps of a run for one destination share: both sides, what is remembered, and a plan."""

from __future__ import annotations

from typing import Collection, Sequence

from cli.command import Run
from companies.aliases import Aliases
from companies.destination import Destination
from companies.matching import HubSpotLookup, Matching
from companies.options import Options, keep_on_purpose
from companies.plan import Diff, Doubt, Keep, Plan, Rows, compare, make_plan, names_of
from companies.source import CompanySource
from companies.state import Answers, CompanyState
from core import log
from core.words import companies
from state.history import History


class CompanyJob:
    """`aliases`: None where companies keep their domains."""

    def __init__(
        self,
        run: Run,
        options: Options,
        source: CompanySource,
        destination: Destination,
        state: CompanyState,
        history: History,
    ) -> None:
        self.run, self.options, self.source, self.destination = run, options, source, destination
        self.state, self.history = state, history
        self.answers = Answers(state, options.ask_again_days, run.clock)
        aliases_of = destination.aliases_of
        self.aliases = Aliases(aliases_of, self.answers) if aliases_of else None
        self.keep = Keep(options.keep, f"kept on purpose (--keep or {destination.keep_setting})")

    def compare(self, matching: Matching, rows: Rows) -> Diff:
        return compare(matching, rows, self.answers.aliases(), self.destination.lists)

    def look_up(self, rows: Rows) -> HubSpotLookup:
        """What HubSpot holds now of companies that are listed and do not match."""
        domains = names_of(rows)
        if domains and not self.run.wrote:  # else it has been said
            done, number = self.destination.removing.done.lower(), companies(len(domains))
            log.info("HubSpot: a second look at %s before any is %s.", number, done)
        return self.source.look_up(domains, self.state.records(domains))

    def plan(
        self,
        matching: Matching,
        diff: Diff,
        waiting: Sequence[str],
        lookup: HubSpotLookup | None = None,
    ) -> Plan:
        """`waiting`: domains that were refused lately, and are not listed; `lookup`: what HubSpot
        has, if that is known already."""
        kept = keep_on_purpose(diff.extra, self.keep, self.options, self.destination)
        on_purpose = {each.domain for each in kept}
        rows = {domain: diff.extra[domain] for domain in diff.extra.keys() - on_purpose}
        not_now = self.answers.waiting()
        expected = {*diff.unchanged, *diff.missing} - not_now.keys()
        unexplained = self.aliases.unexplained(waiting) if self.aliases else {}
        suspects = {(not_now[each].listed_as or "")[1:] for each in waiting}
        doubt = Doubt(self.destination.name, expected, unexplained, suspects)
        lookup = lookup or self.look_up(rows)
        return make_plan(matching, diff, kept, rows, lookup, not_now, doubt, self.keep)

    def remember(self, matching: Matching, listed: Collection[str]) -> None:
        """For later runs. `listed`: the matching domains that are."""
        self.state.remember_records(matching.companies.values())
        self.answers.settle(listed, matching.companies)
