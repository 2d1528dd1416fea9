"""HubSpot's search language: reading a query and finding the ids that match.

Source: https://developers.hubspot.com/docs/api-reference/search/guide
"""

from __future__ import annotations

import json
import operator
import re
from bisect import bisect_left, bisect_right
from datetime import datetime, timezone
from typing import Any, Callable, Dict, NamedTuple, Optional, Pattern

MAX_BODY = 3_000  # bytes
MAX_LIMIT = 200
MAX_REACH = 10_000  # results per query, however they are paged
MAX_GROUPS, MAX_FILTERS, MAX_FILTERS_IN_ALL = 5, 6, 18
DIRECTIONS = {"ASCENDING": False, "DESCENDING": True}
FIELDS = {"filterGroups", "filters", "sorts", "query", "properties", "limit", "after"}

ID = "hs_object_id"
WORDS = "query"  # stands for all the properties that are searched by default
COMPARE: dict[str, Callable[..., bool]] = {
    "EQ": operator.eq,
    "NEQ": operator.ne,
    "LT": operator.lt,
    "LTE": operator.le,
    "GT": operator.gt,
    "GTE": operator.ge,
    "BETWEEN": lambda found, low, high: low <= found <= high,
}
SETS = {"IN": True, "NOT_IN": False}
PRESENCE = {"HAS_PROPERTY": True, "NOT_HAS_PROPERTY": False}
TOKENS = {"CONTAINS_TOKEN": True, "NOT_CONTAINS_TOKEN": False}
OPERATORS = {*COMPARE, *SETS, *PRESENCE, *TOKENS}
RANGES = {"EQ", "LT", "LTE", "GT", "GTE", "BETWEEN"}

LETTER = r"[^\W_]"  # or digit

Definition = Dict[str, Any]
Test = Callable[[Optional[str]], bool]


class Invalid(ValueError):
    """The query breaks one of HubSpot's rules; the text says which."""


class NotServed(ValueError):
    """HubSpot would know what to do with the query, this stand-in does not."""


class Filter(NamedTuple):
    name: str
    operator: str
    values: tuple[str, ...]  # none, one, low and high, or the whole set

    def holds_more_than(self, values: int | None) -> bool:
        return values is not None and len(self.values) > values

    def on_id_range(self) -> bool:
        """True when a bisection over sorted ids answers it."""
        return self.name == ID and self.operator in RANGES


class Query(NamedTuple):
    groups: list[list[Filter]]
    sort: str
    descending: bool
    properties: list[str] | None
    limit: int
    after: int


def parse(raw: bytes, definitions: dict[str, Definition]) -> Query:
    """Check a request body against the limits and the account's properties."""
    if len(raw) > MAX_BODY:
        raise Invalid(f"The request body is {len(raw)} bytes, the maximum is {MAX_BODY}.")
    body = _object(raw, FIELDS)
    groups = _groups(body, definitions)
    sort, descending = _sort(_list(body, "sorts"), definitions)
    limit, after = _whole(body, "limit", 10), _whole(body, "after", 0)
    if limit > MAX_LIMIT:
        raise Invalid(f"The requested page size: {limit} exceeds the maximum: {MAX_LIMIT}.")
    if after + limit > MAX_REACH:
        raise Invalid(f"The maximum number of results per query is {MAX_REACH}.")
    if body.get("query"):
        words = Filter(WORDS, WORDS, (str(body["query"]),))
        groups = [[*group, words] for group in groups]
    return Query(groups, sort, descending, _list(body, "properties") or None, limit, after)


def _object(raw: bytes, fields: set[str]) -> dict[str, Any]:
    try:
        body = json.loads(raw.decode())
    except ValueError:
        body = None
    if not isinstance(body, dict):
        raise Invalid("Invalid input JSON.")
    foreign = set(body) - fields
    if foreign:
        raise Invalid(f"Unknown or unsupported in this search: {', '.join(sorted(foreign))}.")
    return body


def _list(body: dict[str, Any], name: str, of: tuple[type, ...] = (str, dict)) -> list[Any]:
    entries = body.get(name) or []
    if not isinstance(entries, list) or not all(isinstance(entry, of) for entry in entries):
        raise Invalid(f"{name} is malformed: {json.dumps(entries)}")
    return entries


def _whole(body: dict[str, Any], name: str, default: int) -> int:
    text = str(body.get(name, default))
    if not re.fullmatch("[0-9]{1,9}", text):
        raise Invalid(f"{name} must be a whole number, got {text!r}.")
    return int(text)


def _groups(body: dict[str, Any], definitions: dict[str, Definition]) -> list[list[Filter]]:
    given = [*_list(body, "filterGroups", (dict,)), *([body] if body.get("filters") else ())]
    groups = [_list(group, "filters") for group in given]
    if len(groups) > MAX_GROUPS:
        raise Invalid(f"There are {len(groups)} filter groups, the maximum is {MAX_GROUPS}.")
    if any(len(group) > MAX_FILTERS for group in groups):
        raise Invalid(f"A filter group holds more than {MAX_FILTERS} filters.")
    if sum(map(len, groups)) > MAX_FILTERS_IN_ALL:
        raise Invalid(f"There are more than {MAX_FILTERS_IN_ALL} filters in all.")
    return [[_filter(entry, definitions) for entry in group] for group in groups] or [[]]


def _filter(entry: Any, definitions: dict[str, Definition]) -> Filter:
    if not isinstance(entry, dict):
        raise Invalid(f"A filter must be an object, got {entry!r}.")
    name, operation = str(entry.get("propertyName")), str(entry.get("operator"))
    if name.startswith("associations."):
        raise NotServed(f"This sandbox does not search by {name}.")
    if name not in definitions:
        raise Invalid(f"There is no property named {name!r}.")
    if operation not in OPERATORS:
        raise Invalid(f"There is no operator named {operation!r}.")
    return Filter(name, operation, tuple(_values(entry, operation)))


def _values(entry: dict[str, Any], operation: str) -> list[str]:
    if operation in PRESENCE:
        return []
    values: Any = entry.get("values") if operation in SETS else [entry.get("value")]
    values = [*values, entry.get("highValue")] if operation == "BETWEEN" else values
    values = values if isinstance(values, list) else []
    strings = [value for value in values if isinstance(value, str) and value]
    if not strings or len(strings) < len(values):
        raise Invalid(f"{operation} wants strings, got {json.dumps(entry)}.")
    return strings


def _sort(sorts: list[Any], definitions: dict[str, Definition]) -> tuple[str, bool]:
    if len(sorts) > 1:
        raise Invalid("Only one sort is supported.")
    rule = _sort_rule(sorts[0]) if sorts else {"propertyName": ID}
    name, direction = str(rule.get("propertyName")), str(rule.get("direction", "ASCENDING"))
    if name not in definitions or direction not in DIRECTIONS:
        raise Invalid(f"There is no such property or direction to sort by: {json.dumps(rule)}")
    return name, DIRECTIONS[direction]


def _sort_rule(rule: Any) -> dict[str, Any]:
    """An object, the same as text, or a name; "-" before the name means descending."""
    if isinstance(rule, str) and rule.startswith("{"):
        return _object(rule.encode(), {"propertyName", "direction"})
    if isinstance(rule, str):
        descending = "DESCENDING" if rule.startswith("-") else "ASCENDING"
        return {"propertyName": rule.lstrip("-"), "direction": descending}
    return dict(rule)


def _instant(text: str) -> float:
    """Milliseconds since 1970 from digits, a date, or a UTC time."""
    if re.fullmatch("-?[0-9]+", text):
        return float(text)
    form = "%Y-%m-%d" if len(text) == 10 else "%Y-%m-%dT%H:%M:%S"
    moment = datetime.strptime(re.sub(r"(\.\d+)?Z?$", "", text), form)
    return moment.replace(tzinfo=timezone.utc).timestamp() * 1000


def reader(definition: Definition) -> Callable[[str], Any]:
    """How a property's text is compared: numbers and times by value, options as they are."""
    kinds: dict[str, Callable[[str], Any]] = {
        "number": float,
        "date": _instant,
        "datetime": _instant,
        "enumeration": str,
    }
    return kinds.get(definition["type"], str.lower)


def predicate(wanted: Filter, definition: Definition, multi_select_in_matches: bool) -> Test:
    """The filter as a function of a stored value; an unset value only is NOT_HAS_PROPERTY."""
    if wanted.operator in PRESENCE:
        return lambda value: bool(value) is PRESENCE[wanted.operator]
    if wanted.operator in SETS:
        return _membership(wanted, definition, multi_select_in_matches)
    if wanted.operator == WORDS:
        return _has_words(wanted.values[0])
    if wanted.operator in TOKENS:
        found, expected = _tokens(wanted.values[0]).search, TOKENS[wanted.operator]
        return lambda value: bool(value) and bool(found(str(value).lower())) is expected
    return _comparison(wanted, definition)


def _membership(wanted: Filter, definition: Definition, multi: bool) -> Test:
    # On text the stored value is put in lower case and the given values are not: HubSpot wants
    # them in lower case.
    read, split = reader(definition), multi and definition.get("fieldType") == "checkbox"
    numeric = definition["type"] not in ("string", "enumeration", "bool")
    given = {_read(read, value) if numeric else value for value in wanted.values}
    expected = SETS[wanted.operator]

    def is_member(value: str | None) -> bool:
        parts = (value or "").split(";") if split else [value or ""]
        found = {stored(read, part) for part in parts}
        return bool(value) and bool(found & given) is expected

    return is_member


def _comparison(wanted: Filter, definition: Definition) -> Test:
    read, compare = reader(definition), COMPARE[wanted.operator]
    given = [_read(read, value) for value in wanted.values]

    def compares(value: str | None) -> bool:
        found = stored(read, value)
        return found is not None and compare(found, *given)

    return compares


def _read(read: Callable[[str], Any], value: str) -> Any:
    try:
        return read(value)
    except ValueError:
        raise Invalid(f"{value!r} does not fit the type of the property.") from None


def stored(read: Callable[[str], Any], value: str | None) -> Any:
    """A stored value as it is compared; None when it is unset or does not fit the type."""
    try:
        return read(value) if value else None
    except ValueError:
        return None


def _tokens(text: str) -> Pattern[str]:
    """Finds the text's tokens one after another in a value in lower case (`*` is a wildcard).

    A token is a run of letters and digits: `shop.com` is found in `https://shop.com/de`.
    """
    tokens = re.findall(rf"(?:{LETTER}|\*)+", text.lower())
    words = [
        f"{LETTER}+" if token == "*" else token.replace("*", f"{LETTER}*") for token in tokens
    ] or ["(?!)"]  # found nowhere
    return re.compile(rf"(?<!{LETTER})" + r"[\W_]+".join(words) + rf"(?!{LETTER})")


def _has_words(text: str) -> Test:
    """Every word begins a token of the value; HubSpot does not say how exactly it looks."""
    searches = [_tokens(f"{word}*").search for word in text.split()]
    return lambda value: all(found(str(value).lower()) for found in searches)


def within(ids: list[int], wanted: Filter) -> list[int]:
    """The part of the sorted ids that a range filter on the id leaves."""
    try:
        low, high = int(wanted.values[0]), int(wanted.values[-1])
    except ValueError:
        raise Invalid(f"Not a record id: {wanted.values}") from None
    starts = {"GT": bisect_right(ids, low), "LT": 0, "LTE": 0}
    ends = {"LT": bisect_left(ids, high), "GT": len(ids), "GTE": len(ids)}
    start = starts.get(wanted.operator, bisect_left(ids, low))
    return ids[start : ends.get(wanted.operator, bisect_right(ids, high))]
