"""A run for any destination of companies: check, read, plan, show, refuse, apply, tell."""

from __future__ import annotations

from pathlib import Path
from typing import AbstractSet, Sequence

from cli import command
from cli.changes import conclude, in_part
from cli.checks import collect_findings, require_ok
from cli.job import Job, run_job
from cli.progress import Progress
from cli.run import Run
from companies import explain, options, report
from companies.aliases import MOST_QUESTIONS, Aliases
from companies.answers import UNLISTED, Answers, waiting_key
from companies.apply import Application, Applied
from companies.destination import Current, Destination
from companies.lookup import HubSpotLookup
from companies.matching import Matching
from companies.plan import Diff, Doubt, Plan, Rows, compare, make_plan, names_of
from companies.source import CompanySource
from companies.state import CompanyState, open_store
from core.clock import Clock
from core.errors import Outcome
from core.log import log
from core.words import companies, count
from hubspot_client import HubSpotClient
from report.model import DONE, Finding
from state.history import SENT, History
from transport import threads


def main(
    destination: type[Destination], argv: Sequence[str] | None = None, clock: Clock | None = None
) -> int:
    """Run the script of a destination; returns the exit code."""

    def work(run: Run) -> Outcome:
        chosen = run.settings(options.settings(destination))
        hubspot = HubSpotClient(chosen.hubspot, run.clock, run.dry_run)
        service = destination(chosen.destination, run.clock, run.dry_run)
        source = CompanySource(hubspot, chosen.criteria, run.clock)
        account = chosen.destination.account

        def sync(state: CompanyState, history: History) -> Sync:
            return Sync(run, chosen, source, service, state, history)

        def open_state(path: Path) -> CompanyState:
            return CompanyState(path, account, run.clock, run.dry_run)

        verbs = {action.key: action.was for action in (service.adding, service.removing)}
        job = Job(
            account=account,
            clients=(hubspot.http, service.http),
            keep_history_days=chosen.keep_history_days,
            verbs=verbs,
            check=lambda: [*check(source, service), *source.check_search()],
            open_state=open_state,
            try_state=lambda path: open_store(path, account).close(),
            sync=lambda state, history: sync(state, history).run(),
            explain=lambda state, history: sync(state, history).answer(run.args.explain),
        )
        return run_job(run, job)

    arguments = options.arguments(destination)
    return command.main(destination.job, destination.title, arguments, work, argv, clock)


def check(source: CompanySource, destination: Destination) -> list[Finding]:
    in_hubspot, there = threads.side_by_side(
        source.check, lambda: collect_findings(destination.check)
    )
    return [*in_hubspot, *there]


class Sync:
    def __init__(
        self,
        run: Run,
        chosen: options.Settings,
        source: CompanySource,
        destination: Destination,
        state: CompanyState,
        history: History,
    ) -> None:
        self._run, self._chosen = run, chosen
        self._source, self._destination = source, destination
        self._state, self._history = state, history
        self._answers: Answers = state.answers(chosen.ask_again_days)
        aliases_of = destination.aliases_of
        self._aliases = Aliases(aliases_of, self._answers) if aliases_of else None

    def run(self) -> Outcome:
        run, destination, answers = self._run, self._destination, self._answers
        self._require_all_in_place()
        matching, current = self._read()
        if self._aliases and not run.dry_run:
            self._aliases.renew(matching.companies.keys())

        diff = compare(matching, current.rows, answers.aliases(), destination.lists)
        waiting = [domain for domain in diff.missing if domain in answers.waiting()]
        plan = self._plan(matching, diff, waiting)
        refused_before = self._refused_before(plan)
        keys = keys_of(plan, refused_before)
        news = self._news(keys)
        report.fill(run.report, plan, matching, answers, destination)
        run.report.record_url = self._source.record_url() if run.wants_links else None
        report.show_plan(run.screen, run.report, plan, news, answers, destination)
        self._say_cost(plan)

        refusals = options.refusals(plan, run.args, self._chosen, destination, refused_before)
        if refusals:
            outcome = run.refuse(refusals)
        elif not (plan.add or plan.remove):
            self._remember(matching, diff)
            outcome = self._end_in_sync(plan)
        elif run.dry_run:
            outcome = self._end_dry_run(plan)
        else:
            applied = self._apply(matching, plan, refused_before)
            keys_before, keys = keys, keys_of(applied.plan, applied.refused)
            news |= keys - keys_before  # the result tells these
            outcome = self._tell(applied, refused_before)
        self._state.notifications.mark_notified(news, keys)
        return outcome

    def answer(self, domains: Sequence[str]) -> Outcome:
        """Why each is listed, or is not; what the next run would do, limits aside."""
        rows = self._destination.fetch_current(lambda _number: None).rows
        explained = [self._explain(domain, rows) for domain in domains]
        for each in explained:
            for line in explain.describe(each, self._destination):
                self._run.say(line)
            self._run.say()
        section = explain.section(explained, self._destination)
        return self._run.answer("What becomes of these companies, and why", [section])

    # The steps of a run

    def _require_all_in_place(self) -> None:
        """Raises AppError with all that is not."""
        found = check(self._source, self._destination)
        require_ok(found)
        account = self._source.account
        sentences = [f"HubSpot is {account}."] if account else []
        self._run.name_accounts(" ".join([*sentences, found[-1].text]))

    def _read(self) -> tuple[Matching, Current]:
        """What should be listed and what is, read side by side."""
        name, clock = self._destination.name, self._run.clock
        with Progress("HubSpot", "companies", clock) as in_hubspot, Progress(
            name, "companies", clock
        ) as there:
            matching, current = threads.side_by_side(
                lambda: self._source.read(in_hubspot.expect, in_hubspot.advance),
                lambda: self._destination.fetch_current(there.advance),
            )
        number = len(current.rows)
        log.info("HubSpot: %s", self._source.describe(matching))
        log.info("%s: %s %s now.", name, companies(number), self._destination.listed)
        if current.claimed is not None:
            claimed, verb = companies(current.claimed), self._destination.verb
            self._warn(f"{name} says that it {verb} {claimed}, and lists {number:,}.")
        if matching.missing:
            self._warn(
                f"HubSpot counts {companies(matching.missing)} more than it shows: they were"
                " edited during the read, or it errs. The next run will tell."
            )
        return matching, current

    def _plan(
        self,
        matching: Matching,
        diff: Diff,
        waiting: Sequence[str],
        lookup: HubSpotLookup | None = None,
    ) -> Plan:
        """`waiting`: domains that were refused lately, and are not listed; `lookup`: what HubSpot
        has, if that is known already."""
        kept = options.keep_on_purpose(diff.extra, self._run.args, self._chosen, self._destination)
        on_purpose = {each.domain for each in kept}
        rows = {domain: diff.extra[domain] for domain in diff.extra.keys() - on_purpose}
        not_now = self._answers.waiting()
        expected = {*diff.unchanged, *diff.missing} - not_now.keys()
        unexplained = self._aliases.unexplained(waiting) if self._aliases else ()
        doubt = Doubt(self._destination.name, expected, unexplained)
        lookup = lookup or self._look_up(rows)
        return make_plan(matching, diff, kept, rows, lookup, not_now, doubt)

    def _look_up(self, rows: Rows) -> HubSpotLookup:
        """What HubSpot holds now of companies that are listed and do not match."""
        domains = names_of(rows)
        if domains and not self._run.wrote:  # else it has been said
            done, number = self._destination.removing.done.lower(), companies(len(domains))
            log.info("HubSpot: a second look at %s before any is %s.", number, done)
        return self._source.look_up(domains, self._state.records(domains))

    def _say_cost(self, plan: Plan) -> None:
        if self._destination.cost:
            questions = min(plan.matching - len(plan.unchanged), MOST_QUESTIONS)
            sentences, warnings = self._destination.cost(plan, questions)
            for sentence in sentences:
                self._run.say(sentence)
            for warning in warnings:
                self._warn(warning)

    def _end_in_sync(self, plan: Plan) -> Outcome:
        listed, lists = len(plan.unchanged), self._destination.lists
        if listed < plan.matching:
            number = count(plan.matching, "wanted company", "wanted companies")
            self._run.summarise(f"Nothing to do now: {lists} {listed:,} of {number}.")
        else:
            self._run.summarise(f"Nothing to do: {lists} the {companies(listed)} it should.")
        return Outcome.IN_SYNC

    def _end_dry_run(self, plan: Plan) -> Outcome:
        added, removed = self._destination.adding.was, self._destination.removing.was
        adds, removes = len(plan.add), len(plan.remove)
        return self._run.end_dry_run(f"{adds:,} would be {added}, {removes:,} {removed}")

    def _apply(self, matching: Matching, plan: Plan, refused_before: AbstractSet[str]) -> Applied:
        run, answers = self._run, self._answers
        self._state.remember_records(matching.companies.values())
        application = Application(
            run,
            self._destination,
            matching,
            answers,
            self._aliases,
            self._history,
            self._look_up,
            refused_before,
        )
        with run.finishing_calls():
            applied = application.apply(plan)
        for change in (*applied.plan.add, *applied.lost):
            # What was listed and could not be added again is to be tried by the next run.
            is_lost = change in applied.lost and change.status != UNLISTED
            if change.domain in applied.refused and not is_lost:
                answers.note_refusal(change.domain, change.status, change.error or "")
        if applied.now:
            answers.settle(applied.now.unchanged, matching.companies)
        self._state.save_answers(answers)
        report.fill(run.report, applied.plan, matching, answers, self._destination, applied)
        application.changes.raise_if_nothing_written()
        return applied

    def _tell(self, applied: Applied, refused_before: AbstractSet[str]) -> Outcome:
        """What came of it, and what the list read last says. What was refused before, and is again,
        is no news."""
        run, plan, destination = self._run, applied.plan, self._destination
        known = refused_before & applied.refused
        news = [each for each in applied.changes() if each.domain not in known]
        status = DONE if applied.now else SENT
        added, removed = (sum(c.status == status for c in each) for each in (plan.add, plan.remove))
        run.summarise(
            f"{in_part(news)}{'' if applied.now else ', not confirmed'}:"
            f" {companies(added)} newly {destination.adding.was},"
            f" {removed:,} {destination.removing.was},"
            f" {len(plan.unchanged) + len(plan.kept):,} left as they were,"
            f" {len(plan.skipped):,} skipped."
        )
        outcome = conclude(run, news) if news else Outcome.IN_SYNC
        report.show_open(run.screen, applied.changes())
        if applied.now is None:
            run.summarise(f"Not checked afterwards: {applied.unchecked}")
            return Outcome.PARTIAL
        run.report.checked_after = report.checked_after(plan, applied.now)
        lists = report.verdict(plan, applied.now, destination.listed)
        run.summarise(f"Checked afterwards: {destination.name} lists {lists}")
        return outcome

    # What later runs should know

    def _remember(self, matching: Matching, diff: Diff) -> None:
        self._state.remember_records(matching.companies.values())
        self._answers.settle(diff.unchanged, matching.companies)
        self._state.save_answers(self._answers)

    def _refused_before(self, plan: Plan) -> set[str]:
        """The domains of changes that an earlier run was refused, and told."""
        rows = (each.domain for each in plan.remove)
        was_reported = self._state.was_reported
        return self._answers.refused() | {row for row in rows if was_reported(waiting_key(row))}

    def _news(self, keys: set[str]) -> set[str]:
        """Of what waits for a person, that which is to be told: all, but with --quiet only what is
        new or was told a week ago."""
        if not self._run.args.quiet:
            return keys
        due = self._state.notifications.due(keys)
        self._run.screen.has_news = bool(due)
        return due

    def _warn(self, text: str) -> None:
        self._run.summarise(text)
        self._run.report.warnings = [*(self._run.report.warnings or []), text]

    def _explain(self, domain: str, all_rows: Rows) -> explain.Explained:
        answers, history = self._answers, self._history
        aliases, waiting = answers.aliases(), answers.waiting()
        rows = explain.related([domain], all_rows, aliases)
        domains = sorted({domain, *explain.names_in(rows)})
        lookup = self._source.look_up(domains, self._state.records(domains), wait=False)
        matching = Matching(self._source.criteria)
        for company in lookup.companies():
            matching.add(company)
        related = explain.related([domain, *matching.all_domains()], all_rows, aliases)
        diff = compare(matching, dict(related), aliases, self._destination.lists)
        listed = explain.names_in(all_rows)
        unlisted = [each for each in waiting if aliases.get(each, each) not in listed]
        is_known = set(names_of(diff.extra)) <= set(domains)
        plan = self._plan(matching, diff, unlisted, lookup if is_known else None)
        found = explain.in_hubspot(domain, lookup, matching.criteria)
        coming = explain.next_of(domain, plan, matching, found, rows, self._destination)
        return explain.Explained(
            domain,
            coming,
            found,
            rows,
            answers.get(domain),
            history.changes_of(domain),
            self._source.record_url(),
        )


def keys_of(plan: Plan, refused: AbstractSet[str]) -> set[str]:
    """Of all that waits for a person. `refused`: domains of changes that were not taken."""
    changes = [each.domain for each in (*plan.add, *plan.remove) if each.domain in refused]
    waiting = [each.domain for each in plan.waiting]
    return {*(each.key for each in plan.skipped), *map(waiting_key, [*changes, *waiting])}
