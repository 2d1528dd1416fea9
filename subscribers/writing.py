"""Write people in batches: read 50 of them again, decide again, and write what is still due.

The plan may be hours old when its last write goes out.
"""

from __future__ import annotations

import contextlib
import hashlib
import re
from functools import partial
from typing import AbstractSet, Callable, Mapping, Sequence

from cli import command, screen
from cli.changes import Changes, Skip
from core import addresses, conditions, errors, words
from hubspot_api.shapes import CONTACTS
from mailerlite_api.shapes import Value, Written
from mailerlite_client import BATCH_SIZE, GROUPS, PERSON, MailerLiteClient, Refused
from report.model import DONE
from state.history import History
from subscribers import memory, reading
from subscribers.decide import NOT_WRITTEN, Action, Decision, Groups, Person, decide
from subscribers.plan import CHANGES, Change, Creation, Membership, Plan, Waiting
from subscribers.rules import Rules, placeholder

# So many people refused with the same words, and nobody written since: it is not about them.
SAME_REFUSALS = 100
PLAN_REFUSALS = 10  # where the words speak of the account's plan
COME_BACK = 3  # people in a row who became active by a write: then it is no chance
NOTHING_TO_DO = "already up to date in MailerLite"

_OF_PLAN = re.compile(
    r"\b(plan|upgrade)\b|\blimit.* subscribers|\bsubscribers? limit", re.IGNORECASE
)
_UPSERTS = (Action.CREATE, Action.UPDATE)

Begin = Callable[[Sequence[Change]], Callable[[Change], None]]  # a batch: how one of it is written


def create(
    run: command.Run, mailerlite: MailerLiteClient, creations: Sequence[Creation]
) -> dict[str, str]:
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
            raise errors.AppError(each.result.error)
    return ids


class Writer:
    """The writes of one run. Each change takes the decision that it is made by, and its result.

    `group_names`: by id. `not_new`: the addresses of who was created, though MailerLite had known
    them, each with the status; `refused`: people and values that it rejects for the first time.
    """

    def __init__(
        self,
        run: command.Run,
        services: reading.Services,
        rules: Rules,
        store: memory.PersonStore,
        history: History,
        group_names: Mapping[str, str],
    ) -> None:
        self.run, self.services, self.rules = run, services, rules
        self.store, self._history, self._group_names = store, history, group_names
        self._in_mailerlite, self._in_hubspot = Changes(run), Changes(run)
        self.not_new: list[tuple[str, str]] = []
        self.refused: list[Waiting] = []
        # Who was refused, each with the reason, by its words; and the words of which is known that
        # they are about the person.
        self._pending: dict[str, list[tuple[Decision, str]]] = {}
        self._about_people: set[str] = set()
        self._noted: set[tuple[Action, bytes]] = set()
        self._came_back = 0

    def write_known(self, plan: Plan) -> None:
        """All changes but those of new people."""
        opt_out, hubspot = self._each(self._opt_out), self._in_hubspot
        self._in_batches("Opt out", plan.of(Action.OPT_OUT), opt_out, hubspot)
        unsubscribe = self._each(self._unsubscribe)
        self._in_batches("Unsubscribe", plan.of(Action.UNSUBSCRIBE), unsubscribe)
        self._in_batches("Remove from a group", plan.of(Action.LEAVE), self._leave)
        self.upsert("Update", plan.of(Action.UPDATE))

    def upsert(self, label: str, planned: Sequence[Change]) -> None:
        """The order is another one every day, and not the alphabet's: in that people whom
        MailerLite refuses may stand side by side, and would keep the others from their turn."""
        today = self.run.clock.utcnow().date()

        def place(change: Change) -> bytes:
            return hashlib.sha256(f"{today} {change.address}".encode()).digest()

        self._in_batches(label, sorted(planned, key=place), self._each(self._upsert))
        few = {words for words, whom in self._pending.items() if len(whom) < SAME_REFUSALS}
        self._remember_refused({words for words in few if not _OF_PLAN.search(words)})
        self._pending.clear()

    def raise_if_nothing_written(self) -> None:
        """Raises what keeps a service from being written, if nothing has been changed."""
        self._in_mailerlite.raise_if_nothing_written()
        self._in_hubspot.raise_if_nothing_written()

    # Batches

    def _in_batches(
        self, label: str, planned: Sequence[Change], begin: Begin, changes: Changes | None = None
    ) -> None:
        """`changes`: MailerLite's unless given."""
        changes = changes or self._in_mailerlite
        with screen.Progress(label, "done", self.run.clock, len(planned)) as progress:
            for batch in batches(planned):
                before = set(self._pending)
                try:  # of a service that is down nothing more is asked, and nothing written
                    write = begin([] if changes.are_over else batch)
                except errors.AppError as error:
                    write = partial(_fail, error)
                for change, result in zip(batch, changes.apply(label, batch, write, progress)):
                    change.result = result
                if any(change.status == DONE for change in batch):
                    self._about_people |= before
                self._remember_refused(self._about_people)

    def _each(self, write: Callable[[Change, Decision], None]) -> Begin:
        """`write` raises Skip, CallRejected, ServiceError."""

        def begin(batch: Sequence[Change]) -> Callable[[Change], None]:
            current = self.fetch_current(batch)
            return lambda change: write(change, self.decide_again(change, current))

        return begin

    def fetch_current(self, batch: Sequence[Change]) -> dict[str, Person]:
        people = [each.decision.person for each in batch]
        return reading.fetch_current(self.services, self.rules, people)

    def decide_again(self, change: Change, current: Mapping[str, Person]) -> Decision:
        """Notes the change in the history, before it is made. Raises Skip if it is not to be."""
        person = current.get(change.decision.person.email)
        if person is None:
            raise errors.CallRejected(
                "MailerLite did not return this person's status, so nothing was written"
            )
        # The same judge as for the plan: nothing else decides about a person.
        now = change.decision = decide(person, self.store, self.rules)
        leaves, upserts = change.action is Action.LEAVE, change.action in _UPSERTS
        is_due = now.action in (_UPSERTS if upserts else (change.action,))
        if not (change.group in now.groups.leave if leaves else is_due):
            raise Skip(now.reason or NOTHING_TO_DO)
        change.action = Action.LEAVE if leaves else now.action
        self._note_change(change)
        return now

    def _leave(self, batch: Sequence[Change]) -> Callable[[Change], None]:
        """All of them leave their groups by one call."""
        current = self.fetch_current(batch)
        kept: dict[Membership, Exception | None] = {}
        going: dict[Membership, tuple[str, str]] = {}
        for change in batch:
            try:
                subscriber = self.decide_again(change, current).person.subscriber
                going[change.membership] = (subscriber.id if subscriber else "", change.group)
            except (Skip, errors.AppError) as error:
                kept[change.membership] = error
        try:
            if going:
                kept.update(zip(going, self.services.mailerlite.leave_groups([*going.values()])))
        except errors.AppError as error:
            kept.update(dict.fromkeys(going, error))

        def leave(change: Change) -> None:
            error = kept.get(change.membership)
            if error:
                raise error
            self.store.note_left(*change.membership)

        return leave

    # One write

    def _unsubscribe(self, _: Change, now: Decision) -> None:
        self.services.mailerlite.unsubscribe("unsubscribe someone", now.address)

    def _opt_out(self, _: Change, now: Decision) -> None:
        """HubSpot refuses to do it twice, and its answer may be lost: so it is asked whether it is
        done all the same."""
        opt_out, hubspot = self.rules.opt_out, self.services.hubspot
        assert opt_out  # or else nobody is to be opted out
        # Before it is done: who subscribes again after a run that was killed here must not look
        # like somebody who has opted out by themselves.
        self.store.note_opted_out(now.address)
        try:
            hubspot.opt_out(now.address, opt_out.subscription_id, opt_out.legal_basis)
        except (errors.CallRejected, errors.ServiceError) as error:
            name = opt_out.property
            with contextlib.suppress(errors.CallRejected, errors.ServiceError):
                there = hubspot.records(CONTACTS, [name], [now.hubspot_id or 0], needed=[name])
                if any(contact.values[name] == "true" for contact in there):
                    return
            if not error.outcome_unknown:
                self.store.note_opted_out(now.address, False)
            raise

    def _upsert(self, change: Change, now: Decision) -> None:
        """A refused value does not keep the person from being written without it."""
        person, groups = now.person, now.groups.join
        call = "update a subscriber" if person.subscriber else "create a subscriber"
        while True:
            try:
                values = now.values.to_send
                written = self.services.mailerlite.upsert(call, now.address, values, groups)
                break
            except Refused as error:
                if error.kind in NOT_WRITTEN:  # in the last few seconds
                    change.decision = now._replace(groups=Groups())
                    raise Skip(NOT_WRITTEN[error.kind]) from None
                now = change.decision = self._without_refused(now, error)
                if person.subscriber and not (now.values.to_send or groups):
                    detail = addresses.masked(error.detail)
                    raise Skip(f"MailerLite rejected the value: {detail}") from None
        self.note_written(now)
        if person.status == "unconfirmed":
            self._demand_no_return(written)
        if person.subscriber is None and not written.is_new:
            self.not_new.append((now.address, f"now {written.status}"))  # an append is atomic

    def _demand_no_return(self, written: Written) -> None:
        """Someone may confirm the subscription between the look and the write; several in a row do
        not: then it is the write that makes them active."""
        self._came_back = self._came_back + 1 if written.status == "active" else 0
        if self._came_back == COME_BACK:
            self.services.mailerlite.http.give_up(
                f"Updates made {COME_BACK} unconfirmed people in a row active, so the run stopped"
                " writing to MailerLite. Check in MailerLite whether they agreed to get mail."
            )

    # Refusals

    def _without_refused(self, now: Decision, error: Refused) -> Decision:
        """Without the values that were refused; raises what it is if it is not about values."""
        if error.kind == GROUPS:
            names = words.listing([self._group_names.get(id, id) for id in error.reasons])
            text = f"MailerLite rejects the group {names}. Check the settings that name it."
            raise errors.ServiceDown(f"{text} {error}")
        if error.kind == PERSON:
            self._refuse(now, error)
        values = dict(now.values.to_send)
        for key, reason in error.reasons.items():
            self._note_refused(now, _without_values(reason, now), key, values.pop(key))
        return now._replace(values=now.values._replace(to_send=values))

    def _refuse(self, now: Decision, error: Refused) -> None:
        """Raises Skip when this is no news, and ServiceDown when it is not about the person."""
        reason = _without_values(error.detail, now)
        words, before = _words(reason), self.store.previous_refusal(now.address)
        if before and _words(before.reason) == words:
            self._note_refused(now, reason)
            raise Skip(f"MailerLite still rejects this person: {reason}")
        alike = self._pending.setdefault(words, [])
        alike.append((now, reason))
        limit = PLAN_REFUSALS if _OF_PLAN.search(words) else SAME_REFUSALS
        if words not in self._about_people and len(alike) >= limit:
            raise errors.ServiceDown(
                f"MailerLite rejected {limit} people in a row for the same reason. Check in"
                " MailerLite what your plan allows. If it is about these people, exclude them with"
                f" CONTACT_FILTER or --list. {error}"
            )
        raise error

    def _remember_refused(self, about_people: AbstractSet[str]) -> None:
        """Those whose words are about the person: somebody was written after them, or all were
        tried."""
        for said in about_people & self._pending.keys():
            for now, reason in self._pending.pop(said):
                self._note_refused(now, reason)

    def _note_refused(
        self, now: Decision, reason: str, key: str = "", value: Value | None = None
    ) -> None:
        is_news = self.store.previous_refusal(now.address, key, value) is None
        refused = self.store.note_refused(now.address, reason, key, value)
        if is_news:
            self.refused.append(Waiting(now.address, key, now.hubspot_id, refused))

    # What came of it

    def note_written(self, sent: Decision) -> None:
        join, values = sent.groups.join, sent.values.to_send
        try:
            self.store.note_written(sent.address, sent.hubspot_id, join, values)
        except errors.AppError as error:
            # Who is written from now on could come back after a deletion.
            self.services.mailerlite.http.give_up(str(error))

    def _note_change(self, change: Change) -> None:
        """So that a run that is killed has left it. Who leaves several groups, or is written
        after an import, is noted once. The history knows who it was as a hash, and nobody's values:
        the name of a group may be one. Raises AppError."""
        now, who = change.decision, self.store.hash_of(change.address)
        if (change.action, who) in self._noted:
            return
        self._noted.add((change.action, who))
        joins = [f"joins {words.count(len(now.groups.join), 'group')}"] if now.groups.join else []
        reason = now.why_leaves if change.action is Action.LEAVE else now.reason
        text = addresses.masked(
            conditions.without_value(reason or ", ".join([*now.values.to_send, *joins]))
        )
        self._history.note_change(change.action.value, who, None, now.hubspot_id, text or None)

    def note_results(self, plan: Plan) -> None:
        """In the history, in the end. Who was to leave several groups, and has not left one, has
        not left. Raises AppError."""
        made = sorted(plan.changes, key=lambda each: each.status != DONE)
        for action in CHANGES:
            is_leave = action is Action.LEAVE
            chosen = (each for each in made if (each.action is Action.LEAVE) is is_leave)
            statuses = ((self.store.hash_of(e.address), e.status) for e in chosen)
            self._history.set_statuses(action.value, statuses)


def _fail(error: errors.AppError, _: Change) -> None:
    raise error


def _without_values(reason: str, now: Decision) -> str:
    """What is remembered of a refusal: without the address, its domain and the values sent."""
    text, domain = addresses.masked(reason), now.address.rpartition("@")[2]
    sent = {domain, *(addresses.masked(str(value)) for value in now.values.to_send.values())}
    for each in sorted(filter(None, sent), key=len, reverse=True):  # one may be part of another
        text = re.sub(rf"(?<!\w){re.escape(each)}(?!\w)", "\u2026", text)
    return text


def _words(reason: str) -> str:
    """The same for reasons that differ in numbers alone."""
    return re.sub(r"\d[\d.,]*", "0", reason)


def batches(planned: Sequence[Change]) -> list[Sequence[Change]]:
    """Of as many people as both services are asked for in one call."""
    starts = range(0, len(planned), BATCH_SIZE)
    return [planned[start : start + BATCH_SIZE] for start in starts]
