"""Queries of HubSpot's search, the limits that they must fit into, and their answers.

https://developers.hubspot.com/docs/api-reference/search/guide#limits
"""

from __future__ import annotations

import json
from datetime import date
from decimal import Decimal
from functools import partial
from typing import Any, Callable, Iterable, Iterator, List, Sequence, TypeVar

from core.addresses import display_domain
from core.conditions import Condition, Property
from hubspot_api import shapes
from transport import paging, response, service_client

PAGE_SIZE = 200  # the maximum
BODY_BYTES = 3_000  # the body must stay under it
MAX_GROUPS = 5
MAX_FILTERS = 6 - 2  # in a group, beside those of the range of ids
MAX_VALUES = 100  # of IN

Group = List[response.JsonObject]  # filters that all hold
Query = List[Group]  # finds what any of its groups describes

EVERYTHING: Group = [{"propertyName": "hs_object_id", "operator": "HAS_PROPERTY"}]
# The contacts that have additional addresses.
ADDITIONAL: Query = [[{"propertyName": shapes.ADDITIONAL_EMAILS, "operator": "HAS_PROPERTY"}]]
LONGEST = paging.IdRange(10**18, 10**18)  # in writing
_WORD = "CONTAINS_TOKEN"
_COMPARE = {"=": "EQ", "<": "LT", "<=": "LTE", ">": "GT", ">=": "GTE"}

T = TypeVar("T")

# How people write the domain shop.example into HubSpot's field. IN compares the whole text; what
# they write besides, a path for one, is found as a token.
_TYPED = (
    *("{}", "www.{}", "www.www.{}", "//{}", " {}", "{} ", "{}/", "{}.", "{}:443"),
    *("https://{}", "https://{}/", "https://www.{}", "https://www.{}/"),
    *("http://{}", "http://{}/", "http://www.{}", "http://www.{}/"),
)


def page(query: Query, ids: paging.IdRange, names: Sequence[str]) -> response.JsonObject:
    """The body that asks for one page by id, never by `after`, which ends at 10,000 results."""
    above = [] if ids.above is None else [_filter("hs_object_id", "GT", str(ids.above))]
    below = [] if ids.below is None else [_filter("hs_object_id", "LT", str(ids.below))]
    direction = "DESCENDING" if ids.falling else "ASCENDING"
    return {
        "filterGroups": [{"filters": [*group, *above, *below]} for group in query],
        "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
        "properties": [*names],
        "limit": PAGE_SIZE,
    }


def results(
    names: tuple[str, ...], needed: Sequence[str], ids: paging.IdRange, data: Any
) -> tuple[int, list[shapes.Record]]:
    """The shape of an answer: how many records have an id in the range, and the first of them.
    HubSpot writes null for what is unset: one of the names `needed` that no row has was not sent.
    """
    rows = {each.id: each for each in shapes.results(partial(shapes.record, names, ()), data)}
    for name in needed if rows else ():
        if not any(name in each["properties"] for each in data["results"]):
            raise ValueError(f"HubSpot did not send {name}")
    if not ids.is_order_of([*rows]):
        raise ValueError("the ids are not in order")
    return service_client.total(data), [*rows.values()]


def matching(conditions: Sequence[tuple[Condition, Property]]) -> Group:
    """The companies for which all conditions hold, and others: as many of the conditions as a
    search takes, each so that it finds no fewer than it holds for."""
    names = [known.name for _, known in conditions]
    group: Group = []
    for condition, known in conditions:
        more = [*group, *_of_condition(condition, known)]
        if len(more) <= MAX_FILTERS and _fits([more], names):
            group = more
    return group or EVERYTHING


def _of_condition(condition: Condition, known: Property) -> list[response.JsonObject]:
    name, sign, values = condition
    if sign == "!=" and values:
        return []  # NEQ and NOT_IN leave out what is unset
    is_set = {"propertyName": name, "operator": "HAS_PROPERTY"}
    if sign == "=" and not values:
        return [{**is_set, "operator": "NOT_HAS_PROPERTY"}]
    if known.has_days and len(values) == 1:
        days = (date.fromisoformat(known.read(values[0])) - date(1970, 1, 1)).days
        begins, ends = (str(each * 86_400_000) for each in (days, days + 1))
        first, end = {"=": begins, ">=": begins, ">": ends}, {"=": ends, "<": begins, "<=": ends}
        bounds = (("GTE", first.get(sign)), ("LT", end.get(sign)))
        return [_filter(name, operator, bound) for operator, bound in bounds if bound]
    if known.type == "number" and len(values) == 1:
        return [_filter(name, _COMPARE[sign], f"{Decimal(str(known.read(values[0]))):f}")]
    if known.type == "bool" and len(values) == 1:
        return [_filter(name, "EQ", values[0])]
    if known.type == "string" and 0 < len(values) <= MAX_VALUES:  # in any letter case
        return [_filter(name, "IN", [each.lower() for each in values])]
    # HubSpot does not say whether IN finds one of several options of a record.
    if known.type == "enumeration" and not known.is_multiple and 0 < len(values) <= MAX_VALUES:
        return [_filter(name, "IN", [*values])]
    return [is_set]


def called(emails: Sequence[str]) -> Iterator[Query]:
    """The contacts that have one of these addresses in lower case, as their own, in it or as an
    additional one; and others."""
    names = ("email", shapes.ADDITIONAL_EMAILS)
    words = ([_filter(name, _WORD, each)] for each in emails for name in names)
    return _as_few(_fits, [*_one_of("email", emails), *words])


def merged_from(company_ids: Sequence[int], names: Sequence[str]) -> Iterator[Query]:
    """The companies that these have been merged into."""
    groups = ([_filter("hs_merged_object_ids", _WORD, str(each))] for each in company_ids)
    return _as_few(partial(_fits, names=names), groups)


def naming(domains: Iterable[str], names: Sequence[str] = ()) -> Iterator[Query]:
    """All companies whose domain, or one of whose additional domains, may be one of these bare
    domains; and others. `names`: what is asked for beside COMPANY_PROPERTIES."""
    groups = (group for domain in domains for group in _naming(domain))
    return _as_few(partial(_fits, names=names), groups)


def _naming(domain: str) -> Iterator[Group]:
    for name in dict.fromkeys((domain, display_domain(domain))):
        yield [_filter("domain", _WORD, name)]
        yield [_filter("hs_additional_domains", _WORD, name)]
        yield from _one_of("domain", [typed.format(name) for typed in _TYPED])


def _one_of(name: str, values: Sequence[str]) -> Iterator[Group]:
    """A filter for each part of the values that fits into a request."""
    parts = _as_few(lambda part: _fits([[_filter(name, "IN", part)]]), values)
    return ([_filter(name, "IN", part)] for part in parts)


def _as_few(fits: Callable[[list[T]], bool], items: Iterable[T]) -> Iterator[list[T]]:
    """As few parts of the items as fit."""
    part: list[T] = []
    for item in items:
        if part and not fits([*part, item]):
            yield part
            part = []
        part.append(item)
    if part:
        yield part


def _fits(query: Query, names: Sequence[str] = ()) -> bool:
    """Beside COMPANY_PROPERTIES and the properties `names`, which are asked for."""
    body = json.dumps(page(query, LONGEST, (*shapes.COMPANY_PROPERTIES, *names)))
    return len(query) <= MAX_GROUPS and len(body) < BODY_BYTES


def _filter(name: str, operator: str, value: str | list[str]) -> response.JsonObject:
    key = "values" if isinstance(value, list) else "value"
    return {"propertyName": name, "operator": operator, key: value}
