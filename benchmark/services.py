"""The services of one measurement, in a process of its own: `Services` in measuring.py talks to it.

It says the settings that lead to it, then, for every line that it reads, what it saw since the last
one; it goes when its input ends.
"""

from __future__ import annotations

import json
import signal
import sys
import time
from typing import Any, Iterable, NamedTuple, Sequence

from benchmark.measuring import (
    CALLS_PER_SECOND,
    OTHER_APP,
    SEARCHES_PER_SECOND,
    Seen,
    Spec,
)
from benchmark.planning import RULE
from core.clock import Clock
from core.settings import SettingsReader
from hubspot_api import search
from hubspot_api.shapes import COMPANIES
from hubspot_client import HubSpotClient, hubspot_settings
from sandbox import HubSpot, PredictLeads, Request, Sandbox
from sandbox.core import Answer

LIST = "Shops"  # of the companies that match
OTHERS_EVERY = 5  # every fifth company does not match
ID_JUMP = 20_000_000_000  # halfway: an old account's ids have three digits as well as eleven


class Call(NamedTuple):
    """A request with its answer: the last company's id in it, if any, and when it was sent."""

    request: Request
    status: int
    last_id: str | None
    answered_at: float

    def is_others(self) -> bool:
        return self.request.headers.get("User-Agent") == OTHER_APP


class Recorder(Sandbox):
    """A sandbox that remembers when it answered, and what each page ended with."""

    def __init__(self, *services: Any, **options: Any) -> None:
        super().__init__(*services, **options)
        self.calls: list[Call] = []

    def carry_out(self, request: Request) -> Answer:
        answer = super().carry_out(request)
        results = answer.payload.get("results")
        last_id = results[-1].get("id") if results else None
        self.calls.append(Call(request, answer.status, last_id, self.clock()))
        return answer


def companies(matching: int) -> list[dict[str, Any]]:
    """Companies with ids at uneven distances."""
    records: list[dict[str, Any]] = []
    key, all_of_them = 900, matching + matching // (OTHERS_EVERY - 1)
    for number in range(all_of_them):
        key += 1 + number * 7919 % 9 + (ID_JUMP if number == all_of_them // 2 else 0)
        matches = number % OTHERS_EVERY < OTHERS_EVERY - 1
        records.append(
            {
                "id": key,
                "name": f"Sample Shop {number:05d}",
                "domain": f"sample-shop-{number:05d}.example",
                "ecommerce_platform": ("shopify", "magento_2")[number % 2] if matches else None,
                "alexa": str(1 + number * 7919 % 999_999),
            }
        )
    return records


def seen(calls: Sequence[Call], writes: int, is_right: bool) -> Seen:
    ours = [call for call in calls if not call.is_others()]
    others = [call for call in calls if call.is_others()]
    searches = [call for call in ours if call.request.path.endswith("/search")]
    follows = [call for call in ours if call.request.path.endswith("/follow")]
    return Seen(
        calls=len(ours),
        refused=_refused(ours),
        searches=len(searches),
        searches_refused=_refused(searches),
        search_s=_seconds(searches),
        chains=_chains(searches),
        follows=len(follows),
        follow_s=_seconds(follows),
        writes=writes,
        is_right=is_right,
        others_calls=len(others),
        others_refused=_refused(others),
    )


def _refused(calls: Iterable[Call]) -> int:
    return sum(call.status == 429 for call in calls)


def _seconds(calls: Sequence[Call]) -> float:
    if not calls:
        return 0.0
    return max(call.answered_at for call in calls) - min(call.request.at for call in calls)


def _chains(searches: Sequence[Call]) -> int:
    """From how many places reading began: the first page, and each id that no page ended with."""
    known = {call.last_id for call in searches}
    starts = {_start(call.request.json()) for call in searches}
    return sum(not bounds or bounds[0] not in known for _, *bounds in starts)


def _start(body: dict[str, Any]) -> Sequence[str]:
    """The direction of a search, then the id that it begins at, if there is one."""
    filters = body["filterGroups"][0]["filters"]
    bounds = [each["value"] for each in filters if each["propertyName"] == "hs_object_id"]
    return (body["sorts"][0]["direction"], *bounds)


def search_once(sandbox: Sandbox) -> None:
    """The sandbox looks through all records at the first search of a kind, and remembers: that is
    none of the client's time."""
    settings = SettingsReader(sandbox.settings, "benchmark").load(hubspot_settings)
    HubSpotClient(settings, Clock(), dry_run=True).count(COMPANIES, search.matching(RULE))
    time.sleep(1.0)  # until it no longer counts


def main() -> None:
    signal.signal(signal.SIGINT, signal.SIG_IGN)  # Ctrl-C is for whoever started this
    spec = Spec(*json.loads(sys.argv[1]))
    records = companies(spec.matching)
    wanted = [each["domain"] for each in records if each["ecommerce_platform"]]
    followed = {domain: domain for domain in wanted[: spec.followed]}
    hubspot = HubSpot(records, searches_per_second=SEARCHES_PER_SECOND)
    members = [each["id"] for each in records if each["ecommerce_platform"]]
    hubspot.add_list(LIST, "companies", *members)
    sandbox = Recorder(
        hubspot,
        PredictLeads(dict(followed), requests_per_second=CALLS_PER_SECOND),
        latency_s=spec.latency_s,
        latency_jitter=spec.latency_jitter,
    )
    with sandbox:
        search_once(sandbox)
        sandbox.calls = []
        settings = {"COMPANY_LIST": LIST} if spec.by_list else {}
        print(json.dumps({**sandbox.settings, **settings}), flush=True)
        for _ in sys.stdin:
            is_right = set(sandbox.predictleads.followings) == set(wanted)
            observed = seen(sandbox.calls, len(sandbox.writes), is_right)
            sandbox.calls, sandbox.writes, sandbox.requests = [], [], []
            sandbox.predictleads.followings = dict(followed)
            print(json.dumps(observed._asdict()), flush=True)


if __name__ == "__main__":
    main()
