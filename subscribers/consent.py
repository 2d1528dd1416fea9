"""Who objects to mail in HubSpot, and what opts somebody out there: pure reading of properties."""

from __future__ import annotations

import re
from typing import Iterable, Iterator, Mapping, NamedTuple, Sequence

from core.conditions import Property
from hubspot_api.shapes import Contact
from subscribers.values import trimmed

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
