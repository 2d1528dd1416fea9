"""HubSpot: the calls of its CRM API, one verb each, with small values in and out."""

from __future__ import annotations

import re
from typing import (
    Callable,
    Iterator,
    Mapping,
    Sequence,
)
from urllib.parse import quote

from core.clock import Clock
from core.conditions import Property
from core.errors import CallRejected, Forbidden, ServiceError
from core.settings import Secret
from hubspot_api import search
from hubspot_api.service import SERVICE, HubSpotSettings, hubspot_settings, is_not_found
from hubspot_api.shapes import (
    ADDITIONAL,
    COMPANIES,
    COMPANY_PROPERTIES,
    CONTACTS,
    WRONG_SHAPE,
    Account,
    Company,
    Contact,
    Created,
    RecordList,
    company_of,
    contact_of,
    list_of,
    member_of,
    next_cursor,
    property_of,
    record_id,
)
from transport.http_client import HttpClient
from transport.keyset import End, InconsistentPages, read_pages
from transport.paging import retry_if_changed
from transport.response import json_object
from transport.service import JsonObject

__all__ = [
    "ADDITIONAL",
    "COMPANIES",
    "CONTACTS",
    "Account",
    "Company",
    "Contact",
    "Created",
    "HubSpotClient",
    "HubSpotSettings",
    "Property",
    "RecordList",
    "hubspot_settings",
]

# One place for the version: https://developers.hubspot.com/docs/api-reference/overview
_OBJECTS = "/crm/v3/objects"
_PROPERTIES = "/crm/v3/properties"
_LISTS = "/crm/v3/lists"
_ASSOCIATIONS = "/crm/v4/objects/contact/{}/associations"
_ACCOUNT = "/account-info/v3/details"
_OPT_OUT = "/communication-preferences/v3/unsubscribe"

SPLIT_FROM_ROWS = 2_000  # fewer rows left are not worth the page that one more chain may cost
CONTACTS_PAGE_SIZE = 100  # the maximum of a list
BATCH_SIZE = 100  # the maximum of a batch read
MEMBERS_PAGE_SIZE = 250  # the maximum

READ_LIST_AGAIN_AFTER_S = 10.0  # while HubSpot fills it

ACCEPTED_MISSING = 5  # rows, and 1 % of all: what edits during the read explain

PERSON_PROPERTIES = ("email", "firstname", "lastname")

_LEGAL_BASIS = re.compile("(legal|lawful) ?basis", re.IGNORECASE)

# How HubSpot refuses to create a contact whose address another one has, by status; the second is
# its answer when both were created at the same moment.
_EXISTING_ID = {
    409: re.compile(r"Existing ID:\s*(\d+)"),
    400: re.compile(r"(\d+) already has that value"),
}


class HubSpotClient:
    """Every call raises ServiceError; those that say so raise CallRejected as well."""

    def __init__(self, settings: HubSpotSettings, clock: Clock, dry_run: bool) -> None:
        self._clock = clock
        self.http = HttpClient(
            SERVICE,
            settings.base_url,
            {"Authorization": Secret(f"Bearer {settings.token.reveal()}")},
            settings.requests_per_second,
            clock=clock,
            dry_run=dry_run,
        )

    # The account and its properties

    def account(self) -> Account:
        """Raises CallRejected."""
        call = "account details"
        data = self.http.read("GET", _ACCOUNT, call, optional=True)
        portal_id, ui_domain = data.get("portalId"), data.get("uiDomain")
        if not isinstance(portal_id, int) or not isinstance(ui_domain, str):
            self.http.bad_answer(call, "portalId or uiDomain is missing")
        return Account(portal_id, ui_domain)

    def account_if_told(self) -> Account | None:
        """None when HubSpot does not tell. Only names and links depend on it, so its failure is
        none of the run's."""
        try:
            return self.account()
        except (CallRejected, ServiceError):
            return None

    def property(self, object_type: str, name: str) -> Property | None:
        """The definition of a property; None when the account has none of that name.

        Raises CallRejected.
        """
        call = f"definition of the property {name}"
        try:
            data = self.http.read("GET", f"{_PROPERTIES}/{object_type}/{name}", call)
        except CallRejected as error:
            if error.status == 404 and is_not_found(json_object(error.body)):
                return None
            raise
        try:
            return property_of(name, data)
        except WRONG_SHAPE:
            self.http.bad_answer(call, "it is no property definition")

    def contact_properties(self) -> dict[str, Property]:
        """Every property that contacts have, by name. Raises CallRejected."""
        return self._properties("contacts", "list of contact properties")

    def company_properties(self) -> dict[str, Property]:
        """Every property that companies have, by name. Raises CallRejected."""
        return self._properties("companies", "list of company properties")

    def _properties(self, object_type: str, call: str) -> dict[str, Property]:
        found: dict[str, Property] = {}
        for data in self._pages(call, f"{_PROPERTIES}/{object_type}", {}):
            try:
                page = [property_of(str(each["name"]), each) for each in data["results"]]
            except WRONG_SHAPE:
                self.http.bad_answer(call, "results is missing or holds no property definition")
            found.update((each.name, each) for each in page)
        return found

    # Companies

    def companies(
        self,
        platforms: Sequence[str],
        alexa_below: int,
        multiple: bool,
        on_total: Callable[[int], None],
    ) -> Iterator[Company]:
        """Companies on one of the platforms with an Alexa rank under the limit, in no order.

        The search index lags behind the records while the values are the present ones, so some
        may not match any more: judge them by their values. `multiple`: as in `search.matching`.
        `on_total` hears how many HubSpot says there are; edits during the read move that.

        Raises ListChanged when far fewer came than HubSpot says there are, or its pages contradict
        each other.
        """
        groups = [search.matching(platforms, alexa_below, multiple)]
        return self._search_companies("company search", groups, on_total)

    def count_companies(self, platforms: Sequence[str], alexa_below: int) -> int:
        """How many companies the search finds."""
        groups = [search.matching(platforms, alexa_below, multiple=False)]
        return self._search_page("company search", groups, End(None, falling=False))[0]

    def companies_found(self, groups: Sequence[search.Group]) -> list[Company]:
        """All companies that a query of `search.naming` or `search.merged_from` finds. Raises
        ListChanged, CallRejected."""
        call = "company search by domain"
        total, first = self._search_page(call, groups, End(None, falling=False))
        return first if len(first) == total else list(self._search_companies(call, groups))

    def companies_naming(self, domain: str) -> Iterator[Company]:
        """Companies whose domain, or one of whose additional domains, may be this bare domain, and
        others; some may come twice. The calls go out one after the other.

        The search index lags: a company that was created in the last half minute may be missing.
        Raises ListChanged, CallRejected.
        """
        call = "company search by domain"
        for groups in search.naming([domain]):
            total, page = self._search_page(call, groups, End(None, falling=False))
            missing = total - len(page)
            while page:
                yield from page
                page = self._search_page(call, groups, End(page[-1].id, falling=False))[1]
                missing -= len(page)
            if missing > 0:
                self.http.list_changed(call, f"{missing:,} of {total:,} companies did not come")

    def companies_by_id(self, ids: Sequence[int], deleted: bool = False) -> list[Company]:
        """Those of the companies that there are, without the lag of a search; or those that were
        deleted.

        Raises CallRejected.
        """
        companies: list[Company] = []
        call, names = "companies by id", {"properties": list(COMPANY_PROPERTIES)}
        for data in self._batches(call, "companies", list(map(str, ids)), names, deleted):
            try:
                companies += [company_of(result) for result in data["results"]]
            except WRONG_SHAPE:
                self.http.bad_answer(call, "results is missing or holds something else")
        return companies

    def company_values(
        self, ids: Sequence[int], names: Sequence[str]
    ) -> dict[int, Mapping[str, str | None]]:
        """Id -> the properties `names` of those of the companies that there are. A company that was
        archived, or merged into another one, is none. Raises CallRejected."""
        found: dict[int, Mapping[str, str | None]] = {}
        call, shared = "values of companies", tuple(names)
        for data in self._batches(
            call, "companies", list(map(str, ids)), {"properties": list(names)}
        ):
            try:
                rows = [contact_of(result, shared) for result in data["results"]]
            except WRONG_SHAPE:
                self.http.bad_answer(call, "results is missing or holds something else")
            found.update((row.id, row.values) for row in rows)
        return found

    def create_company(self, name: str, domain: str) -> Created:
        """HubSpot makes a second company of the same domain without a word, so this call is not
        repeated when its answer is lost: look for the company first.

        Raises CallRejected, ServiceError (`outcome_unknown`: it may have been created).
        """
        properties = {"name": name, "domain": domain}
        return self._create("companies", "create the company", properties, repeatable=False)

    # Contacts

    def contacts(self, names: Sequence[str], needed: Sequence[str] = ()) -> Iterator[Contact]:
        """Every contact once, with the properties `names`, in order of id.

        The list, unlike a search, has no end at 10,000, and its cursor is an id, so that edits
        during the read move nothing: https://developers.hubspot.com/docs/api/crm/contacts

        Raises BadAnswer when a cursor comes twice, or when an answer leaves out one of `needed`:
        a property that is unset comes as null.
        """
        params = {"limit": CONTACTS_PAGE_SIZE, "properties": ",".join(names)}
        ids: set[int] = set()
        shared = tuple(names)
        for data in self._pages("contacts", f"{_OBJECTS}/contacts", params):
            for contact in self._contacts("contacts", data, shared, needed):
                if contact.id not in ids:
                    ids.add(contact.id)
                    yield contact

    def contacts_by_id(
        self, ids: Sequence[int], names: Sequence[str], needed: Sequence[str] = ()
    ) -> list[Contact]:
        """Those of the contacts that there are, as they are now. Raises like `contacts`, and
        CallRejected."""
        return list(self._contacts_by("id", list(map(str, ids)), names, needed))

    def contacts_by_email(
        self, emails: Sequence[str], names: Sequence[str], needed: Sequence[str] = ()
    ) -> list[Contact]:
        """Like `contacts_by_id`, by address in lower case."""
        return list(self._contacts_by("email", emails, names, needed))

    def count_contacts(self) -> int:
        """How many contacts the search finds. Raises CallRejected."""
        call = "number of contacts"
        body = {
            **search.query([search.everyone()], End(None, falling=False), ["email"]),
            "limit": 1,
        }
        data = self.http.read("POST", f"{_OBJECTS}/contacts/search", call, body=body)
        if not isinstance(data.get("total"), int):
            self.http.bad_answer(call, "total is missing")
        return int(data["total"])

    def contact_with_email(self, email: str) -> Contact | None:
        """The contact with this address in lower case, if the search shows it yet."""
        contacts = self._contacts_found([search.with_email(email)], PERSON_PROPERTIES)
        same = (each for each in contacts if (each.values["email"] or "").lower() == email)
        return next(same, None)

    def ids_of_contacts(self, emails: Sequence[str]) -> list[int]:
        """The contacts that have one of these addresses in lower case, as their own or as an
        additional one, as far as the search shows them yet; and others with a similar one."""
        found = (self._contacts_found(groups, ["email"]) for groups in search.called(emails))
        return [contact.id for page in found for contact in page]

    def _contacts_found(
        self, groups: Sequence[search.Group], names: Sequence[str]
    ) -> list[Contact]:
        """The first page: more have nothing to do with one address."""
        call, body = (
            "contact search by e-mail",
            search.query(groups, End(None, falling=False), names),
        )
        data = self.http.read("POST", f"{_OBJECTS}/contacts/search", call, body=body)
        return self._contacts(call, data, tuple(names), ())

    def create_contact(
        self, email: str, first_name: str, last_name: str, *, repeatable: bool
    ) -> Created:
        """HubSpot lets no two contacts have one address, so repeating does no harm; only `existed`
        then does not say whether it was there before. Raises like `create_company`."""
        properties = dict(zip(PERSON_PROPERTIES, (email, first_name, last_name)))
        filled = {name: value for name, value in properties.items() if value}
        return self._create("contacts", "create the contact", filled, repeatable)

    def associate(self, contact_id: int, company_id: int) -> None:
        """As an employee, which is HubSpot's default; again does no harm. Raises CallRejected.
        https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide"""
        path = f"{_ASSOCIATIONS.format(contact_id)}/default/company/{company_id}"
        self.http.request("PUT", path, "associate the contact with the company")

    def companies_of_contact(self, contact_id: int) -> list[int]:
        """The ids of all companies that the contact is associated with, without the lag of a
        search. Raises CallRejected."""
        call, path = "companies of the contact", f"{_ASSOCIATIONS.format(contact_id)}/company"
        ids: list[int] = []
        for data in self._pages(call, path, {}):
            try:
                ids += [record_id(str(result["toObjectId"])) for result in data["results"]]
            except WRONG_SHAPE:
                self.http.bad_answer(call, "results is missing or holds something else")
        return ids

    # Lists

    def list_called(self, wanted: str, object_type: str) -> RecordList | None:
        """The list with this id, if it is a number, of any type; else that of the type with this
        name in any letter case. None when there is none. Raises CallRejected.
        https://developers.hubspot.com/docs/api-reference/crm-lists-v3/guide"""
        by_name = f"{_LISTS}/object-type-id/{object_type}/name/{quote(wanted, safe='')}"
        path = f"{_LISTS}/{wanted}" if wanted.isdecimal() else by_name
        call = f"list {wanted}"
        try:
            data = self.http.read("GET", path, call)
        except CallRejected as error:
            if error.status == 404 and is_not_found(json_object(error.body)):
                return None
            raise
        try:
            return list_of(data)
        except WRONG_SHAPE:
            self.http.bad_answer(call, "it is no list")

    def members(self, wanted: RecordList) -> frozenset[int]:
        """The ids of all records in a list. Raises CallRejected, and ListChanged when HubSpot is
        still filling the list, or fewer came than it says there are."""
        return retry_if_changed(
            lambda: self._members(wanted), lambda: self._clock.sleep(READ_LIST_AGAIN_AFTER_S)
        )

    def _members(self, wanted: RecordList) -> frozenset[int]:
        call = f"members of the list {wanted.name}"
        found = self.list_called(wanted.id, CONTACTS)
        if found is None or found.is_processing:
            self.http.list_changed(call, "HubSpot is still filling it" if found else "it is gone")
        ids: set[int] = set()
        totals: list[int] = []
        params = {"limit": MEMBERS_PAGE_SIZE}
        for data in self._pages(call, f"{_LISTS}/{wanted.id}/memberships", params):
            try:
                ids.update(map(member_of, data["results"]))
                totals.append(int(data["total"]))
            except WRONG_SHAPE:
                self.http.bad_answer(call, "results or total is missing or holds something else")
        if len(ids) < min(totals):
            self.http.list_changed(
                call, f"it promises {min(totals):,} members, but {len(ids):,} came"
            )
        return frozenset(ids)

    def opt_out(self, email: str, subscription_id: str, legal_basis: str | None) -> None:
        """Opt an address out of one kind of mail. HubSpot may refuse to do it twice, so this call
        is not repeated when its answer is lost. Raises CallRejected.
        https://developers.hubspot.com/docs/api-reference/legacy/communication-preferences/v3/guide
        """
        call, body = "opt someone out", {"emailAddress": email, "subscriptionId": subscription_id}
        if legal_basis:
            body["legalBasis"] = legal_basis
            body["legalBasisExplanation"] = "unsubscribed in MailerLite"
        try:
            response = self.http.request("POST", _OPT_OUT, call, body=body, repeatable=False)
        except CallRejected as error:
            if legal_basis or not _LEGAL_BASIS.search(error.detail):
                raise
            raise Forbidden(f"{error} Let HUBSPOT_LEGAL_BASIS name one.") from None
        if (response.data or {}).get("status") in (None, "SUBSCRIBED"):
            self.http.bad_answer(call, "it does not say that it is done", after_write=True)

    # What these share

    def _contacts_by(
        self, key: str, values: Sequence[str], names: Sequence[str], needed: Sequence[str]
    ) -> Iterator[Contact]:
        call, by = f"contacts by {key}", {} if key == "id" else {"idProperty": key}
        shared = tuple(names)
        for data in self._batches(call, "contacts", values, {"properties": list(names), **by}):
            yield from self._contacts(call, data, shared, needed)

    def _batches(
        self,
        call: str,
        object_type: str,
        keys: Sequence[str],
        asked: Mapping[str, object],
        deleted: bool = False,
    ) -> Iterator[JsonObject]:
        """Those of the records that there are, or that were `deleted`, in no order."""
        path = f"{_OBJECTS}/{object_type}/batch/read"
        for start in range(0, len(keys), BATCH_SIZE):
            body = {**asked, "inputs": [{"id": key} for key in keys[start : start + BATCH_SIZE]]}
            params = {"archived": "true"} if deleted else None
            yield self.http.read("POST", path, call, body=body, params=params)

    def _create(
        self, object_type: str, call: str, properties: Mapping[str, str], repeatable: bool
    ) -> Created:
        path, body = f"{_OBJECTS}/{object_type}", {"properties": properties}
        try:
            response = self.http.request("POST", path, call, body=body, repeatable=repeatable)
        except CallRejected as error:
            if existing := _existing_id(error):
                return Created(existing, existed=True)
            raise
        try:
            return Created(record_id((response.data or {})["id"]), existed=False)
        except (KeyError, ValueError):
            self.http.bad_answer(call, "the id of the new record is missing", after_write=True)

    def _contacts(
        self, call: str, data: JsonObject, names: tuple[str, ...], needed: Sequence[str]
    ) -> list[Contact]:
        try:
            return [contact_of(result, names, needed) for result in data["results"]]
        except WRONG_SHAPE:
            missing = f", or a contact without one of {', '.join(needed)}" if needed else ""
            self.http.bad_answer(call, f"results is missing or holds something else{missing}")

    def _pages(self, call: str, path: str, params: Mapping[str, object]) -> Iterator[JsonObject]:
        """The pages of a list that goes by cursor."""
        cursors: set[str] = set()
        after: str | None = None
        while True:
            data = self.http.read("GET", path, call, params={**params, "after": after})
            yield data
            try:
                after = next_cursor(data)
            except WRONG_SHAPE:
                self.http.bad_answer(call, "the cursor to the next page makes no sense")
            if after is None:
                return
            if after in cursors:
                self.http.bad_answer(call, f"its cursor {after} comes twice, so it has no end")
            cursors.add(after)

    def _search_companies(
        self,
        call: str,
        groups: Sequence[search.Group],
        on_total: Callable[[int], None] | None = None,
    ) -> Iterator[Company]:
        """With `on_total`, a few may be missing of the total that it hears."""
        totals: list[int] = []
        rows_read = 0

        def fetch(end: End) -> list[Company]:
            total, companies = self._search_page(call, groups, end)
            if end.bound is None:
                totals.append(total)
                if on_total:
                    on_total(total)
            return companies

        def has_room() -> bool:
            return sum(totals[:1]) - rows_read > SPLIT_FROM_ROWS and self.http.has_room()

        try:
            for page in read_pages(fetch, has_room):
                rows_read += len(page)
                yield from page
        except InconsistentPages:
            self.http.list_changed(call, "pages contradict each other")
        accepted = ACCEPTED_MISSING + min(totals) // 100 if on_total else 0
        if min(totals) - rows_read > accepted:
            self.http.list_changed(
                call, f"it promises {min(totals):,} companies, but {rows_read:,} came"
            )

    def _search_page(
        self, call: str, groups: Sequence[search.Group], end: End
    ) -> tuple[int, list[Company]]:
        body = search.query(groups, end)
        data = self.http.read("POST", f"{_OBJECTS}/companies/search", call, body=body)
        total, results = data.get("total"), data.get("results")
        if not isinstance(total, int) or not isinstance(results, list):
            self.http.bad_answer(call, "total or results is missing")
        try:
            companies = [company_of(result) for result in results]
        except WRONG_SHAPE:
            self.http.bad_answer(
                call, "a company without a numeric id, or with properties that are no text"
            )
        ids = [company.id for company in companies]
        if end.bound is not None:
            ids.insert(0, end.bound)
        if any((b >= a) if end.falling else (b <= a) for a, b in zip(ids, ids[1:])):
            self.http.bad_answer(call, "the ids are not in order, so nothing shows what is missing")
        return total, companies


def _existing_id(error: CallRejected) -> int | None:
    """The id of the record that keeps another one from being created."""
    pattern = _EXISTING_ID.get(error.status)
    found = pattern.search(error.body) if pattern else None
    return int(found[1]) if found else None
