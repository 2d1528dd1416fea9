"""Why a company is listed or not: what HubSpot has, what the destination lists, what the next run
will do with it and why. The plan comes from the functions that decide in a run."""

from __future__ import annotations

from typing import Any, Collection, Iterator, Mapping, Sequence

from cli.job import require_ok
from companies.destination import Destination
from companies.job import CompanyJob
from companies.matching import Criteria, Matching, domains_of
from companies.plan import LISTED, Answer, Plan, Rows, names_of
from core import addresses, errors, words
from hubspot_api.shapes import Company
from report.history import Next, change_row, describe_next, describe_past
from report.model import Kind, Section


def explain(job: CompanyJob, domains: Sequence[str]) -> errors.Outcome:
    """Why each is listed or not; what the next run would do, limits aside."""
    job.source.read_rule()
    require_ok(job.source.of_rule, errors.SettingsError)
    all_rows = job.destination.fetch_current(lambda _number: None).rows
    rows: list[dict[str, Any]] = []
    done = {each.key: each.done for each in (job.destination.adding, job.destination.removing)}
    for domain in domains:
        coming, row = _explain(job, domain, all_rows)
        changes = job.history.changes_of(domain)
        who, *facts = _describe(row, job.destination, job.source.criteria)
        lines = [who, describe_next(coming, done), *facts, describe_past(changes, done)]
        job.run.explain(lines, row["hubspot"])
        remembered, history = " ".join(row["remembered"]), [*map(change_row, changes)]
        rows.append({**row, "remembered": remembered, "history": history})
    columns = ("domain", "next", "reason", "hubspot", "destination", "remembered", "history")
    section = Section("explain", "Explained", Kind.STEP, columns, rows)
    return job.run.answer("What happens to these companies, and why", [section])


def _explain(job: CompanyJob, domain: str, all_rows: Rows) -> tuple[Next, dict[str, Any]]:
    aliases, url = job.answers.aliases(), job.source.record_url()
    rows = _related([domain], all_rows, aliases)
    domains = sorted({domain, *_names_in(rows)})
    lookup = job.source.look_up(domains, job.state.records(domains), wait=False)
    matching = Matching(job.source.criteria)
    for company in lookup.by_id.values():
        matching.add(company)
    names = {domain, *matching.companies, *matching.additional}
    diff = job.compare(matching, _related(names, all_rows, aliases))
    listed = _names_in(all_rows)
    waiting = [each for each in job.answers.waiting() if aliases.get(each, each) not in listed]
    is_known = set(names_of(diff.extra)) <= set(domains)
    plan = job.plan(matching, diff, lookup if is_known else None, waiting)
    found = lookup.naming([domain])
    mismatches = [matching.criteria.mismatch(company) for company in found]
    coming = _next(domain, plan, matching, mismatches, rows, job)
    in_hubspot = [
        {
            "id": company.id,
            "name": company.name,
            "link": f"{url}{company.id}" if url else None,
            "domain": company.domain,
            "facts": {of.name: company.values[of.name] for _, of in matching.criteria.conditions},
            "how": _how(domain, company),
            "matches": mismatch is None,
            "reason": mismatch,
        }
        for company, mismatch in zip(found, mismatches)
    ]
    remembered = _remembered(job.answers.by_domain.get(domain), job.destination.name)
    return coming, {
        "domain": domain,
        "next": coming.action,
        "reason": coming.reason,
        "fields": [],
        "hubspot": in_hubspot,
        "destination": [{"domain": own, "identifiers": [*ids]} for own, ids in rows.items()],
        "remembered": [*remembered],
    }


def _related(domains: Collection[str], rows: Rows, aliases: Mapping[str, str]) -> Rows:
    """The listed rows that may be a company of these domains, by any of their names."""
    names = {*domains, *(aliases[domain] for domain in domains if domain in aliases)}
    return {
        listed: others
        for listed, others in rows.items()
        if not names.isdisjoint(map(addresses.normalise_domain, (listed, *others)))
    }


def _names_in(rows: Rows) -> set[str]:
    return {name for each in names_of(rows) if (name := addresses.normalise_domain(each))}


def _how(domain: str, company: Company) -> str:
    own = addresses.normalise_domain(company.domain)
    if own == domain:
        return "has this domain"
    if own is None and domain in domains_of(company._replace(additional_domains=None)):
        return f"has {company.domain!r} in its domain field, which is not a domain"
    return f"has it as an additional domain (its own: {own or company.domain or 'none'})"


def _next(
    domain: str,
    plan: Plan,
    matching: Matching,
    mismatches: Sequence[str | None],
    rows: Rows,
    job: CompanyJob,
) -> Next:
    """`plan`: for the companies that have to do with the domain; `mismatches`: why those that name
    it do not match; `rows`: how the destination lists it."""
    own, destination = {domain, *matching.domains_of(domain)}, job.destination
    for each in plan.waiting:
        if each.domain in own:
            again = words.format_date(words.local(job.answers.asked_again_at(each)))
            return Next("nothing", f"it will be retried on {again}: {each.reason}")
    if own & {change.domain for change in plan.add}:
        return Next(destination.adding.key, f"it matches and is not {destination.listed} yet")
    removing = destination.removing.key
    rows_to_come = {each.domain: Next(removing, each.reason or "") for each in plan.remove}
    rows_to_come.update((each.domain, Next("nothing", each.reason)) for each in plan.kept)
    if own & set(plan.unchanged) and domain not in rows_to_come:
        return Next("nothing", f"it matches and is already {destination.listed}")
    for row in (domain, *sorted(rows)):
        if row in rows_to_come:
            return rows_to_come[row]
    if None in mismatches:
        return Next("skip", next(each.reason for each in plan.skipped if each.hubspot_id))
    return Next("nothing", next(filter(None, mismatches), "no company in HubSpot has this domain"))


def _describe(
    row: Mapping[str, Any], destination: Destination, criteria: Criteria
) -> Iterator[str]:
    """What there is, in plain sentences."""
    yield addresses.display_domain(row["domain"])
    if not row["hubspot"]:
        yield "  HubSpot has no company with this domain."
    for each in row["hubspot"]:
        link = f" {each['link']}" if each["link"] else ""
        who = f"{each['name'] or '(no name)'}, id {each['id']},{link} {each['how']}"
        rule = [of for _, of in criteria.conditions]
        shown = (f"{of.label} {of.show(each['facts'][of.name]) or 'none'}" for of in rule)
        facts = ", ".join(dict.fromkeys(shown))
        verdict = "matches" if each["matches"] else f"does not match: {each['reason']}"
        yield f"  HubSpot: {who}; {facts}. It {verdict}."
    if not row["destination"]:
        yield f"  {destination.name}: it is not {destination.listed}."
    for each in row["destination"]:
        ids = each["identifiers"]
        known = f", also as {', '.join(ids)}" if ids else ""
        yield f"  {destination.name}: it is {destination.listed} as {each['domain']}{known}."
    yield from (f"  {sentence}" for sentence in row["remembered"])


def _remembered(answer: Answer | None, destination: str) -> Iterator[str]:
    if answer and answer.alias:
        day = words.format_date(words.local(answer.asked_at))
        yield f"{destination} listed it as {answer.alias} on {day}."
    if answer and answer.status != LISTED:
        since = words.format_date(words.local(answer.since))
        yield f"It has been waiting since {since}: {answer.reason}"
