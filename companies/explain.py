"""Why a company is listed, or is not: what HubSpot has, what the destination lists, what the next
run would do with it and why. The plan comes from the functions that decide in a run."""

from __future__ import annotations

from typing import Collection, Iterator, Mapping, NamedTuple, Sequence

from companies.answers import LISTED, Answer
from companies.destination import Destination
from companies.lookup import HubSpotLookup, domains_of
from companies.matching import Criteria, Matching
from companies.plan import Plan, Rows
from core.domains import display_domain, normalise_domain
from core.words import format_date, local
from hubspot_api.shapes import Company
from report.history import Next, change_row, describe_next, describe_past
from report.model import Kind, Section
from state.history import ChangeEntry


class InHubSpot(NamedTuple):
    """A company that names the domain. `how`: as its domain, as an additional one, or in a field
    that is no domain; `mismatch`: why it does not match, or None."""

    company: Company
    how: str
    mismatch: str | None


class Explained(NamedTuple):
    """`rows`: how the destination lists it; `answer`: what it last said of the company;
    `record_url`: what a company's id follows to make its address."""

    domain: str
    next: Next
    found: Sequence[InHubSpot]
    rows: Rows
    answer: Answer | None
    history: Sequence[ChangeEntry]
    record_url: str | None


def related(domains: Collection[str], rows: Rows, aliases: Mapping[str, str]) -> Rows:
    """The listed rows that may be a company of these domains, by any of their names."""
    names = {*domains, *(aliases[domain] for domain in domains if domain in aliases)}
    return {
        listed: others
        for listed, others in rows.items()
        if not names.isdisjoint(map(normalise_domain, (listed, *others)))
    }


def names_in(rows: Rows) -> set[str]:
    found = (normalise_domain(name) for row in rows.items() for name in (row[0], *row[1]))
    return {name for name in found if name}


def in_hubspot(domain: str, lookup: HubSpotLookup, criteria: Criteria) -> list[InHubSpot]:
    return [
        InHubSpot(company, _how(domain, company), criteria.mismatch(company))
        for company in lookup.naming([domain])
    ]


def _how(domain: str, company: Company) -> str:
    own = normalise_domain(company.domain)
    if own == domain:
        return "has this domain"
    if own is None and domain in domains_of(company._replace(additional_domains=None)):
        return f"names it in its domain field, {company.domain!r}, which is no usable domain"
    return f"has it as an additional domain, beside {own or company.domain or 'none'}"


def next_of(
    domain: str,
    plan: Plan,
    matching: Matching,
    found: Sequence[InHubSpot],
    rows: Rows,
    destination: Destination,
) -> Next:
    """`plan`: for the companies that have to do with the domain; `rows`: how the destination lists
    it."""
    own = {domain, *matching.domains_of(domain)}
    name, removing = destination.name, destination.removing.key
    if not_now := [each.reason for each in plan.waiting if each.domain in own]:
        return Next("nothing", f"{not_now[0].rstrip('.')}, and it is not asked for again yet")
    if own & {change.domain for change in plan.add}:
        return Next(destination.adding.key, f"it matches, and {name} does not list it")
    removed = {change.domain: change.reason or "" for change in plan.remove}
    kept = {each.domain: each.reason for each in plan.kept}
    if own & set(plan.unchanged) and domain not in {**removed, **kept}:
        return Next("nothing", f"it matches, and {name} lists it")
    for row in (domain, *sorted(rows)):
        if row in removed:
            return Next(removing, removed[row])
        if row in kept:
            return Next("nothing", kept[row])
    if any(each.mismatch is None for each in found):
        return Next("skip", "its domain field in HubSpot is no usable domain")
    reasons = [each.mismatch for each in found if each.mismatch]
    return Next("nothing", reasons[0] if reasons else "no company in HubSpot has this domain")


def describe(explained: Explained, destination: Destination) -> Iterator[str]:
    """Plain sentences."""
    name, actions = destination.name, (destination.adding, destination.removing)
    yield f"{display_domain(explained.domain)}"
    if not explained.found:
        yield "  HubSpot has no company with this domain."
    for each in explained.found:
        yield f"  HubSpot: {_company(each, explained.record_url)}"
    if not explained.rows:
        yield f"  {name} does not list it."
    for listed, others in explained.rows.items():
        known = f", with the identifier {', '.join(others)}" if others else ""
        yield f"  {name} lists it as {listed}{known}."
    yield from (f"  {line}" for line in _remembered(explained.answer, name))
    yield describe_next(explained.next, {action.key: action.would for action in actions})
    yield describe_past(explained.history, {action.key: action.was for action in actions})


def _remembered(answer: Answer | None, destination: str) -> Iterator[str]:
    if answer and answer.alias:
        told = format_date(local(answer.asked_at))
        yield f"{destination} said on {told} that it keeps it as {answer.alias}."
    if answer and answer.status != LISTED:
        yield f"Not taken since {format_date(local(answer.since))}: {answer.reason}"


def _company(each: InHubSpot, record_url: str | None) -> str:
    company = each.company
    name = company.name or "(no name)"
    link = f" {record_url}{company.id}" if record_url else ""
    verdict = f"does not match: {each.mismatch}" if each.mismatch else "matches"
    facts = f"platform {company.platform or 'none'}, Alexa rank {company.alexa or 'none'}"
    return f"{name}, id {company.id},{link} {each.how}; {facts}. It {verdict}."


def section(explained: Sequence[Explained], destination: Destination) -> Section:
    columns = ("domain", "next", "reason", "hubspot", "destination", "remembered", "history")
    rows = [_row(each, destination.name) for each in explained]
    return Section("explain", "Explained", Kind.STEP, columns, rows)


def _row(each: Explained, destination: str) -> dict[str, object]:
    return {
        "domain": each.domain,
        "next": each.next.action,
        "reason": each.next.reason,
        "fields": [],
        "hubspot": [
            {
                "id": found.company.id,
                "name": found.company.name,
                "link": f"{each.record_url}{found.company.id}" if each.record_url else None,
                "domain": found.company.domain,
                "platform": found.company.platform,
                "alexa": found.company.alexa,
                "how": found.how,
                "matches": found.mismatch is None,
                "reason": found.mismatch,
            }
            for found in each.found
        ],
        "destination": [
            {"domain": listed, "identifiers": list(others)} for listed, others in each.rows.items()
        ],
        "remembered": " ".join(_remembered(each.answer, destination)),
        "history": [change_row(change) for change in each.history],
    }
