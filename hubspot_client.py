"""HubSpot: the calls of its CRM API, one verb each, with small values in and out."""

from __future__ import annotations

import re
from typing import Any, Callable, Iterable, Iterator, Mapping, Sequence, TypeVar
from urllib.parse import quote

from core.conditions import Property
from core.errors import CallRejected, Forbidden, ServiceError
from hubspot_api import search, shapes
from hubspot_api.service import SERVICE, is_not_found
from hubspot_api.shapes import (
    COMPANIES,
    COMPANY_PROPERTIES,
    CONTACTS,
    PERSON_PROPERTIES,
    Account,
    Company,
    Contact,
    Created,
    ObjectType,
    Record,
    RecordList,
)
from transport import paging, threads
from transport.keyset import End, read_pages
from transport.response import json_object
from transport.service_client import ServiceClient

# One place for the version: https://developers.hubspot.com/docs/api-reference/overview
_OBJECTS = "/crm/v3/objects"
_PROPERTIES = "/crm/v3/properties"
_LISTS = "/crm/v3/lists"
_ASSOCIATIONS = "/crm/v4/objects/contact/{}/associations"
_ACCOUNT = "/account-info/v3/details"
_OPT_OUT = "/communication-preferences/v3/unsubscribe"

LIST_PAGE_SIZE = 100  # the maximum
BATCH_SIZE = 100  # the maximum of a batch read
MEMBERS_PAGE_SIZE = 250  # the maximum
SEARCHES_AT_ONCE = 8
SPLIT_FROM_ROWS = 2_000  # fewer rows left are not worth the page that one more chain may cost
ACCEPTED_MISSING = 5  # rows, and 1 % of all: what edits during the read explain
READ_LIST_AGAIN_AFTER_S = 10.0  # while HubSpot fills it

_LEGAL_BASIS = re.compile("(legal|lawful) ?basis", re.IGNORECASE)

# How HubSpot refuses to create a contact whose address another one has, by status; the second is
# its answer when both were created at the same moment.
_EXISTING_ID = {
    409: re.compile(r"Existing ID:\s*(\d+)"),
    400: re.compile(r"(\d+) already has that value"),
}

R = TypeVar("R")


class HubSpotClient(ServiceClient):
    service = SERVICE

    def account(self) -> Account:
        return self._read("account details", shapes.account, "GET", _ACCOUNT, optional=True)

    def account_if_told(self) -> Account | None:
        """None when HubSpot does not tell. Only names and links depend on it, so its failure is
        none of the run's."""
        try:
            return self.account()
        except (CallRejected, ServiceError):
            return None

    def property(self, of: ObjectType, name: str) -> Property | None:
        """None when the account has none of that name."""
        call, path = f"definition of the property {name}", f"{_PROPERTIES}/{of.plural}/{name}"
        return self._read_if_there(call, shapes.definition, path)

    def properties(self, of: ObjectType) -> dict[str, Property]:
        """Every property by its name."""
        call, path = f"list of {of.singular} properties", f"{_PROPERTIES}/{of.plural}"
        found = self._list(call, shapes.results(shapes.definition), path)
        return {each.name: each for each in found}

    # Found by a search. Its index lags behind the records by up to half a minute, so it may miss a
    # new one, or find one that does not match any more; the values are of now.

    def companies(self, group: search.Group, on_total: Callable[[int], None]) -> Iterator[Company]:
        """All companies that the group describes, in no order, but for a few that edits during the
        read explain. `on_total` hears how many HubSpot says there are; edits move that.

        Raises ListChanged when far fewer came than HubSpot says there are, or its pages contradict
        each other.
        """
        found = self._search(COMPANIES, COMPANY_PROPERTIES, [group], on_total)
        return map(shapes.company, found)

    def find_companies(self, queries: Iterable[search.Query]) -> list[Company]:
        """All companies that one of the queries finds; some may come twice. Raises ListChanged."""
        return [*map(shapes.company, self._find(COMPANIES, COMPANY_PROPERTIES, queries))]

    def find_contacts(self, queries: Iterable[search.Query], names: Sequence[str]) -> list[Contact]:
        """Like `find_companies`, with the properties `names`."""
        return self._find(CONTACTS, names, queries)

    def contact_with_email(self, email: str) -> Contact | None:
        """The contact whose own address this is, in lower case, with its PERSON_PROPERTIES."""
        found = self.find_contacts([search.with_email(email)], PERSON_PROPERTIES)
        return next((each for each in found if (each.values["email"] or "").lower() == email), None)

    def count(self, of: ObjectType, group: search.Group = search.EVERYTHING) -> int:
        """How many records a search finds."""
        body = {**search.page([group], search.FIRST, []), "limit": 1}
        return self._read_search(of, shapes.total, body)

    # Read without a lag

    def records(
        self,
        of: ObjectType,
        names: Sequence[str],
        keys: Sequence[int | str],
        key: str = "id",
        needed: Sequence[str] = (),
        deleted: bool = False,
    ) -> list[Record]:
        """Those of the records that there are, or that were `deleted`, with the properties `names`
        and in no order. One that was archived, or merged into another one, is not there.

        `keys` are values of `key`: of "id", or of "email" in lower case. Raises BadAnswer when the
        answer leaves out one of the properties `needed`.
        """
        call, path = f"{of.plural} by {key}", f"{_OBJECTS}/{of.plural}/batch/read"
        by = {} if key == "id" else {"idProperty": key}
        params = {"archived": "true"} if deleted else None
        shape, found = shapes.records(names, needed), []
        for start in range(0, len(keys), BATCH_SIZE):
            inputs = [{"id": str(each)} for each in keys[start : start + BATCH_SIZE]]
            body = {"properties": [*names], "inputs": inputs, **by}
            found += self._read(call, shape, "POST", path, body=body, params=params)
        return found

    def companies_by_id(self, ids: Sequence[int], deleted: bool = False) -> list[Company]:
        found = self.records(COMPANIES, COMPANY_PROPERTIES, ids, deleted=deleted)
        return [*map(shapes.company, found)]

    def contacts(self, names: Sequence[str], needed: Sequence[str] = ()) -> Iterator[Contact]:
        """Every contact once, in order of id; otherwise as `records`.

        The list, unlike a search, has no end at 10,000, and its cursor is an id, so that edits
        during the read move nothing: https://developers.hubspot.com/docs/api/crm/contacts
        """
        shape, path = shapes.records(names, needed), f"{_OBJECTS}/contacts"
        params = {"limit": LIST_PAGE_SIZE, "properties": ",".join(names)}
        ids: set[int] = set()
        for contact in self._list("contacts", shape, path, params):
            if contact.id not in ids:
                ids.add(contact.id)
                yield contact

    def companies_of_contact(self, contact_id: int) -> list[int]:
        """The ids of all companies that the contact is associated with."""
        shape = shapes.results(lambda each: shapes.record_id(str(each["toObjectId"])))
        path = f"{_ASSOCIATIONS.format(contact_id)}/company"
        return [*self._list("companies of the contact", shape, path)]

    def list_called(self, wanted: str, of: ObjectType) -> RecordList | None:
        """The list with this id, if it is a number, of any type; else that of the type with this
        name in any letter case. None when there is none.
        https://developers.hubspot.com/docs/api-reference/crm-lists-v3/guide"""
        by_name = f"{_LISTS}/object-type-id/{of.id}/name/{quote(wanted, safe='')}"
        path = f"{_LISTS}/{wanted}" if wanted.isdecimal() else by_name
        return self._read_if_there(f"list {wanted}", shapes.record_list, path)

    def members(self, wanted: RecordList) -> frozenset[int]:
        """The ids of all records in a list. Raises ListChanged when HubSpot is still filling the
        list, or fewer came than it says there are."""
        call, path = f"members of the list {wanted.name}", f"{_LISTS}/{wanted.id}/memberships"
        totals: list[int] = []

        def page(data: Any) -> list[int]:
            totals.append(shapes.total(data))
            return shapes.results(shapes.member)(data)

        def read() -> frozenset[int]:
            found = self.list_called(wanted.id, CONTACTS)
            if found is None or found.is_processing:
                why = "HubSpot is still filling it" if found else "it is gone"
                self.http.list_changed(call, why)
            totals.clear()
            members = frozenset(self._list(call, page, path, {"limit": MEMBERS_PAGE_SIZE}))
            self._require_all(call, "members", min(totals), len(members))
            return members

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
        properties = dict(zip(PERSON_PROPERTIES, (email, first_name, last_name)))
        filled = {name: value for name, value in properties.items() if value}
        return self._create(CONTACTS, filled, repeatable)

    def associate(self, contact_id: int, company_id: int) -> None:
        """As an employee, which is HubSpot's default; again does no harm.
        https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide"""
        path = f"{_ASSOCIATIONS.format(contact_id)}/default/company/{company_id}"
        self.http.request("PUT", path, "associate the contact with the company")

    def opt_out(self, email: str, subscription_id: str, legal_basis: str | None) -> None:
        """Opt an address out of one kind of mail. HubSpot may refuse to do it twice, so this call
        is not repeated when its answer is lost.
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

    def _create(self, of: ObjectType, properties: Mapping[str, str], repeatable: bool) -> Created:
        call, path = f"create the {of.singular}", f"{_OBJECTS}/{of.plural}"
        body = {"properties": properties}
        try:
            id = self._write(
                call,
                lambda data: shapes.record_id(data["id"]),
                path,
                body=body,
                repeatable=repeatable,
            )
        except CallRejected as error:
            pattern = _EXISTING_ID.get(error.status)
            existing = pattern.search(error.body) if pattern else None
            if existing:
                return Created(int(existing[1]), existed=True)
            raise
        return Created(id, existed=False)

    def _read_if_there(self, call: str, shape: Callable[[Any], R], path: str) -> R | None:
        """None where HubSpot itself says that there is no such thing."""
        try:
            return self._read(call, shape, "GET", path)
        except CallRejected as error:
            if error.status == 404 and is_not_found(json_object(error.body)):
                return None
            raise

    def _list(
        self,
        call: str,
        shape: Callable[[Any], list[R]],
        path: str,
        params: Mapping[str, object] = {},
    ) -> Iterator[R]:
        """All results of a list that goes by cursor."""

        def fetch(after: str | None) -> tuple[list[R], str | None]:
            asked = {**params, "after": after}
            return self._read(
                call,
                lambda data: (shape(data), shapes.next_cursor(data)),
                "GET",
                path,
                params=asked,
            )

        for page in paging.read_by_cursor(self.http, call, fetch):
            yield from page

    def _find(
        self, of: ObjectType, names: Sequence[str], queries: Iterable[search.Query]
    ) -> list[Record]:
        def find(query: search.Query) -> list[Record]:
            total, first = self._search_page(of, names, query, search.FIRST)
            return first if len(first) == total else [*self._search(of, names, query)]

        def find_settled(query: search.Query) -> list[Record]:
            return paging.retry_if_changed(lambda: find(query))

        pages = threads.run_all(find_settled, [*queries], SEARCHES_AT_ONCE)
        return [record for page in pages for record in page]

    def _search(
        self,
        of: ObjectType,
        names: Sequence[str],
        query: search.Query,
        on_total: Callable[[int], None] | None = None,
    ) -> Iterator[Record]:
        """With `on_total`, a few may be missing of the total that it hears."""
        call, totals, came = f"{of.singular} search", [], 0

        def fetch(end: End) -> list[Record]:
            total, records = self._search_page(of, names, query, end)
            if end.bound is None:
                totals.append(total)
                if on_total:
                    on_total(total)
            return records

        def has_room() -> bool:
            return sum(totals[:1]) - came > SPLIT_FROM_ROWS and self.http.has_room()

        for page in read_pages(self.http, call, fetch, has_room):
            came += len(page)
            yield from page
        accepted = ACCEPTED_MISSING + min(totals) // 100 if on_total else 0
        self._require_all(call, of.plural, min(totals), came, accepted)

    def _search_page(
        self, of: ObjectType, names: Sequence[str], query: search.Query, end: End
    ) -> tuple[int, list[Record]]:
        """The total of the query, and the records next to the end."""

        def page(data: Any) -> tuple[int, list[Record]]:
            found = shapes.records(names)(data)
            ids = [*([] if end.bound is None else [end.bound]), *(each.id for each in found)]
            if any((b >= a) if end.falling else (b <= a) for a, b in zip(ids, ids[1:])):
                raise ValueError("the ids are not in order, so nothing shows what is missing")
            return shapes.total(data), found

        return self._read_search(of, page, search.page(query, end, names))

    def _read_search(
        self, of: ObjectType, shape: Callable[[Any], R], body: Mapping[str, object]
    ) -> R:
        path = f"{_OBJECTS}/{of.plural}/search"
        return self._read(f"{of.singular} search", shape, "POST", path, body=body)

    def _require_all(self, call: str, what: str, total: int, came: int, accepted: int = 0) -> None:
        if total - came > accepted:
            self.http.list_changed(call, f"it promises {total:,} {what}, but {came:,} came")
