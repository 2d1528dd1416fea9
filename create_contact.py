#!/usr/bin/env python3
"""Create one contact and its company in HubSpot and associate them; safe to repeat."""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import argparse
import contextlib
import sys
from collections import Counter
from typing import NamedTuple, Sequence

from cli import command
from cli.checks import check_machine, collect_findings
from cli.run import Run
from contact.memory import Memory
from contact.plan import (
    NewContact,
    made_up,
    one_line,
    parse_company_domain,
    parse_company_name,
    warning_of_others,
)
from contact.records import Records
from contact.settings import Settings, settings
from core.clock import Clock
from core.emails import parse_email
from core.errors import AppError, CallRejected, Forbidden, Outcome, SettingsError
from core.limits import parse_number
from core.log import log
from core.words import clip
from hubspot_api import search
from hubspot_api.shapes import COMPANIES, CONTACTS, Account, Company, Contact, Created
from hubspot_client import HubSpotClient
from report.model import Finding, Kind, Section

WAIT_S = 60  # for other runs to end
NAME_WIDTH = 70  # characters of a name from HubSpot that are shown

# The status of a step in the report -> how people are told.
IN_WORDS = {
    "found": "found",
    "created": "created",
    "associated": "made",
    "planned": "would be created",
}


class Step(NamedTuple):
    """`step`: company, contact or association; `status`: a key of IN_WORDS; `name`: of what it is
    about; `link`: to its record."""

    step: str
    status: str
    name: str
    id: int | None
    link: str | None


class Job(NamedTuple):
    """What every step needs. `account` is None where HubSpot does not tell it: no links then."""

    run: Run
    hubspot: HubSpotClient
    records: Records
    wanted: NewContact
    account: Account | None
    steps: list[Step]
    warnings: list[str]


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    arguments = command.parser(
        "Create one contact and its company in HubSpot and associate them. What is there already is"
        " found, not created again."
    )
    add = arguments.add_argument
    add(
        "--email",
        metavar="ADDRESS",
        type=command.flag_type(parse_email),
        help="of the contact; asks for --company-name and --company-domain (default: all made up)",
    )
    add("--first-name", metavar="NAME", help="of the contact (default: FIRSTNAME)")
    add("--last-name", metavar="NAME", help="of the contact (default: LASTNAME)")
    add(
        "--company-name",
        metavar="NAME",
        type=command.flag_type(parse_company_name),
        help="of the company, should it have to be created",
    )
    add(
        "--company-domain",
        metavar="DOMAIN",
        type=command.flag_type(parse_company_domain),
        help="by which the company is found",
    )
    add(
        "--wait",
        metavar="SECONDS",
        type=command.flag_type(parse_number),
        default=WAIT_S,
        help="how long to wait for another run to end (default: %(default)s)",
    )
    return command.main("contact", "A contact in HubSpot", arguments, _run, argv, clock)


def _run(run: Run) -> Outcome:
    chosen = run.settings(settings)
    wanted = _wanted(run.args, chosen)
    hubspot = HubSpotClient(chosen.hubspot, run.clock, run.dry_run)
    account = f"{chosen.hubspot.base_url} {chosen.hubspot.token.reveal()}"
    memory = None
    with contextlib.ExitStack() as stack:
        stack.enter_context(run.using(account, hubspot.http, wait_s=run.args.wait))
        if run.args.check:
            here = check_machine(run, account, lambda path: Memory(path).close())
            return run.show_findings([*_check(hubspot, wanted), *here])
        if not run.dry_run:
            memory = Memory(run.state_path(account))
            stack.enter_context(contextlib.closing(memory))
        records, found = Records(run, hubspot, memory), _account(hubspot)
        if found:
            run.name_accounts(f"HubSpot is {found}.")
        return _create_all(Job(run, hubspot, records, wanted, found, [], []))


def _wanted(args: argparse.Namespace, chosen: Settings) -> NewContact:
    """Made up if no flag gives any of it. A name that is given as empty stays empty."""
    needed = {
        "--email": args.email,
        "--company-name": args.company_name,
        "--company-domain": args.company_domain,
    }
    if {*needed.values(), args.first_name, args.last_name} == {None}:
        return made_up(chosen.first_name, chosen.last_name)
    missing = [flag for flag, value in needed.items() if value is None]
    if missing:
        raise SettingsError(
            f"Give {' and '.join(missing)} as well. Only without any flag about the person or the"
            " company both are made up."
        )
    first = chosen.first_name if args.first_name is None else args.first_name
    last = chosen.last_name if args.last_name is None else args.last_name
    return NewContact(
        args.email, one_line(first), one_line(last), args.company_name, args.company_domain
    )


def _check(hubspot: HubSpotClient, wanted: NewContact) -> list[Finding]:
    def account() -> Finding:
        return Finding(True, f"HubSpot knows the key: {hubspot.account()}.")

    def companies() -> Finding:
        hubspot.find_companies(search.naming([wanted.company_domain]))
        return Finding(True, "HubSpot lets the key read companies.")

    def contacts() -> Finding:
        hubspot.contact_with_email(wanted.email)
        return Finding(
            True,
            "HubSpot lets the key read contacts. Whether it may write, only a run can show: it"
            " needs crm.objects.companies.write and crm.objects.contacts.write.",
        )

    return collect_findings(account, companies, contacts)


def _account(hubspot: HubSpotClient) -> Account | None:
    """None where HubSpot refuses to tell it: the work goes on without links."""
    try:
        return hubspot.account()
    except (CallRejected, Forbidden) as error:
        log.info("%s So there are no links to the records.", error)
        return None


def _create_all(job: Job) -> Outcome:
    try:
        return _steps(job)
    except AppError as error:
        if not (job.run.wrote or job.records.in_doubt):
            raise
        log.error("%s", error)
        job.run.report.error = str(error)
        if job.records.in_doubt:
            job.run.summarise("Not done: the next run looks first whether the company was created.")
        else:
            job.run.summarise("Done in part: the next run goes on from here.")
        return Outcome.PARTIAL if job.run.wrote else Outcome.FAILED
    finally:
        _report_steps(job)


def _report_steps(job: Job) -> None:
    rows = [step._asdict() for step in job.steps]
    columns = ("step", "status", "name", "id")
    job.run.report.sections = [Section("steps", "Steps", Kind.STEP, columns, rows)]
    job.run.report.warnings = job.warnings
    statuses = Counter(step.status for step in job.steps)
    job.run.report.counts = {status: statuses[status] for status in IN_WORDS}


def _steps(job: Job) -> Outcome:
    """The company comes first: else HubSpot might make one by itself for the new contact."""
    contact = job.hubspot.contact_with_email(job.wanted.email)
    companies = job.records.companies(job.wanted.company_domain, contact)

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


def _company_step(job: Job, companies: Sequence[Company]) -> int | None:
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


def _contact_step(job: Job, contact: Contact | None) -> Created | None:
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


def _association_step(job: Job, company_id: int, contact: Created) -> list[int]:
    """The ids of all companies that the contact has in the end."""
    linked = job.hubspot.companies_of_contact(contact.id) if contact.existed else []
    status = "found" if company_id in linked else "planned" if job.run.dry_run else "associated"
    if status == "associated":
        linked = job.records.associate(contact, company_id)
    _tell(job, "association", status, f"the contact with the company {company_id}", contact.id)
    return linked


def _outcome(job: Job) -> Outcome:
    statuses = {step.status for step in job.steps}
    if "planned" in statuses:
        would = [step.step for step in job.steps if step.status == "planned"]
        return job.run.end_dry_run(f"{', '.join(would)} would be created")
    if statuses == {"found"}:
        job.run.summarise("Nothing to do: all of it was there.")
        return Outcome.IN_SYNC
    job.run.summarise("Done: HubSpot lists the company with the contact.")
    return Outcome.SYNCED


def _described(job: Job, company_ids: Sequence[int]) -> list[str]:
    """Each company in words; HubSpot may not tell more of it than its id."""
    known: dict[int, Company] = {}
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


def _shown(name: str | None) -> str:
    return clip(one_line(name or "") or "(no name)", NAME_WIDTH)


def _tell(job: Job, step: str, status: str, words: str, record_id: int | None = None) -> None:
    """One line for people, one entry for the report. An association is shown with its contact."""
    link = _link(job, step, record_id)
    number = f"id {record_id}" if record_id and step != "association" else None
    line = ", ".join(filter(None, (words, number, link)))
    colour = "" if status == "found" else "green"
    job.run.say(f"{step.capitalize()} {IN_WORDS[status]}: {line}", colour)
    job.steps.append(Step(step, status, words, record_id, link))


def _link(job: Job, step: str, record_id: int | None) -> str | None:
    if job.account is None or record_id is None:
        return None
    return job.account.link(COMPANIES if step == "company" else CONTACTS, record_id)


def _warn(job: Job, text: str) -> None:
    log.warning("%s", text)
    job.warnings.append(text)


if __name__ == "__main__":
    sys.exit(main())
