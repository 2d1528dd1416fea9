"""Who is to be written to MailerLite, what of them, and who is left alone: decisions only.

`decide` is the one place that decides about a person: for the plan of all of them, and again with
what the services say of the person right before the write.
"""

from __future__ import annotations

import enum
from collections import Counter
from datetime import datetime, timezone
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Callable,
    Iterable,
    Iterator,
    Mapping,
    NamedTuple,
    Protocol,
    Sequence,
)

from core.emails import canonical, normalise_email
from core.words import count, format_date
from subscribers.consent import Objection, objection
from subscribers.mirror import Membership, Mirror, number_of
from subscribers.selection import NOT_IN_LIST, Selection
from subscribers.values import OF_COMPANY, Field, as_kept, in_words, trimmed, usable

if TYPE_CHECKING:  # a decision needs no client to be loaded
    from hubspot_api.shapes import Contact
    from mailerlite_api.shapes import Subscriber, Value
    from subscribers.opt_outs import OptOut

COMPANY_ID = "associatedcompanyid"  # of the primary company, if there is one
PLAN_PROPERTIES = ("email", "lastmodifieddate")  # and those of consent, and those of the fields

# Why someone is left alone; `consent` has the reasons that HubSpot gives.
STILL_SUBSCRIBED = ", but still subscribed in MailerLite"  # after the reason
SUBSCRIBED_AGAIN = " after leaving MailerLite, but subscribed there again"  # likewise
NO_EMAIL = "no e-mail address"
INVALID_EMAIL = "invalid e-mail address"
OLDER = "another contact with this address was changed later"
DELETED = "deleted in MailerLite"
LEFT_BEFORE = "unsubscribed in MailerLite under an earlier address"
NO_CONTACT = "no contact in HubSpot has this address any more"
NEVER_A_CONTACT = "no contact in HubSpot has this address"
OTHER_ADDRESS = "the contact has another address in HubSpot now"
NOT_WRITTEN = {
    "unsubscribed": "unsubscribed in MailerLite",
    "bounced": "bounced in MailerLite",
    "junk": "marked as junk in MailerLite",
}
_OBJECTIONS = ("unsubscribed", "junk")  # of the person, and not only of the mailbox

_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class Refused(NamedTuple):
    """What MailerLite did not take. `since`, `asked` (when it was tried last) and `again_on` are
    days as in 2026-11-21."""

    reason: str
    since: str
    asked: str
    again_on: str

    @property
    def again_in_words(self) -> str:
        return format_date(datetime.fromisoformat(self.again_on))

    def is_waiting(self, today: str) -> bool:
        """A clock that was wrong makes nobody wait longer."""
        return self.asked <= today < self.again_on


class Trace(NamedTuple):
    """What is remembered of an address: whether MailerLite had it, whether it was written by us,
    the contact that had it then, and whether we opted it out in HubSpot."""

    is_known: bool
    is_written: bool = False
    contact_id: int | None = None
    is_opted_out: bool = False


class Remembered(Protocol):
    """What earlier runs know; addresses come in any spelling."""

    def recall(self, email: str) -> Trace: ...

    def is_kept(self, email: str, key: str, value: Value, there: str) -> bool:
        """Whether MailerLite made `there` of this value when it was written."""

    def refusal(self, email: str, key: str = "", value: Value | None = None) -> Refused | None:
        """That of the value or, without a key, of the person, while it need not be tried again."""

    def joined(self, email: str) -> Mapping[str, bool]:
        """The groups that the person was put into -> whether it was told that they left it."""


class Rules(NamedTuple):
    """`consent`: property -> the reason not to write; `groups`: ids that everyone joins;
    `restore`: deleted people, as canonical addresses, to write all the same; `selection`: who is
    meant; `keep_in_group`: who leaves no mirrored group, as canonical addresses; `opt_out`: of what
    people are opted out in HubSpot who have left MailerLite, if that is clear;
    `opt_out_unsubscribed`: whether they are."""

    fields: Sequence[Field]
    consent: Mapping[str, str]
    groups: Sequence[str] = ()
    fill_only: bool = False
    unsubscribe_opted_out: bool = False
    restore: AbstractSet[str] = frozenset()
    selection: Selection = Selection()
    mirror: Mirror = Mirror()
    keep_in_group: AbstractSet[str] = frozenset()
    opt_out: OptOut | None = None
    opt_out_unsubscribed: bool = False

    @property
    def properties(self) -> tuple[str, ...]:
        """All that a decision looks at in a contact itself."""
        names = (field.property for field in self.fields)
        fields = (COMPANY_ID if name.startswith(OF_COMPANY) else name for name in names)
        meant = (*self.selection.properties, *self.mirror.properties)
        return tuple(dict.fromkeys((*PLAN_PROPERTIES, *self.consent, *meant, *fields)))

    @property
    def of_company(self) -> tuple[str, ...]:
        """All that it looks at in the contact's company."""
        names = (field.property for field in self.fields if field.property.startswith(OF_COMPANY))
        return tuple(dict.fromkeys(name[len(OF_COMPANY) :] for name in names))

    @property
    def needed(self) -> tuple[str, ...]:
        """Without these an answer says nothing of a contact."""
        return ("email", *self.consent, *self.selection.properties, *self.mirror.properties)

    @property
    def with_groups(self) -> bool:
        """Whether a decision looks at the groups of a subscriber."""
        return bool(self.groups or self.mirror.ids)

    @property
    def keys(self) -> list[str]:
        return [field.key for field in self.fields]


class Person(NamedTuple):
    """All that is known of one canonical address.

    `contacts`: those that have it, the one changed last at the end; `former`: those that had it,
    and have another one now; `subscriber`: as MailerLite has it; `earlier`: the subscribers under
    other addresses that the contacts had.
    """

    email: str
    contacts: Sequence[Contact]
    former: Sequence[Contact]
    subscriber: Subscriber | None
    earlier: Sequence[Subscriber] = ()


class Action(enum.Enum):
    CREATE = "create"
    UPDATE = "update"
    UNSUBSCRIBE = "unsubscribe"
    OPT_OUT = "opt_out"  # in HubSpot
    SKIP = "skip"
    WAIT = "wait"  # MailerLite has refused it, and is not asked again yet
    LEAVER = "leaver"  # written by us, subscribed, and no contact any more
    NOTHING = "nothing"


class Decision(NamedTuple):
    """What to do about one person, and why.

    `email`: as it is sent, or as HubSpot has it if it is no address; `contact_ids`: all that have
    or had it; `fields`: what differs; `groups`: the ids of those that are missing; `was`: the
    status in MailerLite, None if it has no such subscriber; `earlier`: the ids of the subscribers
    under other addresses that the contacts had.

    Of single values, by key: `unusable` do not fit the type of the field, `other_form` are kept
    by MailerLite in another form, `refused` were not taken by it. `taken_out`: groups that somebody
    took the person out of; `is_news`: which was not told before. Of mirrored groups: `mirrored`,
    where the person belongs; `rejoins`, those that somebody took the person out of; `leaves`.
    """

    action: Action
    email: str | None
    hubspot_id: int | None
    reason: str = ""
    contact_ids: tuple[int, ...] = ()
    subscriber_id: str | None = None
    was: str | None = None
    earlier: tuple[str, ...] = ()
    fields: Mapping[str, Value] = {}
    groups: tuple[str, ...] = ()
    unusable: tuple[str, ...] = ()
    other_form: tuple[str, ...] = ()
    refused: Mapping[str, Refused] = {}
    taken_out: tuple[str, ...] = ()
    mirrored: tuple[str, ...] = ()
    rejoins: tuple[str, ...] = ()
    leaves: tuple[str, ...] = ()
    why_leaves: str = ""

    @property
    def address(self) -> str:
        return self.email or ""


class Leave(NamedTuple):
    """Of one mirrored group, by id."""

    person: Decision
    group: str

    @property
    def membership(self) -> Membership:
        return Membership(canonical(self.person.address), self.group)


class Waiting(NamedTuple):
    """`field`: the key of the refused value, "" if the person was refused."""

    email: str
    field: str
    hubspot_id: int | None
    refused: Refused


class Plan(NamedTuple):
    """Everything in order of address. `waiting`: people and values that MailerLite refused;
    `taken_out`: people who left a group, as is to be told; `unusable`, `other_form`: key -> of how
    many people. `active`: how many subscribers are active; `with_address`: how many contacts have
    one. Of mirrored groups: who is to `leave`, who belongs there (`mirrored`), and how many
    people are `members` of one who can get mail."""

    create: tuple[Decision, ...]
    update: tuple[Decision, ...]
    unsubscribe: tuple[Decision, ...]
    skipped: tuple[Decision, ...]
    leavers: tuple[Decision, ...]
    waiting: tuple[Waiting, ...]
    taken_out: tuple[Decision, ...]
    unchanged: int
    unusable: Mapping[str, int]
    other_form: Mapping[str, int]
    active: int
    opt_out: tuple[Decision, ...]
    with_address: int
    leave: tuple[Leave, ...] = ()
    mirrored: AbstractSet[Membership] = frozenset()
    members: int = 0

    @property
    def leaving(self) -> int:
        """How many people leave a group, or several."""
        return number_of(each.membership for each in self.leave)


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
    remembered: Remembered,
    rules: Rules,
) -> Plan:
    """What to write. `subscribers`: see `by_email`."""
    planning = _Planning()
    selection = rules.selection
    by_address = _by_address(contacts, subscribers, selection, planning.add)
    for person in _people(contacts, by_address, subscribers, remembered):
        for each in person.contacts[:-1] if not selection.why_not(person.contacts) else ():
            planning.add(_skip(each, person.email, OLDER))
        planning.add(decide(person, remembered, rules))
    active = sum(each.status == "active" for each in subscribers.values())
    plan = planning.result(active, sum(map(len, by_address.values())))
    ids, can_get_mail = rules.mirror.ids, filter(_is_subscribed, subscribers.values())
    return plan._replace(members=sum(not ids.isdisjoint(each.groups) for each in can_get_mail))


def persons(
    contacts: Sequence[Contact], subscribers: Mapping[str, Subscriber], remembered: Remembered
) -> dict[str, Person]:
    """By canonical address, as for `make_plan`."""
    by_address = _by_address(contacts, subscribers, Selection(), lambda _: None)
    found = _people(contacts, by_address, subscribers, remembered)
    return {person.email: person for person in found}


def decide(person: Person, remembered: Remembered, rules: Rules) -> Decision:
    """The objection of any contact that has or had the address counts."""
    decision, subscriber = _decide(person, remembered, rules), person.subscriber
    is_kept = decision.action is Action.UNSUBSCRIBE or person.email in rules.keep_in_group
    if subscriber is None or not _is_subscribed(subscriber) or is_kept:
        return decision
    leaves = tuple(sorted((rules.mirror.ids & subscriber.groups).difference(decision.mirrored)))
    if not leaves:
        return decision
    was_in = not remembered.joined(person.email).keys().isdisjoint(leaves)
    return decision._replace(leaves=leaves, why_leaves=_why_leaves(decision, person, rules, was_in))


def _why_leaves(decision: Decision, person: Person, rules: Rules, was_in: bool) -> str:
    """`was_in`: put into the group by us."""
    reason = decision.reason
    if not reason:
        return rules.mirror.why_changed(person.contacts[-1])
    if reason == NO_CONTACT and not was_in:
        return NEVER_A_CONTACT
    if reason.startswith(NOT_IN_LIST) and was_in:
        return f"no longer {reason[len('not ') :]}"
    return reason[: -len(STILL_SUBSCRIBED)] if reason.endswith(STILL_SUBSCRIBED) else reason


def _is_subscribed(subscriber: Subscriber) -> bool:
    return subscriber.status not in NOT_WRITTEN


def _decide(person: Person, remembered: Remembered, rules: Rules) -> Decision:
    subscriber, known_contacts = person.subscriber, (*person.former, *person.contacts)
    blank = Decision(
        Action.NOTHING,
        _address(person),
        known_contacts[-1].id if known_contacts else None,
        contact_ids=tuple(contact.id for contact in known_contacts),
        subscriber_id=subscriber.id if subscriber else None,
        was=subscriber.status if subscriber else None,
        earlier=tuple(each.id for each in person.earlier),
    )
    is_subscribed = subscriber is not None and _is_subscribed(subscriber)
    objected = objection(known_contacts, rules.consent)
    if objected and objected.is_opt_out and is_subscribed:
        if _is_by_us(objected, person, remembered, rules):
            return blank._replace(action=Action.SKIP, reason=objected.reason + SUBSCRIBED_AGAIN)
        if rules.unsubscribe_opted_out:
            return blank._replace(action=Action.UNSUBSCRIBE, reason=objected.reason)
        return blank._replace(action=Action.SKIP, reason=objected.reason + STILL_SUBSCRIBED)
    if not person.contacts:
        is_leaver = is_subscribed and remembered.recall(person.email).is_written
        return blank._replace(
            action=Action.LEAVER if is_leaver else Action.NOTHING,
            reason=OTHER_ADDRESS if person.former else NO_CONTACT,
        )
    is_opted_out = objected is not None and objected.is_opt_out
    has_left = subscriber is not None and subscriber.status in _OBJECTIONS
    if rules.opt_out_unsubscribed and not is_opted_out and subscriber and has_left:
        email = normalise_email(person.contacts[-1].values["email"])
        reason = NOT_WRITTEN[subscriber.status]
        return blank._replace(action=Action.OPT_OUT, email=email, reason=reason)
    not_meant = rules.selection.why_not(person.contacts)
    if not_meant:
        return blank._replace(reason=not_meant)
    why_not = objected.reason if objected else _why_not(person, remembered, rules)
    if why_not:
        return blank._replace(action=Action.SKIP, reason=why_not)
    return _compare(blank, person, remembered, rules)


def _is_by_us(objected: Objection, person: Person, remembered: Remembered, rules: Rules) -> bool:
    """Whether the person is opted out of nothing but what we opted them out of."""
    ours = rules.opt_out and rules.consent[rules.opt_out.property]  # an opt-out of all comes first
    return objected.reason == ours and remembered.recall(person.email).is_opted_out


def contact_address(contact: Contact) -> str | None:
    """In canonical form; None when it is no address."""
    email = normalise_email(contact.values["email"])
    return canonical(email) if email else None


def company_id(contact: Contact) -> int | None:
    text = trimmed(contact.values[COMPANY_ID])
    return int(text) if text.isascii() and text.isdigit() else None


def in_order(contacts: Iterable[Contact]) -> list[Contact]:
    """The one changed last at the end."""
    return sorted(contacts, key=_changed_at)


def people(number: int) -> str:
    return count(number, "person", "people")


def _by_address(
    contacts: Iterable[Contact],
    subscribers: Mapping[str, Subscriber],
    selection: Selection,
    leave: Callable[[Decision], None],
) -> dict[str, tuple[Contact, ...]]:
    found: dict[str, tuple[Contact, ...]] = {}
    for contact in contacts:
        key = contact_address(contact)
        typed = contact.values["email"]
        if key:
            if key in subscribers:  # one text for both: there may be hundreds of thousands
                key = canonical(subscribers[key].email)
            found[key] = (*found.get(key, ()), contact)
        elif selection.is_meant(contact):
            leave(_skip(contact, typed, INVALID_EMAIL if trimmed(typed) else NO_EMAIL))
    return found


def _people(
    contacts: Sequence[Contact],
    by_address: Mapping[str, Sequence[Contact]],
    subscribers: Mapping[str, Subscriber],
    remembered: Remembered,
) -> Iterator[Person]:
    """Whoever has a contact or is a subscriber."""
    had: dict[int, list[str]] = {}  # contact -> addresses that are not its own any more
    for key in subscribers:
        contact_id = remembered.recall(key).contact_id
        if contact_id is not None and all(
            each.id != contact_id for each in by_address.get(key, ())
        ):
            had.setdefault(contact_id, []).append(key)
    former = {key: contact for contact in contacts for key in had.get(contact.id, ())}
    for key, same in by_address.items():
        before = [former[key]] if key in former else []
        earlier = [subscribers[each] for contact in same for each in had.get(contact.id, ())]
        yield Person(key, in_order(same), before, subscribers.get(key), earlier)
    for key, subscriber in subscribers.items():
        if key not in by_address:
            yield Person(key, (), [former[key]] if key in former else [], subscriber)


def _address(person: Person) -> str:
    """As MailerLite has it, or else as HubSpot."""
    if person.subscriber:
        return person.subscriber.email
    typed = person.contacts[-1].values["email"] if person.contacts else None
    return normalise_email(typed) or person.email


def _skip(contact: Contact, email: str | None, reason: str) -> Decision:
    return Decision(Action.SKIP, email, contact.id, reason)


def _why_not(person: Person, remembered: Remembered, rules: Rules) -> str | None:
    if any(each.status in _OBJECTIONS for each in person.earlier):
        return LEFT_BEFORE
    if person.subscriber:
        return NOT_WRITTEN.get(person.subscriber.status)
    if person.email not in rules.restore and remembered.recall(person.email).is_known:
        return DELETED
    return None


def _compare(blank: Decision, person: Person, remembered: Remembered, rules: Rules) -> Decision:
    there = person.subscriber
    found = _with_fields(blank, person, remembered, rules)
    found = _with_groups(found, person, remembered, rules)
    if there and not (found.fields or found.groups):
        return found
    refused = remembered.refusal(person.email)
    if refused:
        return found._replace(action=Action.WAIT, refused={"": refused, **found.refused})
    return found._replace(action=Action.UPDATE if there else Action.CREATE)


def _with_fields(
    decision: Decision, person: Person, remembered: Remembered, rules: Rules
) -> Decision:
    """A value that HubSpot lacks is never a difference: nothing is ever blanked out."""
    fields: dict[str, Value] = {}
    unusable: list[str] = []
    other_form: list[str] = []
    refused: dict[str, Refused] = {}
    contact, there = person.contacts[-1], person.subscriber
    for field in rules.fields:
        text = in_words(trimmed(contact.values[field.property]), field)
        present = as_kept(there.fields.get(field.key) if there else None, field.type)
        if not text or (present and rules.fill_only):
            continue
        value = usable(text, field.type)
        if value is None:
            unusable.append(field.key)
        elif str(value) == present:
            pass
        elif there and remembered.is_kept(person.email, field.key, value, present):
            other_form.append(field.key)
        else:
            refusal = remembered.refusal(person.email, field.key, value)
            if refusal:
                refused[field.key] = refusal
            else:
                fields[field.key] = value
    return decision._replace(
        fields=fields, unusable=tuple(unusable), other_form=tuple(other_form), refused=refused
    )


def _with_groups(
    decision: Decision, person: Person, remembered: Remembered, rules: Rules
) -> Decision:
    """Whom we put into a group and who is not in it any more was taken out, and stays out; but a
    mirrored group is for us alone to change."""
    mirrored = rules.mirror.groups_of(person.contacts[-1])
    if person.subscriber is None:
        return decision._replace(groups=(*rules.groups, *mirrored), mirrored=mirrored)
    there = person.subscriber.groups
    missing = [group for group in rules.groups if group not in there]
    lacking = [group for group in mirrored if group not in there]
    joined = remembered.joined(person.email) if missing or lacking else {}
    return decision._replace(
        groups=(*(group for group in missing if group not in joined), *lacking),
        taken_out=tuple(group for group in missing if joined.get(group) is False),
        mirrored=mirrored,
        rejoins=tuple(group for group in lacking if group in joined),
    )


class _Planning:
    def __init__(self) -> None:
        self._by_action: dict[Action, list[Decision]] = {action: [] for action in Action}
        self._waiting: list[Waiting] = []
        self._taken_out: list[Decision] = []
        self._leave: list[Leave] = []
        self._mirrored: set[Membership] = set()
        self._unchanged = 0
        self._unusable: Counter[str] = Counter()
        self._other_form: Counter[str] = Counter()

    def add(self, decision: Decision) -> None:
        if decision.action is not Action.NOTHING:
            self._by_action[decision.action].append(decision)
        elif not decision.reason:
            self._unchanged += 1
        self._unusable.update(decision.unusable)
        self._other_form.update(decision.other_form)
        self._leave += (Leave(decision, group) for group in decision.leaves)
        email = canonical(decision.address)
        self._mirrored.update(Membership(email, group) for group in decision.mirrored)
        if decision.taken_out:
            self._taken_out.append(decision)
        for field, refused in decision.refused.items():
            self._waiting.append(Waiting(decision.address, field, decision.hubspot_id, refused))

    def result(self, active: int, with_address: int) -> Plan:
        def sorted_by_email(decisions: Iterable[Decision]) -> tuple[Decision, ...]:
            return tuple(sorted(decisions, key=lambda each: (each.address, each.hubspot_id or 0)))

        return Plan(
            sorted_by_email(self._by_action[Action.CREATE]),
            sorted_by_email(self._by_action[Action.UPDATE]),
            sorted_by_email(self._by_action[Action.UNSUBSCRIBE]),
            sorted_by_email(self._by_action[Action.SKIP]),
            sorted_by_email(self._by_action[Action.LEAVER]),
            tuple(sorted(self._waiting)),
            sorted_by_email(self._taken_out),
            self._unchanged,
            dict(self._unusable),
            dict(self._other_form),
            active,
            sorted_by_email(self._by_action[Action.OPT_OUT]),
            with_address,
            tuple(sorted(self._leave, key=lambda each: each.membership)),
            self._mirrored,
        )


def _changed_at(contact: Contact) -> tuple[datetime, int]:
    text = trimmed(contact.values["lastmodifieddate"])
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        return _LONG_AGO, contact.id
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)), contact.id
