"""Who is to be written to MailerLite, what of them, and who is left alone: decisions only."""

from __future__ import annotations

import math
import re
from collections import Counter
from datetime import date, datetime, timedelta, timezone
from decimal import Decimal, InvalidOperation
from typing import (
    TYPE_CHECKING,
    AbstractSet,
    Callable,
    Dict,
    Iterable,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Tuple,
    Union,
)

from basics.emails import normalise_email
from basics.words import count

if TYPE_CHECKING:  # a decision needs no client to be loaded
    from hubspot_api.shapes import Contact
    from mailerlite_client import Subscriber, Value

# https://knowledge.hubspot.com/properties/hubspots-default-contact-properties
CONSENT_PROPERTIES = (
    "hs_email_optout",
    "hs_email_bad_address",
    "hs_email_hard_bounce_reason_enum",
    "hs_email_quarantined",
)
NEEDED_PROPERTIES = ("email", "lastmodifieddate", *CONSENT_PROPERTIES)

# Why someone is skipped. The first four follow CONSENT_PROPERTIES.
OPTED_OUT = "opted out in HubSpot"
BAD_ADDRESS = "bad address according to HubSpot"
BOUNCED = "bounced according to HubSpot"
QUARANTINED = "quarantined by HubSpot"
STILL_SUBSCRIBED = "opted out in HubSpot, but still subscribed in MailerLite"
NO_EMAIL = "no e-mail address"
INVALID_EMAIL = "invalid e-mail address"
OLDER = "another contact with this address was changed later"
UNSUBSCRIBED = "unsubscribed in MailerLite"
DELETED = "deleted in MailerLite"
_CONSENT = dict(zip(CONSENT_PROPERTIES, (OPTED_OUT, BAD_ADDRESS, BOUNCED, QUARANTINED)))
_NOT_WRITTEN = {
    "unsubscribed": UNSUBSCRIBED,
    "bounced": "bounced in MailerLite",
    "junk": "marked as junk in MailerLite",
}

_DAY = re.compile(r"([0-9]{4}-[0-9]{2}-[0-9]{2})(?:[T ].*)?")
_MILLISECONDS = re.compile(r"-?[0-9]{1,15}")
_DAY_MS = 86_400_000
_LONG_AGO = datetime.min.replace(tzinfo=timezone.utc)


class Field(NamedTuple):
    """A HubSpot property and the MailerLite field it goes to; `type`: text, number or date."""

    property: str
    key: str
    type: str


class Write(NamedTuple):
    """Someone to create (`was` is None) or to update. `fields`: what differs; `groups`: the ids of
    those that are missing; `was`: the status in MailerLite."""

    email: str
    hubspot_id: int
    fields: Mapping[str, Value]
    groups: Tuple[str, ...]
    was: Optional[str]


class Skipped(NamedTuple):
    """A contact that is not written; `email` as HubSpot has it if it is no address."""

    email: Optional[str]
    hubspot_id: int
    reason: str


class Rules(NamedTuple):
    """`groups`: ids that everyone joins; `restore`: deleted people to write all the same."""

    fields: Sequence[Field]
    groups: Sequence[str] = ()
    fill_only: bool = False
    unsubscribe_opted_out: bool = False
    restore: AbstractSet[str] = frozenset()


class Plan(NamedTuple):
    """Everything in order of address. `unusable`: key -> how many values do not fit its type."""

    create: Tuple[Write, ...]
    update: Tuple[Write, ...]
    unsubscribe: Tuple[Write, ...]
    skipped: Tuple[Skipped, ...]
    unchanged: int
    unusable: Mapping[str, int]


def by_email(subscribers: Iterable[Subscriber]) -> Dict[str, Subscriber]:
    """Someone may come twice, because the status changed during the read: a status in which nothing
    may be written counts, else the last."""
    found: Dict[str, Subscriber] = {}
    for person in subscribers:
        other = found.get(person.email)
        if other is None or other.status not in _NOT_WRITTEN:
            found[person.email] = person
    return found


def make_plan(
    contacts: Iterable[Contact],
    subscribers: Mapping[str, Subscriber],
    is_known: Callable[[str], bool],
    rules: Rules,
) -> Plan:
    """What to write. `is_known`: whether MailerLite had this address at an earlier time."""
    plan = _Planning(subscribers, is_known, rules)
    people: Dict[str, List[Contact]] = {}
    for contact in contacts:
        typed = contact.values["email"]
        email = normalise_email(typed)
        if email:
            people.setdefault(email, []).append(contact)
        else:
            has_text = typed is not None and typed.strip()
            plan.skip(contact, typed, INVALID_EMAIL if has_text else NO_EMAIL)
    for email, same in people.items():
        plan.decide(email, sorted(same, key=_changed_at))
    return plan.result()


def comes_back(was: Optional[str], now: str) -> bool:
    """Whether a write made someone active who was listed as something else before. (Who was in no
    list is new, and may be.)"""
    return now == "active" and was not in (None, "active")


def people(number: int) -> str:
    return count(number, "person", "people")


class _Planning:
    def __init__(
        self,
        subscribers: Mapping[str, Subscriber],
        is_known: Callable[[str], bool],
        rules: Rules,
    ) -> None:
        self._subscribers, self._is_known, self._rules = subscribers, is_known, rules
        self._create: List[Write] = []
        self._update: List[Write] = []
        self._unsubscribe: List[Write] = []
        self._skipped: List[Skipped] = []
        self._unusable: Counter[str] = Counter()
        self._unchanged = 0

    def skip(self, contact: Contact, email: Optional[str], reason: str) -> None:
        self._skipped.append(Skipped(email, contact.id, reason))

    def decide(self, email: str, contacts: Sequence[Contact]) -> None:
        """`contacts`: all with this address, the one changed last at the end. It wins, but the
        objection of any of them counts."""
        *older, contact = contacts
        for each in older:
            self.skip(each, email, OLDER)
        person = self._subscribers.get(email)
        reason = _objection(contacts)
        is_subscribed = person is not None and person.status not in _NOT_WRITTEN
        if reason == OPTED_OUT and person and is_subscribed:
            if self._rules.unsubscribe_opted_out:
                self._unsubscribe.append(Write(email, contact.id, {}, (), person.status))
                return
            reason = STILL_SUBSCRIBED
        reason = reason or self._reason_in_mailerlite(email, person)
        if reason:
            self.skip(contact, email, reason)
        else:
            self._compare(email, contact, person)

    def _reason_in_mailerlite(self, email: str, person: Optional[Subscriber]) -> Optional[str]:
        if person:
            return _NOT_WRITTEN.get(person.status)
        if email not in self._rules.restore and self._is_known(email):
            return DELETED
        return None

    def _compare(self, email: str, contact: Contact, person: Optional[Subscriber]) -> None:
        fields = self._differences(contact, person.fields if person else {})
        has = person.groups if person else frozenset()
        groups = tuple(group for group in self._rules.groups if group not in has)
        write = Write(email, contact.id, fields, groups, person.status if person else None)
        if person is None:
            self._create.append(write)
        elif fields or groups:
            self._update.append(write)
        else:
            self._unchanged += 1

    def _differences(
        self, contact: Contact, there: Mapping[str, Optional[str]]
    ) -> Dict[str, Value]:
        """A value that HubSpot lacks is never a difference: nothing is ever blanked out."""
        fields: Dict[str, Value] = {}
        for field in self._rules.fields:
            text, present = _trimmed(contact.values[field.property]), _trimmed(there.get(field.key))
            if not text or (present and self._rules.fill_only):
                continue
            value = usable(text, field.type)
            if value is None:
                self._unusable[field.key] += 1
            elif value != usable(present, field.type):
                fields[field.key] = value
        return fields

    def result(self) -> Plan:
        return Plan(
            tuple(sorted(self._create, key=_order)),
            tuple(sorted(self._update, key=_order)),
            tuple(sorted(self._unsubscribe, key=_order)),
            tuple(sorted(self._skipped, key=_order)),
            self._unchanged,
            dict(self._unusable),
        )


def usable(text: str, kind: str) -> Optional[Value]:
    """The value in the form that a MailerLite field of this type takes, in which two values are
    the same if they mean the same; None if it does not fit.

    >>> usable("12.50", "number"), usable("2026-03-01T00:00:00Z", "date"), usable("n/a", "date")
    (12.5, '2026-03-01', None)
    """
    if kind == "number":
        return _number(text)
    if kind == "date":
        return _day(text)
    return text


def _number(text: str) -> Optional[Value]:
    try:
        number = Decimal(text)
        as_float = float(number)
    except (InvalidOperation, ValueError):
        return None
    if not math.isfinite(as_float):
        return None
    return int(number) if number == int(number) else as_float


def _day(text: str) -> Optional[str]:
    """HubSpot writes a day as such, as a moment, or as milliseconds since 1970 at midnight UTC:
    https://developers.hubspot.com/docs/api/crm/properties"""
    found = _DAY.fullmatch(text)
    try:
        if found:
            return date.fromisoformat(found[1]).isoformat()
        if _MILLISECONDS.fullmatch(text) and int(text) % _DAY_MS == 0:
            return (date(1970, 1, 1) + timedelta(days=int(text) // _DAY_MS)).isoformat()
    except (ValueError, OverflowError):
        pass
    return None


def _trimmed(text: Optional[str]) -> str:
    return (text or "").strip()


def _objection(contacts: Iterable[Contact]) -> Optional[str]:
    """The first of the reasons in HubSpot not to write to someone. Anything but `false` is one."""
    values = [contact.values for contact in contacts]
    for name, reason in _CONSENT.items():
        if any(_trimmed(each[name]).lower() not in ("", "false") for each in values):
            return reason
    return None


def _changed_at(contact: Contact) -> Tuple[datetime, int]:
    text = _trimmed(contact.values["lastmodifieddate"])
    try:
        moment = datetime.fromisoformat(text.upper().replace("Z", "+00:00"))
    except ValueError:
        return _LONG_AGO, contact.id
    return (moment if moment.tzinfo else moment.replace(tzinfo=timezone.utc)), contact.id


def _order(entry: Union[Write, Skipped]) -> Tuple[str, int]:
    return entry.email or "", entry.hubspot_id
