"""PredictLeads: what it follows, and how to change that, as small values.

The API is described at https://docs.predictleads.com/v3.
"""

from __future__ import annotations

import re
from typing import Any, Callable, Dict, List, NamedTuple, Optional, Pattern, Set, Tuple
from urllib.parse import quote

from basics.errors import CallRejected
from basics.secret import Secret
from basics.settings import SettingsReader
from basics.words import companies
from transport.clock import Clock
from transport.http_client import HttpClient
from transport.service import Service

FOLLOWINGS_PAGE_SIZE = 1000  # the maximum; each page may cost a credit
MAX_PAGES = 10_000  # ten million companies; an endless list has more
MAX_READS = 3  # of the whole list, when it changes while it is read

WHERE_KEY = "the authentication key in PredictLeads > Subscription Plans"
WHERE_SECOND_KEY = "the authentication token in PredictLeads > Subscription Plans"
REMEDIES = {
    401: "Check PREDICTLEADS_API_KEY and PREDICTLEADS_API_TOKEN: both belong to one subscription,"
    " see PredictLeads > Subscription Plans.",
    402: "The credits of this month are used up: wait for the next month or buy more in"
    " PredictLeads > Subscription Plans.",
    403: "The PredictLeads plan does not include this: see PredictLeads > Subscription Plans.",
}

SERVICE = Service("PredictLeads", lambda response: REMEDIES.get(response.status, ""))

# No document says how PredictLeads answers a change that is already made; these are its likely
# words. Anything else counts as a refusal.
_ALREADY_FOLLOWED = re.compile(r"already[ _](been[ _])?follow(ed|ing)", re.IGNORECASE)
_NOT_FOLLOWED = re.compile(
    r"\bnot[ _]((yet|currently|being)[ _])?follow(ed|ing)|not follow this|already[ _]unfollowed"
    r"|following[ _](was )?not[ _]found",
    re.IGNORECASE,
)


# What is followed: the domain as it is listed -> the identifiers it is listed with, without the
# domain itself. A company that redirects elsewhere is listed under the other domain, and its
# identifier is what was sent along when it was followed. (A million of these fit in 120 MB.)
Followings = Dict[str, Tuple[str, ...]]


class PredictLeadsSettings(NamedTuple):
    key: Secret
    token: Secret
    base_url: str
    requests_per_second: float


def predictleads_settings(reader: SettingsReader) -> PredictLeadsSettings:
    return PredictLeadsSettings(
        reader.secret("PREDICTLEADS_API_KEY", WHERE_KEY),
        reader.secret("PREDICTLEADS_API_TOKEN", WHERE_SECOND_KEY),
        reader.url("PREDICTLEADS_BASE_URL", "https://predictleads.com/api/v3"),
        reader.rate("PREDICTLEADS_REQUESTS_PER_SECOND", "10"),
    )


class Subscription(NamedTuple):
    """`status`: active, disabled or disabled_due_to_error; credits of this month, if given."""

    status: str
    credits_quota: Optional[int]
    credits_used: Optional[int]


class PredictLeadsClient:
    def __init__(self, settings: PredictLeadsSettings, clock: Clock, dry_run: bool) -> None:
        self.http = HttpClient(
            SERVICE,
            settings.base_url,
            {"X-Api-Key": settings.key, "X-Api-Token": settings.token},
            settings.requests_per_second,
            clock=clock,
            dry_run=dry_run,
        )

    def subscription(self) -> Subscription:
        """Free of charge. Raises ServiceError."""
        call = "subscription"
        data = self.http.read("GET", "/api_subscription", call)
        try:
            attributes = data["data"][0]["attributes"]
            return Subscription(
                str(attributes["status"]),
                attributes.get("monthly_credits_quota"),
                attributes.get("monthly_credits_used"),
            )
        except (KeyError, IndexError, TypeError, AttributeError):
            self.http.bad_answer(call, "data[0].attributes.status is missing")

    def followings(self, on_read: Callable[[int], None]) -> Followings:
        """All that is followed; `on_read` hears how many rows each page has.

        Pages go by number, so a change during the read can hide a row or show it twice. Where
        PredictLeads says how many there are, the list must be that long, throughout; else it is
        read again. Raises BadAnswer when it stays incomplete, ServiceError.
        """
        earlier: Followings = {}
        for _ in range(MAX_READS):
            rows, is_complete = self._read_followings(earlier, on_read)
            if is_complete:
                return rows
            earlier = rows
        self.http.bad_answer(
            "followings",
            f"{companies(len(earlier))} came, and the list did not end or is not as long as it"
            " says; run it again",
        )

    def follow(self, domain: str) -> None:
        """Follow a bare domain; already followed is fine. Raises CallRejected, ServiceError.

        The domain goes along as the identifier, by which the list shows it again even where
        PredictLeads follows another domain for it.
        """
        self._change("follow", domain, _ALREADY_FOLLOWED, {"custom_company_identifier": domain})

    def unfollow(self, domain: str) -> None:
        """Stop following; not followed is fine. Raises CallRejected, ServiceError."""
        self._change("unfollow", domain, _NOT_FOLLOWED, None)

    def _change(
        self, action: str, domain: str, is_so: Pattern[str], params: Optional[Dict[str, str]]
    ) -> None:
        path, call = f"/companies/{quote(domain, safe='')}/{action}", f"{action} {domain}"
        try:
            response = self.http.request("POST", path, call, params=params)
        except CallRejected as error:
            if not is_so.search(error.detail.replace(domain, "")):
                raise
            return
        # Any other 2xx is a yes, whatever its body.
        if response.text.lstrip().startswith("<"):
            self.http.bad_answer(call, "a web page; something stands between here and PredictLeads")
        if response.data and "error" in response.data and "success" not in response.data:
            self.http.bad_answer(call, "an error in spite of its status")

    def _read_followings(
        self, earlier: Followings, on_read: Callable[[int], None]
    ) -> Tuple[Followings, bool]:
        """One read of the list, and whether it is complete; `earlier`: what the last one found."""
        rows: Followings = {}
        rows_read = different_rows = 0
        counts: Set[Optional[int]] = set()
        for number in range(1, MAX_PAGES + 1):
            page, count = self._followings_page(number)
            new_rows = sum(_add(rows, domain, identifier) for domain, identifier in page)
            rows_read += len(page)
            different_rows += new_rows
            counts.add(count)
            on_read(len(page))
            if not page and count is None:
                return rows, counts == {None}
            if not new_rows or different_rows == count:
                break
        # A list that holds the same row twice, each time, is as complete as it can be.
        is_whole = different_rows == count or (rows_read == count and rows == earlier)
        return rows, is_whole and len(counts) == 1

    def _followings_page(self, number: int) -> Tuple[List[Tuple[str, str]], Optional[int]]:
        """Domain and identifier of each row of a page, counted from 1, and how many rows there are
        in all, if it says."""
        call = f"followings, page {number}"
        params = {"page": number, "limit": FOLLOWINGS_PAGE_SIZE}
        data = self.http.read("GET", "/followings", call, params=params)
        meta = data.get("meta")
        count = meta.get("count") if isinstance(meta, dict) else None
        try:
            if not isinstance(data["data"], list):
                raise TypeError("data must be a list")
            rows = [_following(item) for item in data["data"]]
        except (KeyError, TypeError):
            self.http.bad_answer(call, "it is no list of companies with their domains")
        return rows, count if isinstance(count, int) else None


def _following(item: Any) -> Tuple[str, str]:
    domain, identifier = item["domain"], item.get("custom_company_identifier")
    if not isinstance(domain, str) or not domain.strip():
        raise TypeError("a following needs a domain")
    return domain, identifier if isinstance(identifier, str) else domain


def _add(rows: Followings, domain: str, identifier: str) -> bool:
    """Whether the row is a new one."""
    known = rows.get(domain)
    if known is not None and (identifier == domain or identifier in known):
        return False
    rows[domain] = (known or ()) + ((identifier,) if identifier != domain else ())
    return True
