"""Which records are meant, as a setting says it: `country=Austria|Germany, phone!=`."""

from __future__ import annotations

import re
from typing import NamedTuple

from core.values import as_day, as_number, split_values
from core.words import alternatives

IS_NOW = " is now "

# A value stands in double quotes, or has neither a comma nor a bar; no value means "has none".
_VALUE = r'(?:\s*"[^"]*"\s*|[^",|]*)'
_CONDITION = re.compile(
    rf"\s*(?P<name>[a-z][a-z0-9_]*)\s*(?P<sign>!?=)(?P<values>{_VALUE}(?:\|{_VALUE})*)(?:,|$)"
)
_BOOLEAN = {"true": "true", "false": "false"}


class Property(NamedTuple):
    """A property's definition in HubSpot. `options`: internal value -> label, for an enumeration;
    `label`: what people see of its name."""

    name: str
    type: str
    field_type: str
    options: dict[str, str]
    label: str = ""

    @property
    def is_multiple(self) -> bool:
        """Several options at once, which come as `a;b`."""
        return self.field_type == "checkbox"


class Condition(NamedTuple):
    """`sign`: "=" for one of the values, or "!=" for none of them. Without values: that the
    property is unset or, with "!=", that it is not."""

    property: str
    sign: str
    values: tuple[str, ...]

    def holds(self, text: str | None, known: Property) -> bool:
        """`text`: what a record has; `known`: the definition of the same property."""
        found = {_comparable(each, known) for each in split_values(text, known.is_multiple)}
        matching = {_comparable(each, known) for each in self.values}
        is_one = not found.isdisjoint(matching) if matching else not found
        return is_one == (self.sign == "=")

    def mistake(self, known: Property) -> str | None:
        """The values that the property cannot have, and the possible ones, in words. An enumeration
        whose values HubSpot takes from elsewhere, such as an owner, names none."""
        if known.type not in ("enumeration", "bool"):
            return None
        possible = _BOOLEAN if known.type == "bool" else known.options
        unknown = [each for each in self.values if each not in possible]
        if not (possible and unknown):
            return None
        return f"{alternatives(unknown)}: possible are {', '.join(possible)}"


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """`city=, country!=Austria|Germany`: all must hold. Raises ValueError with the words that come
    after "must be"."""
    found: list[Condition] = []
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
        found.append(Condition(match["name"], match["sign"], filled))
        place = match.end()
    return tuple(found)


def describe_value(text: str | None, known: Property) -> str:
    """What a record has of a property, as the reason for something."""
    label = known.label.lower()
    values = split_values(text, known.is_multiple)
    if not values:
        return f"it has no {label}"
    return f"its {label}{IS_NOW}{', '.join(known.options.get(each, each) for each in values)}"


def without_value(reason: str) -> str:
    """What `describe_value` says, for places that keep no values: "its country has changed"."""
    what, is_now, _ = reason.partition(IS_NOW)
    return f"{what} has changed" if is_now else reason


def _comparable(text: str, known: Property) -> str | int | float:
    """Options by their internal value, numbers and days by what they mean, other text in any letter
    case."""
    text = text.strip()
    if known.type == "enumeration":
        return text
    if known.type == "number":
        value: str | int | float | None = as_number(text)
    else:
        value = as_day(text) if known.type in ("date", "datetime") else None
    return text.casefold() if value is None else value
