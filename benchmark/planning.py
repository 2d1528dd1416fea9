"""Plan for a great many companies, the pure part of a run: how long it takes, without reading.

`python -m benchmark.planning kept|new|half COUNT` says in JSON what came out, and the seconds: for
judging each company as its page comes, and for planning once all is read. The records are made in
pages, as reading makes them, and outside of the time. No text is shared between the two services.
"""

from __future__ import annotations

import json
import sys
import time
from typing import Any, Iterator

from companies.matching import Criteria, HubSpotLookup, Matching
from companies.plan import Doubt, Keep, Rows, compare, make_plan, names_of
from core.conditions import Condition, Property
from hubspot_api.shapes import Company

PLATFORM = Condition("ecommerce_platform", "=", ("shopify", "magento_2"))
RULE = [  # as sync.py asks without settings
    (PLATFORM, Property("ecommerce_platform", "enumeration", "select", {})),
    (Condition("alexa", "<", ("1000000",)), Property("alexa", "number", "number", {})),
]
PAGE = 200  # companies in an answer of HubSpot
UNTIDY_EVERY = 10  # a domain with scheme and www.
FIRST_WORDS = ("alder", "birch", "cedar", "daisy", "elm", "fern", "garnet", "hazel", "iris")
SECOND_WORDS = ("atelier", "bazaar", "cellar", "depot", "emporium", "fabrics", "goods", "house")

# Of what HubSpot has, the share that is followed; the others that are followed are unknown there.
FOLLOWED = {"kept": 1.0, "new": 0.0, "half": 0.5}


def domain_of(number: int) -> str:
    """A domain of usual length; their order has nothing to do with the order of the numbers."""
    scattered = number * 2_654_435_761 % 2**32
    first = FIRST_WORDS[scattered % len(FIRST_WORDS)]
    second = SECOND_WORDS[scattered // 97 % len(SECOND_WORDS)]
    return f"{first}-{second}-{scattered}.example"


def page_of_companies(start: int, count: int) -> list[Company]:
    return [
        Company(
            20_000_000_000 + number * 7,
            f"Sample Shop {number:07d}",
            f"https://www.{domain_of(number)}/"
            if number % UNTIDY_EVERY == 0
            else domain_of(number),
            values={"ecommerce_platform": "shopify", "alexa": str(number % 999_999)},
        )
        for number in range(start, start + count)
    ]


def followings(first: int, count: int) -> Rows:
    return {domain_of(number): () for number in range(first, first + count)}


class Stopwatch:
    """Adds up the seconds spent within it."""

    def __init__(self) -> None:
        self.seconds = 0.0

    def __enter__(self) -> None:
        self._started_at = time.process_time()

    def __exit__(self, *_: object) -> None:
        self.seconds += time.process_time() - self._started_at


def pages(count: int) -> Iterator[list[Company]]:
    for start in range(0, count, PAGE):
        yield page_of_companies(start, min(PAGE, count - start))


def main(case: str, count: int) -> dict[str, Any]:
    judging, planning = Stopwatch(), Stopwatch()
    matching = Matching(Criteria(RULE))
    for page in pages(count):
        with judging:
            for company in page:
                matching.add(company)
    followed = followings(round(count * (1 - FOLLOWED[case])), count)
    with planning:
        diff = compare(matching, followed, {}, "PredictLeads follows")
        keep = Keep(by_flag="kept on purpose (--no-unfollow)" if case == "new" else None)
        names_of({} if keep.by_flag else diff.extra)
        lookup, doubt = HubSpotLookup([], {}), Doubt("PredictLeads", set())
        plan = make_plan(matching, diff, lookup, {}, doubt, keep)
    return {
        "judging_s": judging.seconds,
        "planning_s": planning.seconds,
        "follow": len(plan.add),
        "unfollow": len(plan.remove),
        "keep": len(plan.unchanged),
        "kept": len(plan.kept),
    }


if __name__ == "__main__":
    print(json.dumps(main(sys.argv[1], int(sys.argv[2]))))
