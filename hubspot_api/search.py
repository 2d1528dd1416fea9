"""Queries of HubSpot's search, the limits that they must fit into, and their answers.

https://developers.hubspot.com/docs/api-reference/search/guide#limits
"""

from __future__ import annotations

import json
from functools import partial
from typing import Any, Callable, Iterable, Iterator, List, Sequence, TypeVar

from core.domains import display_domain
from hubspot_api import shapes
from hubspot_api.shapes import ADDITIONAL_EMAILS, COMPANY_PROPERTIES, Record
from transport.paging import IdRange
from transport.response import JsonObject
from transport.service_client import total

PAGE_SIZE = 200  # the maximum
BODY_BYTES = 3_000  # the body must stay under it
MAX_GROUPS = 5
# HubSpot writes null for what is unset: one of these that no row has was not sent.
NEEDED = frozenset({"domain", "ecommerce_platform", "alexa"})

Group = List[JsonObject]  # filters that all hold
Query = List[Group]  # finds what any of its groups describes

EVERYTHING: Group = [{"propertyName": "hs_object_id", "operator": "HAS_PROPERTY"}]
# The contacts that have additional addresses.
ADDITIONAL: Query = [[{"propertyName": ADDITIONAL_EMAILS, "operator": "HAS_PROPERTY"}]]
LONGEST = IdRange(10**18, 10**18)  # in writing
_WORD = "CONTAINS_TOKEN"

T = TypeVar("T")

# How people write the domain shop.example into HubSpot's field. IN compares the whole text; what
# they write besides, a path for one, is found as a token.
_TYPED = (
    *("{}", "www.{}", "www.www.{}", "//{}", " {}", "{} ", "{}/", "{}.", "{}:443"),
    *("https://{}", "https://{}/", "https://www.{}", "https://www.{}/"),
    *("http://{}", "http://{}/", "http://www.{}", "http://www.{}/"),
)


def page(query: Query, ids: IdRange, names: Sequence[str]) -> JsonObject:
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


def results(names: tuple[str, ...], ids: IdRange, data: Any) -> tuple[int, list[Record]]:
    """The shape of an answer: how many records have an id in the range, and the first of them."""
    rows = {each.id: each for each in shapes.results(partial(shapes.record, names, ()), data)}
    for name in NEEDED.intersection(names) if rows else ():
        if not any(name in each["properties"] for each in data["results"]):
            raise ValueError(f"HubSpot did not send {name}")
    if not ids.is_order_of([*rows]):
        raise ValueError("the ids are not in order")
    return total(data), [*rows.values()]


def matching(platforms: Sequence[str], alexa_below: int, multiple: bool) -> Group:
    """Companies on one of the platforms with an Alexa rank under the limit. `multiple`: one can
    have several platforms, and HubSpot does not say whether IN finds those, so all that have one
    are asked for."""
    has_one: JsonObject = {"propertyName": "ecommerce_platform", "operator": "HAS_PROPERTY"}
    platform = has_one if multiple else _filter("ecommerce_platform", "IN", [*platforms])
    return [platform, _filter("alexa", "LT", str(alexa_below))]


def called(emails: Sequence[str]) -> Iterator[Query]:
    """The contacts that have one of these addresses in lower case, as their own, in it or as an
    additional one; and others."""
    names = ("email", ADDITIONAL_EMAILS)
    words = ([_filter(name, _WORD, each)] for each in emails for name in names)
    return _as_few(_fits, [*_one_of("email", emails), *words])


def merged_from(company_ids: Sequence[int]) -> Iterator[Query]:
    """The companies that these have been merged into."""
    groups = ([_filter("hs_merged_object_ids", _WORD, str(each))] for each in company_ids)
    return _as_few(_fits, groups)


def naming(domains: Iterable[str]) -> Iterator[Query]:
    """All companies whose domain, or one of whose additional domains, may be one of these bare
    domains; and others."""
    return _as_few(_fits, (group for domain in domains for group in _naming(domain)))


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


def _fits(query: Query) -> bool:
    body = json.dumps(page(query, LONGEST, COMPANY_PROPERTIES))
    return len(query) <= MAX_GROUPS and len(body) < BODY_BYTES


def _filter(name: str, operator: str, value: str | list[str]) -> JsonObject:
    key = "values" if isinstance(value, list) else "value"
    return {"propertyName": name, "operator": operator, key: value}
