"""One HubSpot account: its records and settings, who may call it, and how often.

Sources: https://developers.hubspot.com/docs/developer-tooling/platform/usage-guidelines
https://developers.hubspot.com/docs/api-reference/error-handling
https://developers.hubspot.com/docs/api-reference/legacy/crm/objects/companies/merge-companies
"""

from __future__ import annotations

import itertools
import re
from functools import lru_cache
from typing import Any, Dict, Iterable, Mapping, Optional, Pattern, Sequence
from urllib.parse import unquote
from uuid import UUID

from . import search
from .core import Answer, Headers, Refusal, Request, Service, Watched, Window
from .hubspot_properties import (
    Definitions,
    default_definitions,
    definition,
    is_unique,
    opt_out,
    opt_out_name,
)

Record = Dict[str, Optional[str]]

SCOPES = (
    "communication_preferences.read",
    "communication_preferences.write",
    "crm.lists.read",
    "crm.objects.companies.read",
    "crm.objects.companies.write",
    "crm.objects.contacts.read",
    "crm.objects.contacts.write",
    "crm.schemas.companies.read",
    "crm.schemas.contacts.read",
)
KINDS = {
    "company": "companies",
    "companies": "companies",
    "0-2": "companies",
    "contact": "contacts",
    "contacts": "contacts",
    "0-1": "contacts",
}
TYPE_IDS = {"companies": "0-2", "contacts": "0-1"}
KIND = f"(?i:{'|'.join(KINDS)})"
PARTS = {"kind": KIND, "to": KIND, "type": "0-[12]"}  # of a path
SERVED = "/(crm/v[34]|account-info/v3|communication-preferences/v[34])/"
UNSUPPORTED = {"propertiesWithHistory", "dataSensitivity", "locale", "businessUnitId", "before"}
NOT_FOUND = (
    b"<html><head><title>Error 404 Not Found</title></head><body>HTTP ERROR 404</body></html>"
)

CREATED = "2026-01-05T09:00:00.000Z"  # of every record that does not say otherwise
TOOK = {"status": "COMPLETE", "startedAt": CREATED, "completedAt": CREATED}
MODIFIED = {"companies": "hs_lastmodifieddate", "contacts": "lastmodifieddate"}
DEFAULTS = {"companies": ("name", "domain"), "contacts": ("email", "firstname", "lastname")}
MERGED = {
    "companies": ("domain", "hs_additional_domains"),
    "contacts": ("email", "hs_additional_emails"),
}
CONTACT_TO_COMPANY, PRIMARY_COMPANY = 279, 1
WATCHED = ("companies", "contacts", "properties", "stale", "stale_contacts", "associations")
DOCS_AUTH = "https://developers.hubspot.com/docs/methods/auth/oauth-overview"
DOCS_SCOPES = "https://developers.hubspot.com/scopes"


class Account(Service):
    """What the endpoints share; `HubSpot` describes the attributes."""

    name = "hubspot"
    prefix = "/hubspot"

    companies: dict[int, Record]
    contacts: dict[int, Record]
    properties: Definitions
    stale: dict[int, Record | None]
    stale_contacts: dict[int, Record | None]
    associations: dict[int, dict[int, list[int]]]

    resolve_merged_ids = False
    scopes_named_in = "errors[].context.requiredGranularScopes"

    def __init__(
        self,
        companies: Iterable[Mapping[str, Any]] = (),
        contacts: Iterable[Mapping[str, Any]] = (),
        *,
        properties: Definitions | None = None,
        subscriptions: Mapping[int, str] | None = None,
        token: str = "pat-made-up-token-of-the-sandbox",
        scopes: Iterable[str] = SCOPES,
        portal_id: int = 12345,
        searches_per_second: int | None = 5,
        requests_per_ten_seconds: int | None = 190,
        requests_per_day: int | None = None,
        page_limit: int | None = None,
        multi_select_in_matches: bool = True,
        auto_associate: bool = False,
        conflict_as_400: bool = False,
        index_lag_s: float = 0.0,
    ) -> None:
        self._matches: dict[str, list[int]] = {}
        self._holders: dict[tuple[str, str, bool], dict[str, int]] = {}
        super().__init__()
        self._pending: dict[tuple[str, int], tuple[float, Record | None]] = {}
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
        self.archived: dict[str, dict[int, Record]] = {"companies": {}, "contacts": {}}
        self.merged: dict[str, dict[int, int]] = {"companies": {}, "contacts": {}}
        self.associations = {}
        self.subscriptions = dict(subscriptions or {})
        self.properties = self._all_definitions(properties or {})

    def __setattr__(self, name: str, value: Any) -> None:
        super().__setattr__(name, Watched(self.touch, value) if name in WATCHED else value)
        if not name.startswith("_"):
            self.touch()

    def touch(self) -> None:
        """Forget what searches found; every edit of a record does it by itself."""
        self._matches.clear()
        self._holders.clear()

    def use_allowance(self, searches: int) -> None:
        """Let another app of the account make searches now."""
        with self.lock:
            self._windows["secondly"].add(searches, self.clock())

    def table(self, kind: str) -> dict[int, Record]:
        """Records of "companies" or "contacts"."""
        return self.companies if kind == "companies" else self.contacts

    def _table(self, entries: Iterable[Mapping[str, Any]]) -> dict[int, Record]:
        ids = itertools.count(101)
        table: dict[int, Record] = {}
        for entry in entries:
            key = int(entry.get("id") or next(free for free in ids if free not in table))
            table[key] = {name: value for name, value in entry.items() if name != "id"}
        return table

    def _all_definitions(self, given: Definitions) -> Definitions:
        """The defaults, the given ones, and text for every other name that a record uses."""
        known = default_definitions()
        types = self.subscriptions.items()
        known["contacts"].update({opt_out_name(key): opt_out(name) for key, name in types})
        for kind, names in known.items():
            names.update(given.get(kind, {}))
            used = {name for record in self.table(kind).values() for name in record}
            names.update({name: definition("string") for name in used.difference(names)})
        return known

    # Records: what a user or another app does to them.

    def add(self, kind: str, record: Record) -> int:
        """A new record's id; searches find it when `index_lag_s` has passed."""
        key = next(key for key in self._ids if key not in self.table(kind))
        self._lag(kind, key, None)
        self.table(kind)[key] = record
        return key

    def edit(self, kind: str, key: int, **properties: str | None) -> None:
        """Change a record; searches go by its old values until `index_lag_s` has passed."""
        with self.lock:
            record = self.table(kind)[key]
            self._lag(kind, key, dict(record))
            record.update(properties)

    def _lag(self, kind: str, key: int, seen: Record | None) -> None:
        if self.index_lag_s:
            _, seen = self._pending.get((kind, key), (0.0, seen))
            self._pending[kind, key] = (self.clock() + self.index_lag_s, seen)

    def archive(self, kind: str, key: int) -> None:
        """Delete a record as HubSpot does: it can still be read as an archived one."""
        with self.lock:
            self.archived[kind][key] = dict(self.table(kind).pop(key))
            if kind == "contacts":
                self.associations.pop(key, None)
            for links in self.associations.values() if kind == "companies" else ():
                links.pop(key, None)

    def merge(self, kind: str, winner: int, loser: int) -> int:
        """Merge two records; the id of the new one, for both old ids go."""
        with self.lock:
            kept, lost = self.table(kind).pop(winner), self.table(kind).pop(loser)
            filled = {name: value for name, value in kept.items() if value}
            key = self.add(kind, {**lost, **filled, **_both(kind, kept, lost)})
            merged = self.merged[kind]
            olds = [old for old, new in merged.items() if new in (winner, loser)]
            merged.update(dict.fromkeys((*olds, winner, loser), key))
            ids = sorted(old for old, new in merged.items() if new == key)
            self.table(kind)[key]["hs_merged_object_ids"] = ";".join(map(str, ids))
            self._move_links(kind, (loser, winner), key)  # the last primary company stays
            return key

    def _move_links(self, kind: str, olds: Sequence[int], new: int) -> None:
        if kind == "contacts":
            taken = [self.associations.pop(old, {}) for old in olds]
            pairs = [(new, company, types) for links in taken for company, types in links.items()]
        else:
            items = self.associations.items()
            pairs = [(one, new, links.pop(old, [])) for one, links in items for old in olds]
        for contact, company, types in pairs:
            if types:
                self.link(contact, company, *types)

    def link(self, contact: int, company: int, *types: int) -> list[int]:
        """Associate; the contact's first company becomes its primary one."""
        links = self.associations.setdefault(contact, {})
        known = {CONTACT_TO_COMPANY, *links.get(company, ()), *types}
        if not links or PRIMARY_COMPANY in types:
            for other, others in links.items():
                links[other] = [each for each in others if each != PRIMARY_COMPANY]
            known.add(PRIMARY_COMPANY)
        links[company] = sorted(known, reverse=True)
        return links[company]

    def value(self, kind: str, key: int, record: Mapping[str, str | None], name: str) -> str | None:
        """A property as answered and searched; a few are not the record's own."""
        if name == search.ID:
            return str(key)
        if name == "associatedcompanyid":
            links = self.associations.get(key, {}) if kind == "contacts" else {}
            primary = [each for each, types in links.items() if PRIMARY_COMPANY in types]
            return str(primary[0]) if primary else record.get(name)
        fixed = CREATED if name in ("createdate", MODIFIED[kind]) else None
        return record.get(name, fixed)

    def lookup(
        self, kind: str, text: str, by: str | None = None, archived: bool = False
    ) -> int | None:
        """The id of a record, given as text or as the value of the unique property `by`."""
        table = self.archived[kind] if archived else self.table(kind)
        if by and not is_unique(by, self.properties[kind].get(by, {})):
            raise self.error(400, f"The property {by!r} does not exist or is not unique.")
        if by and by != search.ID:
            return self._holders_of(kind, by, archived).get(_folded(text))
        key = int(text) if text.isdecimal() else 0
        key = self.merged[kind].get(key, key) if self.resolve_merged_ids else key
        return key if key in table else None

    def _holders_of(self, kind: str, by: str, archived: bool) -> dict[str, int]:
        """Value -> the id of the record that holds it, remembered until a record changes."""
        key = (kind, by, archived)
        if key not in self._holders:
            table = self.archived[kind] if archived else self.table(kind)
            rows = reversed(list(table.items()))  # of several the first counts
            self._holders[key] = {_folded(record.get(by)): id for id, record in rows}
        return self._holders[key]

    def existing(self, kind: str, text: str, by: str | None = None, archived: bool = False) -> int:
        """`lookup`, or a 404."""
        key = self.lookup(kind, text, by, archived)
        if key is None:
            raise self.error(404, "Object not found. objectId are usually numeric.")
        return key

    def index(self, kind: str) -> dict[int, Record]:
        """The records as the search index sees them."""
        late = {key: seen for (of, key), (_, seen) in self._pending.items() if of == kind}
        stale = {**late, **(self.stale if kind == "companies" else self.stale_contacts)}
        shown = {key: stale.get(key, record) for key, record in self.table(kind).items()}
        return {key: record for key, record in shown.items() if record is not None}

    def settle(self) -> None:
        """Let the index catch up with the changes that are old enough."""
        now = self.clock()
        late = {change: seen for change, seen in self._pending.items() if seen[0] > now}
        if len(late) < len(self._pending):
            self._pending = late
            self.touch()

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
            categories = {404: "OBJECT_NOT_FOUND", 500: "INTERNAL_ERROR", 501: "NOT_IMPLEMENTED"}
            more["category"] = categories.get(status, "VALIDATION_ERROR")
        serial = str(UUID(int=next(self._serial)))
        body = {"status": "error", "message": message, "correlationId": serial}
        return Refusal(status, {**body, **more})

    def _too_many(self, period: str, **more: str) -> Refusal:
        return self.error(429, f"You have reached your {period} limit.", **more)

    def need(self, *scopes: str) -> None:
        """A 403 unless the token has one of the scopes."""
        if self.scopes.isdisjoint(scopes):
            message = "This app hasn't been granted all required scopes to make this call."
            raise self.error(
                403,
                f"{message} Read more about required scopes here: {DOCS_SCOPES}.",
                **_nested(self.scopes_named_in, list(scopes)),
                links={"scopes": DOCS_SCOPES},
                category="MISSING_SCOPES",
            )

    # Paths like "/crm/v3/objects/{kind}/{id}"; kinds go by names and by type ids.

    def _route(self, request: Request) -> Answer:
        foreign = UNSUPPORTED.intersection(request.query)
        if foreign:
            raise self.error(501, f"This sandbox does not serve {', '.join(sorted(foreign))}.")
        for method, path, handler in self.routes():
            found = _pattern(path).fullmatch(request.path)
            if found and method == request.method:
                return handler(request, *_arguments(found.groupdict()))
        if re.match(SERVED, request.path):
            raise self.error(501, f"This sandbox does not serve {request.method} {request.path}.")
        raise Refusal(404, NOT_FOUND, (("Content-Type", "text/html;charset=utf-8"),))


@lru_cache(maxsize=None)
def _pattern(path: str) -> Pattern[str]:
    def group(name: str) -> str:
        return f"(?P<{name}>{PARTS.get(name, '[^/]+')})"

    return re.compile(re.sub(r"{(\w+)}", lambda found: group(str(found[1])), path))


def _arguments(parts: Mapping[str, str]) -> list[str]:
    return [
        KINDS[part.lower()] if name in ("kind", "to") else unquote(part)
        for name, part in parts.items()
    ]


def _nested(path: str, scopes: list[str]) -> dict[str, Any]:
    """The scopes at a place like "errors[].context.requiredScopes", or nowhere."""
    value: Any = scopes
    for name in reversed(path.split(".") if path else ()):
        entry = {"message": "One or more of the following scopes are required."}
        value = {name[:-2]: [{**entry, **value}]} if name.endswith("[]") else {name: value}
    return dict(value) if path else {}


def _both(kind: str, kept: Record, lost: Record) -> Record:
    """Domains or addresses of a merged record other than its main one."""
    own, others = MERGED[kind]
    main = kept.get(own) or lost.get(own)
    given = [kept.get(others), lost.get(own), lost.get(others)]
    each = [part.strip() for text in given for part in (text or "").split(";")]
    rest = [part for part in dict.fromkeys(each) if part and part != main]
    return {others: "; ".join(rest)} if rest else {}


def _folded(text: str | None) -> str:
    return (text or "").strip().lower()
