"""The plan of a run: whom to write, what of them, and who is left alone."""

from __future__ import annotations

from collections import Counter
from dataclasses import dataclass, field
from typing import Iterable, Iterator, Mapping, NamedTuple, Sequence

from core.emails import canonical
from core.words import count
from hubspot_api.shapes import Contact
from mailerlite_api.shapes import Subscriber
from report.model import Result
from subscribers.decide import (
    INVALID_EMAIL,
    NO_EMAIL,
    NOT_WRITTEN,
    OLDER,
    Action,
    Decision,
    Memory,
    Person,
    Refusal,
    by_change,
    contact_address,
    decide,
)
from subscribers.rules import Rules
from subscribers.values import trimmed

# In the order of writing: should the run break off, nobody gets mail who does not want it.
CHANGES = (Action.OPT_OUT, Action.UNSUBSCRIBE, Action.LEAVE, Action.UPDATE, Action.CREATE)


PLANNED_RESULT = Result()


class Membership(NamedTuple):
    """That a person, by canonical address, is in a group, by id."""

    email: str
    group: str


@dataclass
class Change:
    """One change of one person: planned, and then with what came of it.

    `decision`: once it is tried, that of the last look at the person; `group`: what an Action.LEAVE
    is about.
    """

    action: Action
    decision: Decision
    group: str = ""
    result: Result = PLANNED_RESULT

    @property
    def address(self) -> str:
        return self.decision.address

    @property
    def membership(self) -> Membership:
        """Of an Action.LEAVE."""
        return Membership(self.decision.person.email, self.group)


@dataclass
class Creation:
    """A field, or a mirrored group, that MailerLite lacks: made before anybody is written.

    `type`: that of the field, "" for a group."""

    name: str
    type: str = ""
    result: Result = PLANNED_RESULT


class Waiting(NamedTuple):
    """`field`: the key of the refused value, "" if the person was refused."""

    email: str
    field: str
    hubspot_id: int | None
    refused: Refusal


@dataclass
class Plan:
    """Everything in order of address, once `sort` was called.

    `left_alone`: people with an Action.SKIP or ORPHAN; `removed_by_hand`: people who left a group,
    as is to be told; `waiting`: people and values that MailerLite refused; `mirrored`: who belongs
    into which mirrored group; `unusable`, `other_form`: key -> of how many people. Of how many
    people there are: subscribers that are `active`, contacts `with_address`, and `members` of a
    mirrored group who can get mail.
    """

    creations: list[Creation] = field(default_factory=list)
    changes: list[Change] = field(default_factory=list)
    left_alone: list[Decision] = field(default_factory=list)
    removed_by_hand: list[Decision] = field(default_factory=list)
    waiting: list[Waiting] = field(default_factory=list)
    mirrored: set[Membership] = field(default_factory=set)
    unchanged: int = 0
    unusable: Counter[str] = field(default_factory=Counter)
    other_form: Counter[str] = field(default_factory=Counter)
    active: int = 0
    with_address: int = 0
    members: int = 0

    def of(self, action: Action) -> list[Change]:
        return [each for each in self.changes if each.action is action]

    @property
    def is_empty(self) -> bool:
        return not (self.changes or self.creations)

    @property
    def results(self) -> list[Result]:
        created = [each.result for each in self.creations]
        return created + [each.result for each in self.changes]

    @property
    def orphans(self) -> list[Decision]:
        return [each for each in self.left_alone if each.action is Action.ORPHAN]

    @property
    def skipped(self) -> list[Decision]:
        return [each for each in self.left_alone if each.action is Action.SKIP]

    @property
    def leaving(self) -> int:
        """How many people leave a group, or several."""
        return len({each.membership.email for each in self.of(Action.LEAVE)})

    def add(self, decision: Decision) -> None:
        values, groups = decision.values, decision.groups
        if decision.action in CHANGES:
            self.changes.append(Change(decision.action, decision))
        elif decision.action in (Action.SKIP, Action.ORPHAN):
            self.left_alone.append(decision)
        elif decision.action is Action.NOTHING and not decision.reason:
            self.unchanged += 1
        self.unusable.update(values.unusable)
        self.other_form.update(values.other_form)
        self.changes += (Change(Action.LEAVE, decision, group) for group in groups.leave)
        self.mirrored.update(Membership(decision.person.email, each) for each in groups.mirrored)
        if groups.removed_by_hand:
            self.removed_by_hand.append(decision)
        refused = {**({"": decision.refused} if decision.refused else {}), **values.refused}
        self.waiting += (
            Waiting(decision.address, key, decision.hubspot_id, refusal)
            for key, refusal in refused.items()
        )

    def use_made_groups(self, made: Mapping[str, str]) -> None:
        """Instead of their placeholders the ids of the groups that are made by now."""
        for change in self.changes:
            groups = change.decision.groups
            join = tuple(made.get(each, each) for each in groups.join)
            mirrored = tuple(made.get(each, each) for each in groups.mirrored)
            groups = groups._replace(join=join, mirrored=mirrored)
            change.decision = change.decision._replace(groups=groups)
        self.mirrored = {Membership(e.email, made.get(e.group, e.group)) for e in self.mirrored}

    def sort(self) -> None:
        def by_address(decision: Decision) -> tuple[str, int]:
            return decision.address, decision.hubspot_id or 0

        self.changes.sort(
            key=lambda each: (CHANGES.index(each.action), by_address(each.decision), each.group)
        )
        self.left_alone.sort(key=by_address)
        self.removed_by_hand.sort(key=by_address)
        self.waiting.sort()


def by_email(subscribers: Iterable[Subscriber]) -> dict[str, Subscriber]:
    """By canonical address. Someone may come twice, because the status changed during the read: a
    status in which nothing may be written counts, else the last."""
    found: dict[str, Subscriber] = {}
    for person in subscribers:
        key = canonical(person.email)
        other = found.get(key)
        if other is None or other.status not in NOT_WRITTEN:
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
    by_address, without = _by_address(contacts, subscribers)
    for contact in filter(rules.scope.in_scope, without):
        typed = contact.values["email"] or ""
        reason = INVALID_EMAIL if trimmed(typed) else NO_EMAIL
        plan.add(Decision(Action.SKIP, Person(typed, [contact]), reason))
    for person in _people(contacts, by_address, subscribers, memory):
        older = person.contacts[:-1] if not rules.scope.out_of_scope(person.contacts) else ()
        for contact in older:
            plan.add(Decision(Action.SKIP, Person(person.email, [contact]), OLDER))
        plan.add(decide(person, memory, rules))
    plan.sort()
    plan.with_address = sum(map(len, by_address.values()))
    plan.members = sum(
        each.status not in NOT_WRITTEN and not rules.mirror.ids.isdisjoint(each.groups)
        for each in subscribers.values()
    )
    return plan


def people_of(
    contacts: Sequence[Contact], subscribers: Mapping[str, Subscriber], memory: Memory
) -> dict[str, Person]:
    """By canonical address, as for `make_plan`."""
    by_address, _ = _by_address(contacts, subscribers)
    return {each.email: each for each in _people(contacts, by_address, subscribers, memory)}


def people(number: int) -> str:
    return count(number, "person", "people")


def _by_address(
    contacts: Iterable[Contact], subscribers: Mapping[str, Subscriber]
) -> tuple[dict[str, tuple[Contact, ...]], list[Contact]]:
    """By canonical address, and those without one."""
    found: dict[str, tuple[Contact, ...]] = {}
    without: list[Contact] = []
    for contact in contacts:
        key = contact_address(contact)
        if key is None:
            without.append(contact)
            continue
        if key in subscribers:  # one text for both: there may be hundreds of thousands
            key = canonical(subscribers[key].email)
        found[key] = (*found.get(key, ()), contact)
    return found, without


def _people(
    contacts: Sequence[Contact],
    by_address: Mapping[str, Sequence[Contact]],
    subscribers: Mapping[str, Subscriber],
    memory: Memory,
) -> Iterator[Person]:
    """Whoever has a contact or is a subscriber."""
    had: dict[int, list[str]] = {}  # contact -> addresses that are not its own any more
    for key in subscribers:
        contact_id = memory.lookup(key).contact_id
        if contact_id is not None and all(
            each.id != contact_id for each in by_address.get(key, ())
        ):
            had.setdefault(contact_id, []).append(key)
    former = {key: contact for contact in contacts for key in had.get(contact.id, ())}
    for key, same in by_address.items():
        before = [former[key]] if key in former else []
        earlier = [subscribers[each] for contact in same for each in had.get(contact.id, ())]
        yield Person(key, by_change(same), before, subscribers.get(key), earlier)
    for key, subscriber in subscribers.items():
        if key not in by_address:
            yield Person(key, (), [former[key]] if key in former else [], subscriber)
