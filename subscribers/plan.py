"""The plan of a run: whom to write, what of them, and who is skipped."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Iterable, Iterator, Mapping, NamedTuple, Sequence

from core import addresses, words
from hubspot_api.shapes import Contact
from mailerlite_api.shapes import Subscriber
from report.model import Result
from subscribers import decide
from subscribers.decide import Action, Decision, Memory, Person, Refusal
from subscribers.rules import Rules, trimmed

# In the order of writing: should the run break off, nobody gets mail who does not want it.
CHANGES = (Action.OPT_OUT, Action.UNSUBSCRIBE, Action.LEAVE, Action.UPDATE, Action.CREATE)
PLANNED = Result()


class Membership(NamedTuple):
    """That a person, by canonical address, is in a group, by id."""

    email: str
    group: str


@dataclass
class Change:
    """One change of one person: planned, and then with what came of it. `decision`: once it is
    tried, that of the last look; `group`: what an Action.LEAVE is about."""

    action: Action
    decision: Decision
    group: str = ""
    result: Result = PLANNED

    @property
    def status(self) -> str:
        return self.result.status

    @property
    def address(self) -> str:
        return self.decision.address

    @property
    def membership(self) -> Membership:
        """Of an Action.LEAVE."""
        return Membership(self.decision.person.email, self.group)


@dataclass
class Creation:
    """A field, or a mirrored group without a `type`, that MailerLite lacks: made before anybody is
    written."""

    name: str
    type: str = ""
    result: Result = PLANNED


class Waiting(NamedTuple):
    """`field`: the key of the refused value, "" if the person was refused."""

    email: str
    field: str
    hubspot_id: int | None
    refused: Refusal


@dataclass
class Plan:
    """`left_alone`: people with an Action.SKIP or ORPHAN; `removed_by_hand`: people who left a
    group, as is to be reported; `mirrored`: who belongs in which mirrored group; `unusable`,
    `other_form`: key -> of how many people. How many there are: subscribers that are `active`,
    contacts `with_address`, and `members` of a mirrored group who can get mail."""

    creations: list[Creation] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    left_alone: list[Decision] = field(default_factory=list)
    removed_by_hand: list[Decision] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    mirrored: set[Membership] = field(default_factory=set)
    unusable: Counter[str] = field(default_factory=Counter)
    other_form: Counter[str] = field(default_factory=Counter)
    unchanged: int = 0
    active: int = 0
    with_address: int = 0
    members: int = 0

    def of(self, action: Action) -> list[Change]:
        return [each for each in self.changes if each.action is action]

    @property
    def is_empty(self) -> bool:
        return not (self.changes or self.creations)

    @property
    def orphans(self) -> int:
        return sum(each.action is Action.ORPHAN for each in self.left_alone)

    @property
    def leaving(self) -> int:
        """How many people leave a group, or several."""
        return len({each.membership.email for each in self.of(Action.LEAVE)})

    def add(self, decision: Decision) -> None:
        values, groups, email = decision.values, decision.groups, decision.person.email
        if decision.action in CHANGES:
            self.changes.append(Change(decision.action, decision))
        elif decision.action in (Action.SKIP, Action.ORPHAN):
            self.left_alone.append(decision)
        elif decision.action is Action.NOTHING and not decision.reason:
            self.unchanged += 1
        self.unusable.update(values.unusable)
        self.other_form.update(values.other_form)
        # Beside the rest: who is updated, skipped or out of scope may leave groups as well.
        self.changes += (Change(Action.LEAVE, decision, group) for group in groups.leave)
        self.mirrored.update(Membership(email, group) for group in groups.mirrored)
        self.removed_by_hand += [decision] if groups.removed_by_hand else []
        refused = {**({"": decision.refused} if decision.refused else {}), **values.refused}
        for key, refusal in refused.items():
            waiting = Waiting(decision.address, key, decision.hubspot_id, refusal)
            self.waiting.append(waiting)

    def described(self) -> Iterator[tuple[str, str]]:
        """Each change as it would be sent, with the address; names and reasons do not count."""
        for made in self.creations:
            yield f"create {made.type or 'group'} {made.name}", ""
        for change in self.changes:
            values, groups = change.decision.values.to_send, change.decision.groups.join
            sent = [f"{key}={value}" for key, value in sorted(values.items())]
            is_written = change.action in (Action.CREATE, Action.UPDATE)
            details = [*sent, *sorted(groups)] if is_written else [change.group]
            yield "\n".join([f"{change.action.value} {change.address}", *details]), change.address

    def sort(self) -> None:
        """By address."""

        def place(decision: Decision) -> tuple[str, int]:
            return decision.address, decision.hubspot_id or 0

        self.changes.sort(key=lambda e: (CHANGES.index(e.action), place(e.decision), e.group))
        self.left_alone.sort(key=place)
        self.removed_by_hand.sort(key=place)
        self.waiting.sort()

    def use_made_groups(self, made: Mapping[str, str]) -> None:
        """Instead of their placeholders the ids of the groups that are made by now."""
        for change in self.changes:
            groups = change.decision.groups
            join = tuple(made.get(each, each) for each in groups.join)
            mirrored = tuple(made.get(each, each) for each in groups.mirrored)
            groups = groups._replace(join=join, mirrored=mirrored)
            change.decision = change.decision._replace(groups=groups)
        self.mirrored = {Membership(e.email, made.get(e.group, e.group)) for e in self.mirrored}


def by_email(subscribers: Iterable[Subscriber]) -> dict[str, Subscriber]:
    """By canonical address. Someone may come twice, because the status changed during the read: a
    status in which nothing may be written counts, else the last."""
    found: dict[str, Subscriber] = {}
    for person in subscribers:
        key = addresses.canonical(person.email)
        other = found.get(key)
        if other is None or other.status not in decide.NOT_WRITTEN:
            found[key] = person
    return found


def make_plan(
    contacts: Sequence[Contact],
    subscribers: Mapping[str, Subscriber],
    memory: Memory,
    rules: Rules,
) -> Plan:
    """`subscribers`: see `by_email`."""
    plan = Plan(active=sum(each.status == "active" for each in subscribers.values()))
    for contact in contacts:
        if decide.contact_address(contact) is not None:
            plan.with_address += 1
        elif rules.scope.in_scope(contact):
            typed = contact.values["email"] or ""
            reason = decide.INVALID_EMAIL if trimmed(typed) else decide.NO_EMAIL
            plan.add(Decision(Action.SKIP, Person(typed, [contact]), reason))
    with_others: list[Person] = []
    for person in find_people(contacts, subscribers, memory):
        if person.others:
            with_others.append(person)
        else:
            _add(plan, person, memory, rules)
    # Who is unsubscribed by this run has left before anybody with that address besides their own is
    # written: else the next run would take back what this one did.
    gone = {each.decision.person.email for each in plan.of(Action.UNSUBSCRIBE)}
    for person in with_others:
        if decide.decide(person, memory, rules).action is Action.UNSUBSCRIBE:
            gone.add(person.email)
    for person in with_others:
        others = (
            each._replace(status="unsubscribed")
            if addresses.canonical(each.email) in gone
            else each
            for each in person.others
        )
        _add(plan, person._replace(others=[*others]), memory, rules)
    plan.sort()
    mailed = (each for each in subscribers.values() if each.status not in decide.NOT_WRITTEN)
    plan.members = sum(not rules.mirror.ids.isdisjoint(each.groups) for each in mailed)
    return plan


def _add(plan: Plan, person: Person, memory: Memory, rules: Rules) -> None:
    # The contact changed last is the one used; the others are reported, if anybody is in scope.
    older = person.contacts[:-1] if not rules.scope.out_of_scope(person.contacts) else ()
    for contact in older:
        plan.add(Decision(Action.SKIP, Person(person.email, [contact]), decide.OLDER))
    plan.add(decide.decide(person, memory, rules))


def find_people(
    contacts: Sequence[Contact], subscribers: Mapping[str, Subscriber], memory: Memory
) -> Iterator[Person]:
    """Whoever has a contact with an address, or is a subscriber."""
    by_address: dict[str, tuple[Contact, ...]] = {}
    others: dict[int, list[str]] = {}  # contact -> addresses besides its own: named, or had before
    for contact in contacts:
        if named := decide.other_addresses(contact):
            others[contact.id] = named
        key = decide.contact_address(contact)
        if key is None:
            continue
        if key in subscribers:  # one text for both: there may be hundreds of thousands
            key = addresses.canonical(subscribers[key].email)
        by_address[key] = (*by_address.get(key, ()), contact)
    merged = {id: each.id for each in contacts for id in decide.ids_of(each)[1:]}
    for key in subscribers:
        contact_id = memory.lookup(key).contact_id
        contact_id = merged.get(contact_id or 0, contact_id)
        ids = (each.id for each in by_address.get(key, ()))
        if contact_id is not None and contact_id not in ids:
            others.setdefault(contact_id, []).append(key)
    related: dict[str, list[Contact]] = {}
    for contact in decide.by_change(each for each in contacts if each.id in others):
        for key in dict.fromkeys(others[contact.id]):
            related.setdefault(key, []).append(contact)
    for key, same in by_address.items():
        own = decide.by_change(same)
        keys = dict.fromkeys(each for contact in own for each in others.get(contact.id, ()))
        there = [subscribers[each] for each in keys if each in subscribers]
        yield Person(key, own, related.get(key, ()), subscribers.get(key), there)
    for key, subscriber in subscribers.items():
        if key not in by_address:
            yield Person(key, (), related.get(key, ()), subscriber)


def people(number: int) -> str:
    return words.count(number, "person", "people")
