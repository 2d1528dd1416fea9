"""PredictLeads: the companies an account follows, and its credits.

Source: https://docs.predictleads.com/v3
"""

from __future__ import annotations

import re
from dataclasses import dataclass, field
from typing import Any, Callable, ClassVar, Dict, List, Optional, Set, Tuple
from urllib.parse import unquote

from .core import Answer, Headers, Refusal, Request, Service, Window

# Bare and lower-case: no scheme, no `www.`, no port, no trailing dot; labels in ASCII.
BARE_DOMAIN = re.compile(r"(?!www\.)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
TYPES = {401: "unauthorized", 402: "payment_required", 404: "not_found", 429: "too_many_requests"}


@dataclass(eq=False)
class PredictLeads(Service):
    """One PredictLeads account; every attribute may be changed while it serves (see `lock`).

    followings         domain -> custom_company_identifier; the order is the order of the list
    redirects          followed domain -> the domain that it is listed under
    unknown            domains that PredictLeads does not know: 404
    page_cost, unfollow_cost  credits; 402 once `credits_quota` does not cover them
    max_limit          a page of followings holds no more than this, whatever is asked
    with_count         whether `meta.count` is given (it never is without `page`)
    unfollow_missing   status for unfollowing what is not followed: 200, 404 or 422
    retry_after        the Retry-After header of a 429, if any
    """

    name: ClassVar[str] = "predictleads"
    prefix: ClassVar[str] = "/predictleads/api/v3"

    followings: Dict[str, Optional[str]] = field(default_factory=dict)
    credits_quota: int = 1000
    credits_used: int = 0
    status: str = "active"
    api_key: str = "made-up-key-of-the-sandbox"
    api_token: str = "made-up-token-of-the-sandbox"
    page_cost: int = 0
    unfollow_cost: int = 1
    max_limit: int = 1000
    with_count: bool = True
    redirects: Dict[str, str] = field(default_factory=dict)
    unknown: Set[str] = field(default_factory=set)
    requests_per_second: Optional[int] = 10
    retry_after: Optional[str] = None
    unfollow_missing: int = 200

    def __post_init__(self) -> None:
        super().__init__()
        self._window = Window(1)

    def routes(self) -> List[Tuple[str, str, Callable[..., Answer]]]:
        return [
            ("GET", "/api_subscription", self._subscription),
            ("GET", "/followings", self._list),
            ("POST", "/companies/([^/]+)/follow", self._follow),
            ("POST", "/companies/([^/]+)/unfollow", self._unfollow),
        ]

    def admit(self, request: Request) -> Headers:
        # Credentials in the query string end up in logs: the sandbox does not take them.
        pair = (request.headers.get("X-Api-Key"), request.headers.get("X-Api-Token"))
        if pair != (self.api_key, self.api_token) or {"api_key", "api_token"} & set(request.query):
            raise self.error(401, "Authentication failed.")
        if not self._window.take(self.requests_per_second, self.clock()):
            headers = (("Retry-After", self.retry_after),) if self.retry_after else ()
            raise Refusal(429, self.error(429, "Too many requests.").answer.payload, headers)
        return ()

    def error(self, status: int, message: str) -> Refusal:
        kind = TYPES.get(status, "invalid_request")
        return Refusal(status, {"error": {"type": kind, "message": message}})

    def _spend(self, credits: int) -> None:
        if credits and self.credits_used + credits > self.credits_quota:
            raise self.error(402, "Monthly credits quota used up.")
        self.credits_used += credits

    def _subscription(self, _: Request) -> Answer:
        attributes = {
            "status": self.status,
            "monthly_credits_quota": self.credits_quota,
            "monthly_credits_used": self.credits_used,
        }
        entry = {"id": "1", "type": "api_subscription", "attributes": attributes}
        return Answer(200, {"data": [entry], "meta": {"count": 1}})

    def _list(self, request: Request) -> Answer:
        page = self.whole(request, "page", 1)
        limit = min(self.whole(request, "limit", 100), self.max_limit)
        self._spend(self.page_cost)
        start = (page - 1) * limit
        pairs = list(self.followings.items())[start : start + limit]
        data = [{"domain": name, "custom_company_identifier": own} for name, own in pairs]
        counted = self.with_count and "page" in request.query
        meta = {"count": len(self.followings)} if counted else {}
        return Answer(200, {"data": data, "meta": meta})

    def _domain(self, given: str) -> str:
        """The domain that a path means, as it is listed."""
        domain = unquote(given)
        if not BARE_DOMAIN.fullmatch(domain) or domain in self.unknown:
            raise self.error(404, "Company not found.")
        return self.redirects.get(domain, domain)

    def _follow(self, request: Request, given: str) -> Answer:
        domain = self._domain(given)
        identifier = request.query.get("custom_company_identifier")
        self.followings[domain] = identifier or self.followings.get(domain)
        return _success("follow")

    def _unfollow(self, _: Request, given: str) -> Answer:
        domain = self._domain(given)
        if domain in self.followings:
            self._spend(self.unfollow_cost)
            del self.followings[domain]
        elif self.unfollow_missing >= 400:
            raise self.error(self.unfollow_missing, "Company is not followed.")
        return _success("unfollow")


def _success(verb: str) -> Answer:
    message = f"Company {verb} was successful."
    payload: Dict[str, Any] = {"success": {"type": f"{verb}_successful", "message": message}}
    return Answer(200, payload, wrote=True)
