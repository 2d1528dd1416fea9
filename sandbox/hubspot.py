"""HubSpot's CRM, as far as companies, contacts and their associations go.

Sources: https://developers.hubspot.com/docs/api-reference/search/guide
https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
https://developers.hubspot.com/docs/api-reference/error-handling
"""

from __future__ import annotations

import itertools
import json
import re
from typing import Any, Callable, Dict, Iterable, List, Mapping, Optional, Set, Tuple
from uuid import UUID

from . import search
from .core import Answer, Headers, Refusal, Request, Service, Watched, Window

Record = Dict[str, Optional[str]]
Definitions = Dict[str, Dict[str, search.Definition]]

SCOPES = (
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.companies.read",
    "crm.schemas.contacts.read",
)
FIELD_TYPES = {
    "string": "text",
    "number": "number",
    "date": "date",
    "datetime": "date",
    "enumeration": "select",
    "bool": "booleancheckbox",
}
PROPERTIES = {
    "companies": {
        "hs_object_id": "number",
        "createdate": "datetime",
        "hs_lastmodifieddate": "datetime",
        "name": "string",
        "domain": "string",
        "hs_additional_domains": "string",
        "ecommerce_platform": "enumeration",
        "alexa": "number",
    },
    "contacts": {
        "hs_object_id": "number",
        "createdate": "datetime",
        "lastmodifieddate": "datetime",
        "email": "string",
        "firstname": "string",
        "lastname": "string",
        "company": "string",
        "phone": "string",
        "city": "string",
        "state": "string",
        "zip": "string",
        "country": "string",
        "lifetime_value": "number",
        "last_order": "date",
        "hs_email_optout": "bool",
        "hs_email_bad_address": "bool",
        "hs_email_quarantined": "bool",
        "hs_email_hard_bounce_reason_enum": "enumeration",
    },
}
OPTIONS = {
    "ecommerce_platform": ("shopify", "magento_2", "woocommerce", "shopware"),
    "hs_email_hard_bounce_reason_enum": ("OTHER", "UNKNOWN_USER", "MAILBOX_FULL", "SPAM"),
}
MAX_LIST_LIMIT = MAX_BATCH = 100
CREATED = "2026-01-05T09:00:00.000Z"  # of every record that does not say otherwise
MODIFIED = {"companies": "hs_lastmodifieddate", "contacts": "lastmodifieddate"}
DEFAULTS = {"companies": ("name", "domain"), "contacts": ("email", "firstname", "lastname")}
CONTACT_TO_COMPANY, PRIMARY_COMPANY = 279, 1
DEFINED = "HUBSPOT_DEFINED"
WATCHED = ("companies", "contacts", "properties", "stale", "stale_contacts")
KINDS = "(companies|contacts)"
ASSOCIATIONS = r"/crm/v4/objects/contacts?/(\d+)/associations"
DOCS_AUTH = "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
DOCS_SCOPES = "https://developers.hubspot.com/scopes"


def definition(
    kind: str, field: Optional[str] = None, options: Iterable[str] = ()
) -> search.Definition:
    """A property as the properties endpoint describes it (name and label are added later)."""
    labels = {value: value.replace("_", " ").title() for value in options}
    choices = [{"label": label, "value": value} for value, label in labels.items()]
    return {"type": kind, "fieldType": field or FIELD_TYPES[kind], "options": choices}


def _default_definitions() -> Definitions:
    return {
        kind: {name: definition(of, None, OPTIONS.get(name, ())) for name, of in names.items()}
        for kind, names in PROPERTIES.items()
    }


class HubSpot(Service):
    """One HubSpot account; every attribute may be changed while it serves (see `lock`).

    companies, contacts   id -> properties; given as dicts, "id" optional
    properties            "companies" or "contacts" -> name -> definition
    associations          contact id -> company id -> type ids
    stale, stale_contacts id -> properties as the search index still sees them, None: not yet
    page_limit            search pages hold no more than this, whatever is asked
    requests_per_day      None is no limit, like for the other two rates
    multi_select_in_matches  whether IN finds one option within a stored "a;b"
    auto_associate        the setting "Create and associate companies with contacts"
    conflict_as_400       a taken e-mail address is answered as it is in a race
    index_lag_s           seconds until a created record can be found
    """

    name = "hubspot"
    prefix = "/hubspot"

    companies: Dict[int, Record]
    contacts: Dict[int, Record]
    properties: Definitions
    stale: Dict[int, Optional[Record]]
    stale_contacts: Dict[int, Optional[Record]]

    def __init__(
        self,
        companies: Iterable[Mapping[str, Any]] = (),
        contacts: Iterable[Mapping[str, Any]] = (),
        *,
        properties: Optional[Definitions] = None,
        token: str = "pat-made-up-token-of-the-sandbox",
        scopes: Iterable[str] = SCOPES,
        portal_id: int = 12345,
        searches_per_second: Optional[int] = 5,
        requests_per_ten_seconds: Optional[int] = 190,
        requests_per_day: Optional[int] = None,
        page_limit: Optional[int] = None,
        multi_select_in_matches: bool = True,
        auto_associate: bool = False,
        conflict_as_400: bool = False,
        index_lag_s: float = 0.0,
    ) -> None:
        self._matches: Dict[str, List[int]] = {}
        super().__init__()
        self._indexed_at: Dict[Tuple[str, int], float] = {}
        self._windows = {"secondly": Window(1), "ten": Window(10), "daily": Window(86_400)}
        self._serial = itertools.count(1)
        self._ids = itertools.count(30_000_000_001)
        self.token, self.scopes, self.portal_id = token, set(scopes), portal_id
        self.searches_per_second = searches_per_second
        self.requests_per_ten_seconds = requests_per_ten_seconds
        self.requests_per_day, self.page_limit = requests_per_day, page_limit
        self.multi_select_in_matches = multi_select_in_matches
        self.auto_associate, self.conflict_as_400 = auto_associate, conflict_as_400
        self.index_lag_s = index_lag_s
        self.companies, self.contacts = self._table(companies), self._table(contacts)
        self.stale, self.stale_contacts = {}, {}
        self.associations: Dict[int, Dict[int, List[int]]] = {}
        self.properties = self._all_definitions(properties or {})

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, Watched(self.touch, value) if name in WATCHED else value)
        if not name.startswith("_"):
            self.touch()

    def touch(self) -> None:
        """Forget what searches found; every edit of a record does it by itself."""
        self._matches.clear()

    def use_allowance(self, searches: int) -> None:
        """Let another app of the account make searches now."""
        with self.lock:
            self._windows["secondly"].add(searches, self.clock())

    def table(self, kind: str) -> Dict[int, Record]:
        """Records of "companies" or "contacts"."""
        return self.companies if kind == "companies" else self.contacts

    def _table(self, entries: Iterable[Mapping[str, Any]]) -> Dict[int, Record]:
        ids = itertools.count(101)
        table: Dict[int, Record] = {}
        for entry in entries:
            key = int(entry.get("id") or next(free for free in ids if free not in table))
            table[key] = {name: value for name, value in entry.items() if name != "id"}
        return table

    def _all_definitions(self, given: Definitions) -> Definitions:
        """The defaults, the given ones, and text for every other name that a record uses."""
        known = _default_definitions()
        for kind, names in known.items():
            names.update(given.get(kind, {}))
            used = {name for record in self.table(kind).values() for name in record}
            names.update({name: definition("string") for name in used.difference(names)})
        return known

    # Admission: credentials, then the rates, then (in each handler) the scopes.

    def admit(self, request: Request) -> Headers:
        if request.headers.get("Authorization") != f"Bearer {self.token}":
            message = f"Authentication credentials not found. See {DOCS_AUTH}"
            raise self.error(401, message, category="INVALID_AUTHENTICATION")
        now = self.clock()
        if not self._windows["daily"].take(self.requests_per_day, now):
            raise self._too_many("daily", policyName="DAILY", errorType="RATE_LIMIT")
        if request.path.endswith("/search"):
            if not self._windows["secondly"].take(self.searches_per_second, now):
                raise self._too_many("secondly", category="RATE_LIMITS")
        elif not self._windows["ten"].take(self.requests_per_ten_seconds, now):
            policy = "TEN_SECONDLY_ROLLING"
            raise self._too_many(policy.lower(), policyName=policy, errorType="RATE_LIMIT")
        return ()

    def error(self, status: int, message: str, **more: Any) -> Refusal:
        if not {"category", "policyName"} & set(more):
            more["category"] = "OBJECT_NOT_FOUND" if status == 404 else "VALIDATION_ERROR"
        serial = str(UUID(int=next(self._serial)))
        body = {"status": "error", "message": message, "correlationId": serial}
        return Refusal(status, {**body, **more})

    def _too_many(self, period: str, **more: str) -> Refusal:
        return self.error(429, f"You have reached your {period} limit.", **more)

    def _need(self, *scopes: str) -> None:
        if self.scopes.isdisjoint(scopes):
            message = "This app hasn't been granted all required scopes to make this call."
            context = {"requiredGranularScopes": list(scopes)}
            hint = "One or more of the following scopes are required."
            raise self.error(
                403,
                f"{message} Read more about required scopes here: {DOCS_SCOPES}.",
                errors=[{"message": hint, "context": context}],
                links={"scopes": DOCS_SCOPES},
                category="MISSING_SCOPES",
            )

    def routes(self) -> List[Tuple[str, str, Callable[..., Answer]]]:
        return [
            ("POST", f"/crm/v3/objects/{KINDS}/search", self._search),
            ("GET", f"/crm/v3/properties/{KINDS}/([^/]+)", self._property),
            ("GET", f"/crm/v3/objects/{KINDS}", self._list),
            ("POST", f"/crm/v3/objects/{KINDS}", self._create),
            ("POST", f"/crm/v3/objects/{KINDS}/batch/read", self._batch_read),
            ("PUT", rf"{ASSOCIATIONS}/default/compan(?:y|ies)/(\d+)", self._associate),
            ("GET", f"{ASSOCIATIONS}/compan(?:y|ies)", self._associated),
            ("GET", "/account-info/v3/details", self._account),
        ]

    # Search.

    def _search(self, request: Request, kind: str) -> Answer:
        self._need(f"crm.objects.{kind}.read")
        try:
            query = search.parse(request.body, self.properties[kind])
            ids = self._find(kind, query)
        except search.Invalid as error:
            raise self.error(400, str(error)) from None
        end = query.after + min(query.limit, self.page_limit or query.limit)
        page = [self._shown(kind, key, query.properties) for key in ids[query.after : end]]
        body: Dict[str, Any] = {"total": len(ids), "results": page}
        if end < len(ids):
            body["paging"] = {"next": {"after": str(end)}}
        return Answer(200, body)

    def _find(self, kind: str, query: search.Query) -> List[int]:
        """Ids of the live records that the index says match, in the order asked for."""
        found = [self._find_group(kind, group) for group in query.groups]
        ids = found[0] if len(found) == 1 else sorted(set().union(*found))
        lagging = self._lagging(kind)
        ids = [key for key in ids if key not in lagging] if lagging else ids
        if query.sort == search.ID:
            return ids[::-1] if query.descending else ids
        return self._sorted(kind, ids, query)

    def _find_group(self, kind: str, group: List[search.Filter]) -> List[int]:
        ids = self._matching(kind, [each for each in group if not each.on_id_range()])
        for wanted in group:
            ids = search.within(ids, wanted) if wanted.on_id_range() else ids
        return ids

    def _matching(self, kind: str, filters: List[search.Filter]) -> List[int]:
        """Sorted ids, remembered until a record changes: a page then costs a bisection."""
        key = json.dumps([kind, filters])
        if key not in self._matches:
            self._matches[key] = self._scan(kind, filters)
        return self._matches[key]

    def _scan(self, kind: str, filters: List[search.Filter]) -> List[int]:
        definitions, multi = self.properties[kind], self.multi_select_in_matches
        tests = [
            (each.name, search.predicate(each, definitions[each.name], multi)) for each in filters
        ]
        return [
            key
            for key, record in sorted(self._index(kind).items())
            if all(matches(_value(kind, key, record, name)) for name, matches in tests)
        ]

    def _index(self, kind: str) -> Dict[int, Record]:
        """The records as the search index sees them."""
        stale = self.stale if kind == "companies" else self.stale_contacts
        seen = {key: stale.get(key, record) for key, record in self.table(kind).items()}
        return {key: record for key, record in seen.items() if record is not None}

    def _lagging(self, kind: str) -> Set[int]:
        """Ids of created records that the index does not list yet."""
        now = self.clock()
        self._indexed_at = {each: due for each, due in self._indexed_at.items() if due > now}
        return {key for (created_kind, key) in self._indexed_at if created_kind == kind}

    def _sorted(self, kind: str, ids: List[int], query: search.Query) -> List[int]:
        read, table = search.reader(self.properties[kind][query.sort]), self.table(kind)
        values = {
            key: search.stored(read, _value(kind, key, table[key], query.sort)) for key in ids
        }
        filled = [key for key in ids if values[key] is not None]
        filled.sort(key=lambda key: values[key], reverse=query.descending)
        return filled + [key for key in ids if values[key] is None]

    # Records.

    def _shown(self, kind: str, key: int, names: Optional[List[str]]) -> Dict[str, Any]:
        """A record as answered: live values, null when unset, names without a property left out."""
        record = self.table(kind)[key]
        wanted = names if names else DEFAULTS[kind]
        always = ("createdate", MODIFIED[kind], search.ID)
        shown = [name for name in (*always, *wanted) if name in self.properties[kind]]
        return {
            "id": str(key),
            "properties": {name: _value(kind, key, record, name) for name in shown},
            "createdAt": _value(kind, key, record, "createdate"),
            "updatedAt": _value(kind, key, record, MODIFIED[kind]),
            "archived": False,
        }

    def _list(self, request: Request, kind: str) -> Answer:
        self._need(f"crm.objects.{kind}.read")
        limit, after = self.whole(request, "limit", 10), self.whole(request, "after", 0, 0)
        if limit > MAX_LIST_LIMIT:
            raise self.error(400, f"The limit {limit} exceeds the maximum of {MAX_LIST_LIMIT}.")
        ids = sorted(key for key in self.table(kind) if key >= after)
        names = request.query.get("properties", "").split(",")
        page = [self._shown(kind, key, [n for n in names if n]) for key in ids[:limit]]
        body: Dict[str, Any] = {"results": page}
        if len(ids) > limit:
            body["paging"] = {"next": {"after": str(ids[limit - 1] + 1)}}
        return Answer(200, body)

    def _existing(self, kind: str, key: str) -> int:
        if int(key) not in self.table(kind):
            raise self.error(404, "Object not found. objectId are usually numeric.")
        return int(key)

    def _batch_read(self, request: Request, kind: str) -> Answer:
        self._need(f"crm.objects.{kind}.read")
        body = self.body(request)
        texts = [str(entry.get("id")) for entry in body.get("inputs", [])]
        if len(texts) > MAX_BATCH or not all(map(str.isdigit, texts)):
            raise self.error(400, f"The inputs must be record ids, {MAX_BATCH} at most.")
        keys = [int(text) for text in texts]
        known = sorted(set(keys).intersection(self.table(kind)))  # not in the order of the inputs
        answer: Dict[str, Any] = {"status": "COMPLETE"}
        answer["results"] = [self._shown(kind, key, body.get("properties")) for key in known]
        missing = sorted(str(key) for key in set(keys).difference(known))
        if missing:
            error = {"category": "OBJECT_NOT_FOUND", "message": "Could not get some objects"}
            answer.update(numErrors=1, errors=[{**error, "context": {"ids": missing}}])
        return Answer(207 if missing else 200, answer)

    def _create(self, request: Request, kind: str) -> Answer:
        self._need(f"crm.objects.{kind}.write")
        body = self.body(request)
        if set(body) != {"properties"} or not isinstance(body["properties"], dict):
            raise self.error(400, "This sandbox creates from {properties: {...}} and no more.")
        given = body["properties"].items()
        properties = {name: "" if value is None else str(value) for name, value in given}
        self._check(kind, properties)
        if kind == "contacts":
            properties = self._unique(properties)
        key = self._add(kind, dict(properties))
        if kind == "contacts" and self.auto_associate:
            self._associate_by_domain(key, properties.get("email", ""))
        return Answer(201, self._shown(kind, key, list(properties)), wrote=True)

    def _check(self, kind: str, properties: Mapping[str, str]) -> None:
        """Refuse unknown properties, unknown options, and what is no number or address."""
        for name, value in properties.items():
            known = self.properties[kind].get(name)
            flaw = _flaw(name, value, known)
            if flaw:
                detail = {"isValid": False, "message": flaw[1], "error": flaw[0], "name": name}
                raise self.error(400, f"Property values were not valid: {json.dumps([detail])}")

    def _unique(self, properties: Dict[str, str]) -> Dict[str, str]:
        """The properties with the address in lower case; an error when a contact has it."""
        email = properties.get("email", "").strip().lower()
        for key, record in self.contacts.items():
            if email and (record.get("email") or "").strip().lower() == email:
                raise self._conflict(key, email)
        return {**properties, "email": email} if email else properties

    def _conflict(self, key: int, email: str) -> Refusal:
        if self.conflict_as_400:
            text = f"Cannot set propertyName=email, value={email} on {next(self._ids)}."
            return self.error(400, f"{text} {key} already has that value.")
        message = f"Contact already exists. Existing ID: {key}"
        return self.error(409, message, category="CONFLICT")

    def _add(self, kind: str, record: Record) -> int:
        key = next(key for key in self._ids if key not in self.table(kind))
        self.table(kind)[key] = record
        if self.index_lag_s:
            self._indexed_at[kind, key] = self.clock() + self.index_lag_s
        return key

    def _associate_by_domain(self, contact: int, email: str) -> None:
        """The account setting at work: the oldest company of the domain, or a new one."""
        domain = email.rpartition("@")[2]
        same = [key for key, record in self.companies.items() if record.get("domain") == domain]
        if domain:
            company = min(same) if same else self._add("companies", {"domain": domain})
            self._link(contact, company)

    # Properties, associations, account.

    def _property(self, _: Request, kind: str, name: str) -> Answer:
        self._need(f"crm.schemas.{kind}.read")
        if name not in self.properties[kind]:
            raise self.error(404, f"Property {name} does not exist")
        known = self.properties[kind][name]
        return Answer(200, {"name": name, "label": name, "archived": False, **known})

    def _associate(self, _: Request, contact: str, company: str) -> Answer:
        self._need("crm.objects.contacts.write")
        self._existing("contacts", contact)
        self._existing("companies", company)
        types = self._link(int(contact), int(company))
        pair = {"from": {"id": contact}, "to": {"id": company}}
        specs = [{"associationCategory": DEFINED, "associationTypeId": each} for each in types]
        made = [{**pair, "associationSpec": spec} for spec in specs]
        return Answer(200, {"status": "COMPLETE", "results": made}, wrote=True)

    def _link(self, contact: int, company: int) -> List[int]:
        """The contact's first company becomes its primary one."""
        links = self.associations.setdefault(contact, {})
        primary = [] if links else [PRIMARY_COMPANY]
        return links.setdefault(company, [CONTACT_TO_COMPANY, *primary])

    def _associated(self, _: Request, contact: str) -> Answer:
        self._need("crm.objects.contacts.read")
        links = self.associations.get(self._existing("contacts", contact), {})
        return Answer(200, {"results": [_association(key, links[key]) for key in sorted(links)]})

    def _account(self, _: Request) -> Answer:
        account = {"portalId": self.portal_id, "accountType": "STANDARD", "timeZone": "UTC"}
        return Answer(200, {**account, "uiDomain": "app.hubspot.com", "utcOffset": "+00:00"})


def _association(company: int, types: List[int]) -> Dict[str, Any]:
    labels = {PRIMARY_COMPANY: "Primary"}
    described = [{"category": DEFINED, "typeId": t, "label": labels.get(t)} for t in types]
    return {"toObjectId": company, "associationTypes": described}


def _value(kind: str, key: int, record: Mapping[str, Optional[str]], name: str) -> Optional[str]:
    if name == search.ID:
        return str(key)
    fixed = CREATED if name in ("createdate", MODIFIED[kind]) else None
    return record.get(name, fixed)


def _flaw(name: str, value: str, known: Optional[search.Definition]) -> Optional[Tuple[str, str]]:
    """HubSpot's code and message for a value that it does not accept."""
    if known is None:
        return "PROPERTY_DOESNT_EXIST", f'Property "{name}" does not exist'
    options = [option["value"] for option in known.get("options", ())]
    if known["type"] == "enumeration" and value and value not in options:
        return "INVALID_OPTION", f"{value} was not one of the allowed options: {options}"
    if known["type"] == "number" and not re.fullmatch(r"(-?\d+(\.\d+)?)?", value):
        return "INVALID_NUMBER", f"{value} was not a valid number."
    if name == "email" and not re.fullmatch(r"\s*[^@\s]+@[^@\s]+\.[^@\s]+\s*", value):
        return "INVALID_EMAIL", f"Email address {value} is invalid"
    return None
