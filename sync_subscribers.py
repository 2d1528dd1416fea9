#!/usr/bin/env python3
"""Let MailerLite know the people whom HubSpot knows, as far as they want to hear from us."""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import sys
from dataclasses import dataclass
from pathlib import Path
from typing import Sequence

from cli import command
from cli.changes import conclude
from cli.command import Run
from cli.job import Job, run_job
from core.clock import Clock
from core.emails import canonical, normalise_email
from core.errors import Outcome
from core.log import log
from core.words import count
from hubspot_api.shapes import CONTACTS
from hubspot_client import HubSpotClient
from mailerlite_client import MailerLiteClient
from report.model import Finding, Kind
from state.history import History
from state.notifications import Notifications
from subscribers import explain, importing, limits, sections, verification
from subscribers.decide import Action, contact_address
from subscribers.memory import PersonStore
from subscribers.plan import Plan, make_plan, people
from subscribers.reading import Everybody, Services, read_everybody
from subscribers.rules import Rules
from subscribers.settings import Settings, settings
from subscribers.setup import Setup, check_reading
from subscribers.writing import Writer, create

NAMES = {
    "--list": "only the contacts of this HubSpot list are meant (default: HUBSPOT_LIST, or all)",
    "--mirror-group": "let this MailerLite group hold the people who are meant, and nobody else"
    " (default: MIRROR_GROUP, or none)",
}
PEOPLE = {
    "--keep-in-group": "let this person stay in a mirrored group",
    "--restore": "create this person again who was deleted in MailerLite",
}
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
    limits.add_flags(arguments)
    add = arguments.add_argument
    for flag, text in NAMES.items():
        add(flag, metavar="NAME|ID", type=command.flag_type(_parse_name), help=text)
    for flag, text in SWITCHES.items():
        dest = {"--import": "by_import"}.get(flag)  # the word is Python's own
        add(flag, dest=dest, action="store_true", help=text)
    for flag, text in PEOPLE.items():
        kind = command.flag_type(_parse_email)
        text = f"{text}; may be given more than once"
        add(flag, metavar="EMAIL", type=kind, action="append", default=[], help=text)
    text = "file that remembers whom MailerLite had (default: one for each API key)"
    add("--state", metavar="PATH", type=Path, help=text)
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

    def open_state(path: Path) -> PersonStore:
        return PersonStore(path, run.dry_run, run.clock.utcnow().date(), chosen.ask_again_days)

    def check() -> list[Finding]:
        found = Setup(chosen, args, services)
        is_new = not run.state_path(chosen.mailerlite.account).exists()
        first = [Finding(True, "The first run that writes needs --first-run, once.")]
        reading = check_reading(services)
        return [*found.of_services, *found.of_settings, *reading, *(first if is_new else [])]

    def sync(store: PersonStore, history: History) -> Outcome:
        found = Setup(chosen, args, services)
        rules = found.rules_in_force()
        return Sync(run, chosen, services, found, rules, store, history).outcome()

    job = Job(
        chosen.mailerlite.account,
        [service.http for service in services],
        chosen.keep_history_days,
        sections.VERBS,
        check,
        open_state,
        sync,
        lambda *known: explain.explain(run, services, Setup(chosen, args, services), *known),
    )
    return run_job(run, job)


@dataclass
class Sync:
    """The story of one run: read, plan, show, refuse, write, verify."""

    run: Run
    settings: Settings
    services: Services
    setup: Setup
    rules: Rules
    store: PersonStore
    history: History

    def outcome(self) -> Outcome:
        run, is_new = self.run, self.store.is_new
        run.name_accounts(self.setup.describe_accounts())
        everybody = read_everybody(self.services, self.rules, self.store, run.clock)
        plan = make_plan(everybody.contacts, everybody.subscribers, self.store, self.rules)
        plan.creations = self.setup.creations
        notifications = Notifications(self.store, run.clock)
        waiting = self._show(plan, everybody, notifications)
        scope = self._describe_scope(everybody)
        if scope:
            run.say(scope)
        self._warn_of_needless_flags(plan, is_new)
        outcome = self._carry_out(plan, everybody)
        run.report.summary += [scope] if scope else []
        notifications.mark_notified(*waiting)
        return outcome

    def _carry_out(self, plan: Plan, everybody: Everybody) -> Outcome:
        run, store, args = self.run, self.store, self.run.args
        subscribers = everybody.subscribers
        is_missing = store.is_new and subscribers and not args.first_run
        missing = [limits.missing_state(store.path)] if is_missing else []
        lists = store.compare_lists(subscribers)
        refused = limits.refusals(plan, lists, args, self.settings.limits, store.path)
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
        store, opt_out = self.store, self.rules.opt_out
        if store.make_file():
            self.history.begin_run(self.settings.keep_history_days)
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
        run, store, mailerlite = self.run, self.store, self.services.mailerlite
        try:
            made = create(run, mailerlite, plan.creations)
        finally:  # the report has them also if one of them failed
            self._report(plan, is_applied=True)
        self.rules = self.rules._replace(mirror=self.rules.mirror.with_made(made))
        plan.use_made_groups(made)
        writer = Writer(run, self.services, self.rules, store, self.history)
        importer = importing.Importer(writer, run.clock)
        writer.write(plan, importer.create if self.run.args.by_import else writer.create_singly)
        checked = verification.verify_groups(run, plan, writer)
        plan.waiting += writer.refused
        self._report(plan, is_applied=True)
        writer.note_results(plan)
        writer.raise_if_nothing_written()
        results = [*(e.result for e in plan.creations), *(e.result for e in plan.changes)]
        sections.say_results(run.screen, run.report.sections, writer.refused, writer.not_new)
        skipped = run.report.counts["skipped"]
        done = sections.describe_results(plan, bool(self.rules.mirror.ids), skipped)
        outcome = conclude(run, [each.status for each in results], f": {done}")
        self._summarise_orphans(plan)
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
        return {**self.setup.group_names, **self.rules.mirror.names}

    def _report(self, plan: Plan, is_applied: bool = False) -> None:
        report = self.run.report
        report.sections = sections.sections(plan, self._group_names, is_applied)
        report.unchanged = plan.unchanged
        report.counts.update(sections.counts(report.sections))
        report.counts.update(
            unchanged=plan.unchanged,
            unusable_values=dict(plan.unusable),
            kept_in_another_form=dict(plan.other_form),
        )

    def _show(
        self, plan: Plan, everybody: Everybody, notifications: Notifications
    ) -> tuple[set[str], set[str]]:
        """Report and say the plan; of what waits for a person, what is told, and all of it. With
        --quiet only what is new, or was told a week ago, is told."""
        run, names = self.run, self._group_names
        self._report(plan)
        run.report.counts.update(subscribers=len(everybody.subscribers))
        run.report.record_url = self.setup.record_url(CONTACTS)
        rows = {
            self.store.hash_of(row["email"], row["reason"]).hex(): row
            for section in run.report.sections
            if section.kind is Kind.DECIDE
            for row in section.rows
        }
        news = notifications.due(rows.keys()) if run.args.quiet else {*rows}
        run.screen.has_news = bool(news or plan.removed_by_hand)
        told = [row for key, row in rows.items() if key in news]
        sections.say_plan(run.screen, plan, run.report.sections, names, told)
        if self.run.args.by_import:
            created = plan.of(Action.CREATE)
            new = [each for each in created if not self.store.lookup(each.address).is_known]
            if importing.by_group(new):
                run.say(importing.describe(new, names))
        return news, {*rows}

    def _describe_scope(self, everybody: Everybody) -> str:
        """Who is meant, if not all are."""
        counts, scope, total = self.run.report.counts, self.rules.scope, everybody.total
        counts["contacts"] = total
        if scope.is_everybody:
            return ""
        meant = sum(map(scope.in_scope, everybody.contacts))
        counts["not_meant"] = total - meant
        others = count(total - meant, "other is", "others are")
        return f"Meant: {count(meant, 'contact')} {scope.describe()}; {others} not."

    def _warn_of_needless_flags(self, plan: Plan, is_new: bool) -> None:
        args = self.run.args
        to_create = {each.decision.person.email for each in plan.of(Action.CREATE)}
        for email in sorted(set(args.restore) - to_create):
            log.warning("--restore %s: there is nobody to create with this address.", email)
        if args.first_run and not is_new:
            log.warning(
                "--first-run is not needed any more: leave it out, or it will allow too much."
            )

    def _summarise_orphans(self, plan: Plan) -> None:
        if plan.orphans:
            self.run.summarise(sections.describe_orphans(plan))


if __name__ == "__main__":
    sys.exit(main())
