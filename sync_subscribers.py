#!/usr/bin/env python3
"""Let MailerLite know the people whom HubSpot knows, as far as they want to hear from us."""

from __future__ import annotations

import run.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import contextlib
import logging
import sys
from collections import Counter
from pathlib import Path
from typing import Dict, List, Optional, Sequence, Tuple

from basics.emails import normalise_email
from basics.errors import AppError, SettingsError
from basics.limits import Refusal, over_limit, parse_number_limit
from basics.outcome import Outcome
from basics.words import count
from hubspot_client import CONTACTS, Contact, HubSpotClient
from mailerlite_client import MailerLiteClient, Subscriber, Unsubscribed
from run import command
from run.apply import Changes, NotWanted, Result, conclude, done, in_part
from run.checks import demand_all_ok
from run.context import Run
from run.files import account_file
from run.lock import run_lock
from run.progress import Progress
from run.report import Kind
from subscribers.checks import Preflight, Services, check_reading, check_services
from subscribers.memory import Memory
from subscribers.plan import (
    NEEDED_PROPERTIES,
    UNSUBSCRIBED,
    Field,
    Plan,
    Rules,
    Write,
    by_email,
    comes_back,
    make_plan,
    people,
)
from subscribers.sections import SHOWN, Results, counts, say_failures, say_plan, sections
from subscribers.settings import Settings, settings
from transport import threads
from transport.clock import Clock

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
        type=command.flag_type(parse_number_limit),
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
    title = "Subscribers in MailerLite"
    return command.main("subscribers", title, arguments, _run, argv, clock)


def _parse_email(text: str) -> str:
    email = normalise_email(text)
    if email is None:
        raise ValueError("an e-mail address")
    return email


def _run(run: Run) -> Outcome:
    chosen = run.settings(settings)
    services = Services(
        HubSpotClient(chosen.hubspot, run.clock, run.dry_run),
        MailerLiteClient(chosen.mailerlite, run.clock, run.dry_run),
    )
    account = f"{chosen.mailerlite.base_url} {chosen.mailerlite.key.reveal()}"
    with contextlib.ExitStack() as stack:
        if not run.dry_run:
            stack.enter_context(run_lock("subscribers", account, run.clock))
        stack.enter_context(run.using(*(service.http for service in services)))
        preflight = check_services(chosen, services, run.args.create_fields)
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
        return _sync(run, chosen, preflight, services, memory)


def _sync(
    run: Run, chosen: Settings, preflight: Preflight, services: Services, memory: Memory
) -> Outcome:
    contacts, subscribers = _read(run, preflight, services)
    if not run.dry_run:
        memory.remember(subscribers)
    plan = make_plan(contacts, subscribers, memory.knows, _rules(run, preflight))
    _report_plan(run, plan, preflight)
    run.report.counts.update(contacts=len(contacts), subscribers=len(subscribers))
    if run.wants_links:
        run.report.record_url = services.hubspot.record_url(CONTACTS)
    say_plan(run.screen, plan, preflight.missing, preflight.groups)
    _warn_of_needless_restores(run, plan)
    refused = _refusals(run, chosen, plan)
    if refused:
        return run.refuse(refused)
    if not (plan.create or plan.update or plan.unsubscribe or preflight.missing):
        run.summarise(
            f"Nothing to do: MailerLite has {people(plan.unchanged)} as HubSpot has them."
        )
        return Outcome.IN_SYNC
    if run.dry_run:
        return run.end_dry_run()
    with run.finishing_calls():
        return _apply(run, plan, preflight, services.mailerlite, memory)


def _read(
    run: Run, preflight: Preflight, services: Services
) -> Tuple[List[Contact], Dict[str, Subscriber]]:
    """All contacts and all subscribers, read side by side."""
    names = dict.fromkeys((*NEEDED_PROPERTIES, *(field.property for field in preflight.fields)))
    keys = [field.key for field in preflight.fields]
    with Progress("HubSpot", "contacts", run.clock) as in_hubspot, Progress(
        "MailerLite", "subscribers", run.clock
    ) as in_mailerlite:
        contacts, found = threads.side_by_side(
            lambda: in_hubspot.count(services.hubspot.contacts(list(names))),
            lambda: in_mailerlite.count(
                services.mailerlite.subscribers(keys, bool(preflight.groups))
            ),
        )
    subscribers = by_email(found)
    log.info("HubSpot: %s.", count(len(contacts), "contact"))
    statuses = Counter(person.status for person in subscribers.values())
    in_words = [f"{number:,} {status}" for status, number in statuses.items()]
    log.info("MailerLite: %s.", ", ".join(in_words) or "no subscribers")
    return contacts, subscribers


def _rules(run: Run, preflight: Preflight) -> Rules:
    return Rules(
        preflight.fields,
        tuple(preflight.groups),
        run.args.fill_only,
        run.args.unsubscribe_opted_out,
        frozenset(run.args.restore),
    )


def _report_plan(
    run: Run, plan: Plan, preflight: Preflight, results: Optional[Results] = None
) -> None:
    run.report.sections = sections(plan, preflight.missing, preflight.groups, results)
    run.report.unchanged = plan.unchanged
    run.report.counts.update(counts(run.report.sections))
    run.report.counts.update(unchanged=plan.unchanged, unusable_values=dict(plan.unusable))


def _warn_of_needless_restores(run: Run, plan: Plan) -> None:
    for email in sorted(set(run.args.restore) - {entry.email for entry in plan.create}):
        log.warning("--restore %s: there is nobody to create with this address.", email)


def _refusals(run: Run, chosen: Settings, plan: Plan) -> List[Refusal]:
    """MailerLite bills by the number of subscribers, so their growth can be limited."""
    limit, new = run.args.max_new or chosen.max_new, len(plan.create)
    return over_limit(limit, people(new), "be created in MailerLite", "--max-new", new)


def _apply(
    run: Run, plan: Plan, preflight: Preflight, mailerlite: MailerLiteClient, memory: Memory
) -> Outcome:
    """Unsubscribe first: should the run break off, nobody gets mail who does not want it."""
    changes = Changes(run)
    writer = Writer(mailerlite, memory)
    fields = changes.apply("Create fields", preflight.missing, writer.create_field)
    failed = [result.error for result in fields if result.error]
    if failed:  # MailerLite ignores values for a field that it lacks
        _report_plan(run, plan, preflight, Results(fields))
        raise AppError(failed[0])
    results = Results(
        fields,
        changes.apply("Unsubscribe", plan.unsubscribe, writer.unsubscribe),
        changes.apply("Update", plan.update, writer.write),
        changes.apply("Create", plan.create, writer.write),
    )
    _report_plan(run, plan, preflight, results)
    changes.demand_a_write()
    everything: List[Result] = [result for group in results for result in group or ()]
    say_failures(run.screen, run.report.sections)
    run.screen.say_list(
        "In no list before, and yet not new to MailerLite: deleted there once, or joined just now",
        Kind.SKIP,
        sorted(writer.not_new),
        SHOWN,
    )
    run.summarise(
        f"{in_part(everything)}:"
        f" {people(done(results.create))} created, {done(results.update):,} updated,"
        f" {done(results.unsubscribe):,} unsubscribed, {plan.unchanged:,} left as they were,"
        f" {run.report.counts['skipped']:,} skipped."
    )
    return conclude(run, everything)


class Writer:
    """The writes of one run. `not_new`: who was created, though MailerLite knew the address."""

    def __init__(self, mailerlite: MailerLiteClient, memory: Memory) -> None:
        self._mailerlite = mailerlite
        self._memory = memory
        self.not_new: List[Tuple[str, str]] = []

    def create_field(self, field: Field) -> None:
        self._mailerlite.create_field(field.key, field.type)

    def unsubscribe(self, entry: Write) -> None:
        self._mailerlite.unsubscribe("unsubscribe someone", entry.email)

    def write(self, entry: Write) -> None:
        call = "update a subscriber" if entry.was else "create a subscriber"
        try:
            written = self._mailerlite.upsert(call, entry.email, entry.fields, entry.groups)
        except Unsubscribed:  # since the lists were read
            raise NotWanted(UNSUBSCRIBED) from None
        try:
            self._memory.remember([entry.email])
        except AppError as error:  # who is written from now on could come back after a deletion
            self._mailerlite.http.give_up(str(error))
        if comes_back(entry.was, written.status):
            self._mailerlite.http.give_up(
                f"MailerLite, {call}: who was {entry.was} is active after the write. Nothing more"
                " is written. See in MailerLite whether this person has agreed to get mail."
            )
        if not entry.was and not written.is_new:
            self.not_new.append((entry.email, f"{written.status} now"))  # an append is atomic


if __name__ == "__main__":
    sys.exit(main())
