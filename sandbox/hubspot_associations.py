"""HubSpot's associations between contacts and companies, from either side.

Source: https://developers.hubspot.com/docs/api-reference/crm-associations-v4/guide
"""

from __future__ import annotations

from typing import Any

from .core import Answer, Request, Route
from .hubspot_account import CONTACT_TO_COMPANY, PRIMARY_COMPANY, TOOK, TYPE_IDS, Account

DEFINED, OWN = "HUBSPOT_DEFINED", "USER_DEFINED"
MAX_PAGE = 500
PATH = "/crm/v4/objects/{kind}/{id}/associations"
LABELS = {PRIMARY_COMPANY: "Primary", PRIMARY_COMPANY + 1: "Contact with Primary Company"}


class Associations(Account):
    """Type ids are kept as from contact to company; the way back each is one higher."""

    associations_limit = 100
    to_object_id_as_text = False

    def __init__(self, *args: Any, **options: Any) -> None:
        super().__init__(*args, **options)
        self.labels: dict[int, str] = {}

    def routes(self) -> list[Route]:
        return [
            *super().routes(),
            ("PUT", PATH + "/default/{to}/{to_id}", self._associate),
            ("PUT", PATH + "/{to}/{to_id}", self._associate_as),
            ("GET", PATH + "/{to}", self._associated),
            ("GET", "/crm/v3/objects/{kind}/{id}/associations/{to}", self._named),
            ("POST", "/crm/v4/associations/{kind}/{to}/batch/read", self._batch_associated),
            ("GET", "/crm/v4/associations/{kind}/{to}/labels", self._labels),
        ]

    def _associate(self, _: Request, kind: str, key: str, to: str, other: str) -> Answer:
        types = self._join(kind, key, to, other)
        pair = {"from": {"id": key}, "to": {"id": other}}
        specs = [{"associationCategory": DEFINED, "associationTypeId": each} for each in types]
        return Answer(
            200,
            {**TOOK, "results": [{**pair, "associationSpec": spec} for spec in specs]},
            wrote=True,
        )

    def _associate_as(self, request: Request, kind: str, key: str, to: str, other: str) -> Answer:
        specs = self.entries(self.decoded(request), "The body")
        types = [self.type_from(to, spec) for spec in specs]
        made = self._join(kind, key, to, other, *types)
        ends = {"fromObjectTypeId": TYPE_IDS[kind], "toObjectTypeId": TYPE_IDS[to]}
        ids = {"fromObjectId": int(key), "toObjectId": int(other)}
        labels = [self._label(each) for each in made]
        return Answer(
            201, {**ends, **ids, "labels": [label for label in labels if label]}, wrote=True
        )

    def type_from(self, to: str, spec: dict[str, Any]) -> int:
        """The type id, as from contact to company, of an association with `to`; or a 400."""
        given = spec.get("associationTypeId")
        known = [PRIMARY_COMPANY, CONTACT_TO_COMPANY, *self.labels]
        back = 0 if to == "companies" else 1
        if not isinstance(given, int) or given - back not in known:
            raise self.error(400, f"There is no association type {given!r} with {to}.")
        return given - back

    def _join(self, kind: str, key: str, to: str, other: str, *types: int) -> list[int]:
        """Associate two records that exist; the type ids as seen from the first."""
        self.need(f"crm.objects.{kind}.write")
        self._apart(kind, to)
        ends = {kind: self.existing(kind, key), to: self.existing(to, other)}
        made = self.link(ends["contacts"], ends["companies"], *types)
        return made if kind == "contacts" else [each + 1 for each in made]

    def _apart(self, kind: str, to: str) -> None:
        if kind == to:
            raise self.error(501, f"This sandbox does not associate {kind} with {to}.")

    def linked(self, kind: str, key: int) -> list[tuple[int, list[int]]]:
        """Ids and types of what a record is associated with, by id."""
        if kind == "contacts":
            return sorted(self.associations.get(key, {}).items())
        there = sorted(self.associations.items())
        return [(one, [t + 1 for t in links[key]]) for one, links in there if key in links]

    def _associated(self, request: Request, kind: str, key: str, to: str) -> Answer:
        self.need(f"crm.objects.{kind}.read")
        self._apart(kind, to)
        limit, after = self._page(request)
        rows = [row for row in self.linked(kind, self.existing(kind, key)) if row[0] >= after]
        body: dict[str, Any] = {"results": [self._shown_link(*row) for row in rows[:limit]]}
        return Answer(200, {**body, **_next(rows, limit)})

    def _page(self, request: Request) -> tuple[int, int]:
        limit, after = self.whole(request, "limit", MAX_PAGE), self.whole(request, "after", 0, 0)
        if limit > MAX_PAGE:
            raise self.error(400, f"The limit {limit} exceeds the maximum of {MAX_PAGE}.")
        return limit, after

    def _shown_link(self, key: int, types: list[int]) -> dict[str, Any]:
        shown = str(key) if self.to_object_id_as_text else key
        return {"toObjectId": shown, "associationTypes": [self._type(each) for each in types]}

    def _type(self, type_id: int) -> dict[str, Any]:
        own = {*self.labels, *(each + 1 for each in self.labels)}
        category = OWN if type_id in own else DEFINED
        return {"category": category, "typeId": type_id, "label": self._label(type_id)}

    def _label(self, type_id: int) -> Any:
        return self.labels.get(type_id) or self.labels.get(type_id - 1) or LABELS.get(type_id)

    def _labels(self, _: Request, kind: str, to: str) -> Answer:
        self._apart(kind, to)
        back = 0 if kind == "contacts" else 1
        types = [CONTACT_TO_COMPANY, PRIMARY_COMPANY, *self.labels]
        return Answer(200, {"results": [self._type(each + back) for each in types]})

    def _batch_associated(self, request: Request, kind: str, to: str) -> Answer:
        self.need(f"crm.objects.{kind}.read")
        self._apart(kind, to)
        inputs = self.entries(self.body(request).get("inputs"), "inputs")
        ids = [str(entry.get("id")) for entry in inputs]
        found = [(key, self.linked(kind, self.lookup(kind, key) or 0)) for key in ids]
        results = [
            {"from": {"id": key}, "to": [self._shown_link(*row) for row in rows]}
            for key, rows in found
            if rows
        ]
        return Answer(200, {**TOOK, "results": results})

    # The older form, one row for each type of an association.

    def _named(self, request: Request, kind: str, key: str, to: str) -> Answer:
        self.need(f"crm.objects.{kind}.read")
        limit, after = self._page(request)
        return Answer(200, self.named(kind, self.existing(kind, key), to, limit, after))

    def named(self, kind: str, key: int, to: str, limit: int, after: int = 0) -> dict[str, Any]:
        """What `associations=` answers: "contact_to_company" is the primary company."""
        self._apart(kind, to)
        rows = [row for row in self.linked(kind, key) if row[0] >= after]
        results = [
            {"id": str(other), "type": self._type_name(kind, each)}
            for other, types in rows[:limit]
            for each in sorted(types)
        ]
        return {"results": results, **_next(rows, limit)}

    def _type_name(self, kind: str, type_id: int) -> str:
        way = "contact_to_company" if kind == "contacts" else "company_to_contact"
        if type_id in (CONTACT_TO_COMPANY, CONTACT_TO_COMPANY + 1):
            return f"{way}_unlabeled"
        return way if type_id in LABELS else str(self._label(type_id)).lower().replace(" ", "_")


def _next(rows: list[tuple[int, list[int]]], limit: int) -> dict[str, Any]:
    return {"paging": {"next": {"after": str(rows[limit][0])}}} if len(rows) > limit else {}
