"""A run for any destination of companies: check, read, plan, show, refuse, apply, report."""

from __future__ import annotations

import contextlib
from pathlib import Path
from typing import Collection, Sequence

from cli import changes, command, screen
from cli.job import Job, collect_findings, require_ok, run_job
from companies import aliases, explain, report
from companies.apply import Application, Applied
from companies.destination import Current, Destination
from companies.job import CompanyJob, add_flags, read_options
from companies.matching import Matching
from companies.plan import Plan, waiting_key
from companies.source import CompanySource
from companies.state import CompanyState
from core import errors, log, words
from core.clock import Clock
from hubspot_client import HubSpotClient
from report.model import DONE, NOT_REACHED, Finding
from state.history import SENT, History
from transport import threads


def main(
    destination: type[Destination], argv: Sequence[str] | None = None, clock: Clock | None = None
) -> int:
    """Run the script of a destination; returns the exit code."""
    parser = command.Flags(destination.description)
    add_flags(parser, destination)

    def work(run: command.Run) -> errors.Outcome:
        chosen = run.settings(lambda reader: read_options(destination, run.args, reader))
        hubspot = HubSpotClient(chosen.hubspot, run.clock, run.dry_run)
        service = destination(chosen.destination, run.clock, run.dry_run)
        source = CompanySource(hubspot, chosen.conditions, chosen.in_list, run.clock)
        account = chosen.destination.account

        def open_state(path: Path) -> CompanyState:
            return CompanyState(path, account, run.clock, run.dry_run, not run.args.check)

        def check_all() -> list[Finding]:
            found = [*check(source, service), *collect_findings(source.check_search)]
            if service.price:
                found.append(Finding(True, service.price))
            with contextlib.suppress(errors.AppError), contextlib.closing(
                open_state(run.state_path(account))
            ) as state:  # what is wrong with the file is another finding
                if service.check_removals and state.has_waiting_removals():
                    found.append(service.check_removals())
            return found

        def job(state: CompanyState, history: History) -> CompanyJob:
            return CompanyJob(run, chosen, source, service, state, history)

        jobs = Job(
            account=account,
            clients=(hubspot.http, service.http),
            keep_history_days=chosen.keep_history_days,
            verbs={action.key: action.done for action in (service.adding, service.removing)},
            check=check_all,
            open_state=open_state,
            sync=lambda state, history: sync(job(state, history)),
            explain=lambda state, history: explain.explain(job(state, history), run.args.explain),
        )
        return run_job(run, jobs)

    return command.main(destination.job, destination.title, parser, work, argv, clock)


def sync(job: CompanyJob) -> errors.Outcome:
    """The story of a run. Nothing is written before all of the plan is known, shown and allowed."""
    run, destination, answers = job.run, job.destination, job.answers
    require_all_in_place(job)
    matching, current = read_both_sides(job)
    if job.aliases and not run.dry_run:
        job.aliases.renew(matching.companies)

    diff = job.compare(matching, current.rows)
    plan = job.plan(matching, diff)
    changes = [each.domain for each in (*plan.add, *plan.remove)]
    refused_before = {*answers.refused(), *filter(job.state.has_waited, changes)}
    refusals = job.judge(plan, refused_before)
    waiting = keys_of(plan, refused_before)
    refusal_key = f"refused {run.report.plan}"  # the same plan is told in full once
    if refusals:
        waiting.add(refusal_key)
    news = select_news(job, waiting)
    report.fill(job, plan, matching)
    report.show_plan(job, plan, news)
    show_cost(job, plan)
    run.report.record_url = job.source.record_url()

    if refusals:
        outcome = run.refuse(refusals, is_known=refusal_key not in news)
    elif not (plan.add or plan.remove):
        job.state.remember_records(matching.companies.values())
        answers.settle(diff.unchanged, matching.companies)
        outcome = end_in_sync(job, plan)
    elif run.dry_run:
        outcome = run.end_dry_run(f"would {report.describe_plan(plan, destination)}")
    else:
        with run.finishing_calls():
            applied = apply(job, matching, plan)
        told, waiting = waiting, keys_of(applied.plan, applied.refused)
        news |= waiting - told  # by the result
        outcome = tell(job, applied, refused_before)
    job.state.notifications.mark_notified(news, waiting)
    return outcome


def check(source: CompanySource, destination: Destination) -> list[Finding]:
    in_hubspot, there = threads.side_by_side(
        source.check, lambda: collect_findings(destination.check)
    )
    return [*in_hubspot, *there]


def require_all_in_place(job: CompanyJob) -> None:
    """Raises AppError with all that is not."""
    found = check(job.source, job.destination)
    is_usable = all(each.ok for each in job.source.of_rule)
    require_ok(found, errors.AppError if is_usable else errors.SettingsError)
    account = job.source.account
    sentences = [f"HubSpot is {account}."] if account else []
    job.run.name_accounts(" ".join([*sentences, found[-1].text]))


def read_both_sides(job: CompanyJob) -> tuple[Matching, Current]:
    """What should be listed and what is."""
    name, clock = job.destination.name, job.run.clock
    with screen.Progress("HubSpot", "companies", clock) as in_hubspot, screen.Progress(
        name, "companies", clock
    ) as there:
        matching, current = threads.side_by_side(
            lambda: job.source.read(in_hubspot.expect, in_hubspot.advance),
            lambda: job.destination.fetch_current(there.advance),
        )
    rows = len(current.rows)
    log.info("HubSpot: %s", job.source.describe(matching))
    log.info("%s %s %s at the moment.", name, job.destination.verb, words.companies(rows))
    if current.claimed is not None:
        claimed = words.companies(current.claimed)
        warn(job.run, f"{name} says there are {claimed}, but its list shows {rows:,}.")
    if matching.missing:
        more = f"HubSpot counts {words.companies(matching.missing)} more than it returned, perhaps"
        warn(job.run, f"{more} because they were edited meanwhile. The next run checks again.")
    return matching, current


def show_cost(job: CompanyJob, plan: Plan) -> None:
    if plan.add and job.destination.price:
        job.run.say(job.destination.price)
    if job.destination.cost:
        questions = min(plan.matching - len(plan.unchanged), aliases.MOST_QUESTIONS)
        cost, warning = job.destination.cost(plan, questions)
        if cost:
            job.run.say(cost)
        if warning:
            warn(job.run, warning)


def end_in_sync(job: CompanyJob, plan: Plan) -> errors.Outcome:
    waiting = len(plan.waiting)
    text = "no company in HubSpot matches"
    if plan.matching:
        listed = report.describe_matching(plan.matching, waiting)
        text = f"{listed} {words.are(plan.matching)} {job.destination.listed}"
    if waiting:
        text = f"Nothing to do for now: {text}, {waiting:,} {words.are(waiting)} waiting."
    job.run.summarise(text if waiting else f"Nothing to do: {text}.")
    return errors.Outcome.IN_SYNC


def apply(job: CompanyJob, matching: Matching, plan: Plan) -> Applied:
    """Raises what made the service count as down, if nothing was written."""
    job.state.remember_records(matching.companies.values())
    application = Application(job, matching)
    applied = application.apply(plan)
    for change in (*applied.plan.add, *applied.lost):
        if change.domain in applied.refused and change.status != NOT_REACHED:
            job.answers.note_refusal(change.domain, change.status, change.error or "")
            if application.needs_payment:  # which says nothing of the company: any row may be it
                job.answers.note_name(change.domain, "")
    if applied.now:
        job.answers.settle(applied.now.unchanged, matching.companies)
    report.fill(job, applied.plan, matching, is_over=True)
    if not application.needs_payment:  # that is told of the changes
        application.changes.raise_if_nothing_written()
    return applied


def tell(job: CompanyJob, applied: Applied, refused_before: Collection[str]) -> errors.Outcome:
    """What came of it, and what the list read last says. What was refused before, and is again, is
    no news."""
    run, plan, destination, now = job.run, applied.plan, job.destination, applied.now
    known = applied.refused.intersection(refused_before)
    news = [change for change in applied.changes() if change.domain not in known]
    status = DONE if now else SENT
    added, removed = (
        sum(each.status == status for each in part) for part in (plan.add, plan.remove)
    )
    outcome = changes.conclude(
        run,
        [each.status for each in news],
        f"{'' if now else ', but not confirmed'}: {destination.adding.done}"
        f" {words.companies(added)}, {destination.removing.done} {removed:,},"
        f" left {len(plan.unchanged) + len(plan.kept):,} unchanged, skipped {len(plan.skipped):,}.",
    )
    report.show_open(run.screen, applied.changes())
    if now is None:
        run.summarise(f"The result was not checked: {applied.unchecked}")
        return errors.Outcome.PARTIAL
    unwanted = sorted(now.extra.keys() - {each.domain for each in plan.kept})
    checked = {"listed": now.rows, "missing": now.missing, "unwanted": unwanted}
    run.report.checked_after = checked
    lists = report.verdict(plan, now, unwanted, destination.listed)
    run.summarise(f"Checked: {destination.name} now {destination.verb} {lists}")
    return outcome


def select_news(job: CompanyJob, waiting: set[str]) -> set[str]:
    """Of what waits for a person, that which is to be told: all, but with --quiet only what is new
    or was told a week ago."""
    due = job.state.notifications.due(waiting)
    job.run.screen.has_news = bool(due)
    return due if job.run.args.quiet else waiting


def keys_of(plan: Plan, refused: Collection[str]) -> set[str]:
    """Of all that waits for a person. `refused`: domains of changes that were not taken."""
    changes = [each.domain for each in (*plan.add, *plan.remove) if each.domain in refused]
    domains = [*changes, *(each.domain for each in plan.waiting)]
    return {*(each.key for each in plan.skipped), *map(waiting_key, domains)}


def warn(run: command.Run, text: str) -> None:
    run.summarise(text)
    run.report.warnings = [*(run.report.warnings or []), text]
