"""HubSpot: paths, paging and shapes of its CRM API, as small values."""

from __future__ import annotations

import json
from typing import (
    Any,
    Callable,
    Dict,
    Iterator,
    List,
    Mapping,
    NamedTuple,
    Optional,
    Sequence,
    Set,
    Tuple,
)

from answers import JsonObject
from clock import Clock
from domains import display_domain
from errors import AppError, CallRejected
from http_client import HttpClient
from keyset import End, read_pages
from secret import Secret
from settings import HubSpotSettings

# One place for the version: https://developers.hubspot.com/docs/api-reference/overview
_OBJECTS = "/crm/v3/objects"
_PROPERTIES = "/crm/v3/properties"
_ACCOUNT = "/account-info/v3/details"

# https://developers.hubspot.com/docs/api-reference/search/guide#limits
SEARCH_PAGE_SIZE = 200  # the maximum
SEARCH_BODY_BYTES = 3_000  # the body must stay under it
SPLIT_FROM_ROWS = 2_000  # fewer rows left are not worth the page that one more chain may cost
CONTACTS_PAGE_SIZE = 100  # the maximum of a list
ACCEPTED_MISSING = 5  # rows, and 1 % of all: what edits during the read explain

# Object types as they stand in the address of a record's page.
CONTACTS = "0-1"
COMPANIES = "0-2"

REMEDIES = {
    401: "Check HUBSPOT_ACCESS_TOKEN: HubSpot does not know this key, or it has been replaced.",
    403: "Add the scope to the key in HubSpot > Settings > Account Management > Keys.",
}

COMPANY_PROPERTIES = ("name", "domain", "ecommerce_platform", "alexa")


class Company(NamedTuple):
    """A HubSpot company with its properties as HubSpot holds them; None where one is unset."""

    id: int
    name: Optional[str]
    domain: Optional[str]
    platform: Optional[str]
    alexa: Optional[str]


class Contact(NamedTuple):
    """A HubSpot contact. `values`: the properties asked for, None where one is unset."""

    id: int
    values: Mapping[str, Optional[str]]


class Property(NamedTuple):
    """A property's definition. `options`: internal value -> label, for an enumeration."""

    name: str
    type: str
    field_type: str
    options: Dict[str, str]

    @property
    def is_multiple(self) -> bool:
        """Several options at once, which come as `a;b`."""
        return self.field_type == "checkbox"


class Account(NamedTuple):
    portal_id: int
    ui_domain: str

    def link(self, object_type: str, record_id: object) -> str:
        """The page of a record, for COMPANIES or CONTACTS."""
        return (
            f"https://{self.ui_domain}/contacts/{self.portal_id}/record/{object_type}/{record_id}"
        )


class HubSpotClient:
    def __init__(self, settings: HubSpotSettings, clock: Clock, dry_run: bool) -> None:
        self.http = HttpClient(
            "HubSpot",
            settings.base_url,
            {"Authorization": Secret(f"Bearer {settings.token.reveal()}")},
            settings.requests_per_second,
            clock=clock,
            dry_run=dry_run,
            remedies=REMEDIES,
        )

    def account(self) -> Account:
        """Raises CallRejected, ServiceError."""
        call = "account details"
        data = self.http.read("GET", _ACCOUNT, call)
        portal_id, ui_domain = data.get("portalId"), data.get("uiDomain")
        if not isinstance(portal_id, int) or not isinstance(ui_domain, str):
            self.http.bad_answer(call, "portalId or uiDomain is missing")
        return Account(portal_id, ui_domain)

    def record_url(self, object_type: str) -> Optional[str]:
        """Where a record's page begins, its id follows; None when HubSpot does not tell. Only
        links depend on it, so its failure is none of the run's."""
        try:
            return self.account().link(object_type, "")
        except AppError:
            self.http.failure = None
            return None

    def property(self, object_type: str, name: str) -> Optional[Property]:
        """The definition of a property; None when the account has none of that name.

        Raises ServiceError.
        """
        call = f"definition of the property {name}"
        try:
            data = self.http.read("GET", f"{_PROPERTIES}/{object_type}/{name}", call)
        except CallRejected as error:
            if error.status == 404:
                return None
            raise
        options = data.get("options") or []
        try:
            return Property(
                name,
                str(data["type"]),
                str(data.get("fieldType", "")),
                {option["value"]: option.get("label") or option["value"] for option in options},
            )
        except (KeyError, TypeError, AttributeError):
            self.http.bad_answer(call, "it is no property definition")

    def companies(
        self,
        platforms: Sequence[str],
        alexa_below: int,
        multiple: bool,
        on_total: Optional[Callable[[int], None]] = None,
    ) -> Iterator[Company]:
        """Companies on one of the platforms with an Alexa rank under the limit, in no order.

        The search index lags behind the records while the values are the present ones, so some
        may not match any more: judge them by their values. `multiple`: a company can have several
        platforms, and HubSpot does not say whether IN finds those, so all that have one are read.

        Raises ServiceError, and BadAnswer when fewer came than HubSpot says there are.
        """
        filters = _criteria(platforms, alexa_below, multiple)
        return self._search_companies("company search", filters, on_total)

    def contacts(self, names: Sequence[str]) -> Iterator[Contact]:
        """Every contact once, with the properties `names`, in order of id.

        The list, unlike a search, has no end at 10,000, and its cursor is an id, so that edits
        during the read move nothing: https://developers.hubspot.com/docs/api/crm/contacts

        Raises ServiceError, and BadAnswer when a cursor comes twice.
        """
        call = "contacts"
        ids: Set[int] = set()
        cursors: Set[str] = set()
        after: Optional[str] = None
        while True:
            params = {"limit": CONTACTS_PAGE_SIZE, "properties": ",".join(names), "after": after}
            data = self.http.read("GET", f"{_OBJECTS}/contacts", call, params=params)
            try:
                page = [_contact(result, names) for result in data["results"]]
                after = _next_cursor(data)
            except (KeyError, TypeError, AttributeError, ValueError):
                self.http.bad_answer(call, "results or the cursor to the next page make no sense")
            for contact in page:
                if contact.id not in ids:
                    ids.add(contact.id)
                    yield contact
            if after is None:
                return
            if after in cursors:
                self.http.bad_answer(call, f"its cursor {after} comes twice, so it has no end")
            cursors.add(after)

    def count_companies(self, platforms: Sequence[str], alexa_below: int) -> int:
        """How many companies the search finds. Raises ServiceError."""
        filters = _criteria(platforms, alexa_below, multiple=False)
        return self._search_page("company search", filters, End(None, falling=False))[0]

    def companies_with_domains(self, domains: Sequence[str]) -> Iterator[Company]:
        """Companies whose `domain` is one of these, with or without `www.`, as HubSpot wrote it.

        `domains` are bare and fit in one request: see `domain_batches`. Raises ServiceError.
        """
        return self._search_companies("company search by domain", [_domain_filter(domains)])

    def _search_companies(
        self,
        call: str,
        filters: List[JsonObject],
        on_total: Optional[Callable[[int], None]] = None,
    ) -> Iterator[Company]:
        totals: List[int] = []
        rows_read = 0

        def fetch(end: End) -> List[Company]:
            total, companies = self._search_page(call, filters, end)
            if end.bound is None:
                totals.append(total)
                if on_total:
                    on_total(total)
            return companies

        def has_room() -> bool:
            return sum(totals[:1]) - rows_read > SPLIT_FROM_ROWS and self.http.has_room()

        for page in read_pages(fetch, has_room):
            rows_read += len(page)
            yield from page
        missing = min(totals) - rows_read
        if missing > ACCEPTED_MISSING + min(totals) // 100:
            self.http.bad_answer(
                call, f"it promises {min(totals):,} companies, but {rows_read:,} came; run it again"
            )

    def _search_page(
        self, call: str, filters: List[JsonObject], end: End
    ) -> Tuple[int, List[Company]]:
        data = self.http.read(
            "POST", f"{_OBJECTS}/companies/search", call, body=_query(filters, end)
        )
        total, results = data.get("total"), data.get("results")
        if not isinstance(total, int) or not isinstance(results, list):
            self.http.bad_answer(call, "total or results is missing")
        try:
            companies = [_company(result) for result in results]
        except (KeyError, TypeError, AttributeError, ValueError):
            self.http.bad_answer(call, "a company without a numeric id or without properties")
        ids = [company.id for company in companies]
        if end.bound is not None:
            ids.insert(0, end.bound)
        if any((b >= a) if end.falling else (b <= a) for a, b in zip(ids, ids[1:])):
            self.http.bad_answer(call, "the ids are not in order, so nothing shows what is missing")
        return total, companies


def _criteria(platforms: Sequence[str], alexa_below: int, multiple: bool) -> List[JsonObject]:
    platform: JsonObject = {"propertyName": "ecommerce_platform", "operator": "HAS_PROPERTY"}
    if not multiple:
        platform.update(operator="IN", values=list(platforms))
    return [platform, {"propertyName": "alexa", "operator": "LT", "value": str(alexa_below)}]


def domain_batches(domains: Sequence[str]) -> Iterator[List[str]]:
    """The domains in groups for `companies_with_domains`, each small enough for one request."""
    batch: List[str] = []
    longest_end = End(bound=10**18, falling=False)
    for domain in domains:
        body = _query([_domain_filter([*batch, domain])], longest_end)
        if batch and len(json.dumps(body)) >= SEARCH_BODY_BYTES:
            yield batch
            batch = []
        batch.append(domain)
    if batch:
        yield batch


def _domain_filter(domains: Sequence[str]) -> JsonObject:
    spellings = [
        prefix + spelling
        for domain in domains
        for spelling in dict.fromkeys((domain, display_domain(domain)))
        for prefix in ("", "www.")
    ]
    return {"propertyName": "domain", "operator": "IN", "values": spellings}


def _query(filters: List[JsonObject], end: End) -> JsonObject:
    """One page by id, never by `after`, which ends at 10,000 results:
    https://developers.hubspot.com/docs/api-reference/search/guide#limits"""
    if end.bound is not None:
        operator = "LT" if end.falling else "GT"
        bound = {"propertyName": "hs_object_id", "operator": operator, "value": str(end.bound)}
        filters = [*filters, bound]
    direction = "DESCENDING" if end.falling else "ASCENDING"
    return {
        "filterGroups": [{"filters": filters}],
        "sorts": [{"propertyName": "hs_object_id", "direction": direction}],
        "properties": list(COMPANY_PROPERTIES),
        "limit": SEARCH_PAGE_SIZE,
    }


def _company(result: Any) -> Company:
    return Company(_record_id(result["id"]), *_values(result, COMPANY_PROPERTIES))


def _contact(result: Any, names: Sequence[str]) -> Contact:
    return Contact(_record_id(result["id"]), dict(zip(names, _values(result, names))))


def _values(result: Any, names: Sequence[str]) -> List[Optional[str]]:
    values = [result["properties"].get(name) for name in names]
    if not all(value is None or isinstance(value, str) for value in values):
        raise ValueError("HubSpot writes every value as text")
    return values


def _next_cursor(data: JsonObject) -> Optional[str]:
    """None at the end, where `paging.next` is missing."""
    following = (data.get("paging") or {}).get("next")
    if following is None:
        return None
    if not isinstance(following["after"], str) or not following["after"]:
        raise ValueError("a cursor is text")
    return str(following["after"])


def _record_id(value: Any) -> int:
    """HubSpot's ids are numbers written as text; raises ValueError for anything else."""
    if not isinstance(value, str) or not value.isascii() or not value.isdigit():
        raise ValueError(value)
    return int(value)
