"""Read people as the decisions need them: all of them, those of one list, or a few."""

from __future__ import annotations

from collections import Counter
from typing import AbstractSet, Iterable, Mapping, NamedTuple, Sequence

from cli.screen import Progress
from core import addresses, log, values
from core.clock import Clock
from core.words import count
from hubspot_api import search, shapes
from hubspot_client import HubSpotClient
from mailerlite_api.shapes import Subscriber
from mailerlite_client import BATCH_SIZE, MailerLiteClient
from subscribers import memory, plan
from subscribers.decide import (
    Person,
    by_change,
    company_id,
    contact_address,
    ids_of,
    other_addresses,
)
from subscribers.rules import OF_COMPANY, Rules
from transport import threads

CONTACTS_A_CALL = 100  # by id as well as of all of them


class Services(NamedTuple):
    hubspot: HubSpotClient
    mailerlite: MailerLiteClient


class Everybody(NamedTuple):
    """`subscribers`: see `by_email`; `total`: how many contacts HubSpot has, read or not."""

    contacts: list[shapes.Contact]
    subscribers: dict[str, Subscriber]
    total: int


def read_everybody(
    services: Services, rules: Rules, store: memory.PersonStore, clock: Clock
) -> Everybody:
    """All contacts and all subscribers, side by side; but of a list only the members, and the
    contacts of the subscribers by id or address, if that takes fewer calls."""
    (hubspot, mailerlite), members = services, rules.scope.members
    contacts_of = ContactReader(hubspot, rules)
    with Progress("HubSpot", "contacts", clock) as in_hubspot, Progress(
        "MailerLite", "subscribers", clock
    ) as in_mailerlite:

        def read_subscribers() -> list[Subscriber]:
            return mailerlite.subscribers(rules.keys, rules.with_groups, in_mailerlite.advance)

        total = hubspot.count(shapes.CONTACTS) if members is not None else 0
        by_id = len(members or ()) + CONTACTS_A_CALL
        if members is not None and by_id + mailerlite.count_subscribers() < total:
            found = read_subscribers()
            there = plan.by_email(found)
            ids = [*members, *contacts_of.with_additional(there.keys())]
            contacts = in_hubspot.count(contacts_of.having(ids, there, store))
        else:
            contacts, found = threads.side_by_side(
                lambda: contacts_of.everyone(in_hubspot), read_subscribers
            )
            total = len(contacts)
    subscribers = plan.by_email(found)
    log.info("HubSpot: %s.", count(len(contacts), "contact"))
    statuses = Counter(person.status for person in subscribers.values())
    numbers = ", ".join(f"{number:,} {status}" for status, number in statuses.items())
    log.info("MailerLite: %s%s.", count(len(found), "subscriber"), numbers and f" ({numbers})")
    return Everybody(contacts, subscribers, total)


class ContactReader:
    """Contacts with all that the rules look at, of their companies too."""

    def __init__(self, hubspot: HubSpotClient, rules: Rules) -> None:
        self._hubspot, self._needed = hubspot, rules.needed
        self._names, self._of_company = rules.properties, rules.company_properties

    def everyone(self, progress: Progress) -> list[shapes.Contact]:
        found = self._hubspot.contacts(self._names, self._needed)
        return self._with_companies(progress.count(found))

    def by_id(self, ids: Iterable[int]) -> list[shapes.Contact]:
        return self._with_companies(self._read(list(dict.fromkeys(ids)), "id"))

    def having(
        self, ids: Iterable[int], emails: Iterable[str], store: memory.PersonStore
    ) -> list[shapes.Contact]:
        """The contacts with these ids, such as those of a list, and all that have, or had when they
        were written last, one of these canonical addresses or of their own: what they object to
        counts, whether they are in the list or not."""
        known = (store.lookup(email).contact_id for email in emails)
        by_id = self._read(list(dict.fromkeys([*ids, *filter(None, known)])), "id")
        typed = {(each.values["email"] or "").strip().lower() for each in by_id}
        there = filter(None, map(contact_address, by_id))
        forms = {form for email in (*emails, *there) for form in addresses.spellings(email)}
        found = {each.id: each for each in (*by_id, *self._read(sorted(forms - typed), "email"))}
        return self._with_companies([found[each] for each in sorted(found)])

    def called(self, emails: Sequence[str], store: memory.PersonStore) -> list[shapes.Contact]:
        """Every contact that has one of these canonical addresses, also as an additional one, or
        had it when it was written last."""
        queries = search.called([form for each in emails for form in addresses.spellings(each)])
        found = self._hubspot.find(shapes.CONTACTS, ["email"], queries)
        return self.having([each.id for each in found], emails, store)

    def with_additional(self, emails: AbstractSet[str]) -> list[int]:
        """The ids of the contacts that have one of these canonical addresses beside their own."""
        found = self._hubspot.find(
            shapes.CONTACTS, ["email", shapes.ADDITIONAL_EMAILS], [search.ADDITIONAL]
        )
        return [each.id for each in found if not emails.isdisjoint(other_addresses(each))]

    def _read(self, keys: Sequence[int] | Sequence[str], key: str) -> list[shapes.Contact]:
        return self._hubspot.records(shapes.CONTACTS, self._names, keys, key, self._needed)

    def _with_companies(self, contacts: list[shapes.Contact]) -> list[shapes.Contact]:
        """With the values of their primary companies among their own. Who has no company, or one
        that is archived or merged away, has no such value, so that nothing is sent of it."""
        names = self._of_company
        if not names:
            return contacts
        ids = dict.fromkeys(filter(None, map(company_id, contacts)))
        companies = self._hubspot.records(shapes.COMPANIES, names, list(ids))
        found = {each.id: each.values for each in companies}
        if missing := len(ids) - len(found):
            log.debug("HubSpot: %s could not be read.", count(missing, "company", "companies"))
        none: Mapping[str, str | None] = {}
        shared = (*self._names, *(f"{OF_COMPANY}{name}" for name in names))

        def with_values(contact: shapes.Contact) -> shapes.Contact:
            of_company = map(found.get(company_id(contact) or 0, none).get, names)
            return contact._replace(
                values=values.Packed(shared, [*contact.values.values(), *of_company])
            )

        return [with_values(each) for each in contacts]


def fetch_current(services: Services, rules: Rules, planned: Iterable[Person]) -> dict[str, Person]:
    """The same people as the services have them now, by canonical address; without those of whom
    MailerLite does not return the status. Raises CallRejected, ServiceError."""
    people = {each.email: each for each in planned}
    ids = (contact.id for each in people.values() for contact in each.all_contacts)
    contacts = {each.id: each for each in ContactReader(services.hubspot, rules).by_id(ids)}
    keys: dict[str, list[str]] = {}  # in MailerLite: first the person's, then of other addresses
    for email, each in people.items():
        now = (contacts[contact.id] for contact in each.contacts if contact.id in contacts)
        named = {other for contact in now for other in other_addresses(contact)}
        named.difference_update(addresses.canonical(other.email) for other in each.others)
        key = each.subscriber.id if each.subscriber else each.hubspot_address
        keys[email] = [key, *(other.id for other in each.others), *sorted(named)]
    whom = list(dict.fromkeys(key for several in keys.values() for key in several))
    there: dict[str, Subscriber | None] = {}
    for start in range(0, len(whom), BATCH_SIZE):  # one, unless many have other addresses
        part = whom[start : start + BATCH_SIZE]
        there.update(services.mailerlite.look_up(part, rules.keys, rules.with_groups))
    found: dict[str, Person] = {}
    for email, each in people.items():
        if not there.keys() >= {*keys[email]}:
            continue
        subscriber, *others = [there[key] for key in keys[email]]
        if subscriber and addresses.canonical(subscriber.email) != email:
            subscriber = None
        # A contact with another address is not written under this one, but what it objects to
        # counts.
        own = [contacts[contact.id] for contact in each.all_contacts if contact.id in contacts]
        same = by_change(contact for contact in own if contact_address(contact) == email)
        related = [contact for contact in own if contact_address(contact) != email]
        found[email] = Person(email, same, related, subscriber, list(filter(None, others)))
    return found


def subscribers_called(
    emails: Sequence[str],
    contacts: Sequence[shapes.Contact],
    mailerlite: MailerLiteClient,
    rules: Rules,
    store: memory.PersonStore,
) -> dict[str, Subscriber]:
    """Who has one of these canonical addresses, or another one of the contacts that have them now
    or, as the run history knows, had one. It does not say which, so all are read for it."""
    own = [each for each in contacts if contact_address(each) in emails]
    named = {*emails, *(other for contact in own for other in other_addresses(contact))}
    ids = {id for contact in own for id in ids_of(contact)}
    if store.knows_others(ids, named):
        everyone = plan.by_email(mailerlite.subscribers(rules.keys, with_groups=True))
        return {
            email: person
            for email, person in everyone.items()
            if email in named or store.lookup(email).contact_id in ids
        }
    spelt = (form for email in sorted(named) for form in addresses.spellings(email))
    return plan.by_email(filter(None, (mailerlite.subscriber(each, rules.keys) for each in spelt)))
