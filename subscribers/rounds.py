"""Write people in rounds, each right after a fresh look at everyone in it.

The plan may be hours old when its last write goes out. So what HubSpot and MailerLite say of a
person is read once more just before, for a round of people at a time, and decided upon anew.
"""

from __future__ import annotations

import re
import threading
from typing import Iterable, Mapping, Sequence

from cli.changes import Skip
from core.emails import canonical, masked
from core.errors import AppError, CallRejected, ServiceDown, ServiceError
from hubspot_api.shapes import Contact
from mailerlite_api.shapes import Subscriber, Value, Written
from mailerlite_client import BATCH_SIZE, VALUES, Refused
from subscribers import opt_outs
from subscribers.changes import ChangeLog
from subscribers.checks import Services
from subscribers.memory import Memory
from subscribers.mirror import Membership, Mirror
from subscribers.plan import (
    NOT_WRITTEN,
    Action,
    Decision,
    Leave,
    Person,
    Rules,
    Waiting,
    by_email,
    contact_address,
    decide,
    in_order,
)
from subscribers.reading import Contacts
from subscribers.values import Field, as_kept

ROUND = BATCH_SIZE  # people
SAME_REFUSALS = 10  # of different people in a row: then it is not the person that is refused
COME_BACK = 3  # people in a row who became active by a write: then it is no chance

_WRITES = (Action.CREATE, Action.UPDATE)
NOT_TAKEN = "MailerLite does not take the value"


class Evidence:
    """What the services say now of the people of one round; read when the first of them is due."""

    def __init__(self, services: Services, rules: Rules, people: Sequence[Decision]) -> None:
        self._services, self._rules, self._people = services, rules, people
        self._found: dict[str, Person] = {}
        self._lock = threading.Lock()

    def of(self, planned: Decision) -> Person | None:
        """None when MailerLite does not say how it is with this person."""
        with self._lock:  # the others of the round wait for the first
            if not self._found:
                self._found = self._read()
        return self._found.get(planned.address)

    def _read(self) -> dict[str, Person]:
        ids = (id for each in self._people for id in each.contact_ids)
        contacts = Contacts(self._services.hubspot, self._rules).by_id(ids)
        by_id = {contact.id: contact for contact in contacts}
        whom = [each.subscriber_id or each.address for each in self._people]
        there = self._look_up([*whom, *(id for each in self._people for id in each.earlier)])
        return {
            each.address: _person(each, by_id, there[key], there)
            for each, key in zip(self._people, whom)
            if there.keys() >= {key, *each.earlier}
        }

    def _look_up(self, whom: Iterable[str]) -> dict[str, Subscriber | None]:
        """In one request, unless the people of the round had many other addresses before."""
        found: dict[str, Subscriber | None] = {}
        whom, rules = list(dict.fromkeys(whom)), self._rules
        for start in range(0, len(whom), BATCH_SIZE):
            part = whom[start : start + BATCH_SIZE]
            found.update(self._services.mailerlite.look_up(part, rules.keys, rules.with_groups))
        return found


class Departure:
    """Up to ROUND people who leave groups by one request, made when the first of them is due.

    `mirrored`: takes where they belong by now, see Writer.
    """

    def __init__(
        self,
        services: Services,
        rules: Rules,
        memory: Memory,
        changes: ChangeLog,
        leaves: Sequence[Leave],
        mirrored: dict[str, tuple[str, ...]],
    ) -> None:
        self._mailerlite, self._rules, self._memory = services.mailerlite, rules, memory
        self._changes, self._leaves, self._mirrored = changes, leaves, mirrored
        self._evidence = Evidence(services, rules, [each.person for each in leaves])
        self._outcomes: dict[Membership, Exception | None] = {}
        self._lock = threading.Lock()

    def make(self, planned: Leave) -> None:
        with self._lock:  # the others wait for the first
            if not self._outcomes:
                self._outcomes = self._outcome_of_all()
        outcome = self._outcomes[planned.membership]
        if outcome:
            raise outcome

    def _outcome_of_all(self) -> dict[Membership, Exception | None]:
        try:
            return self._send()
        except AppError as error:
            return {each.membership: error for each in self._leaves}

    def _send(self) -> dict[Membership, Exception | None]:
        outcomes: dict[Membership, Exception | None] = {}
        going: dict[Membership, tuple[str, str]] = {}
        for each in self._leaves:
            person = self._evidence.of(each.person)
            now = decide(person, self._memory, self._rules) if person else None
            if now is None:
                outcomes[each.membership] = _untold()
                continue
            self._mirrored[each.membership.email] = now.mirrored
            if each.group not in now.leaves:
                outcomes[each.membership] = _not_wanted(now)
            else:
                self._changes.note(now, leaves=True)
                going[each.membership] = (str(now.subscriber_id), each.group)
        refusals = self._mailerlite.leave_groups(list(going.values())) if going else []
        for membership, refusal in zip(going, refusals):
            outcomes[membership] = refusal
            if refusal is None:
                self._memory.note_left(*membership)
        return outcomes


class Writer:
    """The writes of one run; what they show is kept for the report.

    `as_written`: what was really decided, by address; `mirrored`: in which mirrored groups people
    belong by that, by canonical address; `not_new`: who was created, though MailerLite
    had known the address; `activated`: who was not active before the write; `refused`: people and
    values that it was not known to refuse.
    """

    def __init__(
        self, services: Services, rules: Rules, memory: Memory, changes: ChangeLog
    ) -> None:
        self._services, self._rules, self._memory = services, rules, memory
        self.changes = changes
        self._mailerlite = services.mailerlite
        self._evidence: dict[str, Evidence] = {}
        self.refused: list[Waiting] = []
        self._refusals = _Refusals(memory, self.refused)
        self._came_back = 0
        self._lock = threading.Lock()
        self._departures: dict[Membership, Departure] = {}
        self.as_written: dict[str, Decision] = {}
        self.mirrored: dict[str, tuple[str, ...]] = {}
        self.not_new: list[tuple[str, str]] = []
        self.activated: list[str] = []

    def in_rounds(self, people: Sequence[Decision]) -> Sequence[Decision]:
        """The same people; to be written in this order."""
        for start in range(0, len(people), ROUND):
            chosen = people[start : start + ROUND]
            evidence = Evidence(self._services, self._rules, chosen)
            self._evidence.update((each.address, evidence) for each in chosen)
        return people

    def in_batches(self, leaves: Sequence[Leave]) -> Sequence[Leave]:
        """The same; to be made in this order."""
        for start in range(0, len(leaves), ROUND):
            chosen = leaves[start : start + ROUND]
            departure = Departure(
                self._services, self._rules, self._memory, self.changes, chosen, self.mirrored
            )
            self._departures.update((each.membership, departure) for each in chosen)
        return leaves

    def leave(self, planned: Leave) -> None:
        self._departures[planned.membership].make(planned)

    def create_field(self, field: Field) -> None:
        self._mailerlite.create_field(field.key, field.type)

    def create_group(self, name: str) -> None:
        """One of those that are mirrored, before anybody is written."""
        id = self._mailerlite.create_group(name)
        with self._lock:
            self._rules = self._rules._replace(mirror=self.mirror.with_made(name, id))

    def members(self) -> dict[Membership, bool]:
        """All who are in the mirrored groups now, each with whether they can get mail. Raises
        CallRejected, ServiceError."""
        return {
            Membership(email, group): person.status not in NOT_WRITTEN
            for group in sorted(self.mirror.ids)
            for email, person in by_email(self._mailerlite.members(group, [])).items()
        }

    @property
    def mirror(self) -> Mirror:
        return self._rules.mirror

    def unsubscribe(self, planned: Decision) -> None:
        now = self._decide(planned, (Action.UNSUBSCRIBE,))
        self.changes.note(now)
        self._mailerlite.unsubscribe("unsubscribe someone", now.address)

    def opt_out(self, planned: Decision) -> None:
        now = self._decide(planned, (Action.OPT_OUT,))
        self.changes.note(now)
        assert self._rules.opt_out
        self._memory.note_opted_out(now.address)
        try:
            opt_outs.write(self._services.hubspot, self._rules.opt_out, now)
        except (CallRejected, ServiceError) as error:
            if not error.outcome_unknown:
                self._memory.note_not_opted_out(now.address)
            raise

    def write(self, planned: Decision) -> None:
        now = self._decide(planned, _WRITES)
        self.changes.note(now)
        sent, written = self._upsert(now)
        self.note(planned.address, sent, written)
        self._demand_no_return(sent, written)
        if sent.was is None and not written.is_new:
            self.not_new.append((sent.address, f"{written.status} now"))  # an append is atomic

    def note(self, address: str, sent: Decision, written: Written) -> None:
        """`address`: that of the plan."""
        self.as_written[address] = sent
        if "active" == written.status != sent.was:
            self.activated.append(address)
        try:
            self._memory.note_written(sent, self._other_forms(sent, written))
        except AppError as error:  # who is written from now on could come back after a deletion
            self._mailerlite.http.give_up(str(error))

    def note_joined(self, planned: Decision) -> None:
        """A write whose answer was lost has put the person into the groups."""
        sent = planned._replace(groups=tuple(map(self.mirror.real, planned.groups)))
        self.note(planned.address, sent, Written(planned.was or "active", True, {}))

    def note_left(self, planned: Leave) -> None:
        self._memory.note_left(*planned.membership)

    def to_create(self, planned: Decision) -> Decision:
        """The decision of now. Raises Skip if it is another one than to create them."""
        return self._decide(planned, (Action.CREATE,))

    @property
    def keys(self) -> list[str]:
        return self._rules.keys

    def end(self) -> None:
        """To be called after the last write: remember what was refused."""
        self._refusals.remember()

    def _decide(self, planned: Decision, wanted: Iterable[Action]) -> Decision:
        """The decision of now, if it is one of those wanted."""
        person = self._evidence[planned.address].of(planned)
        if person is None:
            raise _untold()
        now = decide(person, self._memory, self._rules)
        self.mirrored[person.email] = now.mirrored
        if now.action not in wanted:
            raise _not_wanted(now)
        return now

    def _upsert(self, now: Decision) -> tuple[Decision, Written]:
        """With what was really sent: a refused value does not keep the person from being written
        without it."""
        call = "update a subscriber" if now.was else "create a subscriber"
        while True:
            try:
                written = self._mailerlite.upsert(call, now.address, now.fields, now.groups)
            except Refused as error:
                if error.kind in NOT_WRITTEN:  # in the last few seconds
                    self.mirrored[canonical(now.address)] = ()
                    raise Skip(NOT_WRITTEN[error.kind]) from None
                if error.kind != VALUES:
                    self._refusals.note(now, error)
                    raise
                self._note_refused(now, error.reasons)
                fields = {key: now.fields[key] for key in now.fields if key not in error.reasons}
                now = now._replace(fields=fields)
                if now.was and not (fields or now.groups):
                    raise Skip(f"{NOT_TAKEN}: {masked(error.detail)}") from None
            else:
                self._refusals.remember()
                return now, written

    def _note_refused(self, now: Decision, reasons: Mapping[str, str]) -> None:
        for key, reason in reasons.items():
            value = now.fields[key]
            is_news = self._memory.any_refusal(now.address, key, value) is None
            refused = self._memory.note_refused(now.address, _kept(reason, now), key, value)
            if is_news:
                self.refused.append(Waiting(now.address, key, now.hubspot_id, refused))

    def _other_forms(self, sent: Decision, written: Written) -> dict[str, tuple[Value, str]]:
        """Key -> value sent and what MailerLite made of it, where that is not the same."""
        forms: dict[str, tuple[Value, str]] = {}
        for field in self._rules.fields:
            if field.key in sent.fields and field.key in written.fields:
                there = as_kept(written.fields[field.key], field.type)
                if there != str(sent.fields[field.key]):
                    forms[field.key] = (sent.fields[field.key], there)
        return forms

    def _demand_no_return(self, now: Decision, written: Written) -> None:
        """Someone may confirm the subscription between the look and the write; several in a row do
        not: then it is the write that makes them active."""
        if now.was != "unconfirmed":
            return
        self._came_back = self._came_back + 1 if written.status == "active" else 0
        if self._came_back == COME_BACK:
            self._mailerlite.http.give_up(
                f"MailerLite: {COME_BACK} people in a row who were unconfirmed are active after an"
                " update. Nothing more is written. See in MailerLite whether they have agreed to"
                " get mail."
            )


class _Refusals:
    """Whom MailerLite did not take: remembered once it is clear that it is about the person."""

    def __init__(self, memory: Memory, news: list[Waiting]) -> None:
        self._memory, self._news = memory, news
        self._in_a_row: list[tuple[Decision, str]] = []  # with the same words
        self._is_about_all = False
        self._lock = threading.Lock()

    def note(self, now: Decision, error: Refused) -> None:
        """Raises Skip when this is no news, and ServiceDown when everyone is refused."""
        reason = masked(error.detail)
        with self._lock:
            is_news = self._memory.any_refusal(now.address) is None  # before another write ends
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
            is_news = self._memory.any_refusal(now.address) is None
            refused = self._memory.note_refused(now.address, _kept(reason, now))
            if is_news:
                self._news.append(Waiting(now.address, "", now.hubspot_id, refused))
        self._in_a_row.clear()


def _kept(reason: str, now: Decision) -> str:
    """What is remembered of a refusal: without the address, its domain and the values sent."""
    words, domain = masked(reason), now.address.rpartition("@")[2]
    sent = {domain, *(masked(str(value)) for value in now.fields.values())}
    for each in sorted(filter(None, sent), key=len, reverse=True):  # one may be part of another
        words = re.sub(rf"(?<!\w){re.escape(each)}(?!\w)", "\u2026", words)
    return words


class NothingToDo(Skip):
    def __init__(self) -> None:
        super().__init__("MailerLite has it as HubSpot by now")


def _not_wanted(now: Decision) -> Skip:
    return Skip(now.reason) if now.reason else NothingToDo()


def _untold() -> CallRejected:
    return CallRejected(
        "MailerLite does not say how it is with this person now; nothing was written"
    )


def _person(
    planned: Decision,
    by_id: Mapping[int, Contact],
    there: Subscriber | None,
    looked_up: Mapping[str, Subscriber | None],
) -> Person:
    """As the services say now. A contact with another address is not written under this one, but
    what it objects to counts."""
    key = canonical(planned.address)
    contacts = [by_id[id] for id in planned.contact_ids if id in by_id]
    same = [contact for contact in contacts if contact_address(contact) == key]
    former = [contact for contact in contacts if contact_address(contact) != key]
    is_there = there is not None and canonical(there.email) == key
    earlier = list(filter(None, map(looked_up.get, planned.earlier)))
    return Person(key, in_order(same), former, there if is_there else None, earlier)
