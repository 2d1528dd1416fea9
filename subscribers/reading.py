"""Read contacts as the decisions need them: all of them, those of one list, or a few."""

from __future__ import annotations

from typing import Iterable, Mapping, Sequence

from cli.progress import Progress
from core.emails import spellings
from core.log import log
from core.values import Packed
from core.words import count
from hubspot_api import search
from hubspot_api.shapes import COMPANIES, CONTACTS, Contact
from hubspot_client import HubSpotClient
from mailerlite_api.shapes import Subscriber
from mailerlite_client import MailerLiteClient
from subscribers.memory import Memory
from subscribers.plan import Remembered, Rules, by_email, company_id, contact_address
from subscribers.values import OF_COMPANY


class Contacts:
    """Of one account, with all that the rules look at, of their companies too."""

    def __init__(self, hubspot: HubSpotClient, rules: Rules, also: Sequence[str] = ()) -> None:
        """`also`: properties besides those that the rules look at."""
        self._hubspot, self._rules = hubspot, rules
        self._names = (*rules.properties, *also)

    def everyone(self, progress: Progress) -> list[Contact]:
        found = self._hubspot.contacts(self._names, self._rules.needed)
        return self._with_companies(progress.count(found))

    def by_id(self, ids: Iterable[int]) -> list[Contact]:
        return self._with_companies(self._by_id(ids))

    def of_list(self, emails: Iterable[str], remembered: Remembered) -> list[Contact]:
        """The members of the list, and every contact of these subscribers, whose objections count
        whether they are in the list or not. `emails`: canonical addresses."""
        return self._with(self._rules.selection.members or (), list(emails), remembered)

    def called(self, emails: Sequence[str], remembered: Remembered) -> list[Contact]:
        """Every contact that has one of these canonical addresses, also as an additional one, or
        had it when it was written last."""
        queries = search.called([form for each in emails for form in spellings(each)])
        found = self._hubspot.find_contacts(queries, ["email"])
        return self._with([each.id for each in found], emails, remembered)

    def _with(
        self, ids: Iterable[int], emails: Sequence[str], remembered: Remembered
    ) -> list[Contact]:
        """The contacts with these ids, and all that have, or had, one of the addresses."""
        known = (remembered.recall(email).contact_id for email in emails)
        found = {each.id: each for each in self._by_id([*ids, *filter(None, known)])}
        typed = {(each.values["email"] or "").strip().lower() for each in found.values()}
        there = filter(None, map(contact_address, found.values()))
        wanted = {form for email in (*emails, *there) for form in spellings(email)}
        by_email = sorted(wanted - typed)
        for each in self._hubspot.records(
            CONTACTS, self._names, by_email, "email", self._rules.needed
        ):
            found[each.id] = each
        return self._with_companies([found[each] for each in sorted(found)])

    def _by_id(self, ids: Iterable[int]) -> list[Contact]:
        ids = list(dict.fromkeys(ids))
        return self._hubspot.records(CONTACTS, self._names, ids, needed=self._rules.needed)

    def _with_companies(self, contacts: list[Contact]) -> list[Contact]:
        """With the values of their primary companies among their own. Who has no company, or one
        that is archived or merged away, has no such value, so that nothing is sent of it."""
        names = self._rules.of_company
        if not names:
            return contacts
        ids = dict.fromkeys(filter(None, map(company_id, contacts)))
        companies = self._hubspot.records(COMPANIES, names, list(ids))
        found = {each.id: each.values for each in companies}
        if missing := len(ids) - len(found):
            log.debug("HubSpot: %s could not be read.", count(missing, "company", "companies"))
        none: Mapping[str, str | None] = {}
        shared = (*self._names, *(f"{OF_COMPANY}{name}" for name in names))
        return [
            _with_values(each, shared, map(found.get(company_id(each) or 0, none).get, names))
            for each in contacts
        ]


def subscribers_called(
    emails: Sequence[str],
    contacts: Sequence[Contact],
    mailerlite: MailerLiteClient,
    rules: Rules,
    memory: Memory,
) -> dict[str, Subscriber]:
    """Who has one of these canonical addresses or, as far as is remembered, had one of the contacts
    that have them now. The memory does not tell that other address, so all are read for it."""
    ids = {each.id for each in contacts if contact_address(each) in emails}
    if memory.knows_others(ids, emails):
        everyone = by_email(mailerlite.subscribers(rules.keys, with_groups=True))
        return {
            email: person
            for email, person in everyone.items()
            if email in emails or memory.recall(email).contact_id in ids
        }
    spelt = (form for email in emails for form in spellings(email))
    return by_email(filter(None, (mailerlite.subscriber(each, rules.keys) for each in spelt)))


def _with_values(
    contact: Contact, names: tuple[str, ...], of_company: Iterable[str | None]
) -> Contact:
    return contact._replace(values=Packed(names, [*contact.values.values(), *of_company]))
