#!/usr/bin/env python3
"""Let MailerLite know the people whom HubSpot knows, as far as they want to hear from us."""

from __future__ import annotations

import contextlib
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, List, Mapping, Optional, Sequence, Tuple

import background
import command
from changes import NotWanted, carry_out, conclude, done, outcome_of
from clock import Clock
from command import Run
from errors import AppError, ServiceError, SettingsError
from hubspot_client import CONTACTS, Contact, HubSpotClient
from limits import parse_number
from listing import show_list
from lock import account_file, only_run
from mailerlite_client import MailerLiteClient, Subscriber, Unsubscribed
from preflight import demand_all_ok
from progress import Progress
from settings import subscriber_settings
from subscriber_checks import Preflight, Services, check_reading, check_services
from subscriber_plan import (
    NEEDED_PROPERTIES,
    OPTED_OUT,
    STILL_SUBSCRIBED,
    UNSUBSCRIBED,
    Plan,
    Rules,
    Write,
    by_email,
    comes_back,
    make_plan,
    normalise_email,
    people,
    refusals,
)
from subscriber_state import Memory
from words import count

SHOWN = 50  # lines of each list on the screen; the report has all
LISTS = ("create", "update", "unsubscribe", "skipped")

log = logging.getLogger("crm_sync")


def main(argv: Optional[Sequence[str]] = None, clock: Optional[Clock] = None) -> int:
    arguments = command.parser(
        "Create and update in MailerLite the people who are contacts in HubSpot. Nobody is deleted,"
        " and nobody who has unsubscribed is written."
    )
    add = arguments.add_argument
    add(
        "--max-new",
        metavar="N",
        type=command.flag_type(parse_number),
        help="refuse to create more people than this (default: MAX_NEW or no limit)",
    )
    add("--fill-only", action="store_true", help="keep every value that MailerLite already has")
    add(
        "--create-fields",
        action="store_true",
        help="create the fields of MAILERLITE_FIELDS that MailerLite lacks",
    )
    add(
        "--unsubscribe-opted-out",
        action="store_true",
        help="unsubscribe in MailerLite who has opted out in HubSpot",
    )
    add(
        "--restore",
        metavar="EMAIL",
        type=command.flag_type(_parse_email),
        action="append",
        default=[],
        help="create this person again who was deleted in MailerLite; may be given more than once",
    )
    add(
        "--state",
        metavar="PATH",
        type=Path,
        help="file that remembers whom MailerLite had (default: one for each API key)",
    )
    return command.main("subscribers", arguments, _run, argv, clock)


def _parse_email(text: str) -> str:
    email = normalise_email(text)
    if email is None:
        raise ValueError("an e-mail address")
    return email


def _run(run: Run) -> str:
    settings = run.settings(subscriber_settings)
    services = Services(
        HubSpotClient(settings.hubspot, run.clock, run.dry_run),
        MailerLiteClient(settings.mailerlite, run.clock, run.dry_run),
    )
    account = f"{settings.mailerlite.base_url} {settings.mailerlite.key.reveal()}"
    with contextlib.ExitStack() as stack:
        if not run.dry_run:
            stack.enter_context(only_run("subscribers", account, run.clock))
        stack.enter_context(run.using(*(service.http for service in services)))
        preflight = check_services(settings, services, run.args.create_fields)
        if run.args.check:
            reading = check_reading(services)
            return run.show_findings([*preflight.findings, *preflight.mapping, *reading])
        demand_all_ok(preflight.findings)
        demand_all_ok(preflight.mapping, SettingsError)
        path = run.args.state or account_file("subscribers", account, ".sqlite3")
        memory = stack.enter_context(contextlib.closing(Memory(path, run.dry_run)))
        if memory.is_new:
            log.info(
                "First run with %s: people deleted in MailerLite before now cannot be told from new"
                " ones. If the API key was replaced, name the file of the old one with --state.",
                path,
            )
        limit = settings.max_new if run.args.max_new is None else run.args.max_new
        return _sync(run, limit, preflight, services, memory)


def _sync(
    run: Run, max_new: Optional[int], preflight: Preflight, services: Services, memory: Memory
) -> str:
    contacts, subscribers = _read(run, preflight, services)
    if not run.dry_run:
        memory.remember(subscribers)
    rules = Rules(
        preflight.fields,
        tuple(preflight.groups),
        run.args.fill_only,
        run.args.unsubscribe_opted_out,
        frozenset(run.args.restore),
    )
    plan = make_plan(contacts, subscribers, memory.knows, rules)
    _report_plan(run, plan, preflight)
    run.report["counts"].update(contacts=len(contacts), subscribers=len(subscribers))
    if run.wants_page:
        run.report["record_url"] = services.hubspot.record_url(CONTACTS)
    _show_plan(run, plan, preflight)
    refused = refusals(plan, max_new)
    if refused:
        return run.refuse(refused)
    if not (plan.create or plan.update or plan.unsubscribe or preflight.missing):
        run.summarise(
            f"Nothing to do: MailerLite has {people(plan.unchanged)} as HubSpot has them."
        )
        return "in_sync"
    if run.dry_run:
        run.summarise("This was a dry run: nothing has been changed.")
        return "planned"
    return _apply(run, plan, preflight, services.mailerlite, memory)


def _read(
    run: Run, preflight: Preflight, services: Services
) -> Tuple[List[Contact], Dict[str, Subscriber]]:
    """All contacts and all subscribers, read side by side."""
    names = dict.fromkeys((*NEEDED_PROPERTIES, *(field.property for field in preflight.fields)))
    keys = [field.key for field in preflight.fields]
    with Progress("HubSpot", "contacts", run.clock) as hubspot_progress, Progress(
        "MailerLite", "subscribers", run.clock
    ) as mailerlite_progress:

        def read_contacts() -> List[Contact]:
            contacts: List[Contact] = []
            for contact in services.hubspot.contacts(list(names)):
                contacts.append(contact)
                hubspot_progress.advance()
            return contacts

        def read_subscribers() -> Dict[str, Subscriber]:
            found: List[Subscriber] = []
            for person in services.mailerlite.subscribers(keys, bool(preflight.groups)):
                found.append(person)
                mailerlite_progress.advance()
            return by_email(found)

        contacts, subscribers = background.side_by_side(read_contacts, read_subscribers)
    log.info("HubSpot: %s.", count(len(contacts), "contact"))
    statuses = Counter(person.status for person in subscribers.values())
    found = [f"{number:,} {status}" for status, number in statuses.items()]
    log.info("MailerLite: %s.", ", ".join(found) or "no subscribers")
    return contacts, subscribers


def _report_plan(run: Run, plan: Plan, preflight: Preflight) -> None:
    def rows(entries: Sequence[Write]) -> List[Dict[str, object]]:
        return [
            {
                "email": entry.email,
                "hubspot_id": entry.hubspot_id,
                "fields": list(entry.fields),
                "groups": [preflight.groups[group] for group in entry.groups],
                "status": "planned",
                "error": None,
            }
            for entry in entries
        ]

    run.report["create_fields"] = [
        {"key": field.key, "type": field.type, "status": "planned", "error": None}
        for field in preflight.missing
    ]
    run.report["create"] = rows(plan.create)
    run.report["update"] = rows(plan.update)
    run.report["unsubscribe"] = rows(plan.unsubscribe)
    run.report["skipped"] = [entry._asdict() for entry in plan.skipped]
    run.report["counts"].update(unchanged=plan.unchanged, unusable_values=dict(plan.unusable))
    _count_lists(run)


def _count_lists(run: Run) -> None:
    reasons = Counter(row["reason"] for row in run.report["skipped"])
    run.report["counts"].update({name: len(run.report[name]) for name in LISTS})
    run.report["counts"]["skipped_by_reason"] = dict(reasons.most_common())


def _show_plan(run: Run, plan: Plan, preflight: Preflight) -> None:
    """The whole plan in words; whom it leaves alone as numbers, since the report lists them."""

    def lines(entries: Sequence[Write]) -> List[Tuple[str, str]]:
        return [(entry.email, _change(entry, preflight.groups)) for entry in entries]

    opted_out = [(entry.email, OPTED_OUT) for entry in plan.unsubscribe]
    still = [
        (entry.email or "", STILL_SUBSCRIBED)
        for entry in plan.skipped
        if entry.reason == STILL_SUBSCRIBED
    ]
    fields = [(field.key, field.type) for field in preflight.missing]
    show_list(run, f"Create {count(len(fields), 'field')}", "+", fields, SHOWN)
    show_list(run, f"Create {people(len(plan.create))}", "+", lines(plan.create), SHOWN)
    show_list(run, f"Update {people(len(plan.update))}", "~", lines(plan.update), SHOWN)
    show_list(run, f"Unsubscribe {people(len(opted_out))}", "-", opted_out, SHOWN)
    show_list(run, "For you to decide (see --unsubscribe-opted-out)", "!", still, SHOWN)
    reasons = run.report["counts"]["skipped_by_reason"].items()
    skipped = [(f"{number:,}", reason) for reason, number in reasons]
    show_list(run, f"Skip {count(len(plan.skipped), 'contact')}", " ", skipped, SHOWN)
    run.say(f"Leave {people(plan.unchanged)} as they are.")
    for key, number in plan.unusable.items():
        values = count(number, "value is", "values are")
        run.say(f"{values} not sent, because the field {key} cannot hold such a value.")
    for email in sorted(set(run.args.restore) - {entry.email for entry in plan.create}):
        log.warning("--restore %s: there is nobody to create with this address.", email)


def _change(entry: Write, groups: Mapping[str, str]) -> str:
    joins = [f"joins {groups[group]}" for group in entry.groups]
    return ", ".join([*entry.fields, *joins]) or "no values"


def _apply(
    run: Run, plan: Plan, preflight: Preflight, mailerlite: MailerLiteClient, memory: Memory
) -> str:
    """Unsubscribe first: should the run break off, nobody gets mail who does not want it."""
    _create_fields(run, preflight, mailerlite)
    not_new: List[Tuple[str, str]] = []

    def unsubscribe(entry: Write) -> None:
        mailerlite.unsubscribe("unsubscribe someone", entry.email)

    def write(entry: Write) -> None:
        call = "update a subscriber" if entry.was else "create a subscriber"
        try:
            written = mailerlite.upsert(call, entry.email, entry.fields, entry.groups)
        except Unsubscribed:  # since the lists were read
            raise NotWanted(UNSUBSCRIBED) from None
        try:
            memory.remember([entry.email])
        except AppError as error:  # who is written from now on could come back after a deletion
            mailerlite.http.give_up(ServiceError(str(error), answer_lost=True))
        if comes_back(entry.was, written.status):
            text = (
                f"MailerLite, {call}: who was {entry.was} is active after the write. Nothing more"
                " is written. See in MailerLite whether this person has agreed to get mail."
            )
            mailerlite.http.give_up(ServiceError(text, answer_lost=True))
        if not entry.was and not written.is_new:
            not_new.append((entry.email, f"{written.status} now"))

    results = {
        "unsubscribe": carry_out(run, "Unsubscribe", plan.unsubscribe, unsubscribe),
        "update": carry_out(run, "Update", plan.update, write),
        "create": carry_out(run, "Create", plan.create, write),
    }
    is_open = conclude(run, results, mailerlite.http.failure)
    _move_skipped(run)
    failed = [
        (row["email"], row["error"])
        for name in LISTS[:3]
        for row in run.report[name]
        if row["status"] == "failed"
    ]
    show_list(run, "Failed", "!", failed, SHOWN)
    show_list(
        run,
        "In no list before, and yet not new to MailerLite: deleted there once, or joined just now",
        "!",
        sorted(not_new),
        SHOWN,
    )
    run.summarise(
        f"{'Done in part' if is_open else 'Done'}: {people(done(results['create']))} created,"
        f" {done(results['update']):,} updated, {done(results['unsubscribe']):,} unsubscribed,"
        f" {plan.unchanged:,} left as they were, {len(run.report['skipped']):,} skipped."
    )
    return outcome_of(run)


def _create_fields(run: Run, preflight: Preflight, mailerlite: MailerLiteClient) -> None:
    """All or none of what follows: MailerLite ignores values for a field that it lacks."""
    results = carry_out(
        run,
        "Create fields",
        preflight.missing,
        lambda field: mailerlite.create_field(field.key, field.type),
    )
    for row, result in zip(run.report["create_fields"], results):
        row.update(result._asdict())
    errors = [result.error for result in results if result.error]
    if errors:
        raise AppError(errors[0])


def _move_skipped(run: Run) -> None:
    """Who turned out, by the write, to have unsubscribed is a skipped person and no failure."""
    for name in ("create", "update"):
        rows = run.report[name]
        run.report[name] = [row for row in rows if row["status"] != "skipped"]
        run.report["skipped"] += [
            {"email": row["email"], "hubspot_id": row["hubspot_id"], "reason": row["error"]}
            for row in rows
            if row["status"] == "skipped"
        ]
    _count_lists(run)


if __name__ == "__main__":
    sys.exit(main())
