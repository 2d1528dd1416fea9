"""Which records match, as a setting says it: `country=Austria|Germany, orders>=10, phone!=`."""

from __future__ import annotations

import difflib
import operator
import re
from datetime import date
from typing import Any, Callable, Mapping, NamedTuple

from core.values import as_day, as_number, split_values
from core.words import alternatives, format_date, listing

# A value stands in double quotes, or has neither a comma nor a bar; no value means "has none".
_VALUE = r'(?:\s*"[^"]*"\s*|[^",|]*)'
_CONDITION = re.compile(
    r"\s*(?P<name>[a-z][a-z0-9_]*)\s*(?P<sign>!?=|[<>]=?)"
    rf"(?P<values>{_VALUE}(?:\|{_VALUE})*)(?:,|$)"
)
_BOOLEAN = {"true": "true", "false": "false"}
_COMPARE: dict[str, Callable[[Any, Any], bool]] = {
    "<": operator.lt,
    "<=": operator.le,
    ">": operator.gt,
    ">=": operator.ge,
}
_IN_WORDS = {"=": "{}", "!=": "other than {}"}
_IN_WORDS.update({"<": "under {}", "<=": "up to {}", ">": "over {}", ">=": "from {} on"})
_OF_DAYS = {**_IN_WORDS, "<": "before {}", ">": "after {}"}
_GROUPED = re.compile(r"-?[0-9]{1,3}(?:,[0-9]{3})+(?:\.[0-9]*)?")  # 1,800.00, as HubSpot may write
_REASON = re.compile(r"\A(its .*?) is .*", re.DOTALL)


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

    @property
    def has_days(self) -> bool:
        """A moment counts by its day in UTC."""
        return self.type in ("date", "datetime")

    def read(self, text: str) -> Any:
        """A value as it is compared: options by their internal value, numbers and days by what they
        mean, other text in any letter case; None if it is no number or no day."""
        text = text.strip()
        if self.type == "enumeration":
            return text
        if self.type == "number":
            return as_number(text.replace(",", "") if _GROUPED.fullmatch(text) else text)
        return as_day(text) if self.has_days else text.casefold()

    def show(self, text: str | None) -> str:
        """What a record has of it, for people; "" if it has nothing."""
        return ", ".join(map(self._show, split_values(text, self.is_multiple)))

    def _show(self, text: str) -> str:
        value = self.read(text)
        if self.has_days and value:
            return format_date(date.fromisoformat(value))
        is_number = isinstance(value, (int, float))
        return f"{value:,}" if is_number else self.options.get(text, text)


class Condition(NamedTuple):
    """`sign`: "=" for one of the values, "!=" for none of them, or how a number or a day compares
    with the one value. Without values: that the property is unset or, with "!=", that it is not.
    An unset property is "!=" every value, and compares with none."""

    property: str
    sign: str
    values: tuple[str, ...]

    def holds(self, text: str | None, known: Property) -> bool:
        """`text`: what a record has; `known`: the definition of the same property."""
        found = {known.read(each) for each in split_values(text, known.is_multiple)}
        matching = [*map(known.read, self.values)]
        if self.sign in _COMPARE:
            compare = _COMPARE[self.sign]
            return any(each is not None and compare(each, matching[0]) for each in found)
        is_one = not found.isdisjoint(matching) if matching else not found
        return is_one == (self.sign == "=")

    def mismatch(self, text: str | None, known: Property) -> str | None:
        """Why it does not hold, naming value and rule; None when it does."""
        if self.holds(text, known):
            return None
        if self.is_unreadable(text, known):
            what = "day" if known.has_days else "number"
            return f"its {known.label} is not a {what}: {(text or '').strip()}"
        if not known.show(text):
            return f"it has no {known.label}"
        only, is_one = f"values {self.describe(known)}", self.sign == "=" and len(self.values) < 2
        if self.sign == "=":
            only = self.describe(known) if self.values else "an empty value"
        rule = f"only {only} {'matches' if is_one else 'match'}"
        return f"its {known.label} is {known.show(text)}, and {rule}"

    def is_unreadable(self, text: str | None, known: Property) -> bool:
        """Whether nobody can tell: a number that is none, or a day."""
        return any(known.read(each) is None for each in split_values(text, known.is_multiple))

    def describe(self, known: Property) -> str:
        """What the property is if it holds: "Shopify or Magento 2", "under 1,000,000"."""
        if not self.values:
            return "empty" if self.sign == "=" else "not empty"
        shown = alternatives([*map(known.show, self.values)])
        return (_OF_DAYS if known.has_days else _IN_WORDS)[self.sign].format(shown)

    def mistake(self, properties: Mapping[str, Property], of: str) -> str | None:
        """What is wrong with it where records, which are called `of`, have these properties. An
        enumeration whose values HubSpot takes from elsewhere, such as an owner, names none."""
        name, known = self.property, properties.get(self.property)
        if known is None:
            missing = f"HubSpot has no {of} property {name}."
            if close := difflib.get_close_matches(name, properties):
                return f"{missing} Did you mean {alternatives(close)}?"
            nearest = difflib.get_close_matches(name, properties, cutoff=0.0)
            return f"{missing} The closest names are {listing(nearest)}."
        what = f"HubSpot's {name} is of type {known.type}, and"
        if self.sign in _COMPARE and not (known.type == "number" or known.has_days):
            return f"{what} {self.sign} works only for numbers and dates."
        if unread := [each for each in self.values if known.read(each) is None]:
            example = "day such as 2026-03-01" if known.has_days else "number such as 1800.5"
            return f"{what} {alternatives(unread)} is not a {example}."
        possible = _BOOLEAN if known.type == "bool" else known.options
        unknown = [each for each in self.values if possible and each not in possible]
        if known.type not in ("enumeration", "bool") or not unknown:
            return None
        there = ", ".join(possible)
        return f"HubSpot's {name} has no value {alternatives(unknown)}. Its values are {there}."


def parse_conditions(text: str) -> tuple[Condition, ...]:
    """`city=, country!=Austria|Germany`: all must hold. Raises ValueError with the words that come
    after "must be"."""
    found: list[Condition] = []
    place = 0
    while place < len(text):
        match = _CONDITION.match(text, place)
        values = re.findall(_VALUE, match["values"]) if match else []
        stripped = [each.strip().strip('"') for each in values]
        filled = tuple(dict.fromkeys(each for each in stripped if each))
        if not match or (match["sign"] in _COMPARE and len(filled) != 1):
            raise ValueError(
                "conditions such as lifecyclestage=customer|opportunity, orders>=10, country!= with"
                " commas between them (a value with a comma or a bar in double quotes)"
            )
        found.append(Condition(match["name"], match["sign"], filled))
        place = match.end()
    return tuple(found)


def describe_value(text: str | None, known: Property) -> str:
    """What a record has of a property, as the reason for something."""
    shown = known.show(text)
    return f"its {known.label} is now {shown}" if shown else f"it has no {known.label}"


def without_value(reason: str) -> str:
    """What a reason of this module says, for places that keep no values: "its country has
    changed"."""
    return _REASON.sub(r"\1 has changed", reason)
