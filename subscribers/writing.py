"""Write people in batches, each right after a fresh look at everyone in it.

The plan may be hours old when its last write goes out. So for each 50 people both services are read
once more, everyone is decided upon anew, and what is still wanted is written.
"""

from __future__ import annotations

import re
import threading
from typing import Callable, Mapping, Sequence, TypeVar

from cli.changes import Changes, Skip
from cli.command import Run
from cli.screen import Progress
from core.conditions import without_value
from core.emails import masked
from core.errors import AppError, CallRejected, ServiceDown, ServiceError
from core.words import count
from hubspot_api.shapes import CONTACTS
from mailerlite_api.shapes import Written
from mailerlite_client import BATCH_SIZE, VALUES, MailerLiteClient, Refused
from report.model import DONE
from state.history import History
from subscribers.decide import NOT_WRITTEN, Action, Decision, Person, decide
from subscribers.memory import PersonStore
from subscribers.plan import CHANGES, Change, Creation, Membership, Plan, Waiting
from subscribers.reading import Services, fetch_current
from subscribers.rules import Rules, placeholder

SAME_REFUSALS = 10  # of different people in a row: then it is not the person that is refused
COME_BACK = 3  # people in a row who became active by a write: then it is no chance

Current = Mapping[str, "Person | AppError"]  # by canonical address; or why nobody says
T = TypeVar("T")


class NothingToDo(Skip):
    def __init__(self) -> None:
        super().__init__("MailerLite has it as HubSpot by now")


def create(run: Run, mailerlite: MailerLiteClient, creations: Sequence[Creation]) -> dict[str, str]:
    """Make fields and groups, before anybody is written; the placeholder of a group -> its id.
    Raises AppError if one cannot be made: MailerLite ignores values for a field that it lacks."""
    ids: dict[str, str] = {}

    def create_one(what: Creation) -> None:
        if what.type:
            mailerlite.create_field(what.name, what.type)
        else:
            ids[placeholder(what.name)] = mailerlite.create_group(what.name)

    for each, result in zip(creations, Changes(run).apply("Create", creations, create_one)):
        each.result = result
    for each in creations:
        if each.result.error:
            raise AppError(each.result.error)
    return ids


class Writer:
    """The writes of one run. Each change takes the decision that it is made by, and its result.

    `mirrored`: where the people belong who were decided upon anew, by canonical address; `not_new`:
    the addresses of who was created, though MailerLite had known them, each with the status;
    `refused`: people and values that it was not known to refuse.
    """

    def __init__(
        self, run: Run, services: Services, rules: Rules, store: PersonStore, history: History
    ) -> None:
        self._run, self.services, self.rules = run, services, rules
        self.store, self._history = store, history
        self.in_mailerlite, self._in_hubspot = Changes(run), Changes(run)
        self.mirrored: dict[str, tuple[str, ...]] = {}
        self.not_new: list[tuple[str, str]] = []
        self.refused: list[Waiting] = []
        self._refusals = _Refusals(store, self.refused)
        self._noted: set[tuple[Action, bytes]] = set()
        self._came_back = 0

    def write(self, plan: Plan, create: Callable[[Sequence[Change]], None]) -> None:
        """`create`: how new people are created."""
        look, opt_outs = self.fetch_current, plan.of(Action.OPT_OUT)
        self.write_each("Opt out", opt_outs, look, self._opt_out, self._in_hubspot)
        self.write_each("Unsubscribe", plan.of(Action.UNSUBSCRIBE), look, self._unsubscribe)
        self.write_each("Remove from a group", plan.of(Action.LEAVE), self._leave, _raise_if_kept)
        self.write_each("Update", plan.of(Action.UPDATE), look, self.upsert)
        create(plan.of(Action.CREATE))
        self._refusals.remember()

    def create_singly(self, planned: Sequence[Change]) -> None:
        self.write_each("Create", planned, self.fetch_current, self.upsert)

    def raise_if_nothing_written(self) -> None:
        """Raises what keeps a service from being written, if nothing has been changed."""
        self.in_mailerlite.raise_if_nothing_written()
        self._in_hubspot.raise_if_nothing_written()

    # Batches

    def write_each(
        self,
        label: str,
        planned: Sequence[Change],
        prepare: Callable[[Sequence[Change]], T],
        write: Callable[[Change, T], None],
        changes: Changes | None = None,
    ) -> None:
        """`prepare` a batch, then `write` each of it, which raises Skip, CallRejected,
        ServiceError. `changes`: those of MailerLite unless given."""
        changes = changes or self.in_mailerlite
        with Progress(label, "done", self._run.clock, len(planned)) as progress:
            for batch in batches(planned):
                # Of a service that is down nothing more is asked, and nothing written.
                prepared = prepare([] if changes.are_over else batch)

                # A default, so that the threads of this batch keep it whatever comes next.
                def write_one(change: Change, prepared: T = prepared) -> None:
                    write(change, prepared)

                for change, result in zip(batch, changes.apply(label, batch, write_one, progress)):
                    change.result = result

    def fetch_current(self, batch: Sequence[Change]) -> Current:
        people = [each.decision.person for each in batch]
        try:
            return fetch_current(self.services, self.rules, people)
        except AppError as error:
            return dict.fromkeys((each.email for each in people), error)

    def decide_again(self, change: Change, current: Current) -> Decision:
        """Notes the change in the history, before it is made. Raises Skip if it is not to be."""
        email = change.decision.person.email
        person = current.get(email)
        if isinstance(person, AppError):
            raise person
        if person is None:
            raise CallRejected(
                "MailerLite does not say how it is with this person now; nothing was written"
            )
        # The same judge as for the plan: nothing else decides about a person.
        now = decide(person, self.store, self.rules)
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
        change.action = Action.LEAVE if change.action is Action.LEAVE else now.action
        self._note_change(change)
        return now

    def _leave(self, batch: Sequence[Change]) -> dict[Membership, Exception]:
        """All of them leave their groups by one call; returns what keeps somebody in one."""
        kept: dict[Membership, Exception] = {}
        going: dict[Membership, tuple[str, str]] = {}
        current = self.fetch_current(batch)
        for change in batch:
            try:
                subscriber = self.decide_again(change, current).person.subscriber
                going[change.membership] = (subscriber.id if subscriber else "", change.group)
            except (Skip, AppError) as error:
                kept[change.membership] = error
        refusals: Sequence[AppError | None] = ()
        try:
            refusals = self.services.mailerlite.leave_groups(list(going.values())) if going else ()
        except AppError as error:
            refusals = [error] * len(going)
        for membership, refusal in zip(going, refusals):
            if refusal:
                kept[membership] = refusal
            else:
                self.store.note_left(*membership)
        return kept

    # One write

    def _unsubscribe(self, change: Change, current: Current) -> None:
        now = self.decide_again(change, current)
        self.services.mailerlite.unsubscribe("unsubscribe someone", now.address)

    def _opt_out(self, change: Change, current: Current) -> None:
        """HubSpot refuses to do it twice, and its answer may be lost: so it is asked whether it is
        done all the same."""
        now, opt_out = self.decide_again(change, current), self.rules.opt_out
        assert opt_out  # or else nobody is to be opted out
        hubspot, name = self.services.hubspot, opt_out.property
        # Before it is done: who subscribes again after a run that was killed here is not taken for
        # somebody who has opted out by themselves.
        self.store.note_opted_out(now.address)
        try:
            hubspot.opt_out(now.address, opt_out.subscription_id, opt_out.legal_basis)
        except (CallRejected, ServiceError) as error:
            if isinstance(error, CallRejected) or error.outcome_unknown:
                try:
                    there = hubspot.records(CONTACTS, [name], [now.hubspot_id or 0], needed=[name])
                except (CallRejected, ServiceError):
                    there = []
                if any(contact.values[name] == "true" for contact in there):
                    return
            if not error.outcome_unknown:
                self.store.note_opted_out(now.address, False)
            raise

    def upsert(self, change: Change, current: Current) -> None:
        """A refused value does not keep the person from being written without it."""
        now = self.decide_again(change, current)
        person, groups = now.person, now.groups.join
        call = "update a subscriber" if person.subscriber else "create a subscriber"
        while True:
            values = now.values.to_send
            try:
                written = self.services.mailerlite.upsert(call, now.address, values, groups)
                break
            except Refused as error:
                if error.kind in NOT_WRITTEN:  # in the last few seconds
                    self.mirrored[person.email] = ()
                    raise Skip(NOT_WRITTEN[error.kind]) from None
                if error.kind != VALUES:
                    self._refusals.note(now, error)
                    raise
                now = change.decision = self._without_refused(now, error.reasons)
                if person.subscriber and not (now.values.to_send or groups):
                    detail = masked(error.detail)
                    raise Skip(f"MailerLite does not take the value: {detail}") from None
        self._refusals.remember()
        self.note_written(now)
        if person.status == "unconfirmed":
            self._demand_no_return(written)
        if person.subscriber is None and not written.is_new:
            self.not_new.append((now.address, f"{written.status} now"))  # an append is atomic

    def _without_refused(self, now: Decision, reasons: Mapping[str, str]) -> Decision:
        values = dict(now.values.to_send)
        for key, reason in reasons.items():
            is_news = self.store.previous_refusal(now.address, key, values[key]) is None
            reason = _without_values(reason, now)
            refused = self.store.note_refused(now.address, reason, key, values.pop(key))
            if is_news:
                self.refused.append(Waiting(now.address, key, now.hubspot_id, refused))
        return now._replace(values=now.values._replace(to_send=values))

    def _demand_no_return(self, written: Written) -> None:
        """Someone may confirm the subscription between the look and the write; several in a row do
        not: then it is the write that makes them active."""
        self._came_back = self._came_back + 1 if written.status == "active" else 0
        if self._came_back == COME_BACK:
            self.services.mailerlite.http.give_up(
                f"MailerLite: {COME_BACK} people in a row who were unconfirmed are active after an"
                " update. Nothing more is written. See in MailerLite whether they have agreed to"
                " get mail."
            )

    # What came of it

    def note_written(self, sent: Decision) -> None:
        join, values = sent.groups.join, sent.values.to_send
        try:
            self.store.note_written(sent.address, sent.hubspot_id, join, values)
        except AppError as error:  # who is written from now on could come back after a deletion
            self.services.mailerlite.http.give_up(str(error))

    def _note_change(self, change: Change) -> None:
        """So that a run that is killed has left it. Who leaves several groups, or is written singly
        after an import, is noted once. The history knows who it was as a hash, and nobody's values:
        the name of a group may be one. Raises AppError."""
        now, who = change.decision, self.store.hash_of(change.address)
        if (change.action, who) in self._noted:
            return
        self._noted.add((change.action, who))
        joins = [f"joins {count(len(now.groups.join), 'group')}"] if now.groups.join else []
        what = ", ".join([*now.values.to_send, *joins])
        reason = now.why_leaves if change.action is Action.LEAVE else now.reason
        text = masked(without_value(reason or what)) or None
        self._history.note_change(change.action.value, who, None, now.hubspot_id, text)

    def note_results(self, plan: Plan) -> None:
        """In the history, in the end. Who was to leave several groups, and has not left one, has
        not left. Raises AppError."""
        made = sorted(plan.changes, key=lambda each: each.status != DONE)
        for action in CHANGES:
            is_leave = action is Action.LEAVE
            chosen = (each for each in made if (each.action is Action.LEAVE) is is_leave)
            statuses = ((self.store.hash_of(e.address), e.status) for e in chosen)
            self._history.set_statuses(action.value, statuses)


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


def _raise_if_kept(change: Change, kept: Mapping[Membership, Exception]) -> None:
    if change.membership in kept:
        raise kept[change.membership]


def batches(planned: Sequence[Change]) -> list[Sequence[Change]]:
    """Of as many people as both services are asked for in one call."""
    starts = range(0, len(planned), BATCH_SIZE)
    return [planned[start : start + BATCH_SIZE] for start in starts]
