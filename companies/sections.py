"""A plan for companies, and what came of it: sections of the report, and lines on the screen."""

from __future__ import annotations

from typing import AbstractSet, Sequence

from cli.changes import Result, conclude, rows_of
from cli.run import Run
from cli.screen import Screen
from companies.apply import Applied
from companies.decisions import Decided
from companies.limits import Change, Rules
from companies.memory import Waiting
from companies.plan import Plan, Removal, Wanted, WantedCompany
from core.clock import DAY_S
from core.errors import Outcome
from core.words import companies, count, format_date, iso_day, listing, local
from report.model import Kind, Report, Section

SHOWN_ADDED = 50  # lines on the screen; the report has all
SHOWN_REMOVED = 200
SHOWN_SKIPPED = 20
SHOWN_OPEN = 50
WAITING_HINT = "Is the domain right in HubSpot? Then it is asked for again by itself on that day."
HINT = (
    "To fix a company, open it in HubSpot and write its shop's address, such as shop.example, into"
    " “Company domain name”."
)


def report_plan(
    report: Report, decided: Decided, rules: Rules, applied: Applied | None = None
) -> None:
    """Sections and counts. `applied`: what came of the changes, None before."""
    wanted, waiting, plan = decided.wanted, decided.waiting, decided.plan
    adding, removing = rules.adding, rules.removing
    report.sections = [
        _changes(adding, Kind.ADD, plan.add, applied and applied.added),
        _changes(removing, Kind.REMOVE, plan.remove, applied and applied.removed),
        Section(
            "kept",
            _kept(adding),
            Kind.KEEP,
            ("domain", "reason"),
            [entry._asdict() for entry in plan.protected],
        ),
        Section(
            "skipped",
            "Skipped",
            Kind.DECIDE,
            ("company", "reason"),
            [entry._asdict() for entry in plan.skipped],
            linked="company",
            hint=HINT,
        ),
        _waiting(waiting, rules.ask_again_days),
        _shared(wanted),
    ]
    report.unchanged = len(plan.unchanged)
    report.counts.update(
        {
            "matching": wanted.matching,
            "wanted": plan.wanted,
            rules.listed: plan.listed,
            adding.key: len(plan.add),
            removing.key: len(plan.remove),
            "keep": len(plan.unchanged),
            "kept": len(plan.protected),
            "skipped": len(plan.skipped),
            "waiting": len(waiting),
            "shared": len(wanted.shared),
        }
    )


def _shared(wanted: Wanted) -> Section:
    """Companies that another one with the same domain stands for, whose id is `shown_by`."""
    rows = [
        {
            "hubspot_id": each.hubspot_id,
            "company": each.company,
            "domain": each.domain,
            "shown_by": wanted.companies[each.domain].hubspot_id,
        }
        for each in sorted(wanted.shared, key=lambda each: (each.domain, each.hubspot_id))
    ]
    return Section(
        "shared",
        "Companies with the domain of another",
        Kind.STEP,
        ("company", "domain", "shown_by"),
        rows,
        linked="company",
        hint="They count as one: the oldest of them, whose id is given, stands for all.",
    )


def _kept(adding: Change) -> str:
    return f"Still {adding.done.lower()} although they no longer match"


def _changes(
    change: Change,
    kind: Kind,
    entries: Sequence[WantedCompany | Removal],
    results: Sequence[Result] | None,
) -> Section:
    names = [name for name in entries[0]._fields if name != "moved_to"] if entries else []
    shown = [{name: getattr(entry, name) for name in names} for entry in entries]
    rows = rows_of(shown, results)
    title = change.to_do if results is None else change.done
    columns = ("domain", "company", "reason", "status", "error")
    return Section(change.key, title, kind, columns, rows, linked="company")


def _waiting(waiting: Sequence[Waiting], days: int) -> Section:
    rows = [
        {
            "domain": each.domain,
            "company": each.company,
            "reason": each.reason,
            "since": iso_day(each.since),
            "asked_again_on": iso_day(each.asked_at + days * DAY_S),
        }
        for each in waiting
    ]
    columns = ("domain", "company", "reason", "since", "asked_again_on")
    return Section("waiting", "Not taken", Kind.DECIDE, columns, rows, "company", WAITING_HINT)


def say_plan(
    screen: Screen, decided: Decided, news: AbstractSet[str], destination: str, rules: Rules
) -> None:
    """The whole plan in words; what is as it should be, as a number; of what waits for a person,
    that which has a key of `news`."""
    plan, adding, removing = decided.plan, rules.adding, rules.removing
    add = [(entry.domain, entry.company or "(no name)") for entry in plan.add]
    remove = [
        (entry.domain, f"{entry.company or '(no name)'}: {entry.reason}")
        if entry.hubspot_id
        else (entry.domain, entry.reason)
        for entry in plan.remove
    ]
    skipped = [
        (f"{entry.company or '(no name)'}, id {entry.hubspot_id}", entry.reason)
        if entry.hubspot_id
        else (destination, entry.reason)
        for entry in plan.skipped
        if entry.key in news
    ]
    to_add = f"{adding.title} {companies(len(add))}"
    to_remove = f"{removing.title} {companies(len(remove))}"
    screen.say_list(to_add, Kind.ADD, add, SHOWN_ADDED)
    screen.say_list(to_remove, Kind.REMOVE, remove, SHOWN_REMOVED)
    kept = f"{_kept(adding)}, {companies(len(plan.protected))}"
    screen.say_list(kept, Kind.KEEP, plan.protected, SHOWN_ADDED)
    screen.say_list(f"Skip {companies(len(skipped))}", Kind.SKIP, skipped, SHOWN_SKIPPED)
    are = "is" if len(plan.unchanged) == 1 else "are"
    screen.say(f"{len(plan.unchanged):,} {are} {adding.done.lower()} already.")
    if told := [each for each in decided.waiting if each.key in news]:
        first = format_date(
            local(min(each.asked_at for each in told) + rules.ask_again_days * DAY_S)
        )
        title = f"{destination} did not take {companies(len(told))}, and is asked again from"
        lines = [(each.domain, each.reason) for each in told]
        screen.say_list(f"{title} {first} on", Kind.WAIT, lines, SHOWN_SKIPPED)


def tell_result(
    run: Run,
    plan: Plan,
    applied: Applied,
    destination: str,
    listed: str,
    again: AbstractSet[str],
) -> Outcome:
    """What is open, and what the list read last says; return the outcome. `listed`: what is true of
    the companies that are listed, such as "followed"; `again`: see Decided. What was refused before
    is no news."""
    news = applied.news(plan, again)
    outcome = conclude(run, news) if news else Outcome.IN_SYNC
    _say_open(run.screen, plan, applied)
    if applied.unchecked:
        run.summarise(f"Not checked afterwards: {applied.unchecked}")
        return Outcome.PARTIAL
    if applied.now:
        kept = {entry.domain for entry in plan.protected}
        unwanted = sorted(applied.now.difference.surplus.keys() - kept)
        missing = applied.now.difference.missing
        run.report.checked_after = {
            "listed": applied.now.rows,
            "missing": missing,
            "unwanted": unwanted,
        }
        lists = _checked(plan.wanted, missing, unwanted, listed)
        run.summarise(f"Checked afterwards: {destination} lists {lists}")
    return outcome


def _say_open(screen: Screen, plan: Plan, applied: Applied) -> None:
    """What did not come to what was planned, a line each."""
    planned = [*(entry.domain for entry in plan.add), *(entry.domain for entry in plan.remove)]
    lines = [
        (domain, f"{result.status.replace('_', ' ')}: {result.error}")
        for domain, result in [
            *zip(planned, (*applied.added, *applied.removed)),
            *applied.lost.items(),
        ]
        if result.error
    ]
    screen.say_list(f"Not as planned, {companies(len(lines))}", Kind.SKIP, lines, SHOWN_OPEN)


def _checked(wanted: int, missing: Sequence[str], unwanted: Sequence[str], listed: str) -> str:
    number = count(wanted, "wanted company", "wanted companies")
    here = f"{'the' if wanted == 1 else 'all'} {number}"
    if missing:
        here = f"{wanted - len(missing):,} of {number}"
    text = f"{here}." if unwanted else f"{here} and none that is not wanted."
    if missing:
        text += f" Missing: {listing(missing)}."
    if unwanted:
        text += f" {listed[0].upper()}{listed[1:]} and not wanted: {listing(unwanted)}."
    return text
