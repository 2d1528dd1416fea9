#!/usr/bin/env python3
"""Let MailerLite know the people whom HubSpot knows, as far as they want to hear from us."""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import sys
from pathlib import Path
from typing import Sequence

from cli import command
from cli.changes import conclude, in_part
from cli.job import Job, run_job
from cli.run import Run
from core.clock import Clock
from core.emails import canonical, normalise_email
from core.errors import Outcome
from core.log import log
from core.words import count
from hubspot_api.shapes import CONTACTS
from hubspot_client import HubSpotClient
from mailerlite_client import MailerLiteClient
from report.model import Finding
from state.history import History
from state.notifications import Notifications
from subscribers import explain, importing, limits, sections, setup, verification
from subscribers.decide import Action, contact_address
from subscribers.memory import PersonStore
from subscribers.plan import Plan, make_plan, people
from subscribers.reading import Everybody, Services, read_everybody
from subscribers.settings import Settings, settings
from subscribers.writing import Writer, create

SWITCHES = {
    "--create-groups": "create mirrored groups that are missing",
    "--fill-only": "keep every value that MailerLite already has",
    "--create-fields": "create the fields of MAILERLITE_FIELDS that MailerLite lacks",
    "--import": "create new people by MailerLite's import, up to 1,000 in one call, into the one"
    " group that each of them joins; nobody is asked to confirm",
    "--unsubscribe-opted-out": "unsubscribe in MailerLite who has opted out in HubSpot",
    "--opt-out-unsubscribed": "opt out in HubSpot, of the kind of mail that HUBSPOT_SUBSCRIPTIONS"
    " names, who has unsubscribed or complained in MailerLite",
}


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    arguments = command.parser(
        "Create and update in MailerLite the people who are contacts in HubSpot. Nobody is deleted,"
        " and nobody who has unsubscribed is written."
    )
    add = arguments.add_argument
    limits.add_flags(arguments)
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
    for flag, text in SWITCHES.items():
        name = flag.strip("-").replace("-", "_")
        add(flag, dest={"import": "by_import"}.get(name, name), action="store_true", help=text)
    for flag, text in (
        ("--keep-in-group", "let this person stay in a mirrored group"),
        ("--restore", "create this person again who was deleted in MailerLite"),
    ):
        add(
            flag,
            metavar="EMAIL",
            type=command.flag_type(_parse_email),
            action="append",
            default=[],
            help=f"{text}; may be given more than once",
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
    args, chosen = run.args, run.settings(settings)
    mirror_group = args.mirror_group or chosen.mirror_group
    chosen = chosen._replace(list=args.list or chosen.list, mirror_group=mirror_group)
    in_force = {"HUBSPOT_LIST": chosen.list, "MIRROR_GROUP": chosen.mirror_group}
    run.report.settings = {**run.report.settings, **in_force}
    services = Services(
        HubSpotClient(chosen.hubspot, run.clock, run.dry_run),
        MailerLiteClient(chosen.mailerlite, run.clock, run.dry_run),
    )
    is_new = True

    def open_state(path: Path) -> PersonStore:
        return PersonStore(path, run.dry_run, run.clock.utcnow().date(), chosen.ask_again_days)

    def try_state(path: Path) -> None:
        nonlocal is_new
        is_new = False  # as far as it can be told, should it be damaged
        with open_state(path) as store:
            is_new = store.is_new

    def check() -> list[Finding]:
        found = setup.Setup(chosen, args, services)
        first = [Finding(True, "The first run that writes needs --first-run, once.")]
        reading = setup.check_reading(services)
        return [*found.of_services, *found.of_settings, *reading, *(first if is_new else [])]

    def sync(store: PersonStore, history: History) -> Outcome:
        return Sync(run, chosen, services, store, history).outcome()

    def explain_people(store: PersonStore, history: History) -> Outcome:
        found = setup.Setup(chosen, args, services)
        return explain.explain(run, services, found, store, history)

    job = Job(
        chosen.mailerlite.account,
        [service.http for service in services],
        chosen.keep_history_days,
        sections.VERBS,
        check,
        open_state,
        try_state,
        sync,
        explain_people,
    )
    return run_job(run, job)


class Sync:
    """The story of one run: read, plan, show, refuse, write, verify."""

    def __init__(
        self,
        run: Run,
        chosen: Settings,
        services: Services,
        store: PersonStore,
        history: History,
    ) -> None:
        self._run, self._settings, self._services = run, chosen, services
        self._store, self._history = store, history
        self._notifications = Notifications(store, run.clock)
        self._setup = setup.Setup(chosen, run.args, services)
        self._rules = self._setup.rules_in_force()

    def outcome(self) -> Outcome:
        run, is_new = self._run, self._store.is_new
        run.name_accounts(self._setup.describe_accounts())
        everybody = read_everybody(self._services, self._rules, self._store, run.clock)
        plan = make_plan(everybody.contacts, everybody.subscribers, self._store, self._rules)
        plan.creations = self._setup.creations
        news, waiting = self._show(plan, everybody)
        scope = self._describe_scope(everybody)
        if scope:
            run.say(scope)
        self._warn_of_needless_flags(plan, is_new)
        outcome = self._carry_out(plan, everybody)
        run.report.summary += [scope] if scope else []
        self._notifications.mark_notified(news, waiting)
        return outcome

    def _carry_out(self, plan: Plan, everybody: Everybody) -> Outcome:
        run, store, args = self._run, self._store, self._run.args
        subscribers = everybody.subscribers
        is_missing = store.is_new and subscribers and not args.first_run
        missing = [limits.missing_state(store.path)] if is_missing else []
        lists = store.compare_lists(subscribers)
        refused = limits.refusals(plan, lists, args, self._settings.limits, store.path)
        if refused or (missing and not run.dry_run):
            return run.refuse([*(() if run.dry_run else missing), *refused])
        if plan.is_empty:
            run.summarise(
                f"Nothing to do: MailerLite has {people(plan.unchanged)} as HubSpot has them."
            )
            self._summarise_orphans(plan)
        if run.dry_run:
            for refusal in missing:
                run.say(f"{refusal.reason} So a run that writes needs {refusal.allow_with}.")
            would = sections.describe_dry_run(plan)
            return Outcome.IN_SYNC if plan.is_empty else run.end_dry_run(would)
        self._remember(plan, everybody)
        if plan.is_empty:
            return Outcome.IN_SYNC
        with run.finishing_calls():
            return self._apply(plan)

    def _remember(self, plan: Plan, everybody: Everybody) -> None:
        """Before the first write: should the run be killed, the next one knows whom there was."""
        store, opt_out = self._store, self._rules.opt_out
        if store.is_new:
            store.make_file()
            self._history.begin_run(self._settings.keep_history_days)
        ids = {contact_address(contact): contact.id for contact in everybody.contacts}
        store.note_lists((email, ids.get(email)) for email in everybody.subscribers)
        store.note_told(
            (each.person.email, group)
            for each in plan.removed_by_hand
            for group in each.groups.removed_by_hand
        )
        if opt_out:
            addresses = ((contact_address(each), each) for each in everybody.contacts)
            store.note_opt_outs((email, opt_out.is_of(c)) for email, c in addresses if email)

    def _apply(self, plan: Plan) -> Outcome:
        run, store, mailerlite = self._run, self._store, self._services.mailerlite
        try:
            made = create(run, mailerlite, plan.creations)
        finally:  # the report has them also if one of them failed
            self._report(plan, is_applied=True)
        self._rules = self._rules._replace(mirror=self._rules.mirror.with_made(made))
        plan.use_made_groups(made)
        writer = Writer(run, self._services, self._rules, store, self._history)
        importer = importing.Importer(writer, run.clock)
        writer.write(plan, importer.create if run.args.by_import else writer.create_singly)
        checked = verification.verify_groups(run, plan, writer)
        plan.waiting += writer.refused
        self._report(plan, is_applied=True)
        writer.note_results(plan)
        writer.raise_if_nothing_written()
        results = plan.results
        sections.say_results(run.screen, run.report.sections, writer.refused, writer.not_new)
        skipped = run.report.counts["skipped"]
        done = sections.describe_results(plan, bool(self._rules.mirror.ids), skipped)
        run.summarise(f"{in_part(results)}: {done}")
        self._summarise_orphans(plan)
        outcome = conclude(run, results)
        if checked:
            run.summarise(checked)
            outcome = outcome if run.report.checked_after else Outcome.PARTIAL
        later = [each.refused for each in writer.refused if not each.field]
        if later:
            day = later[0].describe_day()
            run.summarise(f"MailerLite refused {people(len(later))}: asked again from {day} on.")
        return outcome

    # What is said

    @property
    def _group_names(self) -> dict[str, str]:
        return {**self._setup.group_names, **self._rules.mirror.names}

    def _report(self, plan: Plan, is_applied: bool = False) -> None:
        report = self._run.report
        report.sections = sections.sections(plan, self._group_names, is_applied)
        report.unchanged = plan.unchanged
        report.counts.update(sections.counts(report.sections))
        report.counts.update(
            unchanged=plan.unchanged,
            unusable_values=dict(plan.unusable),
            kept_in_another_form=dict(plan.other_form),
        )

    def _show(self, plan: Plan, everybody: Everybody) -> tuple[set[str], set[str]]:
        """Report and say the plan; of what waits for a person, what is told, and all of it. With
        --quiet only what is new, or was told a week ago, is told."""
        run, names = self._run, self._group_names
        self._report(plan)
        run.report.counts.update(subscribers=len(everybody.subscribers))
        if run.wants_links:
            run.report.record_url = self._setup.record_url(CONTACTS)
        rows = {
            self._store.hash_of(row["email"], row["reason"]).hex(): row
            for section in run.report.sections
            if section.key in sections.DECIDE
            for row in section.rows
        }
        news = self._notifications.due(rows.keys()) if run.args.quiet else {*rows}
        run.screen.has_news = bool(news or plan.removed_by_hand)
        told = [row for key, row in rows.items() if key in news]
        sections.say_plan(run.screen, plan, run.report.sections, names, told)
        if run.args.by_import:
            created = plan.of(Action.CREATE)
            new = [each for each in created if not self._store.lookup(each.address).is_known]
            if importing.by_group(new):
                run.say(importing.describe(new, names))
        return news, {*rows}

    def _describe_scope(self, everybody: Everybody) -> str:
        """Who is meant, if not all are."""
        counts, scope, total = self._run.report.counts, self._rules.scope, everybody.total
        counts["contacts"] = total
        if scope.is_everybody:
            return ""
        meant = sum(map(scope.in_scope, everybody.contacts))
        counts["not_meant"] = total - meant
        others = count(total - meant, "other is", "others are")
        return f"Meant: {count(meant, 'contact')} {scope.describe()}; {others} not."

    def _warn_of_needless_flags(self, plan: Plan, is_new: bool) -> None:
        args = self._run.args
        to_create = {each.decision.person.email for each in plan.of(Action.CREATE)}
        for email in sorted(set(args.restore) - to_create):
            log.warning("--restore %s: there is nobody to create with this address.", email)
        if args.first_run and not is_new:
            log.warning(
                "--first-run is not needed any more: leave it out, or it will allow too much."
            )

    def _summarise_orphans(self, plan: Plan) -> None:
        if plan.orphans:
            self._run.summarise(sections.describe_orphans(plan))


if __name__ == "__main__":
    sys.exit(main())
