#!/usr/bin/env python3
"""Let PredictLeads follow the companies that HubSpot says it should follow."""

from __future__ import annotations

import run.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import contextlib
import hashlib
import logging
import sys
from pathlib import Path
from typing import Dict, FrozenSet, List, NamedTuple, Optional, Sequence, Set, Tuple

from basics.domains import normalise_domain, parse_domains
from basics.errors import ServiceError
from basics.limits import Limit, Refusal, parse_limit, parse_number, parse_number_limit
from basics.outcome import Outcome
from basics.settings import SettingsReader
from basics.words import companies, count, day
from companies import explain as explaining
from companies import limits, verdict
from companies.afterwards import Afterwards, Destination
from companies.apply import Application, Applied
from companies.evidence import Evidence
from companies.memory import DAY_S, CompanyMemory, Waiting, open_memory
from companies.plan import (
    Criteria,
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
from companies.sections import (
    Change,
    plan_sections,
    say_plan,
    say_waiting,
    shared_section,
    tell_result,
    waiting_section,
)
from companies.source import CompanySource, criteria_settings
from hubspot_client import HubSpotClient, HubSpotSettings, hubspot_settings
from predictleads_client import (
    Followings,
    PredictLeadsClient,
    PredictLeadsSettings,
    Subscription,
    predictleads_settings,
)
from run import command
from run.apply import done, in_part
from run.checks import Finding, demand_all_ok, look
from run.context import Run
from run.files import account_file
from run.history import SENT, History
from run.lock import run_lock
from run.past import recent, recorded, say_history
from run.progress import Progress
from run.readiness import check_here
from transport import threads
from transport.clock import Clock

NAME, FOLLOWS, FOLLOWED = "PredictLeads", "PredictLeads follows", "followed"
FOLLOW = Change("follow", "To follow", "Followed", "Follow", "be newly followed")
UNFOLLOW = Change(
    "unfollow", "To unfollow", "Unfollowed", "Stop following", "no longer be followed"
)
UNFOLLOW_CREDITS = 1  # for each company that is no longer followed
DOUBT = "doubt"  # noted beside the changes: see Afterwards.nameless
VERBS = {FOLLOW.key: "followed", UNFOLLOW.key: "no longer followed"}
WOULD = {each.key: each.would for each in (FOLLOW, UNFOLLOW)}
VANISHED = (verdict.UNLISTED, "PredictLeads does not list it any more, since others were followed")

log = logging.getLogger("crm_sync")


class Settings(NamedTuple):
    """`ask_again_days`: how long a company that PredictLeads did not take is left alone."""

    hubspot: HubSpotSettings
    predictleads: PredictLeadsSettings
    criteria: Criteria
    max_unfollow: Limit
    max_follow: Optional[Limit]
    keep_following: FrozenSet[str]
    ask_again_days: int
    keep_history_days: int


def settings(reader: SettingsReader) -> Settings:
    return Settings(
        hubspot_settings(reader),
        predictleads_settings(reader),
        criteria_settings(reader),
        reader.get("MAX_UNFOLLOW", "20%", parse_limit),
        reader.optional("MAX_FOLLOW", parse_number_limit),
        reader.get("KEEP_FOLLOWING", "", parse_domains),
        reader.get("ASK_AGAIN_DAYS", "7", parse_number),
        reader.get("KEEP_HISTORY_DAYS", "400", parse_number),
    )


def main(argv: Optional[Sequence[str]] = None, clock: Optional[Clock] = None) -> int:
    arguments = command.parser(
        "Follow in PredictLeads the companies that match in HubSpot, stop following the others."
    )
    limits.add_flags(arguments, FOLLOW, UNFOLLOW)
    arguments.add_argument(
        "--state",
        metavar="PATH",
        type=Path,
        help="file that remembers other names, refusals and runs (default: one for each API key)",
    )
    command.add_questions(
        arguments, "DOMAIN", _parse_domain, "why a company is followed, or is not"
    )
    title = "Companies followed in PredictLeads"
    return command.main("companies", title, arguments, _run, argv, clock)


def _parse_domain(text: str) -> str:
    domain = normalise_domain(text)
    if domain is None:
        raise ValueError("a domain such as shop.example")
    return domain


def _run(run: Run) -> Outcome:
    chosen = run.settings(settings)
    hubspot = HubSpotClient(chosen.hubspot, run.clock, run.dry_run)
    predictleads = PredictLeadsClient(chosen.predictleads, run.clock, run.dry_run)
    source = CompanySource(hubspot, chosen.criteria)
    account = f"{chosen.predictleads.base_url} {chosen.predictleads.key.reveal()}"
    with contextlib.ExitStack() as stack:
        if not run.dry_run:
            stack.enter_context(run_lock("companies", account, run.clock))
        stack.enter_context(run.using(hubspot.http, predictleads.http))
        if run.args.history or run.args.explain:
            return _answer(run, _sync(run, chosen, source, predictleads, account, stack))
        in_hubspot, (in_predictleads, subscription) = threads.side_by_side(
            source.check, lambda: _check_subscription(predictleads)
        )
        findings = [*in_hubspot, *in_predictleads]
        if run.args.check:
            here = check_here(run, account, lambda path: _open(path, account))
            return run.show_findings([*findings, *source.check_search(), *here])
        demand_all_ok(findings)
        run.name_accounts(_accounts(source, in_predictleads))
        sync = _sync(run, chosen, source, predictleads, account, stack)
        days = chosen.keep_history_days
        return recorded(run, sync.history, days, lambda: sync.outcome(subscription))


def _sync(
    run: Run,
    chosen: Settings,
    source: CompanySource,
    predictleads: PredictLeadsClient,
    account: str,
    stack: contextlib.ExitStack,
) -> Sync:
    memory = stack.enter_context(contextlib.closing(_memory(run, account)))
    return Sync(run, chosen, source, predictleads, memory, History(memory, run.clock))


def _answer(run: Run, sync: Sync) -> Outcome:
    """To a question about earlier runs, or about single companies."""
    if run.args.history:
        return say_history(run, sync.history, run.args.history, VERBS)
    return sync.explain(run.args.explain)


def _check_subscription(
    predictleads: PredictLeadsClient,
) -> Tuple[List[Finding], Optional[Subscription]]:
    found: List[Subscription] = []

    def check() -> Finding:
        found.append(predictleads.subscription())
        status, quota, used = found[0]
        if status != "active":
            where = "see PredictLeads > Subscription Plans"
            return Finding(False, f"The PredictLeads subscription is {status}: {where}.")
        known = quota is not None and used is not None
        credits = f", {used:,} of {quota:,} credits used this month" if known else ""
        return Finding(True, f"The PredictLeads subscription is active{credits}.")

    return look(check), next(iter(found), None)


def _accounts(source: CompanySource, in_predictleads: Sequence[Finding]) -> str:
    in_hubspot = [f"HubSpot is {source.account}."] if source.account else []
    return " ".join([*in_hubspot, *(finding.text for finding in in_predictleads)])


def _memory(run: Run, account: str) -> CompanyMemory:
    path = run.args.state or account_file("companies", account, ".sqlite3", make=not run.dry_run)
    return CompanyMemory(path, _hash(account), run.clock, run.dry_run)


def _open(path: Path, account: str) -> None:
    open_memory(path, _hash(account), dry_run=True).close()


def _hash(account: str) -> str:
    return hashlib.sha256(account.encode()).hexdigest()


class Sync:
    """The story of one run: read, plan, show, refuse, follow, unfollow, check."""

    def __init__(
        self,
        run: Run,
        chosen: Settings,
        source: CompanySource,
        predictleads: PredictLeadsClient,
        memory: CompanyMemory,
        history: History,
    ) -> None:
        self._run, self._settings = run, chosen
        self._source, self._predictleads = source, predictleads
        self._memory, self.history = memory, history
        self._subscription: Optional[Subscription] = None
        self._wanted = Wanted(chosen.criteria)
        # Domains that PredictLeads has accepted and does not list, and nobody can tell why: lately,
        # and for so long that they hold nothing back any more.
        self._nameless, self._given_up = memory.noted(DOUBT, chosen.ask_again_days)

    def outcome(self, subscription: Optional[Subscription]) -> Outcome:
        self._subscription = subscription
        difference = self._compare(self._read())
        waiting = self._waiting(difference)
        plan = self._plan(difference, waiting)
        self._report(plan, waiting)
        news = self._news(plan, waiting)
        self._say(plan, waiting, news)
        outcome = self._carry_out(plan, waiting, difference)
        self._note_told(news, plan, waiting)
        return outcome

    def _carry_out(self, plan: Plan, waiting: Sequence[Waiting], difference: Difference) -> Outcome:
        run = self._run
        refused = self._refusals(plan)
        if refused:
            return run.refuse(refused)
        self._remember(difference)
        if not (plan.add or plan.remove):
            run.summarise(_in_sync(plan))
            return Outcome.IN_SYNC
        if run.dry_run:
            follows, unfollows = f"{len(plan.add):,}", f"{len(plan.remove):,}"
            return run.end_dry_run(f"{follows} would be followed, {unfollows} no longer followed")
        with run.finishing_calls():
            return self._apply(plan, waiting)

    def _read(self) -> Followings:
        """What should be followed and what is, read side by side."""
        clock = self._run.clock
        with Progress("HubSpot", "companies", clock) as in_hubspot, Progress(
            "PredictLeads", "companies", clock
        ) as in_predictleads:
            self._wanted, followings = threads.side_by_side(
                lambda: self._source.read(in_hubspot.expect, in_hubspot.advance),
                lambda: self._predictleads.followings(in_predictleads.advance),
            )
        log.info("HubSpot: %s", self._source.in_words(self._wanted))
        log.info("PredictLeads: %s followed now.", companies(len(followings.rows)))
        if followings.claimed is not None:
            self._warn(
                f"PredictLeads says that it follows {companies(followings.claimed)}, and lists"
                f" {len(followings.rows):,}."
            )
        if self._wanted.missing:
            self._warn(
                f"HubSpot counts {companies(self._wanted.missing)} more than it shows: they were"
                " edited during the read, or it errs. The next run will tell."
            )
        return followings

    def _compare(self, followings: Followings) -> Difference:
        difference = compare(self._wanted, followings.rows, FOLLOWS)
        return limits.leave(
            found_under(difference, self._other_names(), self._wanted),
            self._run.args,
            self._settings.keep_following,
            "KEEP_FOLLOWING",
            UNFOLLOW,
        )

    def _other_names(self) -> Dict[str, str]:
        """Under which other domains companies are listed; what was learnt long ago is asked again,
        one credit for each."""
        names, days = self._memory.other_names(), self._settings.ask_again_days
        stale = [] if self._run.dry_run else self._memory.stale_names(days)
        for domain in (each for each in stale if each in self._wanted.companies):
            if names[domain] == domain:
                continue
            try:
                listed = list(map(normalise_domain, self._predictleads.listed_under(domain)))
            except ServiceError as error:
                log.info("%s The names that are known will do.", error)
                break
            if names[domain] in listed:
                self._memory.remember_names({domain: names[domain]})
            else:
                self._memory.forget_names([domain])
                del names[domain]
        return names

    def explain(self, domains: Sequence[str]) -> Outcome:
        """Why each is followed, or is not; what the next run would do, limits aside."""
        rows = self._predictleads.followings(lambda _rows: None).rows
        explained = [self._explained(domain, rows) for domain in domains]
        for each in explained:
            for line in explaining.in_words(each, NAME, VERBS, WOULD):
                self._run.say(line)
            self._run.say()
        self._run.report.sections = [explaining.section(explained)]
        return Outcome.PLANNED

    def _explained(self, domain: str, all_rows: Listed) -> explaining.Explained:
        names = self._memory.other_names()
        rows = explaining.related([domain], all_rows, names)
        domains = sorted({domain}.union(explaining.names_in(rows)))
        evidence = self._source.evidence(domains, self._memory.records(domains))
        self._wanted = Wanted(self._settings.criteria)
        for company in evidence.companies():
            self._wanted.add(company)
        rows = explaining.related([domain, *self._wanted.all_domains()], all_rows, names)
        difference = self._compare(Followings(dict(rows), None))
        waiting = self._waiting(difference)
        plan = self._plan(difference, waiting)
        found = explaining.in_hubspot(domain, evidence, self._settings.criteria)
        keys = (FOLLOW.key, UNFOLLOW.key)
        by_domain = {each.domain: each for each in waiting}
        coming = explaining.next_of(domain, plan, self._wanted, by_domain, found, keys, NAME)
        return explaining.Explained(
            domain,
            coming,
            found,
            explaining.related([domain], all_rows, names),
            by_domain.get(domain),
            self.history.changes_of(domain),
            self._source.record_url(),
        )

    def _waiting(self, difference: Difference) -> List[Waiting]:
        """What PredictLeads did not take lately, and is not asked for again yet."""
        days = self._settings.ask_again_days
        follow = self._memory.waiting(FOLLOW.key, days)
        unfollow = self._memory.waiting(UNFOLLOW.key, days)
        return [
            *(follow[domain] for domain in difference.missing if domain in follow),
            *(unfollow[domain] for domain in sorted(difference.surplus) if domain in unfollow),
        ]

    def _plan(self, difference: Difference, waiting: Sequence[Waiting]) -> Plan:
        not_now = {each.domain for each in waiting}
        surplus = {
            domain: names for domain, names in difference.surplus.items() if domain not in not_now
        }
        return make_plan(
            self._wanted,
            difference._replace(surplus=surplus),
            self._look_up(surplus),
            not_now,
            [each for each in self._nameless if each in self._wanted.companies],
            NAME,
        )

    def _look_up(self, surplus: Listed) -> Evidence:
        """What HubSpot holds now of the companies that are followed and not wanted."""
        domains = names_to_confirm(surplus)
        if domains and not self._run.wrote:  # else it has been told
            number = companies(len(domains))
            log.info("HubSpot: a second look at %s before any is unfollowed.", number)
        return self._source.evidence(domains, self._memory.records(domains))

    def _refusals(self, plan: Plan) -> List[Refusal]:
        chosen, args = self._settings, self._run.args
        max_add, max_remove = chosen.max_follow, chosen.max_unfollow
        return limits.refusals(plan, args, FOLLOW, UNFOLLOW, max_add, max_remove, FOLLOWED)

    def _apply(self, plan: Plan, waiting: Sequence[Waiting]) -> Outcome:
        run, names, destination = self._run, self._memory.other_names(), self._destination(plan)
        afterwards = Afterwards(destination, self._wanted, names, self._nameless, run.clock)
        application = Application(
            run, destination, self._wanted, self._look_up, afterwards, self._given_up
        )
        applied = application.apply(plan, FOLLOW.title, UNFOLLOW.title)
        self._note(plan, applied, afterwards)
        self._report(plan, waiting, applied)
        application.changes.demand_a_write()
        return self._tell(plan, applied)

    def _destination(self, plan: Plan) -> Destination:
        """Every change is noted before it is made, so that a run that is killed has left it."""
        client, note = self._predictleads, self.history.note
        removals = {entry.domain: entry for entry in plan.remove}

        def follow(entry: WantedCompany) -> None:
            note(FOLLOW.key, entry.domain, entry.company, entry.hubspot_id, None, SENT)
            client.follow(entry.domain)

        def unfollow(domain: str) -> None:
            entry = removals[domain]
            note(UNFOLLOW.key, domain, entry.company, entry.hubspot_id, entry.reason, SENT)
            client.unfollow(domain)

        def listed() -> Listed:
            return client.followings(lambda _rows: None).rows

        return Destination(NAME, FOLLOWS, follow, unfollow, listed, client.listed_under)

    def _note(self, plan: Plan, applied: Applied, afterwards: Afterwards) -> None:
        """What later runs should know."""
        memory, now = self._memory, applied.now
        if now is None:
            return
        memory.remember_names(afterwards.found)
        memory.note(FOLLOW.key, verdict.refused(plan.add, applied.added))
        memory.note(UNFOLLOW.key, verdict.refused(plan.remove, applied.removed))
        wanted = self._wanted.companies
        vanished = [wanted[domain] for domain in now.lacks(set(plan.unchanged))]
        memory.note(FOLLOW.key, [(each.domain, each.company, *VANISHED) for each in vanished])
        nameless = afterwards.nameless(now)
        memory.note(DOUBT, [(each, wanted[each].company, *VANISHED) for each in nameless])
        self.history.judge(FOLLOW.key, verdict.statuses(plan.add, applied.added))
        self.history.judge(UNFOLLOW.key, verdict.statuses(plan.remove, applied.removed))
        self._remember(now.difference)

    def _remember(self, difference: Difference) -> None:
        present, surplus = set(difference.unchanged), difference.surplus
        wanted = self._wanted.companies
        self._memory.remember_records(wanted.values())
        self._memory.forget(FOLLOW.key, lambda each: each in present or each not in wanted)
        self._memory.forget(DOUBT, lambda each: each in present or each not in wanted)
        self._memory.forget(UNFOLLOW.key, lambda each: each not in surplus)

    def _report(
        self, plan: Plan, waiting: Sequence[Waiting], applied: Optional[Applied] = None
    ) -> None:
        report = self._run.report
        report.sections = [
            *plan_sections(
                plan, FOLLOW, UNFOLLOW, applied and applied.added, applied and applied.removed
            ),
            waiting_section(waiting, self._settings.ask_again_days),
            shared_section(self._wanted),
        ]
        report.unchanged = len(plan.unchanged)
        report.total = applied.now.rows if applied and applied.now else plan.listed
        report.counts.update(
            {
                "matching": self._wanted.matching,
                "wanted": plan.wanted,
                "followed": plan.listed,
                "follow": len(plan.add),
                "unfollow": len(plan.remove),
                "keep": len(plan.unchanged),
                "kept": len(plan.protected),
                "skipped": len(plan.skipped),
                "waiting": len(waiting),
                "shared": len(self._wanted.shared),
            }
        )
        if self._run.wants_links:
            report.record_url = self._source.record_url()
            report.total_name = "Companies followed"
            now = self._run.clock.utcnow().timestamp()
            report.history = recent(self.history, now, VERBS)

    def _news(self, plan: Plan, waiting: Sequence[Waiting]) -> Set[str]:
        """Of what waits for a person, the keys of what is to be told: all, but with --quiet only
        what is new or was told a week ago."""
        run, keys = self._run, _keys(plan, waiting)
        if not run.args.quiet:
            return keys
        due = self._memory.due(keys)
        run.screen.has_news = bool(due)
        return due

    def _note_told(self, news: Set[str], plan: Plan, waiting: Sequence[Waiting]) -> None:
        """What PredictLeads has refused in this run was told by it. A dry run tells nothing that
        the mail of the next run would then leave out."""
        if not self._run.dry_run:
            days, before = self._settings.ask_again_days, _keys(plan, waiting)
            refused = [self._memory.waiting(each.key, days) for each in (FOLLOW, UNFOLLOW)]
            now = _keys(plan, [each for found in refused for each in found.values()])
            self._memory.note_told(news | (now - before), before | now)

    def _say(self, plan: Plan, waiting: Sequence[Waiting], news: Set[str]) -> None:
        skipped = tuple(each for each in plan.skipped if each.key in news)
        say_plan(self._run.screen, plan._replace(skipped=skipped), NAME, FOLLOW, UNFOLLOW)
        told = [each for each in waiting if each.key in news]
        if told:
            first = min(each.asked_at for each in told) + self._settings.ask_again_days * DAY_S
            say_waiting(self._run.screen, told, NAME, day(first))
        if plan.remove and self._subscription:
            self._say_cost(len(plan.remove), self._subscription)

    def _say_cost(self, unfollows: int, subscription: Subscription) -> None:
        left, cost = subscription.credits_left, UNFOLLOW_CREDITS * unfollows
        if left is None:
            return
        self._run.say(
            f"Stopping to follow {companies(unfollows)} takes about {count(cost, 'credit')};"
            f" {left:,} of {subscription.credits_quota:,} are left this month."
        )
        if cost > left:
            self._warn(f"{count(left, 'credit')} left this month: that will not last.")

    def _warn(self, text: str) -> None:
        self._run.summarise(text)
        self._run.report.warnings = [*(self._run.report.warnings or []), text]

    def _tell(self, plan: Plan, applied: Applied) -> Outcome:
        run = self._run
        results = [*applied.added, *applied.removed]
        run.summarise(
            f"{in_part(results)}: {companies(done(applied.added))} newly followed,"
            f" {done(applied.removed):,} no longer followed,"
            f" {len(plan.unchanged) + len(plan.protected):,} left as they were,"
            f" {len(plan.skipped):,} skipped."
        )
        return tell_result(run, plan, applied, NAME, FOLLOWED)


def _in_sync(plan: Plan) -> str:
    if len(plan.unchanged) < plan.wanted:
        all_wanted = count(plan.wanted, "wanted company", "wanted companies")
        return f"Nothing to do now: PredictLeads follows {len(plan.unchanged):,} of {all_wanted}."
    return f"Nothing to do: PredictLeads follows the {companies(plan.wanted)} it should."


def _keys(plan: Plan, waiting: Sequence[Waiting]) -> Set[str]:
    """Of all that waits for a person."""
    return {*(each.key for each in plan.skipped), *(each.key for each in waiting)}


if __name__ == "__main__":
    sys.exit(main())
