"""PredictLeads: the companies an account follows, and its credits.

Sources: https://docs.predictleads.com/api_endpoints/follow_companies/retrieve_followed_companies
https://docs.predictleads.com/api_endpoints/follow_companies/follow_the_company
https://docs.predictleads.com/api_endpoints/follow_companies/unfollow_the_company
How it acts in odd cases is not documented: each can be played in every way it may turn out.
"""

from __future__ import annotations

import random
import re
from dataclasses import dataclass, field
from typing import Any, Callable, ClassVar, Dict, Literal, NamedTuple, Optional
from urllib.parse import unquote
from uuid import NAMESPACE_DNS, uuid5

from .core import Answer, Headers, Refusal, Request, Service, Window

# Bare and lower-case: no scheme, no `www.`, no port, no trailing dot; labels in ASCII.
BARE_DOMAIN = re.compile(r"(?!www\.)([a-z0-9]([a-z0-9-]*[a-z0-9])?\.)+[a-z][a-z0-9-]*[a-z0-9]")
TYPES = {
    401: "unauthorized",
    402: "payment_required",
    403: "forbidden",
    404: "not_found",
    429: "too_many_requests",
}
SCHEMA_VERSION = "3.5"
NO_ROW = object()

Rows = Dict[str, Optional[str]]


class OddAnswer(NamedTuple):
    """What is answered instead; `done` says whether the request is carried out all the same.

    `body` is sent as JSON, bytes as they are; without one an error has the service's own body,
    and any other answer an empty one. A request that cannot be carried out gets its own error.
    """

    status: int
    body: Any = None
    done: bool = False
    headers: Headers = ()


class _Late(NamedTuple):
    """A change that the list does not show before this read of it and this time by the clock."""

    domain: str
    before: Any  # the identifier, or NO_ROW
    read: int
    time: float


@dataclass(eq=False)
class PredictLeads(Service):
    """One PredictLeads account; every attribute may be changed while it serves (see `lock`).

    followings         domain -> custom_company_identifier; the order is the order of the list
    page_cost, unfollow_cost, look_up_cost  credits; 402 once `credits_quota` does not cover them
    retry_after        the Retry-After header of a 429, if any
    odd_answers        "follow x.example", "x.example" or "follow" -> what is answered; the first
                       of the three that is there. Verbs: follow, unfollow, look_up

    Names of companies: several can be of one company, `entity` tells which.
    redirects          domain -> that of its company, which it is listed under when followed
    aliases            domain -> that of its company; listed under the name it was followed by
    unknown            domains that PredictLeads does not know
    unknown_status     for changing these: 404, 422, or 200 without effect
    look_up_unknown    for looking these up: 404, or 200 with empty data
    look_up_shows      where a look-up names the row of a company (the company itself, if it is not
                       followed): `redirects_to_domain`, or `domain`; or `domain` names the
                       company whatever its row is called ("entity"), or what was asked ("asked")

    Changes, of a company that may be listed under another name:
    follow_again       its row stays ("keep"), gets the new name ("rename"), or a second ("add")
    identifier_again   that of a row followed again: "replace", "keep" or "drop"
    unfollow_by_alias  whether an unfollow acts on the company, or on the row of that name only
    unfollow_all       whether it removes all rows of the company, or only that of the name
    unfollow_missing   status for unfollowing what is not followed: 200, 404 or 422

    What the list shows:
    unlisted           followed, and never shown: domains of rows or companies
    lag_reads, lag_s   the next reads (from page 1) or seconds do not show a change
    lagging            the changes that this is about
    spelling           domain -> how the list spells it
    listed_twice       domains with a second row, at the end
    with_identifiers   whether they are handed back
    null_identifiers   whether what has none, or does not show it, has null rather than no key
    max_limit          a page holds no more than this, whatever is asked
    shuffle            the source of a new order for every request
    paging             "first": every page is the first; "all": every page is the whole list
    repeats            page -> how many more times it is the page before instead
    past_the_end       status of a page after the last: 200, 404 or 400
    with_count         whether `meta.count` is given (it never is without `page`)
    count_missing      pages without it
    count_of, count_off  it counts the "list" or the "page", and is wrong by so many
    """

    name: ClassVar[str] = "predictleads"
    prefix: ClassVar[str] = "/predictleads/api/v3"

    followings: Rows = field(default_factory=dict)
    credits_quota: int = 1000
    credits_used: int = 0
    status: str = "active"
    api_key: str = "made-up-key-of-the-sandbox"
    api_token: str = "made-up-token-of-the-sandbox"
    page_cost: int = 0
    unfollow_cost: int = 1
    look_up_cost: int = 1
    requests_per_second: int | None = 10
    retry_after: str | None = None
    odd_answers: dict[str, OddAnswer] = field(default_factory=dict)

    redirects: dict[str, str] = field(default_factory=dict)
    aliases: dict[str, str] = field(default_factory=dict)
    unknown: set[str] = field(default_factory=set)
    unknown_status: int = 404
    look_up_unknown: int = 404
    look_up_shows: Literal["redirects_to_domain", "domain", "entity", "asked"] = (
        "redirects_to_domain"
    )

    follow_again: Literal["keep", "rename", "add"] = "keep"
    identifier_again: Literal["replace", "keep", "drop"] = "replace"
    unfollow_by_alias: bool = True
    unfollow_all: bool = True
    unfollow_missing: int = 200

    unlisted: set[str] = field(default_factory=set)
    lag_reads: int = 0
    lag_s: float = 0.0
    lagging: tuple[str, ...] = ("follow", "unfollow")
    spelling: dict[str, str] = field(default_factory=dict)
    listed_twice: set[str] = field(default_factory=set)
    with_identifiers: bool = True
    null_identifiers: bool = False
    max_limit: int = 1000
    shuffle: random.Random | None = None
    paging: Literal["by page", "first", "all"] = "by page"
    repeats: dict[int, int] = field(default_factory=dict)
    past_the_end: int = 200
    with_count: bool = True
    count_missing: set[int] = field(default_factory=set)
    count_of: Literal["list", "page"] = "list"
    count_off: int = 0

    def __post_init__(self) -> None:
        super().__init__()
        self._window = Window(1)
        self._late: list[_Late] = []
        self._reads = 0

    def credentials(self) -> dict[str, str]:
        return {
            "PREDICTLEADS_API_KEY": self.api_key,
            "PREDICTLEADS_API_TOKEN": self.api_token,
        }

    def routes(self) -> list[tuple[str, str, Callable[..., Answer]]]:
        return [
            ("GET", "/api_subscription", self._subscription),
            ("GET", "/followings", self._list),
            ("GET", "/companies/([^/]+)", self._answer),
            ("POST", "/companies/([^/]+)/(follow|unfollow)", self._answer),
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

    def entity(self, domain: str) -> str:
        """The company that a domain is a name of, as its main domain."""
        seen: set[str] = set()
        while domain not in seen:
            seen.add(domain)
            domain = self.redirects.get(domain) or self.aliases.get(domain, domain)
        return domain

    @property
    def followed(self) -> set[str]:
        """The companies that are followed, whatever the list shows."""
        with self.lock:
            return {self.entity(domain) for domain in self.followings}

    def rows(self, domain: str) -> list[str]:
        """The domains under which the company is followed, its main one first."""
        entity = self.entity(domain)
        others = (n for n in {**self.redirects, **self.aliases} if self.entity(n) == entity)
        return [name for name in dict.fromkeys((entity, *others)) if name in self.followings]

    def rename(self, old: str, new: str) -> None:
        """List a row under another domain, at its place."""
        rows = [(new if name == old else name, own) for name, own in self.followings.items()]
        self.followings.clear()
        self.followings.update(rows)

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

    # One company

    def _answer(self, request: Request, given: str, verb: str = "look_up") -> Answer:
        """Carry out what concerns one company, unless an odd answer keeps it from that."""
        domain = unquote(given)
        names = (f"{verb} {domain}", domain, verb)
        odd = next((self.odd_answers[name] for name in names if name in self.odd_answers), None)
        if odd is None:
            return self._carry_out(request, verb, domain)
        wrote = odd.done and self._carry_out(request, verb, domain).wrote
        body = b"" if odd.body is None else odd.body
        if odd.body is None and odd.status >= 400:
            body = self.error(odd.status, "Not for this company.").answer.payload
        return Answer(odd.status, body, odd.headers, wrote)

    def _carry_out(self, request: Request, verb: str, domain: str) -> Answer:
        is_known = BARE_DOMAIN.fullmatch(domain) and domain not in self.unknown
        if verb == "look_up":
            return self._look_up(domain, bool(is_known))
        if not is_known:
            return self._settle(verb, self.unknown_status, "Company not found.")
        before = self._company(domain)
        if verb == "follow":
            self._follow(domain, request.query.get("custom_company_identifier"))
        elif not self._unfollow(domain):
            return self._settle(verb, self.unfollow_missing, "Company is not followed.")
        self._delay(verb, before, self._company(domain))
        return self._settle(verb)

    def _settle(self, verb: str, status: int = 200, problem: str = "") -> Answer:
        """The answer to a change; below 400 a problem is passed over in silence."""
        if status >= 400:
            raise self.error(status, problem)
        success = {"type": f"{verb}_successful", "message": f"Company {verb} was successful."}
        return Answer(status, {"success": success}, wrote=True)

    def _look_up(self, domain: str, is_known: bool) -> Answer:
        self._spend(self.look_up_cost)
        if not is_known and self.look_up_unknown >= 400:
            raise self.error(self.look_up_unknown, "Company not found.")
        entity = self.entity(domain)
        row = (self.rows(domain) or [entity])[0]
        shown = {"domain": row, "entity": entity}.get(self.look_up_shows, domain)
        moved = row != domain and self.look_up_shows == "redirects_to_domain"
        company = {
            "id": str(uuid5(NAMESPACE_DNS, entity)),
            "type": "company",
            "attributes": {"domain": shown, "company_name": entity.split(".")[0].title()},
            "relationships": {},
        }
        meta = {
            "schema_version": SCHEMA_VERSION,
            "record_state": "active",
            "message_type": "ok",
            "message": "",
            "redirects_to_domain": row if moved else None,
            "parent_company_domain": None,
        }
        return Answer(200, {"data": [company] if is_known else [], "included": [], "meta": meta})

    def _follow(self, domain: str, identifier: str | None) -> None:
        rows = self.rows(domain)
        listed = self.entity(domain) if domain in self.redirects else domain
        if rows and listed not in rows and self.follow_again == "rename":
            self.rename(rows[0], listed)
        elif rows and listed not in rows and self.follow_again == "keep":
            listed = rows[0]
        if listed in self.followings:
            held = self.followings[listed]
            choices = {"replace": identifier or held, "keep": held, "drop": None}
            identifier = choices[self.identifier_again]
        self.followings[listed] = identifier

    def _unfollow(self, domain: str) -> bool:
        """Whether there was something to remove."""
        rows = self.rows(domain) if self.unfollow_by_alias else []
        if not (rows and self.unfollow_all):
            rows = [domain] if domain in self.followings else rows[:1]
        if rows:
            self._spend(self.unfollow_cost)
        for name in rows:
            del self.followings[name]
        return bool(rows)

    # The list

    def _company(self, domain: str) -> Rows:
        return {name: self.followings[name] for name in self.rows(domain)}

    def _delay(self, verb: str, before: Rows, after: Rows) -> None:
        """Keep what changed out of the list, for as long as it lags."""
        if verb not in self.lagging or not (self.lag_reads or self.lag_s):
            return
        due = (self._reads + self.lag_reads + 1, self.clock() + self.lag_s)
        for name in {**before, **after}:
            if before.get(name, NO_ROW) != after.get(name, NO_ROW):
                self._late.append(_Late(name, before.get(name, NO_ROW), *due))

    def _visible(self) -> list[tuple[str, str | None]]:
        """Domain and identifier of the rows that the list has now, in its order."""
        read, now = self._reads, self.clock()
        self._late = [late for late in self._late if late.read > read or late.time > now]
        rows: dict[str, Any] = dict(self.followings)
        for late in reversed(self._late):
            rows[late.domain] = late.before
        hidden = self.unlisted
        pairs = [
            (name, own)
            for name, own in rows.items()
            if own is not NO_ROW and not (hidden and {name, self.entity(name)} & hidden)
        ]
        pairs += [pair for pair in pairs if pair[0] in self.listed_twice]
        if self.shuffle is not None:
            self.shuffle.shuffle(pairs)
        return pairs

    def _item(self, domain: str, identifier: str | None) -> dict[str, Any]:
        item: dict[str, Any] = {"domain": self.spelling.get(domain, domain)}
        identifier = identifier if self.with_identifiers else None
        if identifier is not None or self.null_identifiers:
            item["custom_company_identifier"] = identifier
        return item

    def _list(self, request: Request) -> Answer:
        page = self.whole(request, "page", 1)
        limit = min(self.whole(request, "limit", 100), self.max_limit)
        self._spend(self.page_cost)
        self._reads += page == 1
        pairs = self._visible()
        start, end = self._extent(page, limit, len(pairs))
        data = [self._item(*pair) for pair in pairs[start:end]]
        if start and not data and self.past_the_end >= 400:
            raise self.error(self.past_the_end, "There is no such page.")
        meta: dict[str, Any] = {"schema_version": SCHEMA_VERSION}
        if self.with_count and "page" in request.query and page not in self.count_missing:
            meta["count"] = len(data if self.count_of == "page" else pairs) + self.count_off
        return Answer(200, {"data": data, "meta": meta})

    def _extent(self, page: int, limit: int, length: int) -> tuple[int, int]:
        """Where a page starts and ends in the list."""
        if self.paging == "all":
            return 0, length
        if self.repeats.get(page, 0) > 0:
            self.repeats[page] -= 1
            page = max(page - 1, 1)
        start = 0 if self.paging == "first" else (page - 1) * limit
        return start, start + limit
