"""Queries of HubSpot's search, and the limits that they must fit into.

https://developers.hubspot.com/docs/api-reference/search/guide#limits
"""

from __future__ import annotations

import json
from typing import Iterator, List, Sequence

from basics.domains import display_domain
from hubspot.shapes import COMPANY_PROPERTIES
from transport.keyset import End
from transport.service import JsonObject

PAGE_SIZE = 200  # the maximum
BODY_BYTES = 3_000  # the body must stay under it
_LONGEST_END = End(bound=10**18, falling=False)


def query(
    filters: List[JsonObject], end: End, names: Sequence[str] = COMPANY_PROPERTIES
) -> JsonObject:
    """One page by id, never by `after`, which ends at 10,000 results."""
    if end.bound is not None:
        operator = "LT" if end.falling else "GT"
        bound = {"propertyName": "hs_object_id", "operator": operator, "value": str(end.bound)}
        filters = [*filters, bound]
    direction = "DESCENDING" if end.falling else "ASCENDING"
    return {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
        "properties": list(names),
        "limit": PAGE_SIZE,
    }


def matching(platforms: Sequence[str], alexa_below: int, multiple: bool) -> List[JsonObject]:
    """`multiple`: a company can have several platforms, and HubSpot does not say whether IN finds
    those, so all that have one are asked for."""
    platform: JsonObject = {"propertyName": "ecommerce_platform", "operator": "HAS_PROPERTY"}
    if not multiple:
        platform.update(operator="IN", values=list(platforms))
    return [platform, {"propertyName": "alexa", "operator": "LT", "value": str(alexa_below)}]


def with_domains(domains: Sequence[str]) -> List[JsonObject]:
    """For bare domains, with or without `www.` in HubSpot."""
    spellings = [
        prefix + spelling
        for domain in domains
        for spelling in dict.fromkeys((domain, display_domain(domain)))
        for prefix in ("", "www.")
    ]
    return [{"propertyName": "domain", "operator": "IN", "values": spellings}]


def batches(domains: Sequence[str]) -> Iterator[List[str]]:
    """The domains in groups for `with_domains`, each small enough for one request."""
    batch: List[str] = []
    for domain in domains:
        body = query(with_domains([*batch, domain]), _LONGEST_END)
        if batch and len(json.dumps(body)) >= BODY_BYTES:
            yield batch
            batch = []
        batch.append(domain)
    if batch:
        yield batch
