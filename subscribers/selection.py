"""Who is meant at all: the contacts of one list in HubSpot, as far as conditions hold for them.

Being meant is not enough: the rules of consent come first.
"""

from __future__ import annotations

import re
from typing import TYPE_CHECKING, AbstractSet, NamedTuple, Sequence

from core.words import alternatives
from subscribers.values import as_kept, field_type, parts

if TYPE_CHECKING:
    from hubspot_api.shapes import Contact, Property

NOT_IN_LIST = "not in the list"
IS_NOW = " is now "
BATCH_SIZE = 100  # of HubSpot, for contacts by id and for pages of all of them

# A value stands in double quotes, or has neither a comma nor a bar; no value means "has none".
_VALUE = r'\s*(?:"[^"]*"|[^",|]*)\s*'
_CONDITION = re.compile(
    rf"\s*(?P<name>[a-z][a-z0-9_]*)\s*(?P<sign>!?=)(?P<values>{_VALUE}(?:\|{_VALUE})*)(?:,|$)"
)
_BOOLEAN = {"true": "true", "false": "false"}


class WrittenCondition(NamedTuple):
    """A condition as it is written: one of the values or, `is_negated`, none of them; without any,
    that there is no value or, `is_negated`, that there is one."""

    property: str
    values: tuple[str, ...]
    is_negated: bool


class Condition(NamedTuple):
    """`values`: as they are compared."""

    property: Property
    values: AbstractSet[str]
    is_negated: bool

    def why_not(self, contact: Contact) -> str | None:
        present = parts(contact.values[self.property.name], self.property.is_multiple)
        found = {_compared(each, self.property) for each in present}
        is_one = not found.isdisjoint(self.values) if self.values else not found
        return None if is_one is not self.is_negated else now_in_words(self.property, contact)


class Selection(NamedTuple):
    """`members`: ids of the contacts in the list, None without a list; `conditions`: all of which
    must hold."""

    list_name: str = ""
    members: AbstractSet[int] | None = None
    conditions: Sequence[Condition] = ()

    def why_not(self, contacts: Sequence[Contact]) -> str | None:
        """Why a person is not meant who has these contacts, the one changed last at the end; None
        when any of them is meant, or there is none."""
        reasons = [self._why_not(each) for each in contacts]
        return reasons[-1] if reasons and all(reasons) else None

    def _why_not(self, contact: Contact) -> str | None:
        if self.members is not None and contact.id not in self.members:
            return f"{NOT_IN_LIST} {self.list_name}"
        return next(filter(None, (each.why_not(contact) for each in self.conditions)), None)

    def is_meant(self, contact: Contact) -> bool:
        return self._why_not(contact) is None

    @property
    def is_all(self) -> bool:
        return self.members is None and not self.conditions

    @property
    def properties(self) -> list[str]:
        return [each.property.name for each in self.conditions]

    def in_words(self) -> str:
        in_list = [f"in the list {self.list_name}"] if self.members is not None else []
        return " and ".join([*in_list, *(["as CONTACT_FILTER says"] if self.conditions else [])])


def now_in_words(known: Property, contact: Contact) -> str:
    """The value of a contact as the reason for something."""
    label = known.label.lower()
    values = parts(contact.values[known.name], known.is_multiple)
    if not values:
        return f"it has no {label}"
    return f"its {label}{IS_NOW}{', '.join(known.options.get(each, each) for each in values)}"


def without_value(reason: str) -> str:
    """
    >>> without_value("its lifecycle stage is now Customer")
    'its lifecycle stage has changed'
    """
    what, is_now, _ = reason.partition(IS_NOW)
    return f"{what} has changed" if is_now else reason


def parse_conditions(text: str) -> tuple[WrittenCondition, ...]:
    """`lifecyclestage=customer|opportunity, country!=`; raises ValueError with the words that
    follow "must be"."""
    found: list[WrittenCondition] = []
    place = 0
    while place < len(text):
        match = _CONDITION.match(text, place)
        if not match:
            raise ValueError(
                "conditions such as lifecyclestage=customer|opportunity, country!= with commas"
                " between them (a value with a comma or a bar in double quotes)"
            )
        values = [each.strip().strip('"') for each in re.findall(_VALUE, match["values"])]
        filled = tuple(dict.fromkeys(each for each in values if each))
        found.append(WrittenCondition(match["name"], filled, match["sign"] == "!="))
        place = match.end()
    return tuple(found)


def unknown_values(wanted: WrittenCondition, known: Property) -> str | None:
    """What is wrong with the values, if the property has only certain ones: the possible ones. An
    enumeration whose values HubSpot takes from elsewhere, such as an owner, names none."""
    possible = _BOOLEAN if known.type == "bool" else known.options
    unknown = [each for each in wanted.values if each not in possible]
    if known.type not in ("enumeration", "bool") or not (possible and unknown):
        return None
    return f"{alternatives(unknown)}: possible are {', '.join(possible)}"


def condition_of(wanted: WrittenCondition, known: Property) -> Condition:
    values = frozenset(_compared(each, known) for each in wanted.values)
    return Condition(known, values, wanted.is_negated)


def by_id_is_cheaper(members: int, subscribers: int, contacts: int) -> bool:
    """Whether reading the members of a list and the contacts of the subscribers, by id or address,
    takes fewer calls than reading all contacts."""
    return members + subscribers < contacts - BATCH_SIZE


def _compared(text: str, known: Property) -> str:
    """Options by their internal value, numbers and days by what they mean, other text in any letter
    case."""
    return text if known.type == "enumeration" else as_kept(text, field_type(known.type)).casefold()
