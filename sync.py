#!/usr/bin/env python3
"""Let PredictLeads follow the companies that HubSpot says it should follow."""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import sys
from typing import NamedTuple, Sequence

from cli import command
from cli.changes import done, in_part
from cli.checks import collect_findings, require_ok
from cli.job import Job, run_job
from cli.progress import Progress
from cli.run import Run
from companies import explain as explaining
from companies import limits
from companies.afterwards import Destination
from companies.apply import Applied
from companies.decisions import Decided, Decisions
from companies.limits import Change, Rules
from companies.memory import CompanyMemory, open_memory
from companies.plan import Criteria, Listed, Wanted
from companies.sections import report_plan, say_plan, tell_result
from companies.source import CompanySource, criteria_settings
from core.clock import Clock
from core.domains import parse_domains
from core.errors import Outcome
from core.limits import parse_limit, parse_number, parse_number_limit
from core.log import log
from core.settings import SettingsReader
from core.words import companies, count
from hubspot_api.service import hubspot_settings
from hubspot_client import HubSpotClient
from predictleads_client import (
    PredictLeadsClient,
    Subscription,
    predictleads_settings,
)
from report.model import Finding
from state.history import History
from transport import threads
from transport.service_client import ServiceSettings

NAME, FOLLOWS, FOLLOWED = "PredictLeads", "PredictLeads follows", "followed"
FOLLOW = Change("follow", "To follow", "Followed", "Follow", "be newly followed")
UNFOLLOW = Change(
    "unfollow", "To unfollow", "Unfollowed", "Stop following", "no longer be followed"
)
UNFOLLOW_CREDITS = 1  # for each company that is no longer followed
VERBS = {FOLLOW.key: "followed", UNFOLLOW.key: "no longer followed"}
WOULD = {each.key: each.would for each in (FOLLOW, UNFOLLOW)}


class Settings(NamedTuple):
    hubspot: ServiceSettings
    predictleads: ServiceSettings
    criteria: Criteria
    rules: Rules
    keep_history_days: int


def settings(reader: SettingsReader) -> Settings:
    return Settings(
        hubspot_settings(reader),
        predictleads_settings(reader),
        criteria_settings(reader),
        Rules(
            FOLLOW,
            UNFOLLOW,
            FOLLOWED,
            max_add=reader.optional("MAX_FOLLOW", parse_number_limit),
            max_remove=reader.get("MAX_UNFOLLOW", "20%", parse_limit),
            keep=reader.get("KEEP_FOLLOWING", "", parse_domains),
            keep_setting="KEEP_FOLLOWING",
            ask_again_days=reader.get("ASK_AGAIN_DAYS", "7", parse_number),
        ),
        reader.get("KEEP_HISTORY_DAYS", "400", parse_number),
    )


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    arguments = command.parser(
        "Follow in PredictLeads the companies that match in HubSpot, stop following the others."
    )
    limits.add_flags(arguments, FOLLOW, UNFOLLOW, FOLLOWED)
    title = "Companies followed in PredictLeads"
    return command.main("companies", title, arguments, _run, argv, clock)


def _run(run: Run) -> Outcome:
    chosen = run.settings(settings)
    hubspot = HubSpotClient(chosen.hubspot, run.clock, run.dry_run)
    predictleads = PredictLeadsClient(chosen.predictleads, run.clock, run.dry_run)
    source = CompanySource(hubspot, chosen.criteria, run.clock)
    account = chosen.predictleads.account

    def check() -> list[Finding]:
        in_hubspot, in_predictleads, _ = _check_services(source, predictleads)
        return [*in_hubspot, *in_predictleads, *source.check_search()]

    def sync(memory: CompanyMemory, history: History) -> Sync:
        return Sync(run, chosen, source, predictleads, memory, history)

    job = Job(
        account,
        (hubspot.http, predictleads.http),
        chosen.keep_history_days,
        VERBS,
        check,
        lambda path: CompanyMemory(path, account, run.clock, run.dry_run),
        lambda path: open_memory(path, account).close(),
        lambda memory, history: sync(memory, history).outcome(),
        lambda memory, history: sync(memory, history).explain(run.args.explain),
    )
    return run_job(run, job)


def _check_services(
    source: CompanySource, predictleads: PredictLeadsClient
) -> tuple[list[Finding], list[Finding], Subscription | None]:
    in_hubspot, (in_predictleads, subscription) = threads.side_by_side(
        source.check, lambda: _check_subscription(predictleads)
    )
    return in_hubspot, in_predictleads, subscription


def _check_subscription(
    predictleads: PredictLeadsClient,
) -> tuple[list[Finding], Subscription | None]:
    found: list[Subscription] = []

    def check() -> Finding:
        found.append(predictleads.subscription())
        status, quota, used = found[0]
        if status != "active":
            where = "see PredictLeads > Subscription Plans"
            return Finding(False, f"The PredictLeads subscription is {status}: {where}.")
        known = quota is not None and used is not None
        credits = f", {used:,} of {quota:,} credits used this month" if known else ""
        return Finding(True, f"The PredictLeads subscription is active{credits}.")

    return collect_findings(check), next(iter(found), None)


def _accounts(source: CompanySource, in_predictleads: Sequence[Finding]) -> str:
    in_hubspot = [f"HubSpot is {source.account}."] if source.account else []
    return " ".join([*in_hubspot, *(finding.text for finding in in_predictleads)])


class Sync:
    """The story of one run: check, read, plan, show, refuse, follow, unfollow, check again."""

    def __init__(
        self,
        run: Run,
        chosen: Settings,
        source: CompanySource,
        predictleads: PredictLeadsClient,
        memory: CompanyMemory,
        history: History,
    ) -> None:
        self._run, self._rules = run, chosen.rules
        self._source, self._predictleads = source, predictleads
        destination = _destination(run, predictleads)
        self._decisions = Decisions(run, source, destination, memory, history, self._rules)

    def outcome(self) -> Outcome:
        subscription = self._demand_services()
        decided = self._decisions.decide(*self._read())
        self._report(decided)
        news = self._decisions.news(decided)
        self._say(decided, news, subscription)
        outcome = self._carry_out(decided)
        self._decisions.note_told(news, decided)
        return outcome

    def _demand_services(self) -> Subscription | None:
        """Raises AppError with all that is not in place."""
        in_hubspot, in_predictleads, subscription = _check_services(
            self._source, self._predictleads
        )
        require_ok([*in_hubspot, *in_predictleads])
        self._run.name_accounts(_accounts(self._source, in_predictleads))
        return subscription

    def _carry_out(self, decided: Decided) -> Outcome:
        run, plan = self._run, decided.plan
        refused = limits.refusals(plan, run.args, self._rules, decided.again)
        if refused:
            return run.refuse(refused)
        self._decisions.remember(decided)
        if not (plan.add or plan.remove):
            run.summarise(_in_sync(decided))
            return Outcome.IN_SYNC
        if run.dry_run:
            follows, unfollows = f"{len(plan.add):,}", f"{len(plan.remove):,}"
            return run.end_dry_run(f"{follows} would be followed, {unfollows} no longer followed")
        with run.finishing_calls():
            return self._apply(decided)

    def _read(self) -> tuple[Wanted, Listed]:
        """What should be followed and what is, read side by side."""
        clock = self._run.clock
        with Progress("HubSpot", "companies", clock) as in_hubspot, Progress(
            "PredictLeads", "companies", clock
        ) as in_predictleads:
            wanted, followings = threads.side_by_side(
                lambda: self._source.read(in_hubspot.expect, in_hubspot.advance),
                lambda: self._predictleads.followings(in_predictleads.advance),
            )
        log.info("HubSpot: %s", self._source.in_words(wanted))
        log.info("PredictLeads: %s followed now.", companies(len(followings.rows)))
        if followings.claimed is not None:
            self._warn(
                f"PredictLeads says that it follows {companies(followings.claimed)}, and lists"
                f" {len(followings.rows):,}."
            )
        if wanted.missing:
            self._warn(
                f"HubSpot counts {companies(wanted.missing)} more than it shows: they were"
                " edited during the read, or it errs. The next run will tell."
            )
        return wanted, followings.rows

    def explain(self, domains: Sequence[str]) -> Outcome:
        """Why each is followed, or is not; what the next run would do, limits aside."""
        rows = self._predictleads.followings(lambda _rows: None).rows
        explained = [self._decisions.explain(domain, rows) for domain in domains]
        for each in explained:
            for line in explaining.in_words(each, NAME, VERBS, WOULD):
                self._run.say(line)
            self._run.say()
        section = explaining.section(explained, NAME)
        return self._run.answer("What becomes of these companies, and why", [section])

    def _apply(self, decided: Decided) -> Outcome:
        applied, changes = self._decisions.apply(decided)
        self._report(decided, applied)
        changes.raise_if_nothing_written()
        return self._tell(decided, applied)

    def _report(self, decided: Decided, applied: Applied | None = None) -> None:
        report = self._run.report
        report_plan(report, decided, self._rules, applied)
        if self._run.wants_links:
            report.record_url = self._source.record_url()

    def _say(self, decided: Decided, news: set[str], subscription: Subscription | None) -> None:
        plan = decided.plan
        say_plan(self._run.screen, decided, news, NAME, self._rules)
        if plan.remove and subscription:
            missing = plan.wanted - len(plan.unchanged)
            self._say_cost(len(plan.remove), missing, subscription)

    def _say_cost(self, unfollows: int, missing: int, subscription: Subscription) -> None:
        """Telling companies with several names apart may take a credit for each that is `missing`
        from the list, or leaves it."""
        left, cost = subscription.credits_left, UNFOLLOW_CREDITS * unfollows
        price = f"Stopping to follow {companies(unfollows)} takes about {count(cost, 'credit')}"
        if left is None:
            self._run.say(f"{price}.")
            return
        quota = f"{subscription.credits_quota:,}"
        self._run.say(f"{price}; {left:,} of {quota} are left this month.")
        if cost > left:
            self._warn(f"{count(left, 'credit')} left this month: that will not last.")
        elif missing and cost + unfollows + missing > left:
            self._warn(
                f"{count(left, 'credit')} left this month: that may not last, if PredictLeads lists"
                " companies under other names than HubSpot."
            )

    def _warn(self, text: str) -> None:
        self._run.summarise(text)
        self._run.report.warnings = [*(self._run.report.warnings or []), text]

    def _tell(self, decided: Decided, applied: Applied) -> Outcome:
        run, plan, again = self._run, decided.plan, decided.again
        outcome = in_part(applied.news(plan, again))
        run.summarise(
            f"{outcome}: {companies(done(applied.added))} newly followed,"
            f" {done(applied.removed):,} no longer followed,"
            f" {len(plan.unchanged) + len(plan.protected):,} left as they were,"
            f" {len(plan.skipped):,} skipped."
        )
        return tell_result(run, plan, applied, NAME, FOLLOWED, again)


def _in_sync(decided: Decided) -> str:
    followed, wanted = len(decided.plan.unchanged), decided.plan.wanted
    if followed < wanted:
        all_wanted = count(wanted, "wanted company", "wanted companies")
        return f"Nothing to do now: PredictLeads follows {followed:,} of {all_wanted}."
    now = " now" if decided.waiting else ""
    return f"Nothing to do{now}: PredictLeads follows the {companies(wanted)} it should."


def _destination(run: Run, client: PredictLeadsClient) -> Destination:
    def listed() -> Listed:
        if run.wrote:  # without credits, say: what came of it must be told all the same
            client.http.reopen()
        return client.followings(lambda _rows: None).rows

    return Destination(
        NAME,
        FOLLOWS,
        lambda entry: client.follow(entry.domain),
        client.unfollow,
        listed,
        client.aliases_of,
    )


if __name__ == "__main__":
    sys.exit(main())
