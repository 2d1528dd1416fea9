"""HubSpot: paths, paging and shapes of its CRM API, as small values."""

from __future__ import annotations

import contextlib
import json
import re
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
from domains import display_domain, normalise_domain
from errors import AppError, CallRejected, Forbidden
from http_client import HttpClient
from keyset import End, read_pages
from secret import Secret
from settings import HubSpotSettings

# One place for the version: https://developers.hubspot.com/docs/api-reference/overview
_OBJECTS = "/crm/v3/objects"
_PROPERTIES = "/crm/v3/properties"
_ASSOCIATIONS = "/crm/v4/objects/contact/{}/associations"
_ACCOUNT = "/account-info/v3/details"

# https://developers.hubspot.com/docs/api-reference/search/guide#limits
SEARCH_PAGE_SIZE = 200  # the maximum
SEARCH_BODY_BYTES = 3_000  # the body must stay under it
SPLIT_FROM_ROWS = 2_000  # fewer rows left are not worth the page that one more chain may cost
CONTACTS_PAGE_SIZE = 100  # the maximum of a list
BATCH_SIZE = 100  # the maximum of a batch read
ACCEPTED_MISSING = 5  # rows, and 1 % of all: what edits during the read explain

# Object types as they stand in the address of a record's page.
CONTACTS = "0-1"
COMPANIES = "0-2"

REMEDIES = {
    401: "Check HUBSPOT_ACCESS_TOKEN: HubSpot does not know this key, or it has been replaced.",
    403: "Add the scope to the key in HubSpot > Settings > Account Management > Keys.",
}

# Something broke, and nobody says whether before or after a record was made.
UNCLEAR = frozenset({500, 520})

COMPANY_PROPERTIES = ("name", "domain", "ecommerce_platform", "alexa")
PERSON_PROPERTIES = ("email", "firstname", "lastname")

# How HubSpot refuses to create a contact whose address another one has, by status; the second is
# its answer when both were created at the same moment.
_EXISTING_ID = {
    409: re.compile(r"Existing ID:\s*(\d+)"),
    400: re.compile(r"(\d+) already has that value"),
}


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


class Created(NamedTuple):
    """The record that a create call leads to; `existed`: HubSpot had it before."""

    id: int
    existed: bool


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
            unclear=UNCLEAR,
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

    def oldest_with_domain(self, domain: str) -> List[Company]:
        """Companies that have this bare domain, by id; if there are very many, the oldest of them.

        The search index lags: a company that was created in the last half minute may be missing.
        Raises ServiceError.
        """
        call, end = "company search by domain", End(None, falling=False)
        with _needing("crm.objects.companies.read"):
            while page := self._search_page(call, [_domain_filter([domain])], end)[1]:
                matching = [each for each in page if normalise_domain(each.domain) == domain]
                if matching:
                    return matching
                end = End(page[-1].id, falling=False)
        return []

    def companies_by_id(self, ids: Sequence[int]) -> List[Company]:
        """Those of the companies that there are, without the lag of a search.

        Raises CallRejected, ServiceError.
        """
        companies: List[Company] = []
        call, path = "companies by id", f"{_OBJECTS}/companies/batch/read"
        for start in range(0, len(ids), BATCH_SIZE):
            inputs = [{"id": str(company_id)} for company_id in ids[start : start + BATCH_SIZE]]
            body = {"properties": list(COMPANY_PROPERTIES), "inputs": inputs}
            data = self.http.read("POST", path, call, body=body)
            try:
                companies += [_company(result) for result in data["results"]]
            except (KeyError, TypeError, AttributeError, ValueError):
                self.http.bad_answer(call, "results is missing or holds something else")
        return companies

    def contact_with_email(self, email: str) -> Optional[Contact]:
        """The contact with this address in lower case, if the search shows it yet.

        Raises ServiceError.
        """
        call = "contact search by e-mail"
        criterion = {"propertyName": "email", "operator": "EQ", "value": email}
        body = _query([criterion], End(None, falling=False), PERSON_PROPERTIES)
        with _needing("crm.objects.contacts.read"):
            data = self.http.read("POST", f"{_OBJECTS}/contacts/search", call, body=body)
        try:
            contacts = [_contact(result, PERSON_PROPERTIES) for result in data["results"]]
        except (KeyError, TypeError, AttributeError, ValueError):
            self.http.bad_answer(call, "results is missing or holds something else")
        same = (each for each in contacts if (each.values["email"] or "").lower() == email)
        return next(same, None)

    def create_company(self, name: str, domain: str) -> Created:
        """HubSpot makes a second company of the same domain without a word, so this call is not
        repeated when its answer is lost: look for the company first.

        Raises CallRejected, ServiceError (`answer_lost`: it may have been created).
        """
        with _needing("crm.objects.companies.write"):
            properties = {"name": name, "domain": domain}
            return self._create("companies", "create the company", properties, repeatable=False)

    def create_contact(
        self, email: str, first_name: str, last_name: str, *, repeatable: bool
    ) -> Created:
        """HubSpot lets no two contacts have one address, so repeating does no harm; only `existed`
        then does not say whether it was there before. Raises like `create_company`."""
        properties = dict(zip(PERSON_PROPERTIES, (email, first_name, last_name)))
        filled = {name: value for name, value in properties.items() if value}
        with _needing("crm.objects.contacts.write"):
            return self._create("contacts", "create the contact", filled, repeatable)

    def associate(self, contact_id: int, company_id: int) -> None:
        """As an employee, which is HubSpot's default; again does no harm. Raises CallRejected,
        ServiceError. https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide"""
        path = f"{_ASSOCIATIONS.format(contact_id)}/default/company/{company_id}"
        with _needing("crm.objects.contacts.write"):
            self.http.request("PUT", path, "associate the contact with the company")

    def companies_of_contact(self, contact_id: int) -> List[int]:
        """The ids of all companies that the contact is associated with, without the lag of a
        search. Raises CallRejected, ServiceError."""
        call, path = "companies of the contact", f"{_ASSOCIATIONS.format(contact_id)}/company"
        ids: List[int] = []
        cursors: Set[Optional[str]] = set()
        after: Optional[str] = None
        while after not in cursors:
            cursors.add(after)
            data = self.http.read("GET", path, call, params={"after": after})
            try:
                ids += [_record_id(str(result["toObjectId"])) for result in data["results"]]
                after = _next_cursor(data)
            except (KeyError, TypeError, AttributeError, ValueError):
                self.http.bad_answer(call, "results or the cursor to the next page make no sense")
            if after is None:
                return ids
        self.http.bad_answer(call, f"its cursor {after} comes twice, so it has no end")

    def _create(
        self, object_type: str, call: str, properties: Mapping[str, str], repeatable: bool
    ) -> Created:
        path, body = f"{_OBJECTS}/{object_type}", {"properties": properties}
        try:
            answer = self.http.request("POST", path, call, body=body, repeatable=repeatable)
        except CallRejected as error:
            if existing := _existing_id(error):
                return Created(existing, existed=True)
            raise
        try:
            return Created(_record_id((answer.data or {})["id"]), existed=False)
        except (KeyError, ValueError):
            self.http.bad_answer(call, "the id of the new record is missing", after_write=True)

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


@contextlib.contextmanager
def _needing(scope: str) -> Iterator[None]:
    """Name the scope of a call that is forbidden, should HubSpot not do it."""
    try:
        yield
    except Forbidden as error:
        if scope in str(error):
            raise
        raise Forbidden(f"{error} The call needs the scope {scope}.") from None


def _existing_id(error: CallRejected) -> Optional[int]:
    """The id of the record that keeps another one from being created."""
    pattern = _EXISTING_ID.get(error.status)
    found = pattern.search(error.body) if pattern else None
    return int(found[1]) if found else None


def _query(
    filters: List[JsonObject], end: End, names: Sequence[str] = COMPANY_PROPERTIES
) -> JsonObject:
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
        "properties": list(names),
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
