"""Read contacts as the decisions need them: all of them, those of one list, or a few."""

from __future__ import annotations

import logging
from typing import Iterable, List, Mapping, Optional

from basics.emails import spellings
from basics.packed import Names, Packed
from basics.words import count
from hubspot_client import Contact, HubSpotClient
from run.progress import Progress
from subscribers.plan import COMPANY_ID, Remembered, Rules, contact_address
from subscribers.values import OF_COMPANY, trimmed

log = logging.getLogger("crm_sync")


class Contacts:
    """Of one account, with all that the rules look at, of their companies too."""

    def __init__(self, hubspot: HubSpotClient, rules: Rules) -> None:
        self._hubspot, self._rules = hubspot, rules

    def everyone(self, progress: Progress) -> List[Contact]:
        found = self._hubspot.contacts(self._rules.properties, self._rules.needed)
        return self._with_companies(progress.count(found))

    def by_id(self, ids: Iterable[int]) -> List[Contact]:
        return self._with_companies(self._by_id(ids))

    def of_list(self, emails: Iterable[str], remembered: Remembered) -> List[Contact]:
        """The members of the list, and every contact of these subscribers, whose objections count
        whether they are in the list or not. `emails`: canonical addresses."""
        emails = list(emails)
        known = (remembered.recall(email).contact_id for email in emails)
        members = self._rules.selection.members or ()
        found = {each.id: each for each in self._by_id([*members, *filter(None, known)])}
        typed = {(each.values["email"] or "").strip().lower() for each in found.values()}
        there = filter(None, map(contact_address, found.values()))
        wanted = {form for email in (*emails, *there) for form in spellings(email)}
        names, needed = self._rules.properties, self._rules.needed
        for each in self._hubspot.contacts_by_email(sorted(wanted - typed), names, needed):
            found[each.id] = each
        return self._with_companies([found[each] for each in sorted(found)])

    def _by_id(self, ids: Iterable[int]) -> List[Contact]:
        names, needed = self._rules.properties, self._rules.needed
        return self._hubspot.contacts_by_id(list(dict.fromkeys(ids)), names, needed)

    def _with_companies(self, contacts: List[Contact]) -> List[Contact]:
        """With the values of their primary companies among their own. Who has no company, or one
        that is archived or merged away, has no such value, so that nothing is sent of it."""
        names = self._rules.of_company
        if not names:
            return contacts
        ids = dict.fromkeys(filter(None, map(_company_id, contacts)))
        found = self._hubspot.company_values(list(ids), names)
        if missing := len(ids) - len(found):
            log.debug("HubSpot: %s could not be read.", count(missing, "company", "companies"))
        none: Mapping[str, Optional[str]] = {}
        shared = Names([*self._rules.properties, *(f"{OF_COMPANY}{name}" for name in names)])
        return [
            _with_values(each, shared, map(found.get(_company_id(each) or 0, none).get, names))
            for each in contacts
        ]


def _company_id(contact: Contact) -> Optional[int]:
    text = trimmed(contact.values[COMPANY_ID])
    return int(text) if text.isascii() and text.isdigit() else None


def _with_values(contact: Contact, names: Names, of_company: Iterable[Optional[str]]) -> Contact:
    return contact._replace(values=Packed(names, [*contact.values.values(), *of_company]))
