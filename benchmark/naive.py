"""What people write today, for comparison: reads the matching companies and may follow them.

`python -m benchmark.naive requests|official [follow]` says in JSON how far it came.
"""

from __future__ import annotations

import json
import os
import sys
import time
from typing import Any, Iterator

import requests

PAUSE_S = 0.2  # after each call: five a second, as if an answer took no time
LOOP_PAGE_SIZE = 100
OFFICIAL_PAGE_SIZE = 200  # HubSpot's maximum, to the official client's advantage
TIMEOUT_S = 30.0
PLATFORMS = ["shopify", "magento_2"]
ALEXA_BELOW = "1000000"
PROPERTIES = ["name", "domain", "ecommerce_platform", "alexa"]


class Refused(Exception):
    """HubSpot did not answer a search: status and message."""


def read_in_a_loop() -> Iterator[str]:
    """The domains of all companies that match, page after page."""
    after: str | None = None
    while True:
        query: dict[str, Any] = {
            "filterGroups": [
                {
                    "filters": [
                        {
                            "propertyName": "ecommerce_platform",
                            "operator": "IN",
                            "values": PLATFORMS,
                        },
                        {"propertyName": "alexa", "operator": "LT", "value": ALEXA_BELOW},
                    ]
                }
            ],
            "sorts": [{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            "properties": PROPERTIES,
            "limit": LOOP_PAGE_SIZE,
        }
        if after:
            query["after"] = after
        answer = requests.post(
            f"{os.environ['HUBSPOT_BASE_URL']}/crm/v3/objects/companies/search",
            json=query,
            headers={"Authorization": f"Bearer {os.environ['HUBSPOT_ACCESS_TOKEN']}"},
            timeout=TIMEOUT_S,
        )
        if not answer.ok:
            raise Refused(f"{answer.status_code}: {answer.json()['message']}")
        page = answer.json()
        yield from (company["properties"]["domain"] for company in page["results"])
        if "paging" not in page:
            return
        after = page["paging"]["next"]["after"]
        time.sleep(PAUSE_S)


def follow_one_by_one(domains: list[str]) -> None:
    for domain in domains:
        requests.post(
            f"{os.environ['PREDICTLEADS_BASE_URL']}/companies/{domain}/follow",
            headers={
                "X-Api-Key": os.environ["PREDICTLEADS_API_KEY"],
                "X-Api-Token": os.environ["PREDICTLEADS_API_TOKEN"],
            },
            timeout=TIMEOUT_S,
        ).raise_for_status()
        time.sleep(PAUSE_S)


def read_with_the_official_client() -> Iterator[str]:
    """The same with `hubspot-api-client`, paging as its answers say."""
    import hubspot  # type: ignore[import-not-found,import-untyped,unused-ignore]
    from hubspot.crm import (  # type: ignore[import-not-found,import-untyped,unused-ignore]
        companies,
    )

    client = hubspot.Client.create(
        access_token=os.environ["HUBSPOT_ACCESS_TOKEN"], host=os.environ["HUBSPOT_BASE_URL"]
    )
    after = None
    while True:
        query = companies.PublicObjectSearchRequest(
            filter_groups=[
                {
                    "filters": [
                        {
                            "propertyName": "ecommerce_platform",
                            "operator": "IN",
                            "values": PLATFORMS,
                        },
                        {"propertyName": "alexa", "operator": "LT", "value": ALEXA_BELOW},
                    ]
                }
            ],
            sorts=[{"propertyName": "hs_object_id", "direction": "ASCENDING"}],
            properties=PROPERTIES,
            limit=OFFICIAL_PAGE_SIZE,
            after=after,
        )
        try:
            page = client.crm.companies.search_api.do_search(query)
        except companies.ApiException as error:
            raise Refused(f"{error.status}: {json.loads(error.body)['message']}") from None
        yield from (company.properties["domain"] for company in page.results)
        if page.paging is None:
            return
        after = page.paging.next.after


def main(way: str, follow: bool) -> dict[str, Any]:
    read = read_with_the_official_client if way == "official" else read_in_a_loop
    domains: list[str] = []
    problem: str | None = None
    try:
        for domain in read():
            domains.append(domain)
    except Refused as error:
        problem = str(error)
    if follow:
        follow_one_by_one(domains)
    return {"companies": len(domains), "problem": problem}


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], "follow" in sys.argv[2:])))
