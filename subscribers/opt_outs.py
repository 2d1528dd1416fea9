"""Who has left MailerLite is opted out in HubSpot of the one kind of mail that it stands for.

Never the other way: nobody is ever subscribed in HubSpot.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, Iterable, Iterator, Mapping, NamedTuple

from core.errors import CallRejected, ServiceError
from hubspot_api.shapes import CONTACTS
from report.model import Finding
from subscribers.consent import OPT_OUT, objection
from subscribers.plan import contact_address

if TYPE_CHECKING:
    from hubspot_api.shapes import Contact
    from hubspot_client import HubSpotClient
    from subscribers.plan import Decision
    from subscribers.settings import Settings

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


class OptOut(NamedTuple):
    """From which kind of mail; `legal_basis`: for accounts that demand one."""

    subscription_id: str
    legal_basis: str | None = None

    @property
    def property(self) -> str:
        return f"{OPT_OUT}_{self.subscription_id}"


def parse_legal_basis(text: str) -> str:
    if text not in LEGAL_BASES:
        raise ValueError(f"one of {', '.join(LEGAL_BASES)}")
    return text


def opt_out_of(consent: Mapping[str, str], settings: Settings) -> OptOut | None:
    """None unless it is clear which kind of mail is meant. `consent`: see `consent_properties`."""
    kinds = [name for name in consent if name.startswith(f"{OPT_OUT}_")]
    if len(settings.subscriptions) != 1 or len(kinds) != 1:
        return None
    return OptOut(kinds[0][len(OPT_OUT) + 1 :], settings.legal_basis)


def check(opt_out: OptOut | None, consent: Mapping[str, str]) -> Finding:
    if opt_out is None:
        return Finding(
            False,
            "--opt-out-unsubscribed needs to know the one kind of mail to opt out of: let"
            " HUBSPOT_SUBSCRIPTIONS name it, and no other.",
        )
    words = consent[opt_out.property]
    return Finding(
        True,
        f"Who has unsubscribed or complained in MailerLite becomes {words}. Whether the key may"
        " write that, only a run can show: it needs communication_preferences.write.",
    )


def seen(opt_out: OptOut, contacts: Iterable[Contact]) -> Iterator[tuple[str, bool]]:
    """The canonical addresses of the contacts, each with whether it is opted out."""
    for contact in contacts:
        address = contact_address(contact)
        if address:
            yield address, objection([contact], {opt_out.property: ""}) is not None


def write(hubspot: HubSpotClient, opt_out: OptOut, person: Decision) -> None:
    """Raises like `HubSpotClient.opt_out`, unless HubSpot shows that it is done all the same: it
    refuses to do it twice, and its answer may have been lost."""
    try:
        hubspot.opt_out(person.address, opt_out.subscription_id, opt_out.legal_basis)
    except (CallRejected, ServiceError) as error:
        if not (_may_be_done(error) and _is_done(hubspot, opt_out, person)):
            raise


def _may_be_done(error: Exception) -> bool:
    return isinstance(error, CallRejected) or (
        isinstance(error, ServiceError) and error.outcome_unknown
    )


def _is_done(hubspot: HubSpotClient, opt_out: OptOut, person: Decision) -> bool:
    ids, name = [person.hubspot_id or 0], opt_out.property
    try:
        contacts = hubspot.records(CONTACTS, [name], ids, needed=[name])
    except (CallRejected, ServiceError):
        return False
    return any(contact.values[name] == "true" for contact in contacts)
