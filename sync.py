#!/usr/bin/env python3
"""Let PredictLeads follow the companies that HubSpot says it should follow."""

from __future__ import annotations

import contextlib
import logging
import sys
from typing import List, Optional, Sequence, Tuple

import background
import command
from changes import carry_out, conclude, done, outcome_of
from clock import Clock
from command import Run
from company_checks import Services, check_search, check_services
from company_plan import (
    Criteria,
    Plan,
    Wanted,
    compare,
    domains_to_confirm,
    make_plan,
    refusals,
    spare,
)
from hubspot_client import COMPANIES, Company, HubSpotClient, Property, domain_batches
from limits import parse_limit, parse_number
from listing import show_list
from lock import only_run
from predictleads_client import Followings, PredictLeadsClient
from preflight import demand_all_ok
from progress import Progress
from settings import CompanySettings, company_settings, parse_domains
from words import alternatives, companies

LOOK_UPS_AT_ONCE = 8
SHOWN_FOLLOWS = 50  # lines on the screen; the report has all
SHOWN_UNFOLLOWS = 200
SHOWN_SKIPPED = 20

log = logging.getLogger("crm_sync")


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
        type=command.flag_type(parse_number),
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
    return command.main("companies", arguments, _run, argv, clock)


def _run(run: Run) -> str:
    settings = run.settings(company_settings)
    services = Services(
        HubSpotClient(settings.hubspot, run.clock, run.dry_run),
        PredictLeadsClient(settings.predictleads, run.clock, run.dry_run),
    )
    with contextlib.ExitStack() as stack:
        if not run.dry_run:
            account = f"{settings.predictleads.base_url} {settings.predictleads.key.reveal()}"
            stack.enter_context(only_run("companies", account, run.clock))
        stack.enter_context(run.using(*(service.http for service in services)))
        preflight = check_services(settings, services)
        if run.args.check:
            searched = check_search(settings, services.hubspot)
            return run.show_findings([*preflight.findings, *searched])
        demand_all_ok(preflight.findings)
        return _sync(run, settings, preflight.platform, services)


def _sync(
    run: Run, settings: CompanySettings, platform: Optional[Property], services: Services
) -> str:
    wanted, followings = _read(run, settings, platform, services)
    keep = settings.keep_following.union(*run.args.keep)
    difference = spare(compare(wanted, followings), keep, run.args.no_unfollow)
    evidence = _look_up(services.hubspot, domains_to_confirm(difference))
    plan = make_plan(wanted, difference, evidence)
    _report_plan(run, wanted, plan)
    if run.wants_page:
        run.report["record_url"] = services.hubspot.record_url(COMPANIES)
    _show_plan(run, plan)
    refused = refusals(
        plan,
        settings.max_unfollow if run.args.max_unfollow is None else run.args.max_unfollow,
        settings.max_follow if run.args.max_follow is None else run.args.max_follow,
        run.args.allow_empty,
    )
    if refused:
        return run.refuse(refused)
    if not (plan.follow or plan.unfollow):
        run.summarise(
            f"Nothing to do: PredictLeads follows the {companies(len(plan.keep))} it should."
        )
        return "in_sync"
    if run.dry_run:
        run.summarise("This was a dry run: nothing has been changed.")
        return "planned"
    return _apply(run, plan, services.predictleads)


def _read(
    run: Run, settings: CompanySettings, platform: Optional[Property], services: Services
) -> Tuple[Wanted, Followings]:
    """What should be followed and what is, read side by side."""
    with Progress("HubSpot", "companies", run.clock) as hubspot_progress, Progress(
        "PredictLeads", "companies", run.clock
    ) as predictleads_progress:

        def read_hubspot() -> Wanted:
            wanted = Wanted(Criteria(frozenset(settings.platforms), settings.alexa_below))
            for company in services.hubspot.companies(
                settings.platforms,
                settings.alexa_below,
                multiple=platform is not None and platform.is_multiple,
                on_total=hubspot_progress.expect,
            ):
                wanted.add(company)
                hubspot_progress.advance()
            return wanted

        wanted, followings = background.side_by_side(
            read_hubspot, lambda: services.predictleads.followings(predictleads_progress.advance)
        )
    log.info("HubSpot: %s", _found(settings, platform, wanted))
    log.info("PredictLeads: %s followed now.", companies(len(followings)))
    return wanted, followings


def _found(settings: CompanySettings, platform: Optional[Property], wanted: Wanted) -> str:
    labels = [platform.options.get(name, name) if platform else name for name in settings.platforms]
    found = (
        f"{companies(wanted.matching)} on {alternatives(labels)} with an Alexa rank under"
        f" {settings.alexa_below:,}"
    )
    skipped = len(wanted.skipped)
    shared = wanted.matching - skipped - len(wanted.companies)
    if skipped:
        found += f"; {skipped:,} {'has' if skipped == 1 else 'have'} no usable domain"
    if shared:
        found += f"; {shared:,} {'shares' if shared == 1 else 'share'} the domain of another"
    return found + "."


def _look_up(hubspot: HubSpotClient, domains: Sequence[str]) -> List[Company]:
    """What HubSpot holds of these domains, whether it matches or not."""
    if domains:
        log.info("HubSpot: a second look at %s before any is unfollowed.", companies(len(domains)))

    def look_up(batch: List[str]) -> List[Company]:
        return list(hubspot.companies_with_domains(batch))

    pages = background.run_all(look_up, list(domain_batches(domains)), LOOK_UPS_AT_ONCE)
    return [company for page in pages for company in page]


def _report_plan(run: Run, wanted: Wanted, plan: Plan) -> None:
    planned = {"status": "planned", "error": None}
    run.report["counts"] = {
        "matching": wanted.matching,
        "wanted": len(wanted.companies),
        "followed": plan.followed,
        "follow": len(plan.follow),
        "unfollow": len(plan.unfollow),
        "keep": len(plan.keep),
        "kept": len(plan.kept),
        "skipped": len(plan.skipped),
    }
    run.report["follow"] = [{**entry._asdict(), **planned} for entry in plan.follow]
    run.report["unfollow"] = [{**entry._asdict(), **planned} for entry in plan.unfollow]
    run.report["kept"] = [entry._asdict() for entry in plan.kept]
    run.report["skipped"] = [entry._asdict() for entry in plan.skipped]


def _show_plan(run: Run, plan: Plan) -> None:
    """The whole plan in words; what stays as it is, as a number."""
    follow = [(entry.domain, entry.company or "(no name)") for entry in plan.follow]
    unfollow = [
        (entry.domain, f"{entry.company or '(no name)'}: {entry.reason}")
        if entry.hubspot_id
        else (entry.domain, entry.reason)
        for entry in plan.unfollow
    ]
    show_list(run, f"Follow {companies(len(follow))}", "+", follow, SHOWN_FOLLOWS)
    show_list(run, f"Stop following {companies(len(unfollow))}", "-", unfollow, SHOWN_UNFOLLOWS)
    show_list(run, f"Keep {companies(len(plan.kept))} all the same", "=", plan.kept, SHOWN_FOLLOWS)
    skipped = [
        (f"{entry.company or '(no name)'}, id {entry.hubspot_id}", entry.reason)
        if entry.hubspot_id
        else ("PredictLeads", entry.reason)
        for entry in plan.skipped
    ]
    show_list(run, f"Skip {companies(len(skipped))}", "!", skipped, SHOWN_SKIPPED)
    run.say(f"Leave {companies(len(plan.keep))} as they are.")


def _apply(run: Run, plan: Plan, predictleads: PredictLeadsClient) -> str:
    """Follow first: should the run break off, too many are followed rather than too few."""
    follows = carry_out(run, "Follow", plan.follow, lambda entry: predictleads.follow(entry.domain))
    unfollows = carry_out(
        run, "Stop following", plan.unfollow, lambda entry: predictleads.unfollow(entry.domain)
    )
    failure = predictleads.http.failure
    is_open = conclude(run, {"follow": follows, "unfollow": unfollows}, failure)
    run.summarise(
        f"{'Done in part' if is_open else 'Done'}:"
        f" {companies(done(follows))} newly followed, {done(unfollows):,} no longer followed,"
        f" {len(plan.keep) + len(plan.kept):,} left as they were, {len(plan.skipped):,} skipped."
    )
    return outcome_of(run)


if __name__ == "__main__":
    sys.exit(main())
