"""Write people in batches, each right after a fresh look at everyone in it.

The plan may be hours old when its last write goes out. So for each 50 people both services are read
once more, everyone is decided upon anew, and what is still wanted is written.
"""

from __future__ import annotations

import re
import threading
from typing import Callable, Iterator, Mapping, Sequence

from cli.changes import DONE, Changes, Skip
from cli.progress import Progress
from cli.run import Run
from core.conditions import without_value
from core.emails import masked
from core.errors import AppError, CallRejected, ServiceDown, ServiceError
from core.words import count
from hubspot_api.shapes import CONTACTS
from mailerlite_api.shapes import Value, Written
from mailerlite_client import BATCH_SIZE, VALUES, Refused
from state.history import History
from subscribers.decide import NOT_WRITTEN, Action, Decision, Person, decide
from subscribers.memory import PersonStore
from subscribers.plan import CHANGES, Change, Creation, Membership, Plan, Waiting
from subscribers.reading import Services, fetch_current
from subscribers.rules import Rules
from subscribers.values import comparable

SAME_REFUSALS = 10  # of different people in a row: then it is not the person that is refused
COME_BACK = 3  # people in a row who became active by a write: then it is no chance

NOT_TAKEN = "MailerLite does not take the value"

Current = Mapping[str, "Person | AppError"]


class NothingToDo(Skip):
    def __init__(self) -> None:
        super().__init__("MailerLite has it as HubSpot by now")


class Writer:
    """The writes of one run. Each change takes the decision that it is made by, and its result.

    `rules`: also with the groups that were made; `mirrored`: where the people belong who were
    decided upon anew, by canonical address; `not_new`: the addresses of who was created, though
    MailerLite had known them, each with the status; `refused`: people and values that it was not
    known to refuse.
    """

    def __init__(
        self, run: Run, services: Services, rules: Rules, store: PersonStore, history: History
    ) -> None:
        self.rules = rules
        self._run, self._services, self._store, self._history = run, services, store, history
        self.in_mailerlite, self._in_hubspot = Changes(run), Changes(run)
        self.refused: list[Waiting] = []
        self._refusals = _Refusals(store, self.refused)
        self.mirrored: dict[str, tuple[str, ...]] = {}
        self.not_new: list[tuple[str, str]] = []
        self._noted: set[tuple[Action, bytes]] = set()
        self._came_back = 0

    def create(self, creations: Sequence[Creation]) -> None:
        """Fields and groups, before anybody is written. Raises AppError if one cannot be made:
        MailerLite ignores values for a field that it lacks."""
        for label, are_fields, make in (
            ("Create fields", True, self._create_field),
            ("Create groups", False, self._create_group),
        ):
            chosen = [each for each in creations if bool(each.type) is are_fields]
            for each, result in zip(chosen, self.in_mailerlite.apply(label, chosen, make)):
                each.result = result
        for each in creations:
            if each.result.error:
                raise AppError(each.result.error)

    def write(self, plan: Plan, create: Callable[[Sequence[Change]], None]) -> None:
        """Unsubscribe first: should the run break off, nobody gets mail who does not want it.
        `create`: how new people are created. Raises what keeps a service from being written, if
        nothing has been changed."""
        self.write_each("Opt out", plan.of(Action.OPT_OUT), self._opt_out, self._in_hubspot)
        self.write_each("Unsubscribe", plan.of(Action.UNSUBSCRIBE), self._unsubscribe)
        self._remove_from_groups(plan.of(Action.LEAVE))
        self.write_each("Update", plan.of(Action.UPDATE), self.upsert)
        create(plan.of(Action.CREATE))
        self._refusals.remember()

    def create_singly(self, planned: Sequence[Change]) -> None:
        self.write_each("Create", planned, self.upsert)

    def raise_if_nothing_written(self) -> None:
        self.in_mailerlite.raise_if_nothing_written()
        self._in_hubspot.raise_if_nothing_written()

    # Batches

    def write_each(
        self,
        label: str,
        planned: Sequence[Change],
        write: Callable[[Change, Current], None],
        changes: Changes | None = None,
    ) -> None:
        """`write` gets what the services say now; it raises Skip, CallRejected, ServiceError.
        `changes`: those of MailerLite unless given."""
        changes = changes or self.in_mailerlite
        with Progress(label, "done", self._run.clock, len(planned)) as progress:
            for batch in batches(planned):
                current = {} if changes.are_over else self.fetch_current(batch)

                def write_one(change: Change, current: Current = current) -> None:
                    write(change, current)

                for change, result in zip(batch, changes.apply(label, batch, write_one, progress)):
                    change.result = result

    def fetch_current(self, batch: Sequence[Change]) -> Current:
        """How the services have the people of a batch now, or why they do not say."""
        people = [each.decision.person for each in batch]
        try:
            return fetch_current(self._services, self.rules, people)
        except AppError as error:
            return dict.fromkeys((each.email for each in people), error)

    def decide_again(self, change: Change, current: Current) -> Decision:
        """Raises Skip unless the change is still to be made."""
        email = change.decision.person.email
        person = current.get(email)
        if isinstance(person, AppError):
            raise person
        if person is None:
            raise CallRejected(
                "MailerLite does not say how it is with this person now; nothing was written"
            )
        now = decide(person, self._store, self.rules)
        self.mirrored[email] = now.groups.mirrored
        if change.action is Action.LEAVE:
            is_wanted = change.group in now.groups.leave
        elif change.action in (Action.CREATE, Action.UPDATE):
            is_wanted = now.action in (Action.CREATE, Action.UPDATE)
        else:
            is_wanted = now.action is change.action
        if not is_wanted:
            raise Skip(now.reason) if now.reason else NothingToDo()
        change.decision = now
        if change.action is not Action.LEAVE:
            change.action = now.action
        return now

    def _remove_from_groups(self, planned: Sequence[Change]) -> None:
        label, changes = "Remove from a group", self.in_mailerlite
        with Progress(label, "done", self._run.clock, len(planned)) as progress:
            for batch in batches(planned):
                kept = {} if changes.are_over else self._leave(batch)

                def judge(change: Change, kept: Mapping[Membership, Exception] = kept) -> None:
                    if change.membership in kept:
                        raise kept[change.membership]

                for change, result in zip(batch, changes.apply(label, batch, judge, progress)):
                    change.result = result

    def _leave(self, batch: Sequence[Change]) -> dict[Membership, Exception]:
        """By one call for all of them; returns what keeps somebody in a group."""
        kept: dict[Membership, Exception] = {}
        going: list[Change] = []
        current = self.fetch_current(batch)
        for change in batch:
            try:
                self.decide_again(change, current)
                self.note_change(change)
                going.append(change)
            except (Skip, AppError) as error:
                kept[change.membership] = error
        people = [(each.decision.person.subscriber, each.group) for each in going]
        ids = [(subscriber.id, group) for subscriber, group in people if subscriber]
        refusals: list[AppError | None] = []
        try:
            refusals += self._services.mailerlite.leave_groups(ids) if ids else []
        except AppError as error:
            refusals += [error] * len(going)
        for change, refusal in zip(going, refusals):
            if refusal:
                kept[change.membership] = refusal
            else:
                self._store.note_left(*change.membership)
        return kept

    # One write

    def _create_field(self, field: Creation) -> None:
        self._services.mailerlite.create_field(field.name, field.type)

    def _create_group(self, group: Creation) -> None:
        id = self._services.mailerlite.create_group(group.name)
        self.rules = self.rules._replace(mirror=self.rules.mirror.with_made(group.name, id))

    def _unsubscribe(self, change: Change, current: Current) -> None:
        now = self.decide_again(change, current)
        self.note_change(change)
        self._services.mailerlite.unsubscribe("unsubscribe someone", now.address)

    def _opt_out(self, change: Change, current: Current) -> None:
        """HubSpot refuses to do it twice, and its answer may be lost: so it is asked whether it is
        done all the same."""
        now, opt_out = self.decide_again(change, current), self.rules.opt_out
        assert opt_out  # or else nobody is to be opted out
        self.note_change(change)
        self._store.note_opted_out(now.address)
        hubspot = self._services.hubspot
        try:
            hubspot.opt_out(now.address, opt_out.subscription_id, opt_out.legal_basis)
        except (CallRejected, ServiceError) as error:
            may_be_done = isinstance(error, CallRejected) or error.outcome_unknown
            if may_be_done and self._is_opted_out(now):
                return
            if not error.outcome_unknown:
                self._store.note_opted_out(now.address, False)
            raise

    def _is_opted_out(self, decision: Decision) -> bool:
        assert self.rules.opt_out
        ids, name = [decision.hubspot_id or 0], self.rules.opt_out.property
        try:
            contacts = self._services.hubspot.records(CONTACTS, [name], ids, needed=[name])
        except (CallRejected, ServiceError):
            return False
        return any(contact.values[name] == "true" for contact in contacts)

    def upsert(self, change: Change, current: Current) -> None:
        """A refused value does not keep the person from being written without it."""
        now = self.decide_again(change, current)
        self.note_change(change)
        call = "update a subscriber" if now.person.subscriber else "create a subscriber"
        while True:
            groups, values = now.groups.join, now.values.to_send
            try:
                written = self._services.mailerlite.upsert(call, now.address, values, groups)
                break
            except Refused as error:
                if error.kind in NOT_WRITTEN:  # in the last few seconds
                    self.mirrored[now.person.email] = ()
                    raise Skip(NOT_WRITTEN[error.kind]) from None
                if error.kind != VALUES:
                    self._refusals.note(now, error)
                    raise
                now = self._without_refused(now, error.reasons)
                if now.person.subscriber and not (now.values.to_send or groups):
                    raise Skip(f"{NOT_TAKEN}: {masked(error.detail)}") from None
        self._refusals.remember()
        change.decision = now
        self.note_written(now, written)
        self._demand_no_return(now, written)
        if now.person.subscriber is None and not written.is_new:
            self.not_new.append((now.address, f"{written.status} now"))  # an append is atomic

    # What came of it

    def note_change(self, change: Change) -> None:
        """In the history, before it is made, so that a run that is killed has left it. Who leaves
        several groups, or is written singly after an import, is noted once. It knows who it was as
        a hash, and nobody's values: the name of a group may be one. Raises AppError."""
        now, who = change.decision, self._store.hash_of(change.address)
        if (change.action, who) in self._noted:
            return
        self._noted.add((change.action, who))
        joins = [f"joins {count(len(now.groups.join), 'group')}"] if now.groups.join else []
        what = ", ".join([*now.values.to_send, *joins])
        reason = now.why_leaves if change.action is Action.LEAVE else now.reason
        text = masked(without_value(reason or what)) or None
        self._history.note_change(change.action.value, who, None, now.hubspot_id, text)

    def note_written(self, sent: Decision, written: Written) -> None:
        try:
            self._store.note_written(
                sent.address,
                sent.hubspot_id,
                sent.groups.join,
                sent.values.to_send,
                self._other_forms(sent, written),
            )
        except AppError as error:  # who is written from now on could come back after a deletion
            self._services.mailerlite.http.give_up(str(error))

    def note_joined(self, planned: Decision) -> None:
        """A write whose answer was lost has put the person into the groups."""
        join = self.rules.mirror.real(planned.groups.join)
        sent = planned._replace(groups=planned.groups._replace(join=join))
        self.note_written(sent, Written(planned.person.status or "active", True, {}))

    def note_results(self, plan: Plan) -> None:
        """In the history, in the end. Who was to leave several groups, and has not left one, has
        not left. Raises AppError."""
        made = sorted(plan.changes, key=lambda each: each.result.status != DONE)
        for action in CHANGES:
            is_leave = action is Action.LEAVE
            chosen = (each for each in made if (each.action is Action.LEAVE) is is_leave)
            statuses = ((self._store.hash_of(e.address), e.result.status) for e in chosen)
            self._history.set_statuses(action.value, statuses)

    def _without_refused(self, now: Decision, reasons: Mapping[str, str]) -> Decision:
        values = now.values.to_send
        for key, reason in reasons.items():
            is_news = self._store.previous_refusal(now.address, key, values[key]) is None
            reason = _without_values(reason, now)
            refused = self._store.note_refused(now.address, reason, key, values[key])
            if is_news:
                self.refused.append(Waiting(now.address, key, now.hubspot_id, refused))
        rest = {key: value for key, value in values.items() if key not in reasons}
        return now._replace(values=now.values._replace(to_send=rest))

    def _other_forms(self, sent: Decision, written: Written) -> dict[str, tuple[Value, str]]:
        """Key -> value sent and what MailerLite made of it, where that is not the same."""
        forms: dict[str, tuple[Value, str]] = {}
        values = sent.values.to_send
        for field in self.rules.fields:
            if field.key in values and field.key in written.fields:
                there = comparable(written.fields[field.key], field.type)
                if there != str(values[field.key]):
                    forms[field.key] = (values[field.key], there)
        return forms

    def _demand_no_return(self, sent: Decision, written: Written) -> None:
        """Someone may confirm the subscription between the look and the write; several in a row do
        not: then it is the write that makes them active."""
        if sent.person.status != "unconfirmed":
            return
        self._came_back = self._came_back + 1 if written.status == "active" else 0
        if self._came_back == COME_BACK:
            self._services.mailerlite.http.give_up(
                f"MailerLite: {COME_BACK} people in a row who were unconfirmed are active after an"
                " update. Nothing more is written. See in MailerLite whether they have agreed to"
                " get mail."
            )


class _Refusals:
    """Whom MailerLite did not take: remembered once it is clear that it is about the person."""

    def __init__(self, store: PersonStore, news: list[Waiting]) -> None:
        self._store, self._news = store, news
        self._in_a_row: list[tuple[Decision, str]] = []  # with the same words
        self._is_about_all = False
        self._lock = threading.Lock()

    def note(self, now: Decision, error: Refused) -> None:
        """Raises Skip when this is no news, and ServiceDown when everyone is refused."""
        reason = masked(error.detail)
        with self._lock:
            # Here, before another write ends and remembers this refusal.
            is_news = self._store.previous_refusal(now.address) is None
            if self._in_a_row and self._in_a_row[0][1] != reason:
                self._remember()
            self._in_a_row.append((now, reason))
            self._is_about_all = self._is_about_all or len(self._in_a_row) == SAME_REFUSALS
        if self._is_about_all:
            raise ServiceDown(f"{error} This is what {SAME_REFUSALS} people in a row got.")
        if not is_news:
            raise Skip(f"MailerLite still does not take this person: {reason}")

    def remember(self) -> None:
        with self._lock:
            self._remember()

    def _remember(self) -> None:
        for now, reason in () if self._is_about_all else self._in_a_row:
            is_news = self._store.previous_refusal(now.address) is None
            refused = self._store.note_refused(now.address, _without_values(reason, now))
            if is_news:
                self._news.append(Waiting(now.address, "", now.hubspot_id, refused))
        self._in_a_row.clear()


def _without_values(reason: str, now: Decision) -> str:
    """What is remembered of a refusal: without the address, its domain and the values sent."""
    text, domain = masked(reason), now.address.rpartition("@")[2]
    sent = {domain, *(masked(str(value)) for value in now.values.to_send.values())}
    for each in sorted(filter(None, sent), key=len, reverse=True):  # one may be part of another
        text = re.sub(rf"(?<!\w){re.escape(each)}(?!\w)", "\u2026", text)
    return text


def batches(planned: Sequence[Change]) -> Iterator[Sequence[Change]]:
    """Of as many people as both services are asked for in one call."""
    for start in range(0, len(planned), BATCH_SIZE):
        yield planned[start : start + BATCH_SIZE]
