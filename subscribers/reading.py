"""Read contacts as the decisions need them: all of them, or those of one list."""

from __future__ import annotations

from typing import Iterable, Iterator, List

from basics.emails import spellings
from hubspot_client import Contact, HubSpotClient
from subscribers.plan import Remembered, Rules, contact_address


class Contacts:
    """Of one account, with all that the rules look at."""

    def __init__(self, hubspot: HubSpotClient, rules: Rules) -> None:
        self._hubspot, self._rules = hubspot, rules

    def everyone(self) -> Iterator[Contact]:
        return self._hubspot.contacts(self._rules.properties, self._rules.needed)

    def by_id(self, ids: Iterable[int]) -> List[Contact]:
        names, needed = self._rules.properties, self._rules.needed
        return self._hubspot.contacts_by_id(list(dict.fromkeys(ids)), names, needed)

    def of_list(self, emails: Iterable[str], remembered: Remembered) -> List[Contact]:
        """The members of the list, and every contact of these subscribers, whose objections count
        whether they are in the list or not. `emails`: canonical addresses."""
        emails = list(emails)
        known = (remembered.recall(email).contact_id for email in emails)
        members = self._rules.selection.members or ()
        found = {each.id: each for each in self.by_id([*members, *filter(None, known)])}
        typed = {(each.values["email"] or "").strip().lower() for each in found.values()}
        there = filter(None, map(contact_address, found.values()))
        wanted = {form for email in (*emails, *there) for form in spellings(email)}
        names, needed = self._rules.properties, self._rules.needed
        for each in self._hubspot.contacts_by_email(sorted(wanted - typed), names, needed):
            found[each.id] = each
        return [found[each] for each in sorted(found)]
