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
from typing import Callable, Dict, Iterator, List, Optional, Sequence, Tuple

from basics.emails import canonical, normalise_email
from basics.errors import AppError, SettingsError
from basics.limits import FEW, Refusal, over_limit, parse_limit, parse_number_limit
from basics.outcome import Outcome
from basics.words import count
from hubspot_client import CONTACTS, Contact, HubSpotClient
from mailerlite_client import MailerLiteClient, Subscriber
from run import command
from run.apply import Changes, Result, conclude, done, in_part
from run.checks import Finding, demand_all_ok
from run.context import Run
from run.files import account_file
from run.lock import run_lock
from run.progress import Progress
from run.readiness import check_here
from run.report import CheckedAfter, Kind
from subscribers import importing, opt_outs
from subscribers.afterwards import look_at_groups
from subscribers.checks import Preflight, Services, check_reading, check_services
from subscribers.importing import Importer
from subscribers.memory import Lists, Memory
from subscribers.mirror import checked_in_words
from subscribers.plan import (
    Action,
    Decision,
    Leave,
    Plan,
    Rules,
    by_email,
    contact_address,
    make_plan,
    people,
)
from subscribers.reading import Contacts
from subscribers.rounds import Writer
from subscribers.sections import (
    SHOWN,
    Results,
    counts,
    leavers_in_words,
    opt_outs_in_words,
    say_plan,
    say_results,
    sections,
    would_in_words,
)
from subscribers.selection import Selection, by_id_is_cheaper
from subscribers.settings import Settings, settings
from transport import threads
from transport.clock import Clock

UNCHECKED = "Not checked afterwards:"

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
        help="refuse to create more people than this (default: MAX_NEW or 500)",
    )
    add(
        "--max-unsubscribe",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to unsubscribe more people than this, or than this share of the active"
        " subscribers (default: MAX_UNSUBSCRIBE or 20%%)",
    )
    add(
        "--max-deleted",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to go on when more people than this, or than this share of those known, are"
        " in no list of MailerLite any more (default: MAX_DELETED or 20%%)",
    )
    add(
        "--first-run",
        action="store_true",
        help="go on without a memory of earlier runs; for the very first run alone",
    )
    add(
        "--list",
        metavar="NAME|ID",
        help="only the contacts of this HubSpot list are meant (default: HUBSPOT_LIST, or all)",
    )
    add(
        "--mirror-group",
        metavar="NAME|ID",
        help="let this MailerLite group hold the people who are meant, and nobody else (default:"
        " MIRROR_GROUP, or none)",
    )
    add("--create-groups", action="store_true", help="create mirrored groups that are missing")
    add(
        "--max-leave",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to let more people than this, or than this share of its members, leave a"
        " mirrored group (default: MAX_LEAVE or 20%%)",
    )
    add(
        "--keep-in-group",
        metavar="EMAIL",
        type=command.flag_type(_parse_email),
        action="append",
        default=[],
        help="let this person stay in a mirrored group; may be given more than once",
    )
    add("--allow-empty", action="store_true", help="go on even when nobody is meant")
    add("--fill-only", action="store_true", help="keep every value that MailerLite already has")
    add(
        "--create-fields",
        action="store_true",
        help="create the fields of MAILERLITE_FIELDS that MailerLite lacks",
    )
    add(
        "--import",
        dest="wants_import",
        action="store_true",
        help="create new people by MailerLite's import, up to 1,000 in one call, into the one"
        " group that each of them joins; nobody is asked to confirm",
    )
    add(
        "--unsubscribe-opted-out",
        action="store_true",
        help="unsubscribe in MailerLite who has opted out in HubSpot",
    )
    add(
        "--opt-out-unsubscribed",
        action="store_true",
        help="opt out in HubSpot, of the kind of mail that HUBSPOT_SUBSCRIPTIONS names, who has"
        " unsubscribed or complained in MailerLite",
    )
    add(
        "--max-opt-out",
        metavar="N|P%",
        type=command.flag_type(parse_limit),
        help="refuse to opt out more people than this, or than this share of the contacts with an"
        " address (default: MAX_OPT_OUT or 20%%)",
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
    return canonical(email)


def _run(run: Run) -> Outcome:
    chosen = run.settings(settings)
    chosen = chosen._replace(
        list=run.args.list or chosen.list,
        mirror_group=run.args.mirror_group or chosen.mirror_group,
    )
    services = Services(
        HubSpotClient(chosen.hubspot, run.clock, run.dry_run),
        MailerLiteClient(chosen.mailerlite, run.clock, run.dry_run),
    )
    account = f"{chosen.mailerlite.base_url} {chosen.mailerlite.key.reveal()}"
    with contextlib.ExitStack() as stack:
        if not run.dry_run:
            stack.enter_context(run_lock("subscribers", account, run.clock))
        stack.enter_context(run.using(*(service.http for service in services)))
        args = run.args
        preflight = check_services(chosen, services, args.create_fields, args.create_groups)
        if args.opt_out_unsubscribed and preflight.consent:
            opt_out = opt_outs.opt_out_of(preflight.consent, chosen)
            preflight.mapping.append(opt_outs.check(opt_out, preflight.consent))
        if args.wants_import:
            preflight.mapping.append(importing.check(preflight.groups, preflight.mirror))
        if run.args.check:
            found = [*preflight.findings, *preflight.mapping, *check_reading(services)]
            return run.show_findings([*found, *_check_here(run, chosen, account)])
        demand_all_ok(preflight.findings)
        demand_all_ok(preflight.mapping, SettingsError)
        run.name_accounts(preflight.accounts)
        path = run.args.state or account_file(
            "subscribers", account, ".sqlite3", make=not run.dry_run
        )
        return _sync(run, chosen, preflight, services, path)


def _check_here(run: Run, chosen: Settings, account: str) -> List[Finding]:
    is_new = True

    def open_memory(path: Path) -> None:
        nonlocal is_new
        with _memory(run, chosen, path, dry_run=True) as memory:
            is_new = memory.is_new

    found = check_here(run, account, open_memory)
    first = Finding(True, "The first run that writes needs --first-run, once.")
    return [*found, first] if is_new and all(each.ok for each in found) else found


def _sync(
    run: Run, chosen: Settings, preflight: Preflight, services: Services, path: Path
) -> Outcome:
    """The plan is made with a copy of the memory: a refused run leaves nothing behind."""
    rules = _rules(run, chosen, preflight, _selection(preflight, services.hubspot))
    with _memory(run, chosen, path, dry_run=True) as memory:
        contacts, subscribers, total = _read(run, rules, services, memory)
        plan = make_plan(contacts, subscribers, memory, rules)
        lists, is_new = memory.compare(subscribers), memory.is_new
    _report_plan(run, plan, preflight)
    run.report.counts.update(subscribers=len(subscribers))
    if run.wants_links and preflight.account:
        run.report.record_url = preflight.account.link(CONTACTS, "")
    groups, groups_to_make = preflight.group_names, preflight.mirror.to_make
    say_plan(run.screen, plan, preflight.missing, groups, groups_to_make)
    _say_who_is_meant(run, rules, contacts, total)
    if run.args.wants_import and importing.by_group(plan.create):
        run.say(importing.in_words(plan.create, groups))
    _warn_of_needless_flags(run, plan, is_new)
    begins_anew = _begins_anew(run, subscribers, is_new, path)
    refused = [*(() if run.dry_run else begins_anew), *_refusals(run, chosen, plan, lists, path)]
    if refused:
        return run.refuse(refused)
    changes = (plan.create, plan.update, plan.unsubscribe, plan.opt_out, plan.leave)
    is_in_sync = not (any(changes) or preflight.missing or groups_to_make)
    if is_in_sync:
        run.summarise(
            f"Nothing to do: MailerLite has {people(plan.unchanged)} as HubSpot has them."
        )
        _summarise_leavers(run, plan)
    if run.dry_run:
        for refusal in begins_anew:
            run.say(f"{refusal.reason} So a run that writes needs {refusal.allow_with}.")
        would = would_in_words(plan, preflight.missing, groups_to_make)
        return Outcome.IN_SYNC if is_in_sync else run.end_dry_run(would)
    with _memory(run, chosen, path, dry_run=False) as memory:
        memory.note_lists(_with_contacts(subscribers, contacts))
        memory.note_told(plan.taken_out)
        if is_in_sync:
            if plan.taken_out:  # which is news, also with -q
                run.screen.say_all()
            return Outcome.IN_SYNC
        with run.finishing_calls():
            writer = Writer(services, rules, memory)
            importer = None
            if run.args.wants_import:
                importer = Importer(services.mailerlite, writer, memory, run.clock)
            return _apply(run, plan, preflight, writer, importer)


def _memory(run: Run, chosen: Settings, path: Path, dry_run: bool) -> Memory:
    return Memory(path, dry_run, run.clock.utcnow().date(), chosen.ask_again_days)


def _selection(preflight: Preflight, hubspot: HubSpotClient) -> Selection:
    if not preflight.list:
        return Selection(conditions=preflight.conditions)
    members = hubspot.members(preflight.list.id)
    log.info("HubSpot: the list %s has %s.", preflight.list.name, count(len(members), "member"))
    return Selection(preflight.list.name, members, preflight.conditions)


def _read(
    run: Run, rules: Rules, services: Services, memory: Memory
) -> Tuple[List[Contact], Dict[str, Subscriber], int]:
    """Contacts, all subscribers, and how many contacts HubSpot has. All of them are read side by
    side with the subscribers; those of a list afterwards, if that takes fewer calls."""
    hubspot, mailerlite = services
    contacts_of, members = Contacts(hubspot, rules), rules.selection.members
    with Progress("HubSpot", "contacts", run.clock) as in_hubspot, Progress(
        "MailerLite", "subscribers", run.clock
    ) as in_mailerlite:

        def read_subscribers() -> List[Subscriber]:
            return mailerlite.subscribers(rules.keys, rules.with_groups, in_mailerlite.advance)

        total = hubspot.count_contacts() if members is not None else 0
        if members is not None and by_id_is_cheaper(len(members), mailerlite.count_active(), total):
            found = read_subscribers()
            contacts = in_hubspot.count(contacts_of.of_list(by_email(found), memory))
        else:
            contacts, found = threads.side_by_side(
                lambda: contacts_of.everyone(in_hubspot), read_subscribers
            )
            total = len(contacts)
    subscribers = by_email(found)
    log.info("HubSpot: %s.", count(len(contacts), "contact"))
    statuses = Counter(person.status for person in subscribers.values())
    in_words = [f"{number:,} {status}" for status, number in statuses.items()]
    log.info("MailerLite: %s.", ", ".join(in_words) or "no subscribers")
    return contacts, subscribers, total


def _with_contacts(
    subscribers: Dict[str, Subscriber], contacts: Sequence[Contact]
) -> Iterator[Tuple[str, Optional[int]]]:
    ids = {contact_address(contact): contact.id for contact in contacts}
    return ((email, ids.get(email)) for email in subscribers)


def _rules(run: Run, chosen: Settings, preflight: Preflight, selection: Selection) -> Rules:
    opt_out = opt_outs.opt_out_of(preflight.consent, chosen)
    return Rules(
        preflight.fields,
        preflight.consent,
        tuple(preflight.groups),
        run.args.fill_only,
        run.args.unsubscribe_opted_out,
        frozenset(run.args.restore),
        selection,
        preflight.mirror,
        frozenset(run.args.keep_in_group),
        opt_out if run.args.opt_out_unsubscribed else None,
    )


def _report_plan(
    run: Run, plan: Plan, preflight: Preflight, results: Optional[Results] = None
) -> None:
    names, groups_to_make = preflight.group_names, preflight.mirror.to_make
    run.report.sections = sections(plan, preflight.missing, names, results, groups_to_make)
    run.report.unchanged = plan.unchanged
    run.report.counts.update(counts(run.report.sections))
    run.report.counts.update(
        unchanged=plan.unchanged,
        unusable_values=dict(plan.unusable),
        kept_in_another_form=dict(plan.other_form),
    )


def _say_who_is_meant(run: Run, rules: Rules, contacts: Sequence[Contact], total: int) -> None:
    run.report.counts["contacts"] = total
    if rules.selection.is_all:
        return
    meant = sum(map(rules.selection.is_meant, contacts))
    run.report.counts["not_meant"] = total - meant
    others = f"the other {total - meant:,} are not"
    run.say(f"Meant: {count(meant, 'contact')} {rules.selection.in_words()}; {others}.")


def _warn_of_needless_flags(run: Run, plan: Plan, is_new: bool) -> None:
    for email in sorted(set(run.args.restore) - {canonical(each.address) for each in plan.create}):
        log.warning("--restore %s: there is nobody to create with this address.", email)
    if run.args.first_run and not is_new:
        log.warning("--first-run is not needed any more: leave it out, or it will allow too much.")


def _begins_anew(
    run: Run, subscribers: Dict[str, Subscriber], is_new: bool, path: Path
) -> List[Refusal]:
    """Without a memory a deleted person looks like a new one, and would be brought back."""
    if not is_new or not subscribers or run.args.first_run:
        return []
    return [
        Refusal(
            f"There is no memory of earlier runs in {path}, so people who were deleted in"
            " MailerLite look like new ones, and would be brought back. If there were earlier runs"
            " (with another API key, user or machine), name their file with --state. If not, go"
            " through the people to create: is anybody among them who was deleted in MailerLite?",
            "--first-run",
        )
    ]


def _refusals(run: Run, chosen: Settings, plan: Plan, lists: Lists, path: Path) -> List[Refusal]:
    """MailerLite bills by the number of subscribers, so their growth is limited as well."""
    args, new, unsubscribed = run.args, len(plan.create), len(plan.unsubscribe)
    opted_out = len(plan.opt_out)
    missing = lists.missing
    is_foreign = missing > FEW and 2 * missing > lists.known and not args.first_run
    foreign = Refusal(
        f"Of the {people(lists.known)} whom {path} knows {missing:,} are in no list of MailerLite:"
        " it seems to belong to another account. Name the right file with --state.",
        "--first-run",
    )
    is_empty = plan.members and not plan.mirrored and not args.allow_empty
    are = "is" if plan.members == 1 else "are"
    empty = Refusal(
        f"Nobody is meant, while {people(plan.members)} {are} in the mirrored group.",
        "--allow-empty",
    )
    return [
        *([foreign] if is_foreign else []),
        *([empty] if is_empty else []),
        *over_limit(
            args.max_leave or chosen.max_leave,
            people(len(plan.leave)),
            "leave the mirrored group",
            "--max-leave",
            len(plan.leave),
            plan.members,
        ),
        *over_limit(
            args.max_deleted or chosen.max_deleted,
            people(missing),
            "from now on count as deleted, because they are in no list of MailerLite any more",
            "--max-deleted",
            missing,
            lists.known,
        ),
        *over_limit(
            args.max_unsubscribe or chosen.max_unsubscribe,
            people(unsubscribed),
            "be unsubscribed in MailerLite, which cannot be undone",
            "--max-unsubscribe",
            unsubscribed,
            plan.active,
        ),
        *over_limit(
            args.max_opt_out or chosen.max_opt_out,
            people(opted_out),
            "be opted out in HubSpot, which only they can undo",
            "--max-opt-out",
            opted_out,
            plan.with_address,
        ),
        *over_limit(
            args.max_new or chosen.max_new,
            people(new),
            "be created in MailerLite",
            "--max-new",
            new,
        ),
    ]


def _apply(
    run: Run, plan: Plan, preflight: Preflight, writer: Writer, importer: Optional[Importer]
) -> Outcome:
    """Unsubscribe first: should the run break off, nobody gets mail who does not want it."""
    changes = Changes(run)
    fields = changes.apply("Create fields", preflight.missing, writer.create_field)
    groups = changes.apply("Create groups", preflight.mirror.to_make, writer.create_group)
    failed = [result.error for result in (*fields, *groups) if result.error]
    if failed:  # MailerLite ignores values for a field that it lacks
        _report_plan(run, plan, preflight, Results(fields, create_groups=groups))
        raise AppError(failed[0])
    in_hubspot = Changes(run)
    opted_out = in_hubspot.apply("Opt out", writer.in_rounds(plan.opt_out), writer.opt_out)
    leave, written = _write_people(changes, plan, writer, importer)
    made = [*zip(plan.opt_out, opted_out), *written]
    results = Results(fields, made, writer.refused, groups, leave)
    results, checked = _check_groups(run, plan, writer, results)
    everything = [
        *(*fields, *groups),
        *(result for _, result in (*results.people, *results.leave)),
    ]
    preflight = preflight._replace(groups={**preflight.groups, **writer.mirror.names})
    _report_plan(run, plan, preflight, results)
    changes.demand_a_write()
    in_hubspot.demand_a_write()
    say_results(run.screen, results, run.report.sections)
    run.screen.say_list(
        "Not new to MailerLite, and in none of its lists: deleted there once",
        Kind.SKIP,
        sorted(writer.not_new),
        SHOWN,
    )
    left = done([result for _, result in results.leave])
    run.summarise(
        f"{in_part(everything)}: {people(results.done(Action.CREATE))} created,"
        f" {results.done(Action.UPDATE):,} updated,"
        f" {results.done(Action.UNSUBSCRIBE):,} unsubscribed,{opt_outs_in_words(results)}"
        + (f" {left:,} removed from the mirrored group," if writer.mirror.ids else "")
        + f" {plan.unchanged:,} left as they were, {run.report.counts['skipped']:,} skipped."
    )
    _summarise_leavers(run, plan)
    outcome = conclude(run, everything)
    if checked:
        run.summarise(checked)
        outcome = Outcome.PARTIAL if checked.startswith(UNCHECKED) else outcome
    later = [each.refused.again_on for each in results.refused if not each.field]
    if later:
        run.summarise(f"MailerLite refused {people(len(later))}: asked again from {min(later)} on.")
    return outcome


def _write_people(
    changes: Changes, plan: Plan, writer: Writer, importer: Optional[Importer]
) -> Tuple[List[Tuple[Leave, Result]], List[Tuple[Decision, Result]]]:
    """Who left a group, and the others with what was really decided about them; each with what came
    of it."""

    def write(
        label: str, entries: Sequence[Decision], write_one: Callable[[Decision], None]
    ) -> List[Tuple[Decision, Result]]:
        results = changes.apply(label, writer.in_rounds(entries), write_one)
        return list(zip(entries, results))

    made = write("Unsubscribe", plan.unsubscribe, writer.unsubscribe)
    left = changes.apply("Remove from a group", writer.in_batches(plan.leave), writer.leave)
    made += write("Update", plan.update, writer.write)
    imported = importer.bring(changes, plan.create) if importer else {}
    singly = [each for each in plan.create if each.address not in imported]
    create = importer.write if importer else writer.write
    written = ((each.address, result) for each, result in write("Create", singly, create))
    created = {**imported, **dict(written)}
    made += [(each, created[each.address]) for each in plan.create]
    made = [(writer.as_written.get(each.address, each), result) for each, result in made]
    writer.end()
    return list(zip(plan.leave, left)), made


def _check_groups(run: Run, plan: Plan, writer: Writer, results: Results) -> Tuple[Results, str]:
    """The results as the lists of the mirrored groups show them, and what is to be said of these,
    if there are any."""
    if not writer.mirror.ids:
        return results, ""
    keep = frozenset(run.args.keep_in_group)
    try:
        after = look_at_groups(plan, writer, results, keep, run.clock)
    except AppError as error:
        return results, f"{UNCHECKED} {error}"
    found = after.found
    missing, unwanted = (sorted({m.email for m in each}) for each in found[1:])
    run.report.checked_after = CheckedAfter(found.listed, missing, unwanted)
    names = (writer.mirror.names[id] for id in writer.mirror.ids)
    return after.results, f"Checked afterwards: {checked_in_words(found, after.wanted, names)}"


def _summarise_leavers(run: Run, plan: Plan) -> None:
    if plan.leavers:
        run.summarise(leavers_in_words(plan))


if __name__ == "__main__":
    sys.exit(main())
