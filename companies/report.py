"""A plan for companies, and what came of it: rows of the report, and lines of the screen that are
made of these rows."""

from __future__ import annotations

from typing import Collection, Iterable, Iterator, Sequence

from cli.screen import Screen
from companies.destination import Action
from companies.job import CompanyJob
from companies.matching import Change, Matching
from companies.plan import Diff, Plan, waiting_key
from companies.state import Answers
from core.words import companies, count, format_date, iso_day, listing, local
from report.model import Kind, Row, Section

SHOWN_ADDED = 50  # lines on the screen; the report has all
SHOWN_REMOVED = 200
SHOWN_SKIPPED = 20
SHOWN_OPEN = 50
SKIPPED_HINT = (
    "To fix a company, open it in HubSpot and write its shop's address, such as shop.example, into"
    " “Company domain name”."
)
WAITING_HINT = "Is the domain right in HubSpot? Then it is asked for again by itself on that day."
SHARED_HINT = "They count as one: the oldest of them, whose id is given, stands for all."

SKIPPED, SHARED = ("company", "reason"), ("company", "domain", "shown_by")
CHANGES = ("domain", "company", "reason", "status", "error")
WAITING = ("domain", "company", "reason", "since", "asked_again_on")


def fill(job: CompanyJob, plan: Plan, matching: Matching, is_over: bool = False) -> None:
    """Sections and counts. `is_over`: the changes of the plan have been made."""
    report, destination = job.run.report, job.destination
    adding, removing = destination.adding, destination.removing
    still = f"Still {destination.listed} although they no longer match"
    same = "Companies with the domain of another"
    kept = [{"domain": each.domain, "reason": each.reason} for each in plan.kept]
    skipped = [each._asdict() for each in plan.skipped]
    waiting, shared = [*_waiting(plan, matching, job.answers)], [*_shared(matching)]
    report.sections = [
        _changes(adding, Kind.ADD, plan.add, is_over, "moved_to", "reason"),
        _changes(removing, Kind.REMOVE, plan.remove, is_over, "moved_to"),
        Section("kept", still, Kind.KEEP, ("domain", "reason"), kept),
        Section("skipped", "Skipped", Kind.DECIDE, SKIPPED, skipped, "company", SKIPPED_HINT),
        Section("waiting", "Not taken", Kind.DECIDE, WAITING, waiting, "company", WAITING_HINT),
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
    title = action.done if is_over else action.to_do
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
        yield {
            "hubspot_id": each.hubspot_id,
            "company": each.company,
            "domain": each.domain,
            "shown_by": matching.companies[each.domain].hubspot_id,
        }


def show_plan(job: CompanyJob, plan: Plan, news: Collection[str]) -> None:
    """The whole plan in words; what is as it should be, as a number; of what waits for a person,
    that which has a key of `news`."""
    screen, sections, destination = job.run.screen, job.run.report.sections, job.destination
    add, remove, kept, skipped, waiting, _ = (section.rows for section in sections)
    skipped = [row for row, each in zip(skipped, plan.skipped) if each.key in news]
    waiting = [row for row in waiting if waiting_key(row["domain"]) in news]
    to_add, to_remove = destination.adding.title, destination.removing.title

    def say(title: str, kind: Kind, rows: Sequence[Row], shown: int) -> None:
        screen.say_list(title, kind, [_line(row, destination.name) for row in rows], shown)

    say(f"{to_add} {companies(len(add))}", Kind.ADD, add, SHOWN_ADDED)
    say(f"{to_remove} {companies(len(remove))}", Kind.REMOVE, remove, SHOWN_REMOVED)
    say(f"{sections[2].title}, {companies(len(kept))}", Kind.KEEP, kept, SHOWN_ADDED)
    say(f"Skip {companies(len(skipped))}", Kind.SKIP, skipped, SHOWN_SKIPPED)
    are = "is" if len(plan.unchanged) == 1 else "are"
    screen.say(f"{len(plan.unchanged):,} {are} {destination.listed} already.")
    if waiting:
        told = [each for each in plan.waiting if waiting_key(each.domain) in news]
        first = format_date(local(min(map(job.answers.asked_again_at, told))))
        title = f"{destination.name} did not take {companies(len(waiting))}, and is asked again"
        say(f"{title} from {first} on", Kind.WAIT, waiting, SHOWN_SKIPPED)


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
    """What did not come to what was planned, a line each; the same reason is told once."""
    lines: list[tuple[str, str]] = []
    said: set[str] = set()
    for each in changes:
        if each.error:
            status = each.status.replace("_", " ")
            is_new = each.error not in said
            lines.append((each.domain, f"{status}: {each.error}" if is_new else status))
            said.add(each.error)
    screen.say_list(f"Not as planned, {companies(len(lines))}", Kind.SKIP, lines, SHOWN_OPEN)


def verdict(plan: Plan, now: Diff, unwanted: Sequence[str], listed: str) -> str:
    """What the list that was read last shows, as words that follow "PredictLeads lists"."""
    number = count(plan.matching, "wanted company", "wanted companies")
    text = f"{'the' if plan.matching == 1 else 'all'} {number}"
    if now.missing:
        text = f"{plan.matching - len(now.missing):,} of {number}"
    kept = [each for each in plan.kept if each.domain in now.extra]
    for on_purpose, why in ((True, "on purpose"), (False, "for now")):
        if left := sum(each.on_purpose is on_purpose for each in kept):
            text += f", and {left:,} more that {'was' if left == 1 else 'were'} kept {why}"
    text += "." if unwanted or kept else " and none that is not wanted."
    if now.missing:
        text += f" Missing: {listing(now.missing)}."
    if unwanted:
        text += f" {listed[0].upper()}{listed[1:]} and not wanted: {listing(unwanted)}."
    return text
