"""What a decision about a person goes by: who is in scope, consent, fields and groups. Pure reading
of what HubSpot holds, in the form that MailerLite accepts."""

from __future__ import annotations

import re
from typing import AbstractSet, Iterable, Iterator, Mapping, NamedTuple, Sequence

from core.conditions import Condition, Property
from core.values import as_day, as_number, split_values
from hubspot_api.shapes import ADDITIONAL_EMAILS, MERGED_IDS, Contact
from mailerlite_api.shapes import Value

OPTED_OUT = "opted out in HubSpot"
BAD_ADDRESS = "bad address according to HubSpot"
BOUNCED = "bounced according to HubSpot"
QUARANTINED = "quarantined by HubSpot"
UNCONFIRMED = "has not confirmed the subscription in HubSpot"

OPT_OUT = "hs_email_optout"  # of all mail; `hs_email_optout_<id>` is of one subscription type
CONFIRMATION = "hs_emailconfirmationstatus"  # of HubSpot's own double opt-in
# https://knowledge.hubspot.com/properties/hubspots-default-contact-properties
_NO_MAIL_TO = {
    "hs_email_bad_address": BAD_ADDRESS,
    "hs_email_hard_bounce_reason_enum": BOUNCED,
    "hs_email_quarantined": QUARANTINED,
    CONFIRMATION: UNCONFIRMED,
}
# Its values that object to nothing, in lower case and as letters alone; an import, an earlier mail
# or a form without double opt-in confirm too. https://knowledge.hubspot.com/marketing-email/
# what-is-the-marketing-email-confirmation-status-contact-property
_CONFIRMED = {
    *("", "confirmed", "userclickedconfirmation", "customermarkedconfirmed"),
    *("hubspotrepmarkedconfirmed", "confirmedfrompreviousbehavior", "confirmedduetoform"),
}
_OPT_OUT_OF_TYPE = re.compile(rf"{OPT_OUT}_([0-9]+)")

# https://developers.hubspot.com/docs/api-reference/legacy/communication-preferences/v3/guide
LEGAL_BASES = (
    "CONSENT_WITH_NOTICE",
    "LEGITIMATE_INTEREST_CLIENT",
    "LEGITIMATE_INTEREST_OTHER",
    "LEGITIMATE_INTEREST_PQL",
    "NON_GDPR",
    "PERFORMANCE_OF_CONTRACT",
    "PROCESS_AND_STORE",
)

OF_COMPANY = "company."  # so begins the name of a property of the contact's company
_TYPES = {"number": "number", "date": "date", "datetime": "date"}  # HubSpot's -> MailerLite's

COMPANY_ID = "associatedcompanyid"  # of the primary company, if there is one
# And those of consent, and those of the fields.
PLAN_PROPERTIES = ("email", ADDITIONAL_EMAILS, MERGED_IDS, "lastmodifieddate")


class Field(NamedTuple):
    """A HubSpot property and the MailerLite field it goes to; `type`: text, number or date.

    `labels`: internal value -> label, where labels are sent; `is_multiple`: values come as `a;b`.
    """

    property: str
    key: str
    type: str
    labels: Mapping[str, str] = {}
    is_multiple: bool = False


def trimmed(text: str | None) -> str:
    return (text or "").strip()


def field_type(property_type: str) -> str:
    """The type of the MailerLite field that suits a property of HubSpot."""
    return _TYPES.get(property_type, "text")


def labelled(text: str, field: Field) -> str:
    """The labels of an enumeration's values, with commas between them; other text as it is."""
    if not (field.labels or field.is_multiple):
        return text
    values = split_values(text, field.is_multiple)
    return ", ".join(field.labels.get(value, value) for value in values)


def usable(text: str, kind: str) -> Value | None:
    """The value in the form that a MailerLite field of this type accepts, in which two values are
    the same if they mean the same; None if it does not fit.

    >>> usable("12.50", "number"), usable("2026-03-01T00:00:00Z", "date"), usable("n/a", "date")
    (12.5, '2026-03-01', None)
    """
    if kind == "number":
        return as_number(text)
    if kind == "date":
        return as_day(text)
    return text


def comparable(text: str | None, kind: str) -> str:
    """What MailerLite holds in a form in which the same is equal, also if it is no such value."""
    text = trimmed(text)
    value = usable(text, kind) if text else None
    return text if value is None else str(value)


class Subscription(NamedTuple):
    """A subscription type that people can opt out of in HubSpot; `label`: that of its property."""

    id: str
    label: str

    @property
    def name(self) -> str:
        """HubSpot labels the property "Opted out of email: Marketing Information"."""
        return self.label.partition(": ")[2] or self.label

    def is_called(self, text: str) -> bool:
        names = (self.id, self.name.casefold(), self.label.casefold())
        return text.casefold() in names


class OptOut(NamedTuple):
    """From which one subscription type; `legal_basis`: for accounts that demand one."""

    subscription_id: str
    legal_basis: str | None = None

    @property
    def property(self) -> str:
        return f"{OPT_OUT}_{self.subscription_id}"

    def is_of(self, contact: Contact) -> bool:
        """Whether the contact is opted out of it."""
        return any(objections([contact], [self.property]))


def subscriptions_of(properties: Iterable[Property]) -> list[Subscription]:
    """By the properties that HubSpot keeps their opt-outs in."""
    found = ((_OPT_OUT_OF_TYPE.fullmatch(each.name), each.label) for each in properties)
    return [Subscription(match[1], label) for match, label in found if match]


def consent_properties(
    there: Mapping[str, Property], subscriptions: Sequence[Subscription]
) -> dict[str, str]:
    """Property -> why nothing is written to somebody who has it. Those of `there` alone are asked
    for, besides the opt-out, which every account has."""
    types = {
        f"{OPT_OUT}_{each.id}": f"opted out of {each.name} in HubSpot" for each in subscriptions
    }
    rest = {name: reason for name, reason in _NO_MAIL_TO.items() if name in there}
    return {OPT_OUT: OPTED_OUT, **types, **rest}


def objections(contacts: Iterable[Contact], names: Iterable[str]) -> Iterator[str]:
    """Those of the properties by which any of the contacts objects to mail. One that begins with
    OPT_OUT is the person's own wish."""
    values = [contact.values for contact in contacts]
    return (name for name in names if any(_objects(name, each[name]) for each in values))


def _objects(name: str, text: str | None) -> bool:
    """Anything but `false` does, and any state of the double opt-in but a confirmed one."""
    value = trimmed(text).lower()
    if name == CONFIRMATION:
        return re.sub("[^a-z]", "", value) not in _CONFIRMED
    return value not in ("", "false")


def parse_legal_basis(text: str) -> str:
    if text not in LEGAL_BASES:
        raise ValueError(f"one of {', '.join(LEGAL_BASES)}")
    return text


class Scope(NamedTuple):
    """Which contacts are in scope, though the rules of consent come first. `members`: ids of
    those in the list, None without a list; `conditions`: all of which must hold, each with the
    definition of its property."""

    list_name: str = ""
    members: AbstractSet[int] | None = None
    conditions: Sequence[tuple[Condition, Property]] = ()

    def out_of_scope(self, contacts: Sequence[Contact]) -> str | None:
        """Why a person is out of scope who has these contacts, the one changed last at the end;
        None when any of them is in scope, or there is none."""
        reasons = [self._out_of_scope(each) for each in contacts]
        return reasons[-1] if reasons and all(reasons) else None

    def _out_of_scope(self, contact: Contact) -> str | None:
        if self.members is not None and contact.id not in self.members:
            return f"not in the list {self.list_name}"
        for condition, known in self.conditions:
            if mismatch := condition.mismatch(contact.values[known.name], known):
                return mismatch
        return None

    def in_scope(self, contact: Contact) -> bool:
        return self._out_of_scope(contact) is None

    def describe(self) -> str:
        """Who is in scope; "" for everybody."""
        in_list = [f"in the list {self.list_name}"] if self.members is not None else []
        return " and ".join([*in_list, *(["matching CONTACT_FILTER"] if self.conditions else [])])


class Mirror(NamedTuple):
    """Groups of MailerLite that hold exactly the people who are in scope and may get mail.

    `groups`: their ids, by the value of the property `by` that they are for; the group of all these
    people is that of "". `names`: by id. A group that is still to be made has its `placeholder` as
    id.
    """

    groups: Mapping[str, str] = {}
    by: Property | None = None
    names: Mapping[str, str] = {}

    @property
    def ids(self) -> frozenset[str]:
        return frozenset(self.groups.values())

    def groups_of(self, contact: Contact) -> tuple[str, ...]:
        """Where somebody who is in scope and may get mail belongs."""
        values = split_values(contact.values[self.by.name], self.by.is_multiple) if self.by else ()
        found = (self.groups[value] for value in ("", *values) if value in self.groups)
        return tuple(dict.fromkeys(found))

    def with_made(self, made: Mapping[str, str]) -> Mirror:
        """With groups that were to be made: placeholder -> id."""
        groups = {value: made.get(id, id) for value, id in self.groups.items()}
        return Mirror(groups, self.by, {made.get(id, id): self.names[id] for id in self.names})


def placeholder(name: str) -> str:
    return f"new: {name}"


class Rules(NamedTuple):
    """`consent`: property -> the reason not to write; `groups`: ids that everyone joins; `restore`:
    deleted people, as canonical addresses, to create again; `keep_in_group`: who leaves no
    mirrored group, as canonical addresses; `opt_out`: of what people are opted out in HubSpot who
    have left MailerLite, if that is clear; `opt_out_unsubscribed`: whether they are."""

    fields: Sequence[Field] = ()
    consent: Mapping[str, str] = {}
    groups: Sequence[str] = ()
    scope: Scope = Scope()
    mirror: Mirror = Mirror()
    fill_only: bool = False
    unsubscribe_opted_out: bool = False
    restore: AbstractSet[str] = frozenset()
    keep_in_group: AbstractSet[str] = frozenset()
    opt_out: OptOut | None = None
    opt_out_unsubscribed: bool = False

    @property
    def properties(self) -> tuple[str, ...]:
        """All that a decision looks at in a contact itself."""
        names = (field.property for field in self.fields)
        fields = (COMPANY_ID if name.startswith(OF_COMPANY) else name for name in names)
        return tuple(dict.fromkeys((*PLAN_PROPERTIES, *self.needed, *fields)))

    @property
    def company_properties(self) -> tuple[str, ...]:
        """All that it looks at in the contact's company."""
        names = (field.property for field in self.fields if field.property.startswith(OF_COMPANY))
        return tuple(dict.fromkeys(name[len(OF_COMPANY) :] for name in names))

    @property
    def needed(self) -> tuple[str, ...]:
        """Without these an answer says nothing of a contact."""
        scope = (condition.property for condition, _ in self.scope.conditions)
        mirror = (self.mirror.by.name,) if self.mirror.by else ()
        return ("email", *self.consent, *scope, *mirror)

    @property
    def with_groups(self) -> bool:
        """Whether a decision looks at the groups of a subscriber."""
        return bool(self.groups or self.mirror.ids)

    @property
    def keys(self) -> list[str]:
        return [field.key for field in self.fields]
