#!/usr/bin/env python3
"""Create one contact and its company in HubSpot and associate them; safe to repeat."""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import contextlib
import sys
from typing import Callable, Sequence

from cli import command, job
from contact import plan
from contact.plan import NewContact, Step, one_line
from contact.records import Memory, Records
from core import errors, limits, log, words
from core.addresses import parse_domain, parse_email, shared_host
from core.clock import Clock
from core.settings import SettingsReader
from hubspot_api.shapes import COMPANIES, CONTACTS, Company, Created
from hubspot_client import HubSpotClient, hubspot_settings
from report.model import Finding, Kind, Row, Section
from transport.service_client import ServiceSettings

CALLS_PER_SECOND = 5.0  # 200 ms or more between two calls, whatever is set
WAIT_S = 60  # for other runs to end

STATUSES = ("found", "created", "associated", "planned")  # of a step
IN_WORDS = {"associated": "created", "planned": "would be created"}


def settings(reader: SettingsReader) -> tuple[ServiceSettings, str, str]:
    """With first and last name of a person for whom no flag gives any; they may be empty."""
    hubspot = hubspot_settings(reader)
    pace = min(hubspot.calls_per_second, CALLS_PER_SECOND)
    hubspot = hubspot._replace(calls_per_second=pace)
    return hubspot, reader.get("FIRSTNAME", "", one_line), reader.get("LASTNAME", "", one_line)


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    arguments = command.Flags(
        "Create one contact and its company in HubSpot and associate them. What already exists is"
        " found, not created again."
    )

    def add(flag: str, metavar: str, parse: Callable[[str], object], help: str) -> None:
        kind = command.flag_type(parse)
        arguments.which.add_argument(flag, metavar=metavar, type=kind, help=help)

    # Who would not have a person's data in the process list gives it on standard input.
    add("--email", "ADDRESS", _or_line(parse_email), "the contact, or - (default: a sample person)")
    add("--first-name", "NAME", _or_line(one_line), "of a new contact, or - (default: FIRSTNAME)")
    add("--last-name", "NAME", _or_line(one_line), "of a new contact, or - (default: LASTNAME)")
    add("--company-name", "NAME", one_line, "of a new company")
    add("--company-domain", "DOMAIN", _parse_domain, "to find the company by")
    arguments.which.description = (
        "--email needs the company as well; - reads a line of standard input."
    )
    wait = f"wait so long for another run to end (default: {WAIT_S})"
    kind = command.flag_type(limits.parse_number)
    arguments.to_do.add_argument("--wait", metavar="SECONDS", type=kind, default=WAIT_S, help=wait)
    return command.main("contact", "A contact in HubSpot", arguments, _run, argv, clock)


def _or_line(parse: Callable[[str], str]) -> Callable[[str], str]:
    return lambda text: parse(sys.stdin.readline().strip() if text == "-" else text)


def _parse_domain(text: str) -> str:
    """Raises ValueError with the words that follow "must be"."""
    if host := shared_host(text):
        raise ValueError(f"the company's own domain ({host} is shared by many companies)")
    return parse_domain(text)


def _run(run: command.Run) -> errors.Outcome:
    chosen, first_name, last_name = run.settings(settings, with_hooks=False)
    wanted = _wanted(run, first_name, last_name)
    hubspot = HubSpotClient(chosen, run.clock, run.dry_run)
    with run.using(chosen.account, hubspot.http, wait_s=run.args.wait):
        if run.args.check:
            here = job.check_machine(run, chosen.account, lambda path: Memory(path, True))
            return run.show_findings([*_check(hubspot, wanted), *here])
        run.clock.sleep(1 / CALLS_PER_SECOND)  # a run that was waited for may have just called
        with contextlib.closing(Memory(run.state_path(chosen.account), run.dry_run)) as memory:
            return Creation(run, Records(run, hubspot, memory), wanted).carry_out()


def _wanted(run: command.Run, first_name: str, last_name: str) -> NewContact:
    """Made up if no flag gives any of it. A name that is given as empty stays empty."""
    args = run.args
    needed = (args.email, args.company_name, args.company_domain)
    if {*needed, args.first_name, args.last_name} == {None}:
        first, last = first_name or plan.FIRST_NAME, last_name or plan.LAST_NAME
        email = plan.made_up_email(first, last)
        run.say(
            f"No person was given. This run uses the sample person {email}, in the account that"
            " HUBSPOT_ACCESS_TOKEN belongs to."
        )
        return NewContact(email, first, last, plan.COMPANY_NAME, plan.COMPANY_DOMAIN)
    flags = ("--email", "--company-name", "--company-domain")
    if missing := [flag for flag, value in zip(flags, needed) if not value]:
        raise errors.SettingsError(
            f"Also give {' and '.join(missing)}. Sample values are used only if no flag names a"
            " person or a company."
        )
    first = first_name if args.first_name is None else args.first_name
    last = last_name if args.last_name is None else args.last_name
    return NewContact(args.email, first, last, args.company_name, args.company_domain)


def _check(hubspot: HubSpotClient, wanted: NewContact) -> list[Finding]:
    def companies() -> Finding:
        hubspot.companies_by_id([1])
        return Finding(True, "HubSpot lets the key read companies.")

    def contacts() -> Finding:
        hubspot.contact_with_email(wanted.email)
        return Finding(
            True,
            "HubSpot lets the key read contacts. Only a real run can show whether it may write:"
            " that needs crm.objects.companies.write and crm.objects.contacts.write.",
        )

    account = hubspot.account_if_told()
    known = [Finding(True, f"HubSpot accepts the key: {account}.")] if account else []
    return known + job.collect_findings(companies, contacts)


class Creation:
    """One run: look, then create what is missing, and tell each step."""

    def __init__(self, run: command.Run, records: Records, wanted: NewContact) -> None:
        self._run, self._records, self._wanted = run, records, wanted
        self._hubspot = records.hubspot
        self._account = self._hubspot.account_if_told()  # without it there are no links
        self._steps: list[Row] = []
        self._warnings: list[str] = []
        columns = ("step", "status", "name", "id")
        run.report.sections = [Section("steps", "Steps", Kind.STEP, columns, self._steps)]
        run.report.counts = dict.fromkeys(STATUSES, 0)
        run.report.warnings = self._warnings

    def carry_out(self) -> errors.Outcome:
        run = self._run
        if self._account:
            run.name_accounts(f"HubSpot is {self._account}.")
        try:
            self._take_steps(self._records.plan(self._wanted))
        except errors.AppError as error:
            if run.wrote:
                run.summarise(f"Done in part: {self._what_is_left(error)}")
            elif run.outcome_unknown:
                run.summarise(
                    "Not done: the next run first checks whether the company was created."
                )
            raise
        if planned := self._with_status("planned"):
            names = words.alternatives([f"the {row['step']}" for row in planned], "and")
            return run.end_dry_run(f"would create {names}")
        if self._with_status("found") == self._steps:
            run.summarise("Nothing to do: company, contact and association already exist.")
            return errors.Outcome.IN_SYNC
        run.summarise("Done: the contact is associated with the company in HubSpot.")
        return errors.Outcome.SYNCED

    def _what_is_left(self, error: errors.AppError) -> str:
        made = [f"{row['step']} {row['id']}" for row in self._with_status("created")]
        if not (made and isinstance(error, errors.CallRejected)):
            return "run it again to finish."
        stays = "was created and stays" if len(made) == 1 else "were created and stay"
        return (
            f"{' and '.join(made)} {stays}. HubSpot would reject the same values again:"
            " correct them, or delete in HubSpot what was created."
        )

    def _take_steps(self, found: plan.Plan) -> None:
        company = self._find_or_create(found.company, self._records.create_company)
        for warning in found.warnings:
            self._warn(warning)
        contact = self._find_or_create(found.contact, self._records.create_contact)
        if not (company.id and contact.id):
            self._tell(Step("association", "planned", "the contact with the company"))
            return
        linked, is_new, status = found.linked, contact.status == "created", "found"
        if found.contact.id is None and not is_new:  # the search did not show it
            linked = self._hubspot.companies_of_contact(contact.id)
        if company.id not in linked:
            status = "planned" if self._run.dry_run else "associated"
        if status == "associated":
            linked = self._records.associate(contact.id, company.id, is_new)
        name = f"the contact with the company {company.id}"
        self._tell(Step("association", status, name, contact.id))
        if others := [each for each in linked if each not in (company.id, *found.twins)]:
            self._warn_of(others, is_new)

    def _find_or_create(self, step: Step, create: Callable[[NewContact], Created]) -> Step:
        """The step with what came of it."""
        if step.status == "planned" and not self._run.dry_run:
            created = create(self._wanted)
            step = step._replace(status="created", id=created.id)
            if created.existed:  # under a name of its own, which nothing has told
                address = step.name.rpartition(", ")[2]
                step = step._replace(status="found", name=address)
        self._tell(step)
        return step

    def _warn_of(self, others: Sequence[int], contact_is_new: bool) -> None:
        """Companies that this run neither made nor found. No API tells HubSpot's setting, but a
        contact that was made a moment ago has them from nobody else:
        https://knowledge.hubspot.com/articles/kcs_article/contacts/automatically-create-and-associate-companies-with-contacts
        """
        companies = {each: Company(each, None, None, None, None) for each in others}
        with contextlib.suppress(errors.CallRejected):  # then their ids have to do
            companies.update((each.id, each) for each in self._hubspot.companies_by_id(others))
        texts: list[str] = []
        for each in companies.values():
            details = filter(None, (each.domain, f"id {each.id}", self._link("company", each.id)))
            texts.append(f"{plan.shown(each.name)} ({', '.join(details)})")
        cause = "" if contact_is_new else " If nobody did that on purpose:"
        self._warn(
            f"The contact is also associated with {' and '.join(texts)}.{cause} HubSpot's setting"
            ' "Create and associate companies with contacts" is on (HubSpot > Settings > Data'
            " Management > Objects > Companies). This run did not change that."
        )

    def _tell(self, step: Step) -> None:
        """One line for people, one row for the report."""
        link = self._link(step.step, step.id)
        number = f"id {step.id}" if step.id and step.step != "association" else None
        line = ", ".join(filter(None, (step.name, number, link)))
        colour = "" if step.status == "found" else "green"
        came = IN_WORDS.get(step.status, step.status)
        self._run.say(f"{step.step.capitalize()} {came}: {line}", colour)
        self._steps.append({**step._asdict(), "link": link})
        self._run.report.counts[step.status] += 1

    def _with_status(self, status: str) -> list[Row]:
        return [row for row in self._steps if row["status"] == status]

    def _link(self, step: str, record_id: int | None) -> str | None:
        of = COMPANIES if step == "company" else CONTACTS
        return self._account.link(of, record_id) if self._account and record_id else None

    def _warn(self, text: str) -> None:
        log.warning("%s", text)
        self._warnings.append(text)


if __name__ == "__main__":
    sys.exit(main())
