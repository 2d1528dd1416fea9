"""Who is meant at all: the contacts of one list in HubSpot, as far as conditions hold for them.

Being meant is not enough: the rules of consent come first.
"""

from __future__ import annotations

from typing import TYPE_CHECKING, AbstractSet, NamedTuple, Sequence

from core.conditions import Condition, Property, describe_value

if TYPE_CHECKING:
    from hubspot_api.shapes import Contact

NOT_IN_LIST = "not in the list"
BATCH_SIZE = 100  # of HubSpot, for contacts by id and for pages of all of them


class Selection(NamedTuple):
    """`members`: ids of the contacts in the list, None without a list; `conditions`: all of which
    must hold, each with the definition of its property."""

    list_name: str = ""
    members: AbstractSet[int] | None = None
    conditions: Sequence[tuple[Condition, Property]] = ()

    def why_not(self, contacts: Sequence[Contact]) -> str | None:
        """Why a person is not meant who has these contacts, the one changed last at the end; None
        when any of them is meant, or there is none."""
        reasons = [self._why_not(each) for each in contacts]
        return reasons[-1] if reasons and all(reasons) else None

    def _why_not(self, contact: Contact) -> str | None:
        if self.members is not None and contact.id not in self.members:
            return f"{NOT_IN_LIST} {self.list_name}"
        for condition, known in self.conditions:
            text = contact.values[known.name]
            if not condition.holds(text, known):
                return describe_value(text, known)
        return None

    def is_meant(self, contact: Contact) -> bool:
        return self._why_not(contact) is None

    @property
    def is_all(self) -> bool:
        return self.members is None and not self.conditions

    @property
    def properties(self) -> list[str]:
        return [condition.property for condition, _ in self.conditions]

    def in_words(self) -> str:
        in_list = [f"in the list {self.list_name}"] if self.members is not None else []
        return " and ".join([*in_list, *(["as CONTACT_FILTER says"] if self.conditions else [])])


def by_id_is_cheaper(members: int, subscribers: int, contacts: int) -> bool:
    """Whether reading the members of a list and the contacts of the subscribers, by id or address,
    takes fewer calls than reading all contacts."""
    return members + subscribers < contacts - BATCH_SIZE
