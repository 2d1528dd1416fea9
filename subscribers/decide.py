"""What is to become of one person: the rules, and nothing else.

`decide` is the one place that decides about a person: for the plan of all of them, again with what
the services say of the person right before the write, and for `--explain`.
"""

from __future__ import annotations

import enum
from datetime import datetime
from typing import Iterable, Mapping, NamedTuple, Protocol, Sequence

from core import addresses, conditions, words
from core.values import split_values
from hubspot_api.shapes import ADDITIONAL_EMAILS, MERGED_IDS, Contact
from mailerlite_api.shapes import Subscriber, Value
from subscribers.rules import (
    COMPANY_ID,
    OPT_OUT,
    Rules,
    comparable,
    labelled,
    objections,
    trimmed,
    usable,
)

# Why someone is skipped; `consent` has the reasons that HubSpot gives.
STILL_SUBSCRIBED = ", but still subscribed in MailerLite"  # after the reason
SUBSCRIBED_AGAIN = " after leaving MailerLite, but subscribed there again"  # likewise
NO_EMAIL = "no e-mail address"
INVALID_EMAIL = "invalid e-mail address"
OLDER = "another contact with this address was updated later"
DELETED = "deleted in MailerLite"
LEFT_ELSEWHERE = "unsubscribed in MailerLite under another address"
NO_CONTACT = "no contact in HubSpot has this address"
OTHER_ADDRESS = "the contact now has another address in HubSpot"
ADDITIONAL = "it is only an additional address in HubSpot"
NOT_WRITTEN = {
    "unsubscribed": "unsubscribed in MailerLite",
    "bounced": "bounced in MailerLite",
    "junk": "marked as spam in MailerLite",
}
_HAS_LEFT = ("unsubscribed", "junk")  # by the person's own wish: a bounce is the mailbox's


class Action(enum.Enum):
    """What is done about a person or, of the last four, why nothing is."""

    CREATE = "create"
    UPDATE = "update"
    UNSUBSCRIBE = "unsubscribe"
    OPT_OUT = "opt_out"  # in HubSpot
    LEAVE = "leave"  # a mirrored group; beside the others, see `Groups`
    SKIP = "skip"
    WAIT = "wait"  # MailerLite has rejected the person, who is not retried yet
    ORPHAN = "orphan"  # written by us, subscribed, and no contact any more
    NOTHING = "nothing"  # without a reason: MailerLite has what HubSpot has


class KnownPerson(NamedTuple):
    """What is remembered of an address: whether MailerLite had it, whether it was written by us,
    the contact that had it then, and whether we opted it out in HubSpot."""

    is_known: bool
    is_written: bool = False
    contact_id: int | None = None
    is_opted_out: bool = False


class Refusal(NamedTuple):
    """What MailerLite rejected. `since` and `again_on` are days as in 2026-11-21; `is_waiting`: it
    need not be retried yet."""

    reason: str
    since: str
    again_on: str
    is_waiting: bool = True

    def describe_day(self) -> str:
        """When it is retried."""
        return words.format_date(datetime.fromisoformat(self.again_on))


class Memory(Protocol):
    """What earlier runs know: a PersonStore. Addresses come in any spelling."""

    def lookup(self, email: str) -> KnownPerson: ...

    def is_kept_as(self, email: str, key: str, value: Value, there: str) -> bool: ...

    def previous_refusal(
        self, email: str, key: str = "", value: Value | None = None
    ) -> Refusal | None: ...

    def joined(self, email: str) -> Mapping[str, bool]: ...


class Person(NamedTuple):
    """All that is known of one canonical address.

    `contacts`: those whose own address it is, the one changed last at the end; `related`: those
    that had it, or name it beside their own; `subscriber`: as MailerLite has it; `others`: the
    subscribers under other addresses that the contacts have or had.
    """

    email: str
    contacts: Sequence[Contact] = ()
    related: Sequence[Contact] = ()
    subscriber: Subscriber | None = None
    others: Sequence[Subscriber] = ()

    @property
    def all_contacts(self) -> tuple[Contact, ...]:
        return (*self.related, *self.contacts)

    @property
    def status(self) -> str | None:
        """In MailerLite, if it has the person."""
        return self.subscriber.status if self.subscriber else None

    @property
    def is_subscribed(self) -> bool:
        return self.subscriber is not None and self.subscriber.status not in NOT_WRITTEN

    @property
    def hubspot_address(self) -> str:
        typed = self.contacts[-1].values["email"] if self.contacts else None
        return addresses.normalise_email(typed) or self.email


class Values(NamedTuple):
    """By the key of their field: `to_send` differ from what MailerLite has, `unusable` do not fit
    the type of the field, `other_form` are stored by MailerLite in another form, `refused` were
    rejected by it."""

    to_send: Mapping[str, Value] = {}
    unusable: tuple[str, ...] = ()
    other_form: tuple[str, ...] = ()
    refused: Mapping[str, Refusal] = {}


class Groups(NamedTuple):
    """By id: which ones to `join`; `removed_by_hand`: somebody removed the person, who is not added
    again. Of mirrored groups: those where the person belongs, those of `join` that somebody removed
    the person from, and those to `leave`."""

    join: tuple[str, ...] = ()
    removed_by_hand: tuple[str, ...] = ()
    mirrored: tuple[str, ...] = ()
    rejoin: tuple[str, ...] = ()
    leave: tuple[str, ...] = ()


class Decision(NamedTuple):
    """What to do about one person, and why. `refused`: the reason of an Action.WAIT."""

    action: Action
    person: Person
    reason: str = ""
    values: Values = Values()
    groups: Groups = Groups()
    why_leaves: str = ""
    refused: Refusal | None = None

    @property
    def address(self) -> str:
        """As it is sent, or shown if it is none: that of MailerLite, unless HubSpot is written."""
        person = self.person
        is_there = person.subscriber and self.action is not Action.OPT_OUT
        return person.subscriber.email if person.subscriber and is_there else person.hubspot_address

    @property
    def hubspot_id(self) -> int | None:
        contacts = self.person.all_contacts
        return contacts[-1].id if contacts else None


def decide(person: Person, memory: Memory, rules: Rules) -> Decision:
    """The suppression of any contact that has, names or had the address counts."""
    decision = _decide(person, memory, rules)
    subscriber = person.subscriber
    # Who is unsubscribed gets no more mail, whatever group they are in.
    is_kept = decision.action is Action.UNSUBSCRIBE or person.email in rules.keep_in_group
    if subscriber is None or not person.is_subscribed or is_kept:
        return decision
    belongs = decision.groups.mirrored
    leave = tuple(sorted((rules.mirror.ids & subscriber.groups).difference(belongs)))
    groups, why, by = decision.groups._replace(leave=leave), decision.reason, rules.mirror.by
    if leave and not why and by:  # the person belongs into another group now
        why = conditions.describe_value(person.contacts[-1].values[by.name], by)
    why = why.replace(STILL_SUBSCRIBED, "") if leave else ""
    return decision._replace(groups=groups, why_leaves=why)


def _decide(person: Person, memory: Memory, rules: Rules) -> Decision:
    """The order is that of the wishes: what the person said in HubSpot, then in MailerLite, and
    only then the settings."""

    def decided(action: Action, reason: str) -> Decision:
        return Decision(action, person, reason)

    objection = next(objections(person.all_contacts, rules.consent), "")
    why_not, is_opted_out = rules.consent.get(objection), objection.startswith(OPT_OUT)
    if why_not and is_opted_out and person.is_subscribed:
        # Of nothing but what we opted them out of: an opt-out of all would come first.
        is_ours = rules.opt_out and objection == rules.opt_out.property
        if is_ours and memory.lookup(person.email).is_opted_out:
            return decided(Action.SKIP, why_not + SUBSCRIBED_AGAIN)
        if rules.unsubscribe_opted_out:
            return decided(Action.UNSUBSCRIBE, why_not)
        return decided(Action.SKIP, why_not + STILL_SUBSCRIBED)
    if not person.contacts:
        if any(person.email in other_addresses(each) for each in person.related):
            return decided(Action.NOTHING, ADDITIONAL)
        is_orphan = person.is_subscribed and memory.lookup(person.email).is_written
        reason = OTHER_ADDRESS if person.related else NO_CONTACT
        return decided(Action.ORPHAN if is_orphan else Action.NOTHING, reason)
    if rules.opt_out_unsubscribed and person.status in _HAS_LEFT and not is_opted_out:
        return decided(Action.OPT_OUT, NOT_WRITTEN[person.status or ""])
    out_of_scope = rules.scope.out_of_scope(person.contacts)
    if out_of_scope:
        return decided(Action.NOTHING, out_of_scope)
    why_not = why_not or _why_not(person, memory, rules)
    if why_not:
        return decided(Action.SKIP, why_not)
    return _compare(person, memory, rules)


def _why_not(person: Person, memory: Memory, rules: Rules) -> str | None:
    if any(each.status in _HAS_LEFT for each in person.others):
        return LEFT_ELSEWHERE
    if person.subscriber:
        return NOT_WRITTEN.get(person.subscriber.status)
    if person.email not in rules.restore and memory.lookup(person.email).is_known:
        return DELETED
    return None


def _compare(person: Person, memory: Memory, rules: Rules) -> Decision:
    values = _compare_values(person, memory, rules)
    groups = _compare_groups(person, memory, rules)
    found = Decision(Action.NOTHING, person, values=values, groups=groups)
    if person.subscriber and not (values.to_send or groups.join):
        return found
    refused = memory.previous_refusal(person.email)
    if refused and refused.is_waiting:
        return found._replace(action=Action.WAIT, refused=refused)
    return found._replace(action=Action.UPDATE if person.subscriber else Action.CREATE)


def _compare_values(person: Person, memory: Memory, rules: Rules) -> Values:
    """A value that HubSpot lacks is never a difference: nothing is ever blanked out."""
    to_send: dict[str, Value] = {}
    unusable: list[str] = []
    other_form: list[str] = []
    refused: dict[str, Refusal] = {}
    contact, there = person.contacts[-1], person.subscriber
    for field in rules.fields:
        text = labelled(trimmed(contact.values[field.property]), field)
        present = comparable(there.fields.get(field.key) if there else None, field.type)
        if not text or (present and rules.fill_only):
            continue
        value = usable(text, field.type)
        if value is None:
            unusable.append(field.key)
        elif str(value) == present:
            continue
        elif there and memory.is_kept_as(person.email, field.key, value, present):
            other_form.append(field.key)
        else:
            refusal = memory.previous_refusal(person.email, field.key, value)
            if refusal and refusal.is_waiting:
                refused[field.key] = refusal
            else:
                to_send[field.key] = value
    return Values(to_send, tuple(unusable), tuple(other_form), refused)


def _compare_groups(person: Person, memory: Memory, rules: Rules) -> Groups:
    """Whom we put into a group and who is not in it any more was removed by hand, and is not added
    again; but a mirrored group is for us alone to change."""
    mirrored = rules.mirror.groups_of(person.contacts[-1])
    if person.subscriber is None:
        return Groups((*rules.groups, *mirrored), mirrored=mirrored)
    there = person.subscriber.groups
    missing = [group for group in rules.groups if group not in there]
    lacking = [group for group in mirrored if group not in there]
    joined = memory.joined(person.email) if missing or lacking else {}
    return Groups(
        join=(*(group for group in missing if group not in joined), *lacking),
        removed_by_hand=tuple(group for group in missing if joined.get(group) is False),
        mirrored=mirrored,
        rejoin=tuple(group for group in lacking if group in joined),
    )


def contact_address(contact: Contact) -> str | None:
    """Its own, in canonical form; None when that is no address."""
    email = addresses.normalise_email(contact.values["email"])
    return addresses.canonical(email) if email else None


def other_addresses(contact: Contact) -> list[str]:
    """Its additional ones and, when its own is no address, those in that text: nobody is created
    from these, but what the contact objects to counts for them."""
    own, texts = contact_address(contact), [contact.values[ADDITIONAL_EMAILS]]
    texts += [] if own else [contact.values["email"]]
    return [
        each for text in filter(None, texts) for each in addresses.addresses_in(text) if each != own
    ]


def ids_of(contact: Contact) -> list[int]:
    """Its own, and those of the contacts that were merged into it."""
    merged = split_values(contact.values[MERGED_IDS], is_multiple=True)
    return [contact.id, *(int(each) for each in merged if each.isascii() and each.isdigit())]


def company_id(contact: Contact) -> int | None:
    text = trimmed(contact.values[COMPANY_ID])
    return int(text) if text.isascii() and text.isdigit() else None


def by_change(contacts: Iterable[Contact]) -> list[Contact]:
    """The one changed last at the end."""

    def place(contact: Contact) -> tuple[str, int]:
        """HubSpot writes moments in UTC, with or without a fraction of the second before the Z."""
        return trimmed(contact.values["lastmodifieddate"]).rstrip("Z"), contact.id

    return sorted(contacts, key=place)
