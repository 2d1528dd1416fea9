"""Queries of HubSpot's search, and the limits that they must fit into.

https://developers.hubspot.com/docs/api-reference/search/guide#limits
"""

from __future__ import annotations

import json
from typing import Iterable, Iterator, List, Sequence

from core.domains import display_domain
from hubspot_api.shapes import ADDITIONAL, COMPANY_PROPERTIES
from transport.keyset import End
from transport.service import JsonObject

PAGE_SIZE = 200  # the maximum
BODY_BYTES = 3_000  # the body must stay under it
MAX_GROUPS = 5
_LONGEST_END = End(bound=10**18, falling=False)

Group = List[JsonObject]  # filters that all hold; a query finds what any of its groups describes

# How people write the domain shop.example into HubSpot's field. IN compares the whole text; what
# they write besides, a path for one, is found as a token.
_TYPED = (
    *("{}", "www.{}", "www.www.{}", "//{}", " {}", "{} ", "{}/", "{}.", "{}:443"),
    *("https://{}", "https://{}/", "https://www.{}", "https://www.{}/"),
    *("http://{}", "http://{}/", "http://www.{}", "http://www.{}/"),
)


def query(
    groups: Sequence[Group], end: End, names: Sequence[str] = COMPANY_PROPERTIES
) -> JsonObject:
    """One page by id, never by `after`, which ends at 10,000 results."""
    bounds: Group = []
    if end.bound is not None:
        operator = "LT" if end.falling else "GT"
        bounds = [_filter("hs_object_id", operator, str(end.bound))]
    direction = "DESCENDING" if end.falling else "ASCENDING"
    return {
        "filterGroups": [{"filters": [*filters, *bounds]} for filters in groups],
        "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
        "properties": list(names),
        "limit": PAGE_SIZE,
    }


def matching(platforms: Sequence[str], alexa_below: int, multiple: bool) -> Group:
    """`multiple`: a company can have several platforms, and HubSpot does not say whether IN finds
    those, so all that have one are asked for."""
    has_one: JsonObject = {"propertyName": "ecommerce_platform", "operator": "HAS_PROPERTY"}
    platform = has_one if multiple else _in("ecommerce_platform", platforms)
    return [platform, _filter("alexa", "LT", str(alexa_below))]


def with_email(email: str) -> Group:
    return [_filter("email", "EQ", email)]


def called(emails: Sequence[str]) -> Iterator[list[Group]]:
    """Queries for the contacts that have one of these addresses in lower case, as their own or as
    an additional one. They find others as well."""
    own = _one_of("email", emails)
    return _packed([*own, *([_token(ADDITIONAL, each)] for each in emails)])


def everyone() -> Group:
    return [{"propertyName": "hs_object_id", "operator": "HAS_PROPERTY"}]


def merged_from(company_ids: Sequence[int]) -> Iterator[list[Group]]:
    """Queries for the companies that these have been merged into."""
    return _packed([_token("hs_merged_object_ids", str(each))] for each in company_ids)


def naming(domains: Iterable[str]) -> Iterator[list[Group]]:
    """Queries for all companies whose domain, or one of whose additional domains, may be one of
    these bare domains. They find others as well."""
    return _packed(group for domain in domains for group in _naming(domain))


def _naming(domain: str) -> Iterator[Group]:
    for name in dict.fromkeys((domain, display_domain(domain))):
        yield [_token("domain", name)]
        yield [_token("hs_additional_domains", name)]
        yield from _one_of("domain", [typed.format(name) for typed in _TYPED])


def _one_of(name: str, values: Iterable[str]) -> Iterator[Group]:
    """As few filters as fit into a request each."""
    batch: list[str] = []
    for value in values:
        if batch and not _fits([[_in(name, [*batch, value])]]):
            yield [_in(name, batch)]
            batch = []
        batch.append(value)
    yield [_in(name, batch)]


def _packed(groups: Iterable[Group]) -> Iterator[list[Group]]:
    """As few queries as the groups fit into."""
    batch: list[Group] = []
    for group in groups:
        if batch and not _fits([*batch, group]):
            yield batch
            batch = []
        batch.append(group)
    if batch:
        yield batch


def _fits(groups: Sequence[Group]) -> bool:
    body = json.dumps(query(groups, _LONGEST_END))
    return len(groups) <= MAX_GROUPS and len(body) < BODY_BYTES


def _token(name: str, value: str) -> JsonObject:
    return _filter(name, "CONTAINS_TOKEN", value)


def _in(name: str, values: Sequence[str]) -> JsonObject:
    return {"propertyName": name, "operator": "IN", "values": list(values)}


def _filter(name: str, operator: str, value: str) -> JsonObject:
    return {"propertyName": name, "operator": operator, "value": value}
