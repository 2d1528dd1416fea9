#!/usr/bin/env python3
"""Create one contact and its company in HubSpot and associate them; safe to repeat."""

from __future__ import annotations

import argparse
import contextlib
import logging
import sys
from collections import Counter
from typing import Dict, List, NamedTuple, Optional, Sequence

import command
from clock import Clock
from command import Run
from contact_plan import (
    Wanted,
    made_up_email,
    one_line,
    parse_company_domain,
    parse_company_name,
    parse_email,
    warning_of_others,
)
from errors import AppError, CallRejected, Forbidden
from hubspot_client import (
    COMPANIES,
    CONTACTS,
    Account,
    Company,
    Contact,
    Created,
    HubSpotClient,
)
from lock import account_file, only_run
from preflight import Finding, look
from recent import Recent
from records import Records
from settings import ContactSettings, contact_settings
from words import clip

COMPANY_NAME = "Coding Challenge Company GmbH"
COMPANY_DOMAIN = "coding-challenge-company.com"
NAME_WIDTH = 70  # characters of a name from HubSpot that are shown

# The status of a step in the report -> how people are told.
STATUSES = {
    "found": "found",
    "created": "created",
    "associated": "made",
    "planned": "would be created",
}

log = logging.getLogger("crm_sync")


class Job(NamedTuple):
    """What every step needs. `account` is None where HubSpot does not tell it: no links then."""

    run: Run
    hubspot: HubSpotClient
    records: Records
    wanted: Wanted
    account: Optional[Account]


def main(argv: Optional[Sequence[str]] = None, clock: Optional[Clock] = None) -> int:
    arguments = command.parser(
        "Create one contact and its company in HubSpot and associate them. What is there already is"
        " found, not created again."
    )
    add = arguments.add_argument
    add(
        "--email",
        metavar="ADDRESS",
        type=command.flag_type(parse_email),
        help="of the contact (default: a made-up one, which reaches nobody)",
    )
    add("--first-name", metavar="NAME", help="of the contact (default: FIRSTNAME)")
    add("--last-name", metavar="NAME", help="of the contact (default: LASTNAME)")
    add(
        "--company-name",
        metavar="NAME",
        type=command.flag_type(parse_company_name),
        default=COMPANY_NAME,
        help="of the company, should it have to be created (default: %(default)s)",
    )
    add(
        "--company-domain",
        metavar="DOMAIN",
        type=command.flag_type(parse_company_domain),
        default=COMPANY_DOMAIN,
        help="by which the company is found (default: %(default)s)",
    )
    return command.main("contact", arguments, _run, argv, clock)


def _run(run: Run) -> str:
    settings = run.settings(contact_settings)
    wanted = _wanted(run.args, settings)
    hubspot = HubSpotClient(settings.hubspot, run.clock, run.dry_run)
    recent = None
    with contextlib.ExitStack() as stack:
        if not run.dry_run:
            account = f"{settings.hubspot.base_url} {settings.hubspot.token.reveal()}"
            stack.enter_context(only_run("contact", account, run.clock))
            recent = Recent(account_file("contact", account, ".json"), run.clock)
        stack.enter_context(run.using(hubspot.http))
        if run.args.check:
            return _check(run, hubspot, wanted)
        records = Records(run, hubspot, recent)
        return _create_all(Job(run, hubspot, records, wanted, _account(hubspot)))


def _wanted(args: argparse.Namespace, settings: ContactSettings) -> Wanted:
    """A name that is given as empty stays empty."""
    first = one_line(settings.first_name if args.first_name is None else args.first_name)
    last = one_line(settings.last_name if args.last_name is None else args.last_name)
    email = args.email or made_up_email(first, last)
    return Wanted(email, first, last, args.company_name, args.company_domain)


def _check(run: Run, hubspot: HubSpotClient, wanted: Wanted) -> str:
    def account() -> Finding:
        portal_id, ui_domain = hubspot.account()
        return Finding(True, f"HubSpot knows the key: account {portal_id} on {ui_domain}.")

    def companies() -> Finding:
        hubspot.oldest_with_domain(wanted.company_domain)
        return Finding(True, "HubSpot lets the key read companies.")

    def contacts() -> Finding:
        hubspot.contact_with_email(wanted.email)
        return Finding(True, "HubSpot lets the key read contacts.")

    checks = (account, companies, contacts)
    outcome = run.show_findings([found for check in checks for found in look(hubspot.http, check)])
    run.say(
        "Whether the key may write, only a run can show: it needs crm.objects.companies.write and"
        " crm.objects.contacts.write."
    )
    return outcome


def _account(hubspot: HubSpotClient) -> Optional[Account]:
    """None where HubSpot refuses to tell it: the work goes on without links."""
    try:
        return hubspot.account()
    except (CallRejected, Forbidden) as error:
        hubspot.http.failure = None
        log.info("%s So there are no links to the records.", error)
        return None


def _create_all(job: Job) -> str:
    job.run.report.update(steps=[], warnings=[])
    try:
        return _steps(job)
    except AppError as error:
        if not job.run.wrote:
            raise
        log.error("%s", error)
        job.run.report["error"] = str(error)
        job.run.summarise("Done in part: the next run goes on from here.")
        return "partial"
    finally:
        statuses = Counter(step["status"] for step in job.run.report["steps"])
        job.run.report["counts"] = {status: statuses[status] for status in STATUSES}


def _steps(job: Job) -> str:
    """The company comes first: else HubSpot might make one by itself for the new contact."""
    domain = job.wanted.company_domain
    companies = job.hubspot.oldest_with_domain(domain)
    contact = job.hubspot.contact_with_email(job.wanted.email)
    companies = companies or job.records.unlisted_companies(domain, contact)

    company_id = _company_step(job, companies)
    person = _contact_step(job, contact)
    if company_id is None or person is None:
        _tell(job, "association", "planned", "the contact with the company")
    else:
        linked = _association_step(job, company_id, person)
        known = {company_id, *(company.id for company in companies)}
        others = [other for other in linked if other not in known]
        if others:
            _warn(job, warning_of_others(_described(job, others), not person.existed))
    return _outcome(job)


def _company_step(job: Job, companies: Sequence[Company]) -> Optional[int]:
    """The id of the company; None in a dry run that would create it."""
    name, domain = job.wanted.company_name, job.wanted.company_domain
    if companies:
        company, others = companies[0], companies[1:]
        _tell(job, "company", "found", f"{_shown(company.name)}, {domain}", company.id)
        if others:
            ids = ", ".join(str(other.id) for other in others)
            _warn(job, f"HubSpot has more companies with the domain {domain}: {ids}.")
        return company.id
    if job.run.dry_run:
        _tell(job, "company", "planned", f"{name}, {domain}")
        return None
    created = job.records.create_company(name, domain)
    if created.existed:
        _tell(job, "company", "found", domain, created.id)
    else:
        _tell(job, "company", "created", f"{name}, {domain}", created.id)
    return created.id


def _contact_step(job: Job, contact: Optional[Contact]) -> Optional[Created]:
    """The contact; None in a dry run that would create it."""
    name, email = job.wanted.person, job.wanted.email
    if contact:
        name = " ".join(filter(None, (contact.values["firstname"], contact.values["lastname"])))
        _tell(job, "contact", "found", f"{_shown(name)}, {email}", contact.id)
        return Created(contact.id, existed=True)
    if job.run.dry_run:
        _tell(job, "contact", "planned", f"{name}, {email}")
        return None
    created = job.records.create_contact(job.wanted)
    if created.existed:
        _tell(job, "contact", "found", email, created.id)
    else:
        _tell(job, "contact", "created", f"{name}, {email}", created.id)
    return created


def _association_step(job: Job, company_id: int, contact: Created) -> List[int]:
    """The ids of all companies that the contact has in the end."""
    linked = job.hubspot.companies_of_contact(contact.id) if contact.existed else []
    status = "found" if company_id in linked else "planned" if job.run.dry_run else "associated"
    if status == "associated":
        linked = job.records.associate(contact.id, company_id)
    _tell(job, "association", status, f"the contact with the company {company_id}", contact.id)
    return linked


def _outcome(job: Job) -> str:
    statuses = {step["status"] for step in job.run.report["steps"]}
    if "planned" in statuses:
        job.run.summarise("This was a dry run: nothing has been changed.")
        return "planned"
    if statuses == {"found"}:
        job.run.summarise("Nothing to do: all of it was there.")
        return "in_sync"
    job.run.summarise("Done: HubSpot lists the company with the contact.")
    return "synced"


def _described(job: Job, company_ids: Sequence[int]) -> List[str]:
    """Each company in words; HubSpot may not tell more of it than its id."""
    known: Dict[int, Company] = {}
    with contextlib.suppress(CallRejected):
        known = {company.id: company for company in job.hubspot.companies_by_id(company_ids)}
    texts = []
    for company_id in company_ids:
        company = known.get(company_id)
        details = (
            company and company.domain,
            f"id {company_id}",
            _link(job, "company", company_id),
        )
        texts.append(f"{_shown(company and company.name)} ({', '.join(filter(None, details))})")
    return texts


def _shown(name: Optional[str]) -> str:
    return clip(one_line(name or "") or "(no name)", NAME_WIDTH)


def _tell(job: Job, step: str, status: str, words: str, record_id: Optional[int] = None) -> None:
    """One line for people, one entry for the report. An association is shown with its contact."""
    link = _link(job, step, record_id)
    number = f"id {record_id}" if record_id and step != "association" else None
    line = ", ".join(filter(None, (words, number, link)))
    colour = "" if status == "found" else "green"
    job.run.say(f"{step.capitalize()} {STATUSES[status]}: {line}", colour)
    job.run.report["steps"].append({"step": step, "status": status, "id": record_id, "link": link})


def _link(job: Job, step: str, record_id: Optional[int]) -> Optional[str]:
    if job.account is None or record_id is None:
        return None
    return job.account.link(COMPANIES if step == "company" else CONTACTS, record_id)


def _warn(job: Job, text: str) -> None:
    log.warning("%s", text)
    job.run.report["warnings"].append(text)


if __name__ == "__main__":
    sys.exit(main())
