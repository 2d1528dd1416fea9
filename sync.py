#!/usr/bin/env python3
"""Let PredictLeads follow the companies that HubSpot says it should follow."""

from __future__ import annotations

import run.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import contextlib
import logging
import sys
from typing import FrozenSet, List, NamedTuple, Optional, Sequence, Tuple

from basics.domains import parse_domains
from basics.limits import Limit, Refusal, over_limit, parse_limit, parse_number_limit
from basics.outcome import Outcome
from basics.settings import SettingsReader
from basics.words import companies
from companies.plan import (
    Criteria,
    Difference,
    Listed,
    Plan,
    Wanted,
    compare,
    domains_to_confirm,
    make_plan,
    nothing_wanted,
    protect,
)
from companies.sections import Change, say_plan, sections
from companies.source import CompanySource, criteria_settings
from hubspot_client import Company, HubSpotClient, HubSpotSettings, hubspot_settings
from predictleads_client import PredictLeadsClient, PredictLeadsSettings, predictleads_settings
from run import command
from run.apply import Changes, done
from run.checks import Finding, demand_all_ok, look
from run.context import Run
from run.lock import run_lock
from run.progress import Progress
from transport import threads
from transport.clock import Clock

FOLLOW = Change("follow", "To follow", "Followed", "Follow")
UNFOLLOW = Change("unfollow", "To unfollow", "Unfollowed", "Stop following")

log = logging.getLogger("crm_sync")


class Settings(NamedTuple):
    hubspot: HubSpotSettings
    predictleads: PredictLeadsSettings
    criteria: Criteria
    max_unfollow: Limit
    max_follow: Optional[Limit]
    keep_following: FrozenSet[str]


def settings(reader: SettingsReader) -> Settings:
    return Settings(
        hubspot_settings(reader),
        predictleads_settings(reader),
        criteria_settings(reader),
        reader.get("MAX_UNFOLLOW", "20%", parse_limit),
        reader.optional("MAX_FOLLOW", parse_number_limit),
        reader.get("KEEP_FOLLOWING", "", parse_domains),
    )


def main(argv: Optional[Sequence[str]] = None, clock: Optional[Clock] = None) -> int:
    arguments = command.parser(
        "Follow in PredictLeads the companies that match in HubSpot, stop following the others."
    )
    add = arguments.add_argument
    add(
        "--max-unfollow",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to stop following more than this (default: MAX_UNFOLLOW or 20%%)",
    )
    add(
        "--max-follow",
        metavar="N",
        type=command.flag_type(parse_number_limit),
        help="refuse to follow more than this (default: MAX_FOLLOW or no limit)",
    )
    add("--no-unfollow", action="store_true", help="only follow, stop following nothing")
    add(
        "--keep",
        metavar="DOMAIN",
        type=command.flag_type(parse_domains),
        action="append",
        default=[],
        help="never stop following this company; may be given more than once",
    )
    add(
        "--allow-empty",
        action="store_true",
        help="go on even when no company in HubSpot matches",
    )
    title = "Companies followed in PredictLeads"
    return command.main("companies", title, arguments, _run, argv, clock)


def _run(run: Run) -> Outcome:
    chosen = run.settings(settings)
    hubspot = HubSpotClient(chosen.hubspot, run.clock, run.dry_run)
    predictleads = PredictLeadsClient(chosen.predictleads, run.clock, run.dry_run)
    source = CompanySource(hubspot, chosen.criteria)
    with contextlib.ExitStack() as stack:
        if not run.dry_run:
            account = f"{chosen.predictleads.base_url} {chosen.predictleads.key.reveal()}"
            stack.enter_context(run_lock("companies", account, run.clock))
        stack.enter_context(run.using(hubspot.http, predictleads.http))
        in_hubspot, in_predictleads = threads.side_by_side(
            source.check, lambda: look(lambda: _check_subscription(predictleads))
        )
        findings = [*in_hubspot, *in_predictleads]
        if run.args.check:
            return run.show_findings([*findings, *source.check_search()])
        demand_all_ok(findings)
        return _sync(run, chosen, source, predictleads)


def _check_subscription(predictleads: PredictLeadsClient) -> Finding:
    subscription = predictleads.subscription()
    if subscription.status != "active":
        return Finding(
            False,
            f"The PredictLeads subscription is {subscription.status}: see PredictLeads >"
            " Subscription Plans.",
        )
    used, quota = subscription.credits_used, subscription.credits_quota
    known = isinstance(used, int) and isinstance(quota, int)
    credits = f", {used:,} of {quota:,} credits used this month" if known else ""
    return Finding(True, f"The PredictLeads subscription is active{credits}.")


def _sync(
    run: Run, chosen: Settings, source: CompanySource, predictleads: PredictLeadsClient
) -> Outcome:
    wanted, followings = _read(run, source, predictleads)
    difference = _protect(run, chosen, compare(wanted, followings, "PredictLeads follows"))
    plan = make_plan(wanted, difference, _look_up(source, difference))
    _report_plan(run, wanted, plan)
    if run.wants_page:
        run.report.record_url = source.record_url()
    say_plan(run.screen, plan, "PredictLeads", FOLLOW, UNFOLLOW)
    refused = _refusals(run, chosen, plan)
    if refused:
        return run.refuse(refused)
    if not (plan.add or plan.remove):
        run.summarise(
            f"Nothing to do: PredictLeads follows the {companies(len(plan.unchanged))} it should."
        )
        return Outcome.IN_SYNC
    if run.dry_run:
        return run.end_dry_run()
    with run.finishing_calls():
        return _apply(run, plan, predictleads)


def _read(
    run: Run, source: CompanySource, predictleads: PredictLeadsClient
) -> Tuple[Wanted, Listed]:
    """What should be followed and what is, read side by side."""
    with Progress("HubSpot", "companies", run.clock) as in_hubspot, Progress(
        "PredictLeads", "companies", run.clock
    ) as in_predictleads:
        wanted, followings = threads.side_by_side(
            lambda: source.read(in_hubspot.expect, in_hubspot.advance),
            lambda: predictleads.followings(in_predictleads.advance),
        )
    log.info("HubSpot: %s", source.in_words(wanted))
    log.info("PredictLeads: %s followed now.", companies(len(followings)))
    return wanted, followings


def _protect(run: Run, chosen: Settings, difference: Difference) -> Difference:
    return protect(
        difference,
        chosen.keep_following.union(*run.args.keep),
        "kept on purpose (--keep or KEEP_FOLLOWING)",
        "kept on purpose (--no-unfollow)" if run.args.no_unfollow else None,
    )


def _look_up(source: CompanySource, difference: Difference) -> List[Company]:
    """What HubSpot holds now of the companies that are followed and not wanted."""
    domains = domains_to_confirm(difference)
    if domains:
        log.info("HubSpot: a second look at %s before any is unfollowed.", companies(len(domains)))
    return source.look_up(domains)


def _report_plan(run: Run, wanted: Wanted, plan: Plan) -> None:
    run.report.sections = sections(plan, FOLLOW, UNFOLLOW)
    run.report.unchanged = len(plan.unchanged)
    run.report.counts = {
        "matching": wanted.matching,
        "wanted": plan.wanted,
        "followed": plan.listed,
        "follow": len(plan.add),
        "unfollow": len(plan.remove),
        "keep": len(plan.unchanged),
        "kept": len(plan.protected),
        "skipped": len(plan.skipped),
    }


def _refusals(run: Run, chosen: Settings, plan: Plan) -> List[Refusal]:
    follows, unfollows = len(plan.add), len(plan.remove)
    max_unfollow = run.args.max_unfollow or chosen.max_unfollow
    max_follow = run.args.max_follow or chosen.max_follow
    empty = plan.listed and not plan.wanted and not run.args.allow_empty
    return [
        *over_limit(
            max_unfollow,
            companies(unfollows),
            "no longer be followed",
            "--max-unfollow",
            unfollows,
            plan.listed,
        ),
        *([nothing_wanted(plan, "followed")] if empty else []),
        *over_limit(max_follow, companies(follows), "be newly followed", "--max-follow", follows),
    ]


def _apply(run: Run, plan: Plan, predictleads: PredictLeadsClient) -> Outcome:
    """Follow first: should the run break off, too many are followed rather than too few."""
    changes = Changes(run)
    follows = changes.apply("Follow", plan.add, lambda each: predictleads.follow(each.domain))
    unfollows = changes.apply(
        "Stop following", plan.remove, lambda each: predictleads.unfollow(each.domain)
    )
    run.report.sections = sections(plan, FOLLOW, UNFOLLOW, follows, unfollows)
    run.report.counts.update(changes.counts())
    changes.demand_a_write()
    run.summarise(
        f"{'Done' if changes.are_done() else 'Done in part'}:"
        f" {companies(done(follows))} newly followed, {done(unfollows):,} no longer followed,"
        f" {len(plan.unchanged) + len(plan.protected):,} left as they were,"
        f" {len(plan.skipped):,} skipped."
    )
    changes.summarise_open()
    return changes.outcome()


if __name__ == "__main__":
    sys.exit(main())
