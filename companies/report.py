"""A plan for companies, and what came of it: rows of the report, and lines of the screen that are
made of these rows."""

from __future__ import annotations

from datetime import date
from typing import Collection, Iterable, Iterator, Sequence

from cli.screen import Screen
from companies.destination import Action, Destination
from companies.job import CompanyJob
from companies.matching import Change, Matching
from companies.plan import Diff, Plan, waiting_key
from companies.state import Answers
from core.words import are, companies, count, format_date, iso_day, listing
from report.model import Kind, Row, Section

SHOWN_ADDED = 50  # lines on the screen; the report has all
SHOWN_REMOVED = 200
SHOWN_SKIPPED = 20
SHOWN_OPEN = 50
SKIPPED_HINT = (
    "To fix a company, open it in HubSpot and enter its shop's address, such as shop.example, as"
    " “Company domain name”."
)
WAITING_HINT = "Check the domain in HubSpot. If it is right, just wait for the day shown."
SHARED_HINT = "Companies with one domain count as one company, the oldest of them."

SKIPPED, SHARED = ("company", "reason"), ("company", "domain", "counted_as")
CHANGES = ("domain", "company", "reason", "status", "error")
WAITING = ("domain", "company", "reason", "since", "asked_again_on")


def fill(job: CompanyJob, plan: Plan, matching: Matching, is_over: bool = False) -> None:
    """Sections and counts. `is_over`: the changes of the plan have been made."""
    report, destination = job.run.report, job.destination
    adding, removing = destination.adding, destination.removing
    same = "Companies that share a domain"
    kept = [{"domain": each.domain, "reason": each.reason} for each in plan.kept]
    skipped = [each._asdict() for each in plan.skipped]
    waiting, shared = [*_waiting(plan, matching, job.answers)], [*_shared(matching)]
    report.sections = [
        _changes(adding, Kind.ADD, plan.add, is_over, "moved_to", "reason"),
        _changes(removing, Kind.REMOVE, plan.remove, is_over, "moved_to"),
        Section("kept", "No longer matching but kept", Kind.KEEP, ("domain", "reason"), kept),
        Section("skipped", "Skipped", Kind.DECIDE, SKIPPED, skipped, "company", SKIPPED_HINT),
        Section("waiting", "Waiting", Kind.DECIDE, WAITING, waiting, "company", WAITING_HINT),
        Section("shared", same, Kind.STEP, SHARED, shared, "company", SHARED_HINT),
    ]
    report.unchanged = len(plan.unchanged)
    report.counts.update({each.key: len(each.rows) for each in report.sections})
    report.counts.update(
        {
            "matching": matching.total,
            "wanted": plan.matching,
            destination.listed: plan.listed,
            "keep": len(plan.unchanged),
        }
    )


def _changes(
    action: Action, kind: Kind, changes: Iterable[Change], is_over: bool, *left_out: str
) -> Section:
    rows = [
        {name: value for name, value in each._asdict().items() if name not in left_out}
        for each in changes
    ]
    title = action.done.capitalize() if is_over else f"To {action.key}"
    return Section(action.key, title, kind, CHANGES, rows, "company")


def _waiting(plan: Plan, matching: Matching, answers: Answers) -> Iterator[Row]:
    for each in plan.waiting:
        yield {
            "domain": each.domain,
            "company": matching.companies[each.domain].company,
            "reason": each.reason,
            "since": iso_day(each.since),
            "asked_again_on": iso_day(answers.asked_again_at(each)),
        }


def _shared(matching: Matching) -> Iterator[Row]:
    """Companies that another one with the same domain stands for, whose id is `shown_by`."""
    for each in sorted(matching.shared, key=lambda each: (each.domain, each.hubspot_id)):
        first = matching.companies[each.domain]
        yield {
            "hubspot_id": each.hubspot_id,
            "company": each.company,
            "domain": each.domain,
            "shown_by": first.hubspot_id,
            "counted_as": first.company,
        }


def show_plan(job: CompanyJob, plan: Plan, news: Collection[str]) -> None:
    """The whole plan in words; what is unchanged, as a number; of what needs attention, that which
    has a key of `news`."""
    screen, sections, destination = job.run.screen, job.run.report.sections, job.destination
    add, remove, kept, skipped, waiting, _ = (section.rows for section in sections)
    skipped = [row for row, each in zip(skipped, plan.skipped) if each.key in news]
    waiting = [row for row in waiting if waiting_key(row["domain"]) in news]
    adding, removing = destination.adding.key.capitalize(), destination.removing.key.capitalize()

    def say(title: str, kind: Kind, rows: Sequence[Row], shown: int) -> None:
        screen.say_list(title, kind, [_line(row, destination.name) for row in rows], shown)

    say(f"{adding} {companies(len(add))}", Kind.ADD, add, SHOWN_ADDED)
    say(f"{removing} {companies(len(remove))}", Kind.REMOVE, remove, SHOWN_REMOVED)
    still = "no longer matches but is" if len(kept) == 1 else "no longer match but are"
    say(f"{companies(len(kept))} {still} kept", Kind.KEEP, kept, SHOWN_ADDED)
    say(f"Skip {companies(len(skipped))}", Kind.SKIP, skipped, SHOWN_SKIPPED)
    if unchanged := len(plan.unchanged):
        screen.say(f"{companies(unchanged)} {are(unchanged)} already {destination.listed}.")
    if waiting:
        days = {row["asked_again_on"] for row in waiting}
        first = format_date(date.fromisoformat(min(days)))
        title = f"{companies(len(waiting))} {are(len(waiting))} waiting and will be retried"
        when = f"on {first}" if len(days) == 1 else f"from {first}"
        say(f"{title} {when}", Kind.WAIT, waiting, SHOWN_SKIPPED)


def _line(row: Row, destination: str) -> tuple[str, str]:
    """Whom a row is about, and what is said of it."""
    company, reason = row.get("company") or "(no name)", row.get("reason") or ""
    if "domain" not in row:  # of what is skipped: a company, or a row of the destination
        hubspot_id = row["hubspot_id"]
        return (f"{company}, id {hubspot_id}" if hubspot_id else destination), reason
    if "status" not in row or (reason and not row["hubspot_id"]):
        return row["domain"], reason
    return row["domain"], f"{company}: {reason}" if reason else company


def show_open(screen: Screen, changes: Iterable[Change]) -> None:
    """What did not come to what was planned, a line each; a reason is told once in a row."""
    failed = [(each.domain, each.error) for each in changes if each.error]
    above = [None, *(error for _, error in failed)]
    lines = [
        (domain, "the same" if error == last else error)
        for (domain, error), last in zip(failed, above)
    ]
    screen.say_list(f"{companies(len(lines))} had problems", Kind.SKIP, lines, SHOWN_OPEN)


def describe_plan(plan: Plan, destination: Destination) -> str:
    """Such as "follow 19 companies and unfollow 5"."""
    parts = [f"{destination.adding.key} {companies(len(plan.add))}"] if plan.add else []
    if plan.remove:
        number = f"{len(plan.remove):,}" if parts else companies(len(plan.remove))
        parts.append(f"{destination.removing.key} {number}")
    return " and ".join(parts)


def describe_matching(number: int, but: int = 0) -> str:
    """So many matching companies, `but` some of them: such as "all 54 matching companies"."""
    text = count(number, "matching company", "matching companies")
    if but:
        return f"{number - but:,} of {text}"
    return f"{'the' if number == 1 else 'all'} {text}"


def verdict(plan: Plan, now: Diff, unwanted: Sequence[str], listed: str) -> str:
    """What the list that was read last shows, as words that follow "PredictLeads now follows"."""
    text = describe_matching(plan.matching, len(now.missing))
    kept = [each for each in plan.kept if each.domain in now.extra]
    if not (unwanted or kept or now.missing or now.skipped):
        text = f"exactly the {count(plan.matching, 'matching company', 'matching companies')}"
    for on_purpose, why in ((True, "on purpose"), (False, "for now")):
        if left := sum(each.on_purpose is on_purpose for each in kept):
            text += f", and {left:,} more that {'was' if left == 1 else 'were'} kept {why}"
    text += "."
    if now.missing:
        text += f" Missing: {listing(now.missing)}."
    if unwanted:
        text += f" Still {listed} but no longer matching: {listing(unwanted)}."
    return text
