#!/usr/bin/env python3
"""Keep the subscribers in MailerLite in step with the contacts in HubSpot."""

from __future__ import annotations

import cli.start  # noqa: F401 - first: it is for what may happen while the others load

# isort: split

import sys
from typing import Sequence

from cli import changes, command, job
from core import errors, limits, log, words
from core.clock import Clock
from hubspot_api.shapes import CONTACTS
from hubspot_client import HubSpotClient
from mailerlite_client import MailerLiteClient
from report.model import Finding, Kind
from state.history import History, Notifications
from subscribers import decide, explain, importing, options, reading, rules, sections, verification
from subscribers.memory import PersonStore
from subscribers.plan import Plan, make_plan, people
from subscribers.setup import Setup
from subscribers.writing import Writer, create


def main(argv: Sequence[str] | None = None, clock: Clock | None = None) -> int:
    parser = command.Flags(
        "Create HubSpot's contacts as subscribers in MailerLite and keep them up to date. Nobody is"
        " deleted, and people who have unsubscribed are never changed."
    )
    options.add_flags(parser)
    return command.main("subscribers", "Subscribers in MailerLite", parser, _run, argv, clock)


def _run(run: command.Run) -> errors.Outcome:
    forget: str | None = run.args.forget
    chosen = run.settings(lambda reader: options.Options(reader, run.args), with_hooks=not forget)
    in_force = {"HUBSPOT_LIST": chosen.list, "MIRROR_GROUP": chosen.mirror_group}
    run.report.settings = {**run.report.settings, **in_force}
    account, days = chosen.mailerlite.account, chosen.ask_again_days
    if forget:
        return _forget(run, forget, account)
    services = reading.Services(
        HubSpotClient(chosen.hubspot, run.clock, run.dry_run),
        MailerLiteClient(chosen.mailerlite, run.clock, run.dry_run),
    )

    def check() -> list[Finding]:
        found = Setup(chosen, services).findings()
        if not run.state_path(account).exists():
            found.append(Finding(True, "Use --first-run for the first real run."))
        return found

    work = job.Job(
        account=account,
        clients=[service.http for service in services],
        keep_history_days=chosen.keep_history_days,
        verbs=sections.VERBS,
        check=check,
        open_state=lambda path: PersonStore(path, run.dry_run, run.clock.utcnow().date(), days),
        sync=lambda *state: Sync(run, chosen, services, *state).outcome(),
        explain=lambda *state: explain.explain(run, services, Setup(chosen, services), *state),
    )
    return job.run_job(run, work)


def _forget(run: command.Run, email: str, account: str) -> errors.Outcome:
    path, is_known = run.state_path(account), False
    with run.using(account):
        if path.exists():
            with PersonStore(path, run.dry_run, run.clock.utcnow().date(), 0) as store:
                is_known = store.lookup(email).is_known
                store.forget(email)
    if not is_known:
        run.summarise(f"The run history {path} does not have {email}.")
        return errors.Outcome.IN_SYNC
    if run.dry_run:
        return run.end_dry_run(f"would remove {email} from the run history")
    run.summarise(f"Removed {email} from the run history.")
    log.warning(
        "If this person was deleted in MailerLite, later runs no longer know it, and will add the"
        " person again if HubSpot has the contact."
    )
    return errors.Outcome.SYNCED


class Sync:
    """The story of one run: read, plan, show, refuse, write, verify."""

    def __init__(
        self,
        run: command.Run,
        chosen: options.Options,
        services: reading.Services,
        store: PersonStore,
        history: History,
    ) -> None:
        self.run, self.options, self.services = run, chosen, services
        self.store, self.history = store, history
        self.notifications = Notifications(store, run.clock)
        self.setup = Setup(chosen, services)
        self.rules = self.setup.rules_in_force()

    def outcome(self) -> errors.Outcome:
        run, store, flags = self.run, self.store, self.options.flags
        is_new = store.is_new
        run.name_accounts(self.setup.describe_accounts())
        everybody = reading.read_everybody(self.services, self.rules, store, run.clock)
        plan = make_plan(everybody.contacts, everybody.subscribers, store, self.rules)
        plan.creations = self.setup.creations
        news, waiting = self._show(plan, everybody)
        scope = self._describe_scope(everybody)
        if scope:
            run.say(scope)
        to_create = {each.decision.person.email for each in plan.of(decide.Action.CREATE)}
        for email in sorted(set(flags.restore) - to_create):
            log.warning("--restore %s: nobody will be created with this address.", email)
        if flags.first_run and not is_new:
            log.warning("--first-run is no longer needed. Leave it out: it skips a safety check.")
        if refused := self._refusals(plan, everybody):
            key = f"refused {run.report.plan}"
            due = self.notifications.due({key})
            news, waiting = news | due, waiting | {key}
            outcome = run.refuse(refused, is_known=not due)
        else:
            outcome = self._carry_out(plan, everybody)
        run.report.summary += [scope] if scope else []
        self.notifications.mark_notified(news, waiting)
        return outcome

    def _refusals(self, plan: Plan, everybody: reading.Everybody) -> list[limits.Refusal]:
        run, store, chosen = self.run, self.store, self.options
        is_missing = store.is_new and everybody.subscribers and not chosen.flags.first_run
        missing = [options.missing_state(store.path)] if is_missing else []
        lists = store.compare_lists(everybody.subscribers)
        over = options.refusals(plan, lists, chosen, store.path)
        changes = {text: store.hash_of(email, text) for text, email in plan.described()}
        if run.dry_run:
            for refusal in missing:
                run.say(refusal.reason)
            missing = []
        return job.judge_plan(run, changes, [*missing, *over], self.history)

    def _carry_out(self, plan: Plan, everybody: reading.Everybody) -> errors.Outcome:
        run = self.run
        if plan.is_empty:
            done = f"{words.count(plan.unchanged, 'person is', 'people are')} up to date"
            waiting = words.count(len({e.email for e in plan.waiting}), "person is", "people are")
            now, wait = (" for now", f", {waiting} waiting") if plan.waiting else ("", "")
            run.summarise(f"Nothing to do{now}: {done}{wait}.")
            self._summarise_orphans(plan)
        if run.dry_run:
            would = sections.describe_numbers(plan, is_over=False)
            return errors.Outcome.IN_SYNC if plan.is_empty else run.end_dry_run(would)
        self._remember(plan, everybody)
        if plan.is_empty:
            return errors.Outcome.IN_SYNC
        with run.finishing_calls():
            return self._apply(plan)

    def _remember(self, plan: Plan, everybody: reading.Everybody) -> None:
        """Before the first write: should the run be killed, the next one knows whom there was."""
        store, opt_out = self.store, self.rules.opt_out
        if store.make_file():
            self.history.begin_run(self.options.keep_history_days)
        types = {field.key: field.type for field in self.rules.fields}

        def form_of(email: str, key: str) -> str:
            there = everybody.subscribers[email].fields
            return rules.comparable(there.get(key), types.get(key, "text"))

        store.note_forms(everybody.subscribers, form_of)
        ids = {decide.contact_address(contact): contact.id for contact in everybody.contacts}
        store.note_lists((email, ids.get(email)) for email in everybody.subscribers)
        store.note_reported(
            (each.person.email, group)
            for each in plan.removed_by_hand
            for group in each.groups.removed_by_hand
        )
        if opt_out:
            addresses = ((decide.contact_address(each), each) for each in everybody.contacts)
            store.note_opt_outs((email, opt_out.is_of(c)) for email, c in addresses if email)

    def _apply(self, plan: Plan) -> errors.Outcome:
        run, store, mailerlite = self.run, self.store, self.services.mailerlite
        try:
            made = create(run, mailerlite, plan.creations)
        finally:  # the report has them also if one of them failed
            self._fill_report(plan, is_over=True)
        self.rules = self.rules._replace(mirror=self.rules.mirror.with_made(made))
        plan.use_made_groups(made)
        writer = Writer(run, self.services, self.rules, store, self.history, self.setup.group_names)
        created = plan.of(decide.Action.CREATE)  # before an update turns out to be one
        writer.write_known(plan)
        if self.options.flags.by_import:
            importing.Importer(writer).create(created)
        else:
            writer.upsert("Create", created)
        checked = verification.verify_groups(run, plan, writer)
        plan.waiting += writer.refused
        self._fill_report(plan, is_over=True)
        writer.note_results(plan)
        writer.raise_if_nothing_written()
        results = [*(e.result for e in plan.creations), *(e.result for e in plan.changes)]
        sections.say_results(run.screen, run.report.sections, writer.refused, writer.not_new)
        done = sections.describe_numbers(plan, is_over=True)
        others = f"left {plan.unchanged:,} unchanged, skipped {run.report.counts['skipped']:,}"
        outcome = changes.conclude(run, [each.status for each in results], f": {done}, {others}.")
        self._summarise_orphans(plan)
        if checked:
            run.summarise(checked)
            outcome = outcome if run.report.checked_after else errors.Outcome.PARTIAL
        later = [each.refused for each in writer.refused if not each.field]
        if later:
            they = f"they will be retried on {later[0].describe_day()}"
            run.summarise(f"MailerLite rejected {people(len(later))}; {they}.")
        return outcome

    # What is shown

    def _fill_report(self, plan: Plan, is_over: bool = False) -> None:
        names = {**self.setup.group_names, **self.rules.mirror.names}
        sections.fill(self.run.report, plan, names, is_over)

    def _show(self, plan: Plan, everybody: reading.Everybody) -> tuple[set[str], set[str]]:
        """Report and show the plan. The keys of what needs attention: those that are due, and all.
        With --quiet only what is new, or was shown a week ago, is due."""
        run, report = self.run, self.run.report
        self._fill_report(plan)
        report.counts["subscribers"] = len(everybody.subscribers)
        report.record_url = self.setup.record_url(CONTACTS)
        rows = {
            self.store.hash_of(row["email"], row["reason"]).hex(): row
            for section in report.sections
            if section.kind is Kind.DECIDE
            for row in section.rows
        }
        news = self.notifications.due(rows.keys())
        run.screen.has_news = bool(news or plan.removed_by_hand)
        shown = [row for key, row in rows.items() if key in news or not run.args.quiet]
        sections.say_plan(run.screen, plan, report.sections, shown)
        if self.options.flags.by_import:
            created = plan.of(decide.Action.CREATE)
            new = [each for each in created if not self.store.lookup(each.address).is_known]
            if importing.by_group(new):
                run.say(importing.describe(new, self.setup.group_names))
        return news, {*rows}

    def _describe_scope(self, everybody: reading.Everybody) -> str:
        """Who is in scope, if not all are."""
        counts, scope, total = self.run.report.counts, self.rules.scope, everybody.total
        counts["contacts"] = total
        if not scope.describe():
            return ""
        in_scope = sum(map(scope.in_scope, everybody.contacts))
        counts["not_meant"] = others = total - in_scope
        chosen = f"{words.count(in_scope, 'contact')} {scope.describe()}"
        return f"In scope: {chosen}. Out of scope: {words.count(others, 'contact')}."

    def _summarise_orphans(self, plan: Plan) -> None:
        if number := plan.orphans:
            who = words.count(number, "person is", "people are")
            self.run.summarise(f"{who} subscribed, but no longer in HubSpot.")


if __name__ == "__main__":
    sys.exit(main())
