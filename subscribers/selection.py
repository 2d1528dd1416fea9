"""Who is meant at all: the contacts of one list in HubSpot, as far as conditions hold for them.

Being meant is not enough: the rules of consent come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, AbstractSet, NamedTuple, Optional, Sequence

if TYPE_CHECKING:
    from hubspot_api.shapes import Contact

BATCH_SIZE = 100  # of HubSpot, for contacts by id and for pages of all of them


class Selection(NamedTuple):
    """`members`: ids of the contacts in the list, None without a list."""

    list_name: str = ""
    members: Optional[AbstractSet[int]] = None

    def why_not(self, contacts: Sequence[Contact]) -> Optional[str]:
        """Why a person is not meant who has these contacts, the one changed last at the end; None
        when any of them is meant. Nobody without a contact is."""
        if self.members is not None and not any(each.id in self.members for each in contacts):
            return f"not in the list {self.list_name}"
        return None

    def is_meant(self, contact: Contact) -> bool:
        return self.why_not([contact]) is None

    @property
    def is_all(self) -> bool:
        return self.members is None

    def in_words(self) -> str:
        return f"in the list {self.list_name}"


def by_id_is_cheaper(members: int, subscribers: int, contacts: int) -> bool:
    """Whether reading the members of a list and the contacts of the subscribers, by id or address,
    takes fewer calls than reading all contacts."""
    return members + subscribers < contacts - BATCH_SIZE
