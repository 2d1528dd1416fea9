#!/usr/bin/env python3
"""Let MailerLite know the people whom HubSpot knows, as far as they want to hear from us."""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import sys
from collections import Counter
from pathlib import Path
from typing import AbstractSet, Sequence

from cli import command
from cli.changes import DONE, Changes, conclude, in_part
from cli.checks import require_ok
from cli.job import Job, run_job
from cli.progress import Progress
from cli.run import Run
from core.clock import Clock
from core.emails import canonical, normalise_email
from core.errors import AppError, Outcome, SettingsError
from core.log import log
from core.words import count
from hubspot_api.shapes import ADDITIONAL_EMAILS, COMPANIES, CONTACTS, Contact, ObjectType
from hubspot_client import HubSpotClient
from mailerlite_api.shapes import Subscriber
from mailerlite_client import MailerLiteClient
from report.model import Finding, Kind
from state.history import History
from state.notifications import Notifications
from subscribers import explain as explaining
from subscribers import importing, limits, opt_outs
from subscribers.afterwards import check_groups
from subscribers.apply import write_people
from subscribers.changes import ChangeLog
from subscribers.checks import Preflight, Services, check_reading, check_services
from subscribers.importing import Importer
from subscribers.memory import Memory
from subscribers.mirror import number_of
from subscribers.plan import (
    Action,
    Decision,
    Person,
    Plan,
    Rules,
    by_email,
    contact_address,
    decide,
    in_order,
    make_plan,
    people,
    persons,
)
from subscribers.reading import Contacts, subscribers_called
from subscribers.rounds import Writer
from subscribers.sections import (
    SHOWN,
    VERBS,
    Results,
    counts,
    leavers_in_words,
    opt_outs_in_words,
    say_plan,
    say_results,
    sections,
    to_decide,
    would_in_words,
)
from subscribers.selection import Selection, by_id_is_cheaper
from subscribers.settings import Settings, settings
from transport import threads


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    arguments = command.parser(
        "Create and update in MailerLite the people who are contacts in HubSpot. Nobody is deleted,"
        " and nobody who has unsubscribed is written."
    )
    limits.add_flags(arguments)
    add = arguments.add_argument
    add(
        "--list",
        metavar="NAME|ID",
        type=command.flag_type(_parse_name),
        help="only the contacts of this HubSpot list are meant (default: HUBSPOT_LIST, or all)",
    )
    add(
        "--mirror-group",
        metavar="NAME|ID",
        type=command.flag_type(_parse_name),
        help="let this MailerLite group hold the people who are meant, and nobody else (default:"
        " MIRROR_GROUP, or none)",
    )
    add("--create-groups", action="store_true", help="create mirrored groups that are missing")
    add(
        "--keep-in-group",
        metavar="EMAIL",
        type=command.flag_type(_parse_email),
        action="append",
        default=[],
        help="let this person stay in a mirrored group; may be given more than once",
    )
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
    command.add_questions(arguments, "EMAIL", _parse_email, "what becomes of a person, and why")
    title = "Subscribers in MailerLite"
    return command.main("subscribers", title, arguments, _run, argv, clock)


def _parse_name(text: str) -> str:
    if not text.strip():  # a variable of a script that is empty does not mean everybody
        raise ValueError("a name or an id")
    return text.strip()


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
    in_force = {"HUBSPOT_LIST": chosen.list, "MIRROR_GROUP": chosen.mirror_group}
    run.report.settings = {**run.report.settings, **in_force}
    services = Services(
        HubSpotClient(chosen.hubspot, run.clock, run.dry_run),
        MailerLiteClient(chosen.mailerlite, run.clock, run.dry_run),
    )
    account = chosen.mailerlite.account
    is_new = True

    def try_state(path: Path) -> None:
        nonlocal is_new
        is_new = False  # as far as it can be told, should it be damaged
        with _memory(run, chosen, path) as memory:
            is_new = memory.is_new

    def check() -> list[Finding]:
        preflight = _preflight(run, chosen, services)
        first = [Finding(True, "The first run that writes needs --first-run, once.")]
        return [
            *preflight.findings,
            *preflight.mapping,
            *check_reading(services),
            *(first if is_new else []),
        ]

    def sync(memory: Memory, history: History) -> Sync:
        preflight = _preflight(run, chosen, services)
        require_ok(preflight.findings)
        require_ok(preflight.mapping, SettingsError)
        return Sync(run, chosen, preflight, services, memory, history)

    job = Job(
        account,
        [service.http for service in services],
        chosen.keep_history_days,
        VERBS,
        check,
        lambda path: _memory(run, chosen, path),
        try_state,
        lambda memory, history: sync(memory, history).outcome(),
        lambda memory, history: sync(memory, history).explain(run.args.explain),
    )
    return run_job(run, job)


def _preflight(run: Run, chosen: Settings, services: Services) -> Preflight:
    args = run.args
    preflight = check_services(chosen, services, args.create_fields, args.create_groups)
    if args.opt_out_unsubscribed and preflight.consent:
        opt_out = opt_outs.opt_out_of(preflight.consent, chosen)
        preflight.mapping.append(opt_outs.check(opt_out, preflight.consent))
    if args.wants_import:
        preflight.mapping.append(importing.check(preflight.groups, preflight.mirror))
    return preflight


def _memory(run: Run, chosen: Settings, path: Path) -> Memory:
    """A new one becomes a file only when a run carries out its plan."""
    memory = Memory(path, True, run.clock.utcnow().date(), chosen.ask_again_days)
    if not (run.dry_run or memory.is_new):
        memory.keep()
    return memory


class Sync:
    """The story of one run: read, plan, show, refuse, write, check."""

    def __init__(
        self,
        run: Run,
        chosen: Settings,
        preflight: Preflight,
        services: Services,
        memory: Memory,
        history: History,
    ) -> None:
        self._run, self._settings, self._preflight = run, chosen, preflight
        self._services, self._memory, self._history = services, memory, history
        self._told = Notifications(memory, run.clock)

    def outcome(self) -> Outcome:
        self._run.name_accounts(self._preflight.accounts)
        rules, is_new = self._rules(), self._memory.is_new
        contacts, subscribers, total = self._read(rules)
        plan = make_plan(contacts, subscribers, self._memory, rules)
        self._report(plan)
        self._report_account(len(subscribers))
        waiting = {self._key(each): each for each in to_decide(plan)}
        news = self._news(plan, waiting.keys())
        self._say(plan, [waiting[key] for key in waiting if key in news])
        meant = self._who_is_meant(rules, contacts, total)
        if meant:
            self._run.say(meant)
        self._warn_of_needless_flags(plan, is_new)
        outcome = self._carry_out(plan, rules, contacts, subscribers)
        self._run.report.summary += [meant] if meant else []
        self._told.mark_notified(news, waiting.keys())
        return outcome

    def _carry_out(
        self,
        plan: Plan,
        rules: Rules,
        contacts: Sequence[Contact],
        subscribers: dict[str, Subscriber],
    ) -> Outcome:
        run, memory, args = self._run, self._memory, self._run.args
        begins_anew = limits.begins_anew(args, len(subscribers), memory.is_new, memory.path)
        lists = memory.compare(subscribers)
        rate_limited = limits.refusals(plan, lists, args, self._settings, memory.path)
        refused = [*(() if run.dry_run else begins_anew), *rate_limited]
        if refused:
            return run.refuse(refused)
        is_in_sync = self._is_in_sync(plan)
        if is_in_sync:
            run.summarise(
                f"Nothing to do: MailerLite has {people(plan.unchanged)} as HubSpot has them."
            )
            self._summarise_leavers(plan)
        if run.dry_run:
            for refusal in begins_anew:
                run.say(f"{refusal.reason} So a run that writes needs {refusal.allow_with}.")
            missing, to_make = self._preflight.missing, self._preflight.mirror.to_make
            would = would_in_words(plan, missing, to_make)
            return Outcome.IN_SYNC if is_in_sync else run.end_dry_run(would)
        self._note_lists(plan, rules, contacts, subscribers)
        if is_in_sync:
            return Outcome.IN_SYNC
        with run.finishing_calls():
            return self._apply(plan, rules)

    def _is_in_sync(self, plan: Plan) -> bool:
        changes = (plan.create, plan.update, plan.unsubscribe, plan.opt_out, plan.leave)
        return not (any(changes) or self._preflight.missing or self._preflight.mirror.to_make)

    def explain(self, emails: Sequence[str]) -> Outcome:
        """Why each is written, or left alone; what the next run would do, limits aside."""
        (hubspot, mailerlite), rules, run = self._services, self._rules(), self._run
        preflight = self._preflight
        places = explaining.Places(
            {**preflight.all_groups, **preflight.group_names},
            self._record_url(CONTACTS),
            self._record_url(COMPANIES),
        )
        contacts = Contacts(hubspot, rules, [ADDITIONAL_EMAILS]).called(emails, self._memory)
        there = subscribers_called(emails, contacts, mailerlite, rules, self._memory)
        found = persons(contacts, there, self._memory)
        explained = [
            self._explained(found.get(each, Person(each, (), (), None)), contacts, rules, places)
            for each in emails
        ]
        for each in explained:
            for line in explaining.in_words(each):
                run.say(line)
            run.say()
        section = explaining.section(explained)
        return run.answer("What becomes of these people, and why", [section])

    def _explained(
        self, person: Person, contacts: Sequence[Contact], rules: Rules, places: explaining.Places
    ) -> explaining.Explained:
        memory, trace = self._memory, self._memory.recall(person.email)
        return explaining.Explained(
            person.email,
            decide(person, memory, rules),
            explaining.in_hubspot(person, in_order(contacts), trace, rules),
            person.subscriber,
            trace,
            self._history.changes_of(memory.person(person.email)),
            places,
        )

    def _rules(self) -> Rules:
        args, preflight = self._run.args, self._preflight
        opt_out = opt_outs.opt_out_of(preflight.consent, self._settings)
        return Rules(
            preflight.fields,
            preflight.consent,
            tuple(preflight.groups),
            args.fill_only,
            args.unsubscribe_opted_out,
            frozenset(args.restore),
            self._selection(),
            preflight.mirror,
            frozenset(args.keep_in_group),
            opt_out,
            args.opt_out_unsubscribed,
        )

    def _selection(self) -> Selection:
        found, conditions = self._preflight.contact_list, self._preflight.conditions
        if not found:
            return Selection(conditions=conditions)
        members = self._services.hubspot.members(found)
        log.info("HubSpot: the list %s has %s.", found.name, count(len(members), "member"))
        return Selection(found.name, members, conditions)

    def _read(self, rules: Rules) -> tuple[list[Contact], dict[str, Subscriber], int]:
        """Contacts, all subscribers, and how many contacts HubSpot has. All of them are read side
        by side with the subscribers; those of a list afterwards, if that takes fewer calls."""
        (hubspot, mailerlite), clock = self._services, self._run.clock
        contacts_of, members = Contacts(hubspot, rules), rules.selection.members
        with Progress("HubSpot", "contacts", clock) as in_hubspot, Progress(
            "MailerLite", "subscribers", clock
        ) as in_mailerlite:

            def read_subscribers() -> list[Subscriber]:
                return mailerlite.subscribers(rules.keys, rules.with_groups, in_mailerlite.advance)

            total = hubspot.count(CONTACTS) if members is not None else 0
            if members is not None and by_id_is_cheaper(
                len(members), mailerlite.count_subscribers(), total
            ):
                found = read_subscribers()
                contacts = in_hubspot.count(contacts_of.of_list(by_email(found), self._memory))
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

    def _note_lists(
        self,
        plan: Plan,
        rules: Rules,
        contacts: Sequence[Contact],
        subscribers: dict[str, Subscriber],
    ) -> None:
        if self._memory.is_new:
            self._memory.keep()
            self._history.begin_run(self._settings.keep_history_days)
        ids = {contact_address(contact): contact.id for contact in contacts}
        self._memory.note_lists((email, ids.get(email)) for email in subscribers)
        self._memory.note_told(plan.taken_out)
        if rules.opt_out:
            self._memory.note_opt_outs(opt_outs.seen(rules.opt_out, contacts))

    def _report(self, plan: Plan, results: Results | None = None) -> None:
        run, preflight = self._run, self._preflight
        names, groups_to_make = preflight.group_names, preflight.mirror.to_make
        run.report.sections = sections(plan, preflight.missing, names, results, groups_to_make)
        run.report.unchanged = plan.unchanged
        run.report.counts.update(counts(run.report.sections))
        run.report.counts.update(
            unchanged=plan.unchanged,
            unusable_values=dict(plan.unusable),
            kept_in_another_form=dict(plan.other_form),
        )

    def _report_account(self, subscribers: int) -> None:
        run = self._run
        run.report.counts.update(subscribers=subscribers)
        if run.wants_links:
            run.report.record_url = self._record_url(CONTACTS)

    def _record_url(self, of: ObjectType) -> str | None:
        """What a record's id follows to make its address."""
        account = self._preflight.account
        return account and account.link(of, "")

    def _key(self, decision: Decision) -> str:
        """Of what waits for a person, without telling whom it is about."""
        return self._memory.person(decision.address, decision.reason).hex()

    def _news(self, plan: Plan, waiting: AbstractSet[str]) -> AbstractSet[str]:
        """Of what waits for a person, what is to be told: all, but with --quiet only what is new or
        was told a week ago."""
        news = self._told.due(waiting) if self._run.args.quiet else waiting
        self._run.screen.has_news = bool(news or plan.taken_out)
        return news

    def _say(self, plan: Plan, told: Sequence[Decision]) -> None:
        run, preflight = self._run, self._preflight
        groups, groups_to_make = preflight.group_names, preflight.mirror.to_make
        say_plan(run.screen, plan, told, preflight.missing, groups, groups_to_make)
        if run.args.wants_import:
            recall = self._memory.recall
            new = [each for each in plan.create if not recall(each.address).is_known]
            if importing.by_group(new):
                run.say(importing.in_words(new, groups))

    def _who_is_meant(self, rules: Rules, contacts: Sequence[Contact], total: int) -> str:
        """In words, if not all are."""
        self._run.report.counts["contacts"] = total
        if rules.selection.is_all:
            return ""
        meant = sum(map(rules.selection.is_meant, contacts))
        self._run.report.counts["not_meant"] = total - meant
        others = count(total - meant, "other is", "others are")
        return f"Meant: {count(meant, 'contact')} {rules.selection.in_words()}; {others} not."

    def _warn_of_needless_flags(self, plan: Plan, is_new: bool) -> None:
        args, to_create = self._run.args, {canonical(each.address) for each in plan.create}
        for email in sorted(set(args.restore) - to_create):
            log.warning("--restore %s: there is nobody to create with this address.", email)
        if args.first_run and not is_new:
            log.warning(
                "--first-run is not needed any more: leave it out, or it will allow too much."
            )

    def _apply(self, plan: Plan, rules: Rules) -> Outcome:
        """Unsubscribe first: should the run break off, nobody gets mail who does not want it."""
        run, preflight = self._run, self._preflight
        change_log = ChangeLog(self._memory, self._history)
        writer = Writer(self._services, rules, self._memory, change_log)
        changes = Changes(run)
        fields = changes.apply("Create fields", preflight.missing, writer.create_field)
        groups = changes.apply("Create groups", preflight.mirror.to_make, writer.create_group)
        failed = [result.error for result in (*fields, *groups) if result.error]
        if failed:  # MailerLite ignores values for a field that it lacks
            self._report(plan, Results(fields, create_groups=groups))
            raise AppError(failed[0])
        in_hubspot = Changes(run)
        opted_out = in_hubspot.apply("Opt out", writer.in_rounds(plan.opt_out), writer.opt_out)
        importer = Importer(self._services.mailerlite, writer, self._memory, run.clock)
        leave, written = write_people(
            changes, plan, writer, importer if run.args.wants_import else None
        )
        made = [*zip(plan.opt_out, opted_out), *written]
        results = Results(fields, made, writer.refused, groups, leave)
        results, checked = check_groups(run, plan, writer, results)
        everything = [
            *(*fields, *groups),
            *(result for _, result in (*results.people, *results.leave)),
        ]
        self._preflight = preflight._replace(groups={**preflight.groups, **writer.mirror.names})
        self._report(plan, results)
        change_log.judge(results)
        changes.raise_if_nothing_written()
        in_hubspot.raise_if_nothing_written()
        self._tell(plan, writer, results, in_part(everything))
        outcome = conclude(run, everything)
        if checked:
            run.summarise(checked)
            outcome = outcome if run.report.checked_after else Outcome.PARTIAL
        later = [each.refused for each in results.refused if not each.field]
        if later:
            run.summarise(
                f"MailerLite refused {people(len(later))}: asked again from"
                f" {later[0].again_in_words} on."
            )
        return outcome

    def _tell(self, plan: Plan, writer: Writer, results: Results, part: str) -> None:
        run = self._run
        say_results(run.screen, results, run.report.sections)
        run.screen.say_list(
            "Not new to MailerLite, and in none of its lists: deleted there once",
            Kind.SKIP,
            sorted(writer.not_new),
            SHOWN,
        )
        left = number_of(each.membership for each, result in results.leave if result.status == DONE)
        run.summarise(
            f"{part}: {people(results.done(Action.CREATE))} created,"
            f" {results.done(Action.UPDATE):,} updated,"
            f" {results.done(Action.UNSUBSCRIBE):,} unsubscribed,{opt_outs_in_words(results)}"
            + (f" {left:,} removed from a group," if writer.mirror.ids else "")
            + f" {plan.unchanged:,} left as they were, {run.report.counts['skipped']:,} skipped."
        )
        self._summarise_leavers(plan)

    def _summarise_leavers(self, plan: Plan) -> None:
        if plan.leavers:
            self._run.summarise(leavers_in_words(plan))


if __name__ == "__main__":
    sys.exit(main())
