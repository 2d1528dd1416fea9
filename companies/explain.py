"""Why a company is followed, or is not: what HubSpot has, what the destination lists, what the next
run would do with it and why. The plan comes from the functions that decide in a run."""

from __future__ import annotations

from typing import (
    TYPE_CHECKING,
    Collection,
    Iterator,
    Mapping,
    NamedTuple,
    Sequence,
)

from companies.evidence import Evidence, names_of
from companies.plan import Criteria, Listed, Plan, Wanted
from core.domains import display_domain, normalise_domain
from core.words import format_date, local
from report.history import Next, change_row, describe_next, describe_past
from report.model import Kind, Section

if TYPE_CHECKING:
    from companies.memory import Waiting
    from hubspot_api.shapes import Company
    from state.history import ChangeEntry


class InHubSpot(NamedTuple):
    """A company that names the domain. `how`: as its domain, as an additional one, or in a field
    that is no domain; `mismatch`: why it does not match, or None."""

    company: Company
    how: str
    mismatch: str | None


class Explained(NamedTuple):
    """`rows`: how the destination lists it; `other_name`: under which it said that it keeps it, and
    when; `record_url`: what a company's id follows to make its address."""

    domain: str
    next: Next
    found: Sequence[InHubSpot]
    rows: Listed
    other_name: tuple[str, float] | None
    waiting: Waiting | None
    history: Sequence[ChangeEntry]
    record_url: str | None


def related(domains: Collection[str], rows: Listed, names: Mapping[str, str]) -> Listed:
    """The listed rows that may be a company of these domains, by any of their names. `names`:
    domain -> the other domain that its company is known to be listed under."""
    wanted = {*domains, *(names[domain] for domain in domains if domain in names)}
    return {
        listed: others
        for listed, others in rows.items()
        if not wanted.isdisjoint(map(normalise_domain, (listed, *others)))
    }


def names_in(rows: Listed) -> set[str]:
    found = (normalise_domain(name) for row in rows.items() for name in (row[0], *row[1]))
    return {name for name in found if name}


def in_hubspot(domain: str, evidence: Evidence, criteria: Criteria) -> list[InHubSpot]:
    return [
        InHubSpot(company, _how(domain, company), criteria.mismatch(company))
        for company in evidence.naming([domain])
    ]


def _how(domain: str, company: Company) -> str:
    own = normalise_domain(company.domain)
    if own == domain:
        return "has this domain"
    if own is None and domain in names_of(company._replace(additional_domains=None)):
        return f"names it in its domain field, {company.domain!r}, which is no usable domain"
    return f"has it as an additional domain, beside {own or company.domain or 'none'}"


def next_of(
    domain: str,
    plan: Plan,
    wanted: Wanted,
    waiting: Mapping[str, Waiting],
    found: Sequence[InHubSpot],
    rows: Listed,
    keys: tuple[str, str],
    destination: str,
) -> Next:
    """`plan`: for the companies that have to do with the domain; `rows`: how the destination lists
    it; `keys`: of adding and removing."""
    adding, removing = keys
    own = {domain, *wanted.domains_of(domain)}
    if not_now := [waiting[each] for each in sorted(own & waiting.keys())]:
        reason = not_now[0].reason.rstrip(".")
        return Next("nothing", f"{reason}, and it is not asked for again yet")
    if own & {entry.domain for entry in plan.add}:
        return Next(adding, f"it matches, and {destination} does not list it")
    removed = {each.domain: each.reason for each in plan.remove}
    protected = {each.domain: each.reason for each in plan.protected}
    if own & set(plan.unchanged) and domain not in {**removed, **protected}:
        return Next("nothing", f"it matches, and {destination} lists it")
    for row in (domain, *sorted(rows)):
        if row in removed:
            return Next(removing, removed[row])
        if row in protected:
            return Next("nothing", protected[row])
    if any(each.mismatch is None for each in found):
        return Next("skip", "its domain field in HubSpot is no usable domain")
    reasons = [each.mismatch for each in found if each.mismatch]
    return Next("nothing", reasons[0] if reasons else "no company in HubSpot has this domain")


def in_words(
    explained: Explained, destination: str, verbs: Mapping[str, str], would: Mapping[str, str]
) -> Iterator[str]:
    """Plain sentences. `verbs`: the key of a change -> what is said of it once it was made;
    `would`: what stands after "it would"."""
    yield f"{display_domain(explained.domain)}"
    if not explained.found:
        yield "  HubSpot has no company with this domain."
    for each in explained.found:
        yield f"  HubSpot: {_company(each, explained.record_url)}"
    if not explained.rows:
        yield f"  {destination} does not list it."
    for listed, others in explained.rows.items():
        known = f", with the identifier {', '.join(others)}" if others else ""
        yield f"  {destination} lists it as {listed}{known}."
    yield from (f"  {line}" for line in _remembered(explained, destination))
    yield describe_next(explained.next, would)
    yield describe_past(explained.history, verbs)


def _remembered(explained: Explained, destination: str) -> Iterator[str]:
    if explained.other_name:
        listed, asked_at = explained.other_name
        yield f"{destination} said on {format_date(local(asked_at))} that it keeps it as {listed}."
    if explained.waiting:
        since = format_date(local(explained.waiting.since))
        yield f"Not taken since {since}: {explained.waiting.reason}"


def _company(each: InHubSpot, record_url: str | None) -> str:
    company = each.company
    name = company.name or "(no name)"
    link = f" {record_url}{company.id}" if record_url else ""
    verdict = f"does not match: {each.mismatch}" if each.mismatch else "matches"
    facts = f"platform {company.platform or 'none'}, Alexa rank {company.alexa or 'none'}"
    return f"{name}, id {company.id},{link} {each.how}; {facts}. It {verdict}."


def section(explained: Sequence[Explained], destination: str) -> Section:
    columns = ("domain", "next", "reason", "hubspot", "destination", "remembered", "history")
    rows = [_row(each, destination) for each in explained]
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
        "remembered": " ".join(_remembered(each, destination)),
        "history": [change_row(change) for change in each.history],
    }
