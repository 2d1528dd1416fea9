"""PredictLeads: what it follows, and how to change that, as small values.

https://docs.predictleads.com/api_endpoints/follow_companies/retrieve_followed_companies
https://docs.predictleads.com/api_endpoints/follow_companies/follow_the_company
https://docs.predictleads.com/api_endpoints/follow_companies/unfollow_the_company
"""

from __future__ import annotations

import re
from typing import Any, Callable, Mapping, NamedTuple, Pattern
from urllib.parse import quote

from core import errors, settings
from transport import paging, service_client
from transport.response import Service, excerpt

PAGE_SIZE = 1000  # the maximum; each page may cost a credit

PLANS = "PredictLeads > Subscription Plans"
BUY_CREDITS = f"Wait for the next month, or buy credits in {PLANS}."
REMEDIES = {
    401: "Check PREDICTLEADS_API_KEY and PREDICTLEADS_API_TOKEN: both must be of one subscription"
    f" in {PLANS}.",
    402: f"This month's credits are used up. {BUY_CREDITS}",
    403: f"Your PredictLeads plan does not include this. See {PLANS}.",
}

SERVICE = Service(
    "PredictLeads",
    lambda response: REMEDIES.get(response.status, ""),
    base_url="https://predictleads.com/api/v3",
)

# No document says how PredictLeads answers a change that is already made; these are its likely
# words, and no domain can hold them. Anything else counts as a refusal.
_ALREADY_FOLLOWED = re.compile(r"already[ _](been[ _])?follow(ed|ing)", re.IGNORECASE)
_NOT_FOLLOWED = re.compile(
    r"\bnot[ _]((yet|currently|being)[ _])?follow(ed|ing)|not follow this|already[ _]unfollowed"
    r"|following[ _](was )?not[ _]found",
    re.IGNORECASE,
)


def predictleads_settings(reader: settings.SettingsReader) -> service_client.ServiceSettings:
    key = reader.secret("PREDICTLEADS_API_KEY", f"the authentication key in {PLANS}")
    token = reader.secret("PREDICTLEADS_API_TOKEN", f"the authentication token in {PLANS}")
    return service_client.ServiceSettings(
        reader.get("PREDICTLEADS_BASE_URL", SERVICE.base_url, settings.parse_base_url),
        {"X-Api-Key": key, "X-Api-Token": token},
        reader.get("PREDICTLEADS_REQUESTS_PER_SECOND", "10", settings.parse_rate),
    )


class Followings(NamedTuple):
    """What is followed: the domain as it is listed -> the identifiers that it is listed with,
    without the domain itself. A company that redirects elsewhere is listed under the other domain,
    and its identifier is what was sent along when it was followed.

    `claimed`: how many PredictLeads says there are, where that is another number.
    """

    rows: dict[str, tuple[str, ...]]
    claimed: int | None


class Subscription(NamedTuple):
    """`status`: active, disabled or disabled_due_to_error; credits of this month, if given."""

    status: str
    credits_quota: int | None
    credits_used: int | None

    @property
    def credits_left(self) -> int | None:
        if self.credits_quota is None or self.credits_used is None:
            return None
        return max(self.credits_quota - self.credits_used, 0)


class PredictLeadsClient(service_client.ServiceClient):
    service = SERVICE

    def subscription(self) -> Subscription:
        """Free of charge."""
        return self._read("subscription", _subscription, "GET", "/api_subscription")

    def followings(self, on_read: Callable[[int], None]) -> Followings:
        """All that is followed; `on_read` hears how many rows each page has. Raises ListChanged
        when the list does not settle."""

        def fetch(number: int) -> paging.Page | None:
            """None past the last page."""
            call, params = (
                f"list of followings, page {number}",
                {"page": number, "limit": PAGE_SIZE},
            )
            try:
                page = self._read(call, _followings, "GET", "/followings", params=params)
            except errors.CallRejected as error:
                is_past_an_empty_list = error.status == 404 and '"error"' in error.body
                if number > 1 or is_past_an_empty_list:
                    return None
                raise
            on_read(len(page.rows))
            return page

        rows: dict[str, tuple[str, ...]] = {}
        pairs, claimed = paging.read_numbered(self.http, "list of followings", fetch)
        for domain, identifier in pairs:
            rows[domain] = rows.get(domain, ()) + ((identifier,) if identifier != domain else ())
        return Followings(rows, claimed)

    def aliases_of(self, domain: str) -> tuple[str, ...]:
        """The domains under which PredictLeads may list the company that it knows by this one, and
        after them its id; nothing when it does not know it. Costs a credit. Its failure says
        nothing of other calls."""
        try:
            return self._read(f"company {domain}", _aliases, "GET", _path(domain), optional=True)
        except errors.CallRejected:
            return ()

    def follow(self, domain: str) -> None:
        """Follow a bare domain; already followed is fine. Raises NotFound where PredictLeads does
        not know the company.

        The domain goes along as the identifier, by which the list shows it again even where
        PredictLeads follows another domain for it.
        """
        self._change("follow", domain, _ALREADY_FOLLOWED, {"custom_company_identifier": domain})

    def unfollow(self, domain: str) -> None:
        """Stop following; not followed is fine. Costs a credit."""
        self._change("unfollow", domain, _NOT_FOLLOWED, None)

    def _change(
        self, action: str, domain: str, is_so: Pattern[str], params: Mapping[str, str] | None
    ) -> None:
        call = f"{action} {domain}"
        try:
            response = self.http.request("POST", f"{_path(domain)}/{action}", call, params=params)
        except errors.CallRejected as error:
            if is_so.search(error.detail):
                return
            if error.status == 409:  # a conflict: perhaps it is so already, under another name
                error.outcome_unknown = True
            if error.status == 404:
                raise errors.NotFound(str(error), outcome_unknown=error.outcome_unknown) from None
            raise
        # Any other 2xx is a yes, whatever its body; what came of it, only the list tells.
        if response.text.lstrip().startswith("<"):
            what = "a web page, perhaps of a proxy"
            self.http.bad_answer(call, what, after_write=True)
        if _says_no(response.data or {}):
            what = excerpt(response.text)
            raise errors.CallRejected(
                f"PredictLeads, {call}: rejected: {what}", outcome_unknown=True
            )


def _path(domain: str) -> str:
    return f"/companies/{quote(domain, safe='')}"


# Shapes, as `transport.service_client` describes them.


def _subscription(data: Any) -> Subscription:
    attributes = data["data"][0]["attributes"]
    numbers = (attributes.get(f"monthly_credits_{name}") for name in ("quota", "used"))
    quota, used = (number if isinstance(number, int) else None for number in numbers)
    return Subscription(str(attributes["status"]), quota, used)


def _followings(data: Any) -> paging.Page:
    """(Domain, identifier) of each row, and the length of the list if it is given."""
    if not isinstance(data["data"], list):
        raise ValueError("it is not a list of companies with domains")
    count = (data.get("meta") or {}).get("count")
    rows = [_following(item) for item in data["data"]]
    return paging.Page(rows, count if isinstance(count, int) else None)


def _following(item: Any) -> tuple[str, str]:
    """The domain is "" in a row that has none."""
    domain, identifier = item["domain"], item.get("custom_company_identifier")
    if domain is None:
        domain = ""
    elif not isinstance(domain, str) or not domain.strip():
        raise ValueError("a followed company has no domain")
    return domain, identifier if isinstance(identifier, str) else domain


def _aliases(data: Any) -> tuple[str, ...]:
    found = data.get("data") or []  # one company, in a list or not
    items = found if isinstance(found, list) else [found]
    names = [(data.get("meta") or {}).get("redirects_to_domain")]
    names += [(item.get("attributes") or {}).get("domain") for item in items]
    names += [item.get("id") for item in items]
    return tuple(name for name in names if isinstance(name, str) and name)


def _says_no(body: Mapping[str, Any]) -> bool:
    """Whether the body of a 2xx is a refusal all the same. The yes is
    {"success": {"type": "follow_successful"}}."""
    success = body.get("success")
    kind = success.get("type") if isinstance(success, dict) else None
    if isinstance(kind, str):
        return "success" not in kind
    return success is False or "error" in body or body.get("status") in ("error", "failed")
