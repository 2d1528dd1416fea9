"""HubSpot: the calls of its CRM API, one verb each, with small values in and out.

https://developers.hubspot.com/docs/api-reference/overview
https://developers.hubspot.com/docs/api-reference/error-handling
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
"""

from __future__ import annotations

import itertools
import json
import re
from functools import partial
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence, TypeVar
from urllib.parse import quote

from core import conditions, errors, settings
from hubspot_api import search, shapes
from hubspot_api.shapes import COMPANIES, CONTACTS, Company, Contact, Created, ObjectType, Record
from transport import paging, service_client, threads
from transport.response import JsonObject, Response, Service, json_object

# One place for the version.
_OBJECTS = "/crm/v3/objects"
_PROPERTIES = "/crm/v3/properties"
_LISTS = "/crm/v3/lists"
_ASSOCIATIONS = "/crm/v4/objects/contact/{}/associations"
_ACCOUNT = "/account-info/v3/details"
_OPT_OUT = "/communication-preferences/v3/unsubscribe"  # has no twin in version 2026-03

LIST_PAGE_SIZE = 100  # the maximum
BATCH_SIZE = 100  # the maximum of a batch read
MEMBERS_PAGE_SIZE = 250  # the maximum
MAX_LINE = 6_000  # characters of properties in an address: lines from some 8,000 on are refused
CALLS_AT_ONCE = 8
ACCEPTED_MISSING = 5  # rows, and 1 % of all: what edits during the read explain
READ_LIST_AGAIN_AFTER_S = 10.0  # while HubSpot fills it

KEYS_PAGE = "HubSpot > Development > Keys > Service keys"
WHERE_KEY = (
    f"a service key (or private app token) that begins with pat-, from {KEYS_PAGE}, see"
    " https://developers.hubspot.com/docs/apps/developer-platform/build-apps/authentication/"
    "account-service-keys"
)
# Names the scopes of which any one suffices, wherever in the body of a 403 they stand.
_SCOPES = re.compile(r'"(?:requiredGranularScopes|requiredScopes|missingScopes)": (\["[^]]*"\])')

_LEGAL_BASIS = re.compile("(legal|lawful) ?basis", re.IGNORECASE)

# How HubSpot refuses to create a contact whose address another one has, by status; the second is
# its answer when both were created at the same moment.
_EXISTING_ID = {
    409: re.compile(r"Existing ID:\s*(\d+)"),
    400: re.compile(r"(\d+) already has that value"),
}

R = TypeVar("R")


def hubspot_settings(reader: settings.SettingsReader) -> service_client.ServiceSettings:
    token = reader.secret("HUBSPOT_ACCESS_TOKEN", WHERE_KEY)
    return service_client.ServiceSettings(
        reader.get("HUBSPOT_BASE_URL", SERVICE.base_url, settings.parse_base_url),
        {"Authorization": settings.Secret(f"Bearer {token.reveal()}")},
        reader.get("HUBSPOT_REQUESTS_PER_SECOND", "5", settings.parse_rate),
    )


def _remedy(response: Response) -> str:
    if response.status == 401:
        return "Check HUBSPOT_ACCESS_TOKEN: the key is wrong, or it was replaced."
    if response.status == 403 and (scopes := _SCOPES.findall(json.dumps(response.data or {}))):
        missing = " and ".join(" or ".join(map(str, json.loads(each))) for each in scopes)
        return f"Add the scope {missing} to the key in {KEYS_PAGE}."
    if response.status == 414:
        return (
            "The address of the call is too long for HubSpot or a proxy. Name fewer properties in"
            " MAILERLITE_FIELDS, and in HUBSPOT_SUBSCRIPTIONS only the types that you send."
        )
    if response.status == 404 and not _is_not_found(response.data):
        return "HubSpot has nothing at this address. Check HUBSPOT_BASE_URL."
    return ""


def _is_not_found(body: JsonObject | None) -> bool:
    """Whether the body of a 404 says that there is no such record or property, which a proxy or a
    wrong address would not say."""
    body = body or {}
    return body.get("category") == "OBJECT_NOT_FOUND" or "not exist" in str(body.get("message"))


def _error_details(body: JsonObject) -> Iterator[str]:
    if isinstance(body.get("correctHublet"), str):
        yield f"the account is in HubSpot's region {body['correctHublet']}"
    if isinstance(body.get("correlationId"), str):
        yield f"correlation id {body['correlationId']} for HubSpot's support"


def _min_wait_s(response: Response) -> float:
    if response.status == 423:
        return 2.0
    if response.status == 429:
        return 10.0 if "TEN_SECONDLY" in response.text else 1.0
    return 0.0


SERVICE = Service(
    "HubSpot",
    _remedy,
    base_url="https://api.hubapi.com",
    # https://developers.hubspot.com/docs/api-reference/search/guide
    read_only_posts=re.compile(r"/crm/.+/(search|batch/read)"),
    retry_statuses=frozenset({423, 477, 488}),  # locked, moving elsewhere, in another region
    error_details=_error_details,
    min_wait_s=_min_wait_s,
    daily_limit=re.compile("DAILY|daily limit"),
)


class HubSpotClient(service_client.ServiceClient):
    service = SERVICE

    def account_if_told(self) -> shapes.Account | None:
        """None when HubSpot does not tell. Only names and links depend on it, so its failure is
        none of the run's."""
        try:
            return self._read("account details", shapes.account, "GET", _ACCOUNT, optional=True)
        except (errors.CallRejected, errors.ServiceError):
            return None

    def properties(self, of: ObjectType) -> dict[str, conditions.Property]:
        """Every property by its name."""
        call, path = f"list of {of.singular} properties", f"{_PROPERTIES}/{of.plural}"
        return {each.name: each for each in self._list(call, shapes.definition, path)}

    # Found by a search. Its index lags behind the records by up to half a minute, so it may miss a
    # new one, or find one that does not match any more; the values are of now.

    def companies(
        self, group: search.Group, names: Sequence[str], on_total: Callable[[int], None]
    ) -> Iterator[Company]:
        """All companies that the group describes, in no order, also with the properties `names`.
        `on_total` hears how many HubSpot says there are. Edits move that, so a few may be missing;
        ListChanged when many are."""
        found = self._search(COMPANIES, *_of_companies(names), [group], on_total)
        return map(shapes.company, found)

    def find(
        self,
        of: ObjectType,
        names: Sequence[str],
        queries: Iterable[search.Query],
        needed: Sequence[str] = (),
    ) -> list[Record]:
        """All records that one of the queries finds, with the properties `names`; some may come
        twice. Raises ListChanged, and BadAnswer when no record has one of those `needed`."""

        def find(query: search.Query) -> list[Record]:
            return paging.retry_if_changed(lambda: [*self._search(of, names, needed, query)])

        pages = threads.run_all(find, [*queries], CALLS_AT_ONCE)
        return [record for page in pages for record in page]

    def find_companies(
        self, queries: Iterable[search.Query], names: Sequence[str] = ()
    ) -> list[Company]:
        asked, needed = _of_companies(names)
        return [*map(shapes.company, self.find(COMPANIES, asked, queries, needed))]

    def contact_with_email(self, email: str) -> Contact | None:
        """The contact that has this address, in lower case, as its own or as an additional one,
        with its PERSON_PROPERTIES."""
        names = (*shapes.PERSON_PROPERTIES, shapes.ADDITIONAL_EMAILS)
        for contact in self.find(CONTACTS, names, search.called([email])):
            own, additional = contact.values["email"], contact.values[shapes.ADDITIONAL_EMAILS]
            if email in map(str.strip, f"{own};{additional}".lower().split(";")):
                return contact
        return None

    def count(self, of: ObjectType, group: search.Group = search.EVERYTHING) -> int:
        """How many records a search finds."""
        body = {**search.page([group], paging.IdRange(), []), "limit": 1}
        return self._read_search(of, service_client.total, body)

    # Read without a lag

    def records(
        self,
        of: ObjectType,
        names: Sequence[str],
        keys: Sequence[int | str],
        key: str = "id",
        needed: Sequence[str] = (),
    ) -> list[Record]:
        """Those of the records that there are, with the properties `names` and in no order. One
        that was archived, or merged into another one, is not there.

        `keys` are values of `key`: of "id", or of "email" in lower case. Raises BadAnswer when the
        answer leaves out one of the properties `needed`.
        """
        call, path = f"{of.plural} by {key}", f"{_OBJECTS}/{of.plural}/batch/read"
        by = {} if key == "id" else {"idProperty": key}
        shape = partial(shapes.results, partial(shapes.record, tuple(names), needed))

        def read(start: int) -> list[Record]:
            inputs = [{"id": str(each)} for each in keys[start : start + BATCH_SIZE]]
            body = {"properties": [*names], "inputs": inputs, **by}
            return self._read(call, shape, "POST", path, body=body)

        pages = threads.run_all(read, range(0, len(keys), BATCH_SIZE), CALLS_AT_ONCE)
        return [record for page in pages for record in page]

    def companies_by_id(self, ids: Sequence[int], names: Sequence[str] = ()) -> list[Company]:
        asked, needed = _of_companies(names)
        return [*map(shapes.company, self.records(COMPANIES, asked, ids, needed=needed))]

    def contacts(self, names: Sequence[str], needed: Sequence[str] = ()) -> Iterator[Contact]:
        """Every contact once, in order of id; otherwise as `records`.

        The list, unlike a search, has no end at 10,000, and its cursor is an id, so that edits
        during the read move nothing: https://developers.hubspot.com/docs/api/crm/contacts
        """
        fits = len(quote(",".join(names), safe="")) <= MAX_LINE
        listed, required = (names, needed) if fits else (["email"], ())
        shape, path = partial(shapes.record, tuple(listed), required), f"{_OBJECTS}/contacts"
        params = {"limit": LIST_PAGE_SIZE, "properties": ",".join(listed)}
        contacts = self._list("contacts", shape, path, params)
        ids: set[int] = set()
        while page := [*itertools.islice(contacts, BATCH_SIZE)]:
            new = {each.id: each for each in page if each.id not in ids}
            ids.update(new)
            if fits:
                yield from new.values()
            else:  # the rest by batch read, whose body may be as long as it needs to be
                yield from self.records(CONTACTS, names, [*new], needed=needed)

    def companies_of_contact(self, contact_id: int) -> list[int]:
        """The ids of all companies that the contact is associated with."""
        shape, path = partial(shapes.id_at, "toObjectId"), _ASSOCIATIONS.format(contact_id)
        return [*self._list("companies of the contact", shape, f"{path}/company")]

    def list_called(self, wanted: str, of: ObjectType) -> shapes.RecordList | None:
        """The list with this id, if it is a number, of any type; else that of the type with this
        name in any letter case. None when there is none.
        https://developers.hubspot.com/docs/api-reference/crm-lists-v3/guide"""
        by_name = f"{_LISTS}/object-type-id/{of.id}/name/{quote(wanted, safe='')}"
        path = f"{_LISTS}/{wanted}" if wanted.isdecimal() else by_name
        return self._read_if_found(f"list {wanted}", shapes.record_list, path)

    def require_list(self, wanted: str, of: ObjectType, setting: str) -> shapes.RecordList:
        """As `list_called`. Raises SettingsError when there is none, or one of another type."""
        other = CONTACTS if of == COMPANIES else COMPANIES
        found = self.list_called(wanted, of) or self.list_called(wanted, other)
        fix = f"Fix {setting} or --list"
        if found is None:
            text = f"HubSpot has no list of {of.plural} called {wanted}. {fix} (digits are an id)."
            raise errors.SettingsError(f"{text} See HubSpot > CRM > Segments.")
        if found.object_type != of.id:
            raise errors.SettingsError(
                f"HubSpot's list {found.name} is not a list of {of.plural}. {fix}."
            )
        return found

    def members(self, wanted: shapes.RecordList) -> frozenset[int]:
        """The ids of all records in a list. Raises ListChanged when HubSpot is still filling the
        list, or fewer came than it says there are."""
        call, path = f"members of the list {wanted.name}", f"{_LISTS}/{wanted.id}/memberships"
        params = {"limit": MEMBERS_PAGE_SIZE}

        def read() -> frozenset[int]:
            found = self.list_called(wanted.id, CONTACTS)
            if found is None or found.is_processing:
                why = "HubSpot is still filling it" if found else "it was deleted"
                self.http.list_changed(call, why)
            totals: list[int] = []
            ids = frozenset(
                self._list(call, partial(shapes.id_at, "recordId"), path, params, totals)
            )
            self._require_all(call, "members", min(totals), len(ids))
            return ids

        return paging.retry_if_changed(read, lambda: self._clock.sleep(READ_LIST_AGAIN_AFTER_S))

    # Writes

    def create_company(self, name: str, domain: str) -> Created:
        """HubSpot makes a second company of the same domain without a word, so this call is not
        repeated when its answer is lost (`outcome_unknown`): look for the company then."""
        return self._create(COMPANIES, {"name": name, "domain": domain}, repeatable=False)

    def create_contact(
        self, email: str, first_name: str, last_name: str, *, repeatable: bool
    ) -> Created:
        """HubSpot lets no two contacts have one address, so repeating does no harm; only `existed`
        then does not say whether it was there before."""
        properties = dict(zip(shapes.PERSON_PROPERTIES, (email, first_name, last_name)))
        filled = {name: value for name, value in properties.items() if value}
        return self._create(CONTACTS, filled, repeatable)

    def associate(self, contact_id: int, company_id: int) -> None:
        """As an employee, which is HubSpot's default; again does no harm.
        https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide"""
        path = f"{_ASSOCIATIONS.format(contact_id)}/default/company/{company_id}"
        self.http.request("PUT", path, "associate the contact with the company")

    def opt_out(self, email: str, subscription_id: str, legal_basis: str | None) -> None:
        """Opt an address out of one subscription type. HubSpot may refuse to do it twice, so this
        call is not repeated when its answer is lost.
        https://developers.hubspot.com/docs/api-reference/legacy/communication-preferences/v3/guide
        """

        def check(data: Any) -> None:
            if data.get("status") in (None, "SUBSCRIBED"):
                raise ValueError("it does not confirm the opt-out")

        body = {"emailAddress": email, "subscriptionId": subscription_id}
        if legal_basis:
            body.update(legalBasis=legal_basis, legalBasisExplanation="unsubscribed in MailerLite")
        try:
            self._write("opt someone out", check, _OPT_OUT, body=body, repeatable=False)
        except errors.CallRejected as error:
            if legal_basis or not _LEGAL_BASIS.search(error.detail):
                raise
            raise errors.Forbidden(f"{error} Set HUBSPOT_LEGAL_BASIS.") from None

    # What these share

    def _create(self, of: ObjectType, properties: Mapping[str, str], repeatable: bool) -> Created:
        call, path = f"create the {of.singular}", f"{_OBJECTS}/{of.plural}"
        body = {"properties": properties}
        try:
            shape = partial(shapes.id_at, "id")
            return Created(self._write(call, shape, path, body=body, repeatable=repeatable), False)
        except errors.CallRejected as error:
            pattern = _EXISTING_ID.get(error.status)
            existing = pattern.search(error.body) if pattern else None
            if existing:
                return Created(int(existing[1]), existed=True)
            raise

    def _read_if_found(self, call: str, shape: service_client.Shape[R], path: str) -> R | None:
        """None where HubSpot says that there is no such thing."""
        try:
            return self._read(call, shape, "GET", path)
        except errors.CallRejected as error:
            if error.status == 404 and _is_not_found(json_object(error.body)):
                return None
            raise

    def _list(
        self,
        call: str,
        shape: service_client.Shape[R],
        path: str,
        params: Mapping[str, object] = {},
        totals: list[int] | None = None,
    ) -> Iterator[R]:
        """All results of a list that goes by cursor. `totals`: what its pages say there are."""

        def page(data: Any) -> tuple[list[R], str | None]:
            if totals is not None:
                totals.append(service_client.total(data))
            return shapes.page(shape, data)

        def fetch(after: str | None) -> tuple[list[R], str | None]:
            return self._read(call, page, "GET", path, params={**params, "after": after})

        for results in paging.read_by_cursor(self.http, call, fetch):
            yield from results

    def _search(
        self,
        of: ObjectType,
        names: Sequence[str],
        needed: Sequence[str],
        query: search.Query,
        on_total: Callable[[int], None] | None = None,
    ) -> Iterator[Record]:
        """With `on_total`, a few may be missing of the total that it hears."""
        call, came = f"{of.singular} search", 0
        totals: list[int] = []

        def fetch(ids: paging.IdRange) -> tuple[int, list[Record]]:
            shape = partial(search.results, tuple(names), needed, ids)
            there_are, records = self._read_search(of, shape, search.page(query, ids, names))
            if not totals:  # the first page is that of all ids
                totals.append(there_are)
                if on_total:
                    on_total(there_are)
            return there_are, records

        for page in paging.read_by_id(self.http, search.PAGE_SIZE, fetch):
            came += len(page)
            yield from (record for record in page if not record.is_archived)
        accepted = ACCEPTED_MISSING + totals[0] // 100 if on_total else 0
        self._require_all(call, of.plural, totals[0], came, accepted)

    def _read_search(
        self, of: ObjectType, shape: service_client.Shape[R], body: Mapping[str, object]
    ) -> R:
        path = f"{_OBJECTS}/{of.plural}/search"
        return self._read(f"{of.singular} search", shape, "POST", path, body=body)

    def _require_all(self, call: str, of: str, claimed: int, came: int, accepted: int = 0) -> None:
        if claimed - came > accepted:
            self.http.list_changed(call, f"HubSpot counts {claimed:,} {of}, but returned {came:,}")


def _of_companies(names: Sequence[str]) -> tuple[tuple[str, ...], tuple[str, ...]]:
    """All that is asked for of a company, and those without which nobody can judge it."""
    return tuple(dict.fromkeys((*shapes.COMPANY_PROPERTIES, *names))), ("domain", *names)
