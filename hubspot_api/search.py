"""Queries of HubSpot's search, and the limits that they must fit into.

https://developers.hubspot.com/docs/api-reference/search/guide#limits
"""

from __future__ import annotations

import json
from typing import Iterable, Iterator, List, Sequence

from core.domains import display_domain
from hubspot_api.shapes import ADDITIONAL_EMAILS, COMPANY_PROPERTIES
from transport.keyset import End
from transport.service import JsonObject

PAGE_SIZE = 200  # the maximum
BODY_BYTES = 3_000  # the body must stay under it
MAX_GROUPS = 5

Group = List[JsonObject]  # filters that all hold
Query = List[Group]  # finds what any of its groups describes

FIRST = End(None, falling=False)
EVERYTHING: Group = [{"propertyName": "hs_object_id", "operator": "HAS_PROPERTY"}]
_FARTHEST = End(10**18, falling=False)

# How people write the domain shop.example into HubSpot's field. IN compares the whole text; what
# they write besides, a path for one, is found as a token.
_TYPED = (
    *("{}", "www.{}", "www.www.{}", "//{}", " {}", "{} ", "{}/", "{}.", "{}:443"),
    *("https://{}", "https://{}/", "https://www.{}", "https://www.{}/"),
    *("http://{}", "http://{}/", "http://www.{}", "http://www.{}/"),
)


def page(query: Query, end: End, names: Sequence[str]) -> JsonObject:
    """The body that asks for one page by id, never by `after`, which ends at 10,000 results."""
    operator, direction = ("LT", "DESCENDING") if end.falling else ("GT", "ASCENDING")
    bound = [] if end.bound is None else [_filter("hs_object_id", operator, str(end.bound))]
    return {
        "filterGroups": [{"filters": [*group, *bound]} for group in query],
        "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
        "properties": [*names],
        "limit": PAGE_SIZE,
    }


def matching(platforms: Sequence[str], alexa_below: int, multiple: bool) -> Group:
    """Companies on one of the platforms with an Alexa rank under the limit. `multiple`: one can
    have several platforms, and HubSpot does not say whether IN finds those, so all that have one
    are asked for."""
    has_one: JsonObject = {"propertyName": "ecommerce_platform", "operator": "HAS_PROPERTY"}
    platform = has_one if multiple else _in("ecommerce_platform", platforms)
    return [platform, _filter("alexa", "LT", str(alexa_below))]


def with_email(email: str) -> Query:
    """The contact with this address in lower case."""
    return [[_filter("email", "EQ", email)]]


def called(emails: Sequence[str]) -> Iterator[Query]:
    """The contacts that have one of these addresses in lower case, as their own or as an additional
    one; and others."""
    additional = ([_token(ADDITIONAL_EMAILS, each)] for each in emails)
    return _packed([*_one_of("email", emails), *additional])


def merged_from(company_ids: Sequence[int]) -> Iterator[Query]:
    """The companies that these have been merged into."""
    return _packed([_token("hs_merged_object_ids", str(each))] for each in company_ids)


def naming(domains: Iterable[str]) -> Iterator[Query]:
    """All companies whose domain, or one of whose additional domains, may be one of these bare
    domains; and others."""
    return _packed(group for domain in domains for group in _naming(domain))


def _naming(domain: str) -> Iterator[Group]:
    for name in dict.fromkeys((domain, display_domain(domain))):
        yield [_token("domain", name)]
        yield [_token("hs_additional_domains", name)]
        yield from _one_of("domain", [typed.format(name) for typed in _TYPED])


def _one_of(name: str, values: Sequence[str]) -> Iterator[Group]:
    """As few filters as fit into a request each."""
    batch: list[str] = []
    for value in values:
        if batch and not _fits([[_in(name, [*batch, value])]]):
            yield [_in(name, batch)]
            batch = []
        batch.append(value)
    yield [_in(name, batch)]


def _packed(groups: Iterable[Group]) -> Iterator[Query]:
    """As few queries as the groups fit into."""
    batch: Query = []
    for group in groups:
        if batch and not _fits([*batch, group]):
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def _fits(query: Query) -> bool:
    body = json.dumps(page(query, _FARTHEST, COMPANY_PROPERTIES))
    return len(query) <= MAX_GROUPS and len(body) < BODY_BYTES


def _token(name: str, value: str) -> JsonObject:
    return _filter(name, "CONTAINS_TOKEN", value)


def _in(name: str, values: Sequence[str]) -> JsonObject:
    return {"propertyName": name, "operator": "IN", "values": [*values]}


def _filter(name: str, operator: str, value: str) -> JsonObject:
    return {"propertyName": name, "operator": operator, "value": value}
