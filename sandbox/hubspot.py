"""HubSpot's CRM, as far as companies, contacts, lists and consent go.

Source: https://developers.hubspot.com/docs/api-reference/search/guide
"""

from __future__ import annotations

import itertools
import json
from typing import Any, Mapping, Sequence

from . import search
from .core import Answer, Refusal, Request, Route
from .hubspot_account import CREATED, DEFAULTS, KINDS, MODIFIED, TOOK, Record
from .hubspot_associations import Associations
from .hubspot_consent import Consent
from .hubspot_lists import Lists
from .hubspot_properties import SEARCHED, definition, described, flaw

__all__ = ["HubSpot", "definition"]

MAX_LIST_LIMIT = MAX_BATCH = 100


class HubSpot(Associations, Lists, Consent):
    """One HubSpot account; every attribute may be changed while it serves (see `lock`).

    companies, contacts   id -> properties; given as dicts, "id" optional
    properties            "companies" or "contacts" -> name -> definition
    associations          contact id -> company id -> type ids
    labels                type id, as from contact to company, -> label of the account's own
    archived, merged      kind -> id -> properties; kind -> old id -> new id
    stale, stale_contacts id -> properties as the search index still sees them, None: not yet
    lists                 id -> RecordList; `add_list` makes one
    members_as_ids        whether a list's members are answered as ids alone, as they once were
    subscriptions         id -> name of a subscription type
    statuses              (address, subscription type) -> status, see `consent` and `set_consent`
    privacy_settings      whether consent is written only with a legal basis
    page_limit            search pages hold no more than this, whatever is asked
    to_object_id_as_text  whether `toObjectId` of an association is answered as text, not a number
    associations_limit    how many associated records a list gives with each record
    requests_per_day      None is no limit, like for the other two rates
    max_in_values         how many values IN takes, None: any number
    multi_select_in_matches  whether IN finds one option within a stored "a;b"
    auto_associate        the setting "Create and associate companies with contacts"
    conflict_as_400       a taken e-mail address is answered as it is in a race
    index_lag_s           seconds until searches see what was created or changed
    resolve_merged_ids    whether the id of a merged record leads to the new one
    scopes_named_in       where a 403 names the scopes, as in "errors[].context.requiredScopes",
                          "context.requiredGranularScopes" or "missingScopes"; "": nowhere
    """

    max_in_values: int | None = None

    def credentials(self) -> dict[str, str]:
        return {"HUBSPOT_ACCESS_TOKEN": self.token}

    def routes(self) -> list[Route]:
        objects = "/crm/v3/objects/{kind}"
        return [
            *super().routes(),
            ("POST", objects + "/search", self._search),
            ("GET", objects, self._list),
            ("POST", objects, self._create),
            ("GET", objects + "/{id}", self._read),
            ("PATCH", objects + "/{id}", self._update),
            ("POST", objects + "/batch/read", self._batch_read),
            ("GET", "/crm/v3/properties/{kind}", self._properties),
            ("GET", "/crm/v3/properties/{kind}/{name}", self._property),
            ("GET", "/account-info/v3/details", self._account),
        ]

    # Search.

    def _search(self, request: Request, kind: str) -> Answer:
        self.need(f"crm.objects.{kind}.read")
        try:
            query = search.parse(request.body, self.properties[kind])
            self._check_sets(query)
            ids = self._find(kind, query)
        except search.Invalid as error:
            raise self.error(400, str(error)) from None
        except search.NotServed as error:
            raise self.error(501, str(error)) from None
        end = query.after + min(query.limit, self.page_limit or query.limit)
        page = [self._shown(kind, key, query.properties) for key in ids[query.after : end]]
        body: dict[str, Any] = {"total": len(ids), "results": page}
        if end < len(ids):
            body["paging"] = {"next": {"after": str(end)}}
        return Answer(200, body)

    def _check_sets(self, query: search.Query) -> None:
        for wanted in itertools.chain.from_iterable(query.groups):
            if wanted.holds_more_than(self.max_in_values):
                raise search.Invalid(f"{wanted.operator} takes {self.max_in_values} values.")

    def _find(self, kind: str, query: search.Query) -> list[int]:
        """Ids of the live records that the index says match, in the order asked for."""
        self.settle()
        found = [self._find_group(kind, group) for group in query.groups]
        ids = found[0] if len(found) == 1 else sorted(set().union(*found))
        if query.sort == search.ID:
            return ids[::-1] if query.descending else ids
        return self._sorted(kind, ids, query)

    def _find_group(self, kind: str, group: list[search.Filter]) -> list[int]:
        ids = self._matching(kind, [each for each in group if not each.on_id_range()])
        for wanted in group:
            ids = search.within(ids, wanted) if wanted.on_id_range() else ids
        return ids

    def _matching(self, kind: str, filters: list[search.Filter]) -> list[int]:
        """Sorted ids, remembered until a record changes: a page then costs a bisection."""
        key = json.dumps([kind, filters])
        if key not in self._matches:
            self._matches[key] = self._scan(kind, filters)
        return self._matches[key]

    def _scan(self, kind: str, filters: list[search.Filter]) -> list[int]:
        known, multi = self.properties[kind], self.multi_select_in_matches
        tests = [
            (each.name, search.predicate(each, known.get(each.name, {}), multi)) for each in filters
        ]
        return [
            key
            for key, record in sorted(self.index(kind).items())
            if all(matches(self._text(kind, key, record, name)) for name, matches in tests)
        ]

    def _text(self, kind: str, key: int, record: Record, name: str) -> str | None:
        """What a filter on the property looks at."""
        if name != search.WORDS:
            return self.value(kind, key, record, name)
        return " ".join(filter(None, (record.get(each) for each in SEARCHED[kind])))

    def _sorted(self, kind: str, ids: list[int], query: search.Query) -> list[int]:
        read, table = search.reader(self.properties[kind][query.sort]), self.table(kind)
        values = {
            key: search.stored(read, self.value(kind, key, table[key], query.sort)) for key in ids
        }
        filled = [key for key in ids if values[key] is not None]
        filled.sort(key=lambda key: values[key], reverse=query.descending)
        return filled + [key for key in ids if values[key] is None]

    # Records.

    def _shown(
        self, kind: str, key: int, names: Sequence[str] | None, archived: bool = False
    ) -> dict[str, Any]:
        """A record as answered: live values, null when unset, names without a property left out."""
        record = self.archived[kind][key] if archived else self.table(kind)[key]
        wanted = names if names else DEFAULTS[kind]
        always = ("createdate", MODIFIED[kind], search.ID)
        shown = [name for name in (*always, *wanted) if name in self.properties[kind]]
        answer = {
            "id": str(key),
            "properties": {name: self.value(kind, key, record, name) for name in shown},
            "createdAt": self.value(kind, key, record, "createdate"),
            "updatedAt": self.value(kind, key, record, MODIFIED[kind]),
            "archived": archived,
        }
        return {**answer, "archivedAt": CREATED} if archived else answer

    def _asked(self, request: Request, kind: str, key: int) -> dict[str, Any]:
        """The record with the properties and associations that the query asks for."""
        shown = self._shown(kind, key, _names(request, "properties"), _is_archived(request))
        asked = _names(request, "associations")
        to = [KINDS.get(name.lower(), "") for name in asked]
        if "" in to:
            raise self.error(501, f"This sandbox has no associations with {', '.join(asked)}.")
        linked = {each: self.named(kind, key, each, self.associations_limit) for each in to}
        linked = {each: found for each, found in linked.items() if found["results"]}
        return {**shown, "associations": linked} if linked else shown

    def _list(self, request: Request, kind: str) -> Answer:
        self.need(f"crm.objects.{kind}.read")
        limit, after = self.whole(request, "limit", 10), self.whole(request, "after", 0, 0)
        if limit > MAX_LIST_LIMIT:
            raise self.error(400, f"The limit {limit} exceeds the maximum of {MAX_LIST_LIMIT}.")
        table = self.archived[kind] if _is_archived(request) else self.table(kind)
        ids = sorted(key for key in table if key >= after)
        body: dict[str, Any] = {"results": [self._asked(request, kind, key) for key in ids[:limit]]}
        if len(ids) > limit:
            body["paging"] = {"next": {"after": str(ids[limit - 1] + 1)}}
        return Answer(200, body)

    def _read(self, request: Request, kind: str, text: str) -> Answer:
        self.need(f"crm.objects.{kind}.read")
        key = self.existing(kind, text, request.query.get("idProperty"), _is_archived(request))
        return Answer(200, self._asked(request, kind, key))

    def _batch_read(self, request: Request, kind: str) -> Answer:
        self.need(f"crm.objects.{kind}.read")
        body, archived = self.body(request), _is_archived(request)
        texts, by = self._inputs(body), str(body.get("idProperty") or "")
        found = {text: self.lookup(kind, text, by, archived) for text in texts}
        known = sorted({key for key in found.values() if key is not None})  # not as asked for
        results = [self._shown(kind, key, body.get("properties"), archived) for key in known]
        missing = sorted(text for text, key in found.items() if key is None)
        if not missing:
            return Answer(200, {**TOOK, "results": results})
        errors = [_missing(missing)]
        return Answer(207, {**TOOK, "results": results, "numErrors": 1, "errors": errors})

    def _inputs(self, body: dict[str, Any]) -> list[str]:
        texts = [str(entry.get("id")) for entry in self.entries(body.get("inputs"), "inputs")]
        if body.get("propertiesWithHistory"):
            raise self.error(501, "This sandbox does not serve propertiesWithHistory.")
        if len(texts) > MAX_BATCH or not (body.get("idProperty") or all(map(str.isdecimal, texts))):
            raise self.error(400, f"The inputs must be record ids, {MAX_BATCH} at most.")
        return texts

    def _create(self, request: Request, kind: str) -> Answer:
        self.need(f"crm.objects.{kind}.write")
        body = self.body(request)
        properties = self._given(kind, body, "associations")
        if kind == "contacts":
            properties = self._unique(properties)
        given = self.entries(body.get("associations") or [], "associations")
        links = [self._link_from(kind, entry) for entry in given]
        key = self.add(kind, dict(properties))
        for other, types in links:
            self.link(*((key, other) if kind == "contacts" else (other, key)), *types)
        if kind == "contacts" and self.auto_associate:
            self._associate_by_domain(key, properties.get("email", ""))
        return Answer(201, self._shown(kind, key, list(properties)), wrote=True)

    def _given(self, kind: str, body: dict[str, Any], *more: str) -> dict[str, str]:
        """The properties of a body; a 400 for unknown ones, and for what does not fit."""
        if not {"properties"} <= set(body) <= {"properties", *more}:
            raise self.error(
                400, f"This sandbox takes {sorted({'properties', *more})} and no more."
            )
        if not isinstance(body["properties"], dict):
            raise self.error(400, "properties must be an object.")
        given = body["properties"].items()
        properties = {name: "" if value is None else str(value) for name, value in given}
        self._check(kind, properties)
        return properties

    def _link_from(self, kind: str, entry: dict[str, Any]) -> tuple[int, list[int]]:
        to = "companies" if kind == "contacts" else "contacts"
        specs, ends = (
            self.entries(entry.get("types"), "types"),
            self.entries([entry.get("to")], "to"),
        )
        types = [self.type_from(to, spec) for spec in specs]
        other = self.lookup(to, str(ends[0].get("id")))
        if other is None or not types:
            raise self.error(400, f"This association is not valid: {json.dumps(entry)}")
        return other, types

    def _update(self, request: Request, kind: str, text: str) -> Answer:
        self.need(f"crm.objects.{kind}.write")
        key = self.existing(kind, text, request.query.get("idProperty"))
        properties = self._given(kind, self.body(request))
        if kind == "contacts":
            properties = self._unique(properties, key)
        self.edit(kind, key, **properties)
        return Answer(200, self._shown(kind, key, list(properties)), wrote=True)

    def _check(self, kind: str, properties: Mapping[str, str]) -> None:
        """Refuse unknown properties, unknown options, and what is no number or address."""
        for name, value in properties.items():
            found = flaw(name, value, self.properties[kind].get(name))
            if found:
                detail = {"isValid": False, "message": found[1], "error": found[0], "name": name}
                raise self.error(400, f"Property values were not valid: {json.dumps([detail])}")

    def _unique(self, properties: dict[str, str], own: int | None = None) -> dict[str, str]:
        """The properties with the address in lower case; an error when another contact has it, if
        only besides its own."""
        email = properties.get("email", "").strip().lower()
        for key, record in self.contacts.items():
            theirs = f"{record.get('email') or ''};{record.get('hs_additional_emails') or ''}"
            if email and key != own and email in map(str.strip, theirs.lower().split(";")):
                raise self._conflict(key, email)
        return {**properties, "email": email} if email else properties

    def _conflict(self, key: int, email: str) -> Refusal:
        if self.conflict_as_400:
            text = f"Cannot set propertyName=email, value={email} on {next(self._ids)}."
            return self.error(400, f"{text} {key} already has that value.")
        message = f"Contact already exists. Existing ID: {key}"
        return self.error(409, message, category="CONFLICT")

    def _associate_by_domain(self, contact: int, email: str) -> None:
        """The account setting at work: the oldest company of the domain, or a new one."""
        domain = email.rpartition("@")[2]
        same = [key for key, record in self.companies.items() if record.get("domain") == domain]
        if domain:
            company = min(same) if same else self.add("companies", {"domain": domain})
            self.link(contact, company)

    # Properties, account.

    def _properties(self, request: Request, kind: str) -> Answer:
        self.need(f"crm.schemas.{kind}.read")
        known = {} if _is_archived(request) else self.properties[kind]
        return Answer(200, {"results": [described(kind, *each) for each in known.items()]})

    def _property(self, _: Request, kind: str, name: str) -> Answer:
        self.need(f"crm.schemas.{kind}.read")
        if name == "groups":
            raise self.error(501, "This sandbox does not serve groups of properties.")
        if name not in self.properties[kind]:
            raise self.error(404, f"Property {name} does not exist")
        return Answer(200, described(kind, name, self.properties[kind][name]))

    def _account(self, _: Request) -> Answer:
        account = {"portalId": self.portal_id, "accountType": "STANDARD", "timeZone": "UTC"}
        money = {"companyCurrency": "EUR", "additionalCurrencies": []}
        place = {"uiDomain": "app.hubspot.com", "dataHostingLocation": "na1"}
        offset = {"utcOffset": "+00:00", "utcOffsetMilliseconds": 0}
        return Answer(200, {**account, **money, **place, **offset})


def _names(request: Request, name: str) -> list[str]:
    return [each for each in request.query.get(name, "").split(",") if each]


def _is_archived(request: Request) -> bool:
    return request.query.get("archived", "").lower() == "true"


def _missing(ids: list[str]) -> dict[str, Any]:
    message = "Could not get some objects, they may be deleted or not exist."
    error = {"status": "error", "category": "OBJECT_NOT_FOUND", "message": message}
    return {**error, "context": {"ids": ids}, "errors": [], "links": {}}
